//! A log whose key was replaced: everything that verifies follows, and neither key alone forges across it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of the tests are tests, too")]

use stepgate_record::verify::{Anchor, Header, HeaderKeys, Outcome, checkpoint_line, cuts, verify_export};
use stepgate_record::{
    Checkpoint, Cosigner, Event, Fitted, Frontier, Handover, Hash, KeysError, NoteError, NoteSigner,
    SignedNote, Tree, VerifierKeys,
};
use stepgate_types::SessionId;

const LOG: &str = "00112233445566778899aabbccddeeff";

/// The record that names the second key, and the tree at which it takes over.
const NAMED: u64 = 4;
const TAKES_OVER: u64 = 6;

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(&Checkpoint::origin(LOG), &[seed; 32]).unwrap()
}

fn event(seq: u64, forged: u64) -> Event {
    if seq == NAMED {
        let key = |seed| signer(seed).verifier_key().to_string();
        return Event::KeyRotated { old: key(1), new: key(2), n: 1 };
    }
    let session = SessionId::from_bytes([u8::try_from(seq).unwrap(); 16]);
    let reason = if seq == forged { "forged" } else { "terminate" };
    Event::SessionClosed { session, reason: reason.to_owned() }
}

/// The canonical bytes of a log of `n` records, where that of number `forged` is another one.
fn forged(n: u64, forged: u64) -> Vec<Vec<u8>> {
    let mut prev = Hash::ZERO;
    (0..n)
        .map(|seq| {
            let fitted = Fitted::new(&event(seq, forged)).unwrap();
            let bytes = fitted.record(LOG, seq, 1000 + i64::try_from(seq).unwrap(), &prev).unwrap();
            prev = Hash::leaf(&bytes);
            bytes
        })
        .collect()
}

fn log(n: u64) -> Vec<Vec<u8>> {
    forged(n, u64::MAX)
}

fn tree(records: &[Vec<u8>]) -> Tree {
    let mut tree = Tree::new();
    records.iter().for_each(|record| tree.push(Hash::leaf(record)));
    tree
}

fn checkpoint(records: &[Vec<u8>], size: u64) -> Checkpoint {
    Checkpoint { origin: Checkpoint::origin(LOG), size, root: tree(records).root(size).unwrap() }
}

fn both(checkpoint: &Checkpoint, old: u8, new: u8) -> SignedNote {
    checkpoint.sign(&signer(old)).with_signatures_of(&checkpoint.sign(&signer(new))).unwrap()
}

/// What takes the key over at tree `size`, in the records given, as signed by these two.
fn handover(records: &[Vec<u8>], size: u64, (old, new): (u8, u8)) -> Handover {
    let path = tree(records).inclusion_proof(NAMED, size).unwrap();
    let record = records[usize::try_from(NAMED).unwrap()].clone();
    let note = both(&checkpoint(records, size), old, new);
    Handover::new(signer(new).verifier_key(), note, (NAMED, record), path).unwrap()
}

fn first() -> VerifierKeys {
    signer(1).verifier_key().into()
}

fn keys() -> VerifierKeys {
    let mut keys = first();
    keys.hand_over(handover(&log(20), TAKES_OVER, (1, 2))).unwrap();
    keys
}

fn runs(keys: &VerifierKeys, begin: u64, end: u64, records: &[Vec<u8>]) -> Vec<String> {
    let mut at = begin;
    let mut hex = Vec::new();
    for cut in cuts(keys, begin, end) {
        let mut frontier = Frontier::starting_at(at);
        (at..cut).for_each(|seq| frontier.push(Hash::leaf(&records[usize::try_from(seq).unwrap()])));
        hex.extend(frontier.hashes().iter().map(ToString::to_string));
        at = cut;
    }
    hex
}

/// The records `first..end`, of a tree of all that are given, signed by the key of this seed.
fn export(records: &[Vec<u8>], (first, end): (u64, u64), keys: &VerifierKeys, seed: u8) -> Vec<u8> {
    let size = records.len() as u64;
    let part = &records[usize::try_from(first).unwrap()..usize::try_from(end).unwrap()];
    let header = Header {
        format: Header::FORMAT.to_owned(),
        version: Header::VERSION,
        log_id: LOG.to_owned(),
        origin: Checkpoint::origin(LOG),
        verifier_key: keys.newest().to_string(),
        keys: HeaderKeys::of(keys),
        first,
        records: end - first,
        last_hash: part.last().map(|record| Hash::leaf(record).to_string()).unwrap_or_default(),
        tree_size: size,
        before: runs(keys, 0, first, records),
        after: runs(keys, end, size, records),
    };
    let mut lines = vec![header.line().unwrap()];
    lines.extend_from_slice(part);
    lines.push(checkpoint_line(&checkpoint(records, size).sign(&signer(seed))));
    lines.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect()
}

fn verify(bytes: &[u8]) -> Outcome {
    verify_export(&mut &bytes[..], None)
}

fn anchored(bytes: &[u8], anchor: &str) -> Outcome {
    verify_export(&mut &bytes[..], Some(&anchor.parse::<Anchor>().unwrap()))
}

fn vkey(seed: u8) -> String {
    signer(seed).verifier_key().to_string()
}

#[test]
fn a_list_of_keys_is_read_back_and_no_flipped_bit_of_it_is_accepted() {
    let keys = keys();
    let text = keys.to_string();
    assert_eq!(text.parse(), Ok(keys.clone()));
    assert_eq!(first().to_string().parse(), Ok(first()));
    assert!(keys.extends(&first()) && !first().extends(&keys));
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 1;
        let Ok(bad) = String::from_utf8(bad) else { continue };
        assert!(bad.parse::<VerifierKeys>().is_err(), "byte {at}");
    }
}

#[test]
fn a_frontier_gives_the_path_of_the_leaf_that_comes_next() {
    let records = log(60);
    let hashes: Vec<Hash> = records.iter().map(|record| Hash::leaf(record)).collect();
    let tree = tree(&records);
    for index in 0..60 {
        let mut frontier = Frontier::default();
        hashes[..index].iter().for_each(|hash| frontier.push(*hash));
        for size in index + 1..=60 {
            let path = frontier.path(&hashes[index + 1..size]);
            assert_eq!(path, tree.inclusion_proof(index as u64, size as u64), "{index} of {size}");
        }
    }
}

#[test]
fn a_key_takes_over_only_as_the_one_before_it_says() {
    let good = log(20);
    let of = |handover: Handover| first().hand_over(handover).unwrap_err();
    // By the new key alone, by another one instead of the old, and not by the new one.
    for (old, new) in [(2, 2), (3, 2), (1, 1)] {
        assert!(matches!(of(handover(&good, TAKES_OVER, (old, new))), KeysError::Unproven(1, _)));
    }
    // To a key that the record does not name.
    assert!(of(handover(&good, TAKES_OVER, (1, 3))).to_string().contains("does not name it"));
    // The record of another tree, at another place, with another path.
    let path = || tree(&good).inclusion_proof(NAMED, TAKES_OVER).unwrap();
    let record = || good[4].clone();
    let note = || both(&checkpoint(&good, TAKES_OVER), 1, 2);
    let new = || signer(2).verifier_key();
    let bad = [
        Handover::new(new(), both(&checkpoint(&forged(20, 1), TAKES_OVER), 1, 2), (NAMED, record()), path()),
        Handover::new(new(), note(), (NAMED + 1, record()), path()),
        Handover::new(new(), note(), (NAMED, good[5].clone()), path()),
        Handover::new(new(), note(), (NAMED, record()), path()[1..].to_vec()),
        Handover::new(new(), both(&checkpoint(&good, NAMED), 1, 2), (NAMED, record()), path()),
    ];
    for handover in bad {
        of(handover.unwrap());
    }
    // Twice, and back to the first.
    let mut twice = keys();
    assert!(twice.hand_over(handover(&good, TAKES_OVER + 1, (1, 2))).is_err());
    assert!(twice.hand_over(handover(&good, TAKES_OVER + 1, (2, 1))).is_err());
}

#[test]
fn each_key_signs_in_its_time_alone() {
    let (keys, good) = (keys(), log(20));
    let signed = |size: u64, seed: u8| keys.verified(&checkpoint(&good, size).sign(&signer(seed)));
    for size in 0..=20 {
        assert_eq!(signed(size, 1).is_ok(), size <= TAKES_OVER, "old, {size}");
        assert_eq!(signed(size, 2).is_ok(), size >= TAKES_OVER, "new, {size}");
        assert!(signed(size, 3).is_err());
    }
    assert_eq!(signed(7, 1), Err(NoteError::Replaced(6)));
    assert_eq!(signed(5, 2), Err(NoteError::Early(6)));
    assert!(keys.verified(&both(&checkpoint(&good, TAKES_OVER), 1, 2)).is_ok());
    // A line more that is not of these keys, in their name and in another.
    let note = checkpoint(&good, 7).sign(&signer(2));
    let witness = Cosigner::new("elsewhere", &[9; 32]).unwrap().cosign(&note, 1);
    let stranger = NoteSigner::new("elsewhere", &[9; 32]).unwrap().sign(note.text());
    let forged = checkpoint(&good, 7).sign(&signer(3));
    assert!(keys.verified(&witness).is_err());
    assert!(keys.verified_among(&witness).is_ok());
    assert!(keys.verified_among(&note.with_signatures_of(&stranger).unwrap()).is_err());
    assert!(keys.verified_among(&note.with_signatures_of(&forged).unwrap()).is_err());
}

#[test]
fn exports_of_every_part_verify_by_the_old_key_the_new_one_and_what_they_signed() {
    let (keys, good) = (keys(), log(13));
    let anchors = [
        vkey(1),
        vkey(2),
        first().to_string(),
        keys.to_string(),
        checkpoint(&good, 13).sign(&signer(2)).to_string(),
        format!("{}\n{}", vkey(1), checkpoint(&good, 13).sign(&signer(2))),
    ];
    for begin in 0..=13 {
        for end in begin..=13 {
            let export = export(&good, (begin, end), &keys, 2);
            assert!(verify(&export).is_ok(), "{begin}..{end}: {:?}", verify(&export));
            for anchor in &anchors {
                assert!(anchored(&export, anchor).is_ok(), "{begin}..{end} {anchor}");
            }
            assert!(anchored(&export, &vkey(3)).is_err());
        }
    }
    // Of before and of when it was replaced, by the old key and the whole list.
    for size in 1..=TAKES_OVER {
        let old = export(&good[..usize::try_from(size).unwrap()], (0, size), &first(), 1);
        for anchor in [vkey(1), first().to_string(), keys.to_string()] {
            assert!(anchored(&old, &anchor).is_ok(), "{size} {anchor}");
        }
    }
    let at = checkpoint(&good, 5).sign(&signer(1)).to_string();
    assert!(anchored(&export(&good, (2, 9), &keys, 2), &at).is_ok());
}

#[test]
fn the_old_key_alone_signs_no_later_history() {
    // Whoever stole it goes on without its successor, or with one of their own.
    for records in [log(13), forged(13, 9), forged(13, 2)] {
        let forged = export(&records, (0, 13), &first(), 1);
        for anchor in [
            vkey(2),
            keys().to_string(),
            checkpoint(&log(13), 13).sign(&signer(2)).to_string(),
            format!("{keys}\n{}", checkpoint(&log(13), 13).sign(&signer(2)), keys = keys()),
        ] {
            assert!(anchored(&forged, &anchor).is_err(), "{anchor}");
        }
        // The true successor's name, and the old one's signature.
        assert!(verify(&export(&records, (0, 13), &keys(), 1)).is_err());
    }
    // Another tree of the size at which it was replaced.
    let other = export(&forged(TAKES_OVER, 2), (0, TAKES_OVER), &first(), 1);
    assert!(anchored(&other, &keys().to_string()).is_err());
}

#[test]
fn the_new_key_alone_signs_no_other_history_of_before() {
    for changed in 0..TAKES_OVER {
        let records = forged(13, if changed == NAMED { 3 } else { changed });
        for begin in 0..=13 {
            for end in begin..=13 {
                let forged = export(&records, (begin, end), &keys(), 2);
                let outcome = verify(&forged);
                assert!(outcome.is_err(), "{changed}: {begin}..{end}: {outcome:?}");
                assert!(anchored(&forged, &vkey(1)).is_err());
            }
        }
        // Without its predecessor, whom an anchor names.
        let alone = export(&records, (0, 13), &signer(2).verifier_key().into(), 2);
        for anchor in [vkey(1), first().to_string(), keys().to_string()] {
            assert!(anchored(&alone, &anchor).is_err());
        }
    }
}

#[test]
fn no_flipped_bit_of_an_export_with_two_keys_is_accepted() {
    for (begin, end) in [(0, 9), (7, 9), (1, 3)] {
        let good = export(&log(9), (begin, end), &keys(), 2);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(verify(&bad).is_err(), "byte {at} of {begin}..{end}");
        }
    }
}
