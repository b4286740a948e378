//! Cosignatures of witnesses: what is accepted, what is refused, and who may demand one.

#![expect(clippy::unwrap_used, reason = "helpers of the tests are tests, too")]

use stepgate_record::verify::Anchor;
use stepgate_record::{
    Checkpoint, Cosigner, Hash, NoteError, NoteSigner, SignedNote, VerifierKeys, WitnessKey,
};
use stepgate_types::Timestamp;

const NAME: &str = "stepgate/00112233445566778899aabbccddeeff";

fn signer() -> NoteSigner {
    NoteSigner::new(NAME, &[1; 32]).unwrap()
}

fn keys() -> VerifierKeys {
    signer().verifier_key().into()
}

fn note(size: u64) -> SignedNote {
    Checkpoint { origin: NAME.to_owned(), size, root: Hash::leaf(&size.to_be_bytes()) }.sign(&signer())
}

fn cosigner(name: &str) -> Cosigner {
    Cosigner::new(name, &[7; 32]).unwrap()
}

#[test]
fn keys_of_witnesses_are_read_back_and_those_of_logs_are_none() {
    let key = cosigner("witness.example/w1").key();
    assert!(key.to_string().starts_with("witness.example/w1+"));
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    assert!(key.to_string().rsplit('+').next().unwrap().starts_with('B'), "type 4 begins so in base64");
    assert!(signer().verifier_key().to_string().parse::<WitnessKey>().is_err());
    let text = key.to_string();
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 1;
        assert!(String::from_utf8(bad).unwrap().parse::<WitnessKey>().is_err(), "byte {at}");
    }
}

#[test]
fn a_cosignature_holds_for_its_note_time_and_witness_alone() {
    let witness = cosigner("w");
    let signed = witness.cosign(&note(5), 1_700_000_000);
    let when = Timestamp::from_micros(1_700_000_000_000_000);
    assert_eq!(witness.key().cosigned(&signed), Ok(Some(when)));
    assert_eq!(witness.key().cosigned(&note(5)), Ok(None));
    assert_eq!(cosigner("other").key().cosigned(&signed), Ok(None));
    assert!(keys().verified_among(&signed).is_ok());
    assert!(keys().verified(&signed).is_err(), "a line that the log's keys do not check");

    // No bit of the line may change, nor may it stand below another note.
    let text = signed.to_string();
    let start = text.rfind(" w ").unwrap();
    for at in start + 3..text.len() - 1 {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 1;
        let Ok(bad) = String::from_utf8(bad).unwrap().parse::<SignedNote>() else { continue };
        assert!(!matches!(witness.key().cosigned(&bad), Ok(Some(_))), "byte {at}");
    }
    let line = text.lines().last().unwrap();
    let moved: SignedNote = format!("{}{line}\n", note(6)).parse().unwrap();
    assert_eq!(witness.key().cosigned(&moved), Err(NoteError::Forged));
}

#[test]
fn only_lines_of_known_witnesses_are_taken() {
    let (one, two) = (cosigner("one"), cosigner("two"));
    let known = [one.key(), two.key()];
    let both = two.cosign(&one.cosign(&note(5), 10), 11);
    assert_eq!(both.cosigned_by(NAME, &known).unwrap().len(), 2);
    assert!(both.cosigned_by(NAME, &known[..1]).is_err());
    assert!(note(5).cosigned_by(NAME, &known).unwrap().is_empty());
    let twice = one.cosign(&one.cosign(&note(5), 10), 11);
    assert!(twice.cosigned_by(NAME, &known).is_err());
    // In the log's own name.
    let own = cosigner(NAME).cosign(&note(5), 1);
    assert!(keys().verified_among(&own).is_err());
}

#[test]
fn a_witness_that_is_demanded_must_have_cosigned() {
    let (one, two) = (cosigner("one"), cosigner("two"));
    let anchor = |given: &SignedNote, who: &[&Cosigner]| {
        let anchor: Anchor = given.to_string().parse().unwrap();
        anchor.with_witnesses(who.iter().map(|one| one.key()).collect())
    };
    let given = one.cosign(&note(5), 10);
    assert!(anchor(&given, &[&one]).check(&keys(), 5).unwrap().checkpoint.is_some());
    let said = anchor(&given, &[&one]).witnessed([]).unwrap();
    assert!(said[0].contains("witness one has cosigned the first 5 records"), "{said:?}");
    assert!(anchor(&given, &[&one, &two]).witnessed([]).is_err());
    let newer = two.cosign(&one.cosign(&note(9), 12), 12);
    let said = anchor(&given, &[&one, &two]).witnessed([&newer]).unwrap();
    assert!(said.iter().all(|line| line.contains("first 9 records")), "{said:?}");
}
