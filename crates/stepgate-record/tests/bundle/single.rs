//! Proofs of one record.

use stepgate_record::bundle::{proof_text, verify_proof};
use stepgate_record::verify::{Anchor, Place};
use stepgate_record::{Hash, Tree};

use crate::gate::{Gate, signer};
use crate::place;

#[test]
fn one_record_is_proven_by_a_text_that_holds_all_it_takes() {
    let gate = Gate::new(13, 7);
    let mut tree = Tree::new();
    gate.records.iter().for_each(|record| tree.push(Hash::leaf(record)));
    let note = gate.checkpoint(13).sign(&signer(7));
    let key = signer(7).verifier_key();
    let proof = |seq: u64| {
        let path = tree.inclusion_proof(seq, 13).unwrap();
        proof_text(&gate.records[usize::try_from(seq).unwrap()], &key.clone().into(), seq, &path, &note)
    };
    let anchor: Anchor = key.to_string().parse().unwrap();
    for seq in 0..13 {
        assert!(verify_proof(proof(seq).as_bytes(), Some(&anchor)).is_ok(), "{seq}");
    }
    let good = proof(5).into_bytes();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(verify_proof(&bad, None).is_err(), "byte {at} bit {bit}");
        }
    }
    let stranger: Anchor = signer(8).verifier_key().to_string().parse().unwrap();
    assert_eq!(place(&verify_proof(&good, Some(&stranger))), Place::Checkpoint);
}
