//! Signed notes and checkpoints.

#![expect(clippy::unwrap_used, reason = "helpers of the tests are tests, too")]

use stepgate_record::{Checkpoint, Hash, NoteError, NoteSigner, SignedNote, VerifierKey};

/// The example of Go's golang.org/x/mod/sumdb/note, whose format C2SP signed-note is.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn a_note_signed_by_another_implementation_is_verified() {
    let key: VerifierKey = KEY.parse().unwrap();
    let note: SignedNote = NOTE.parse().unwrap();
    assert_eq!(note.verify(&key), Ok(()));
    assert_eq!(key.to_string(), KEY);
    assert_eq!(note.to_string(), NOTE);
}

fn signer() -> NoteSigner {
    NoteSigner::new("stepgate/00112233445566778899aabbccddeeff", &[7; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "stepgate/00112233445566778899aabbccddeeff".to_owned(),
        size: 42,
        root: Hash::leaf(b"x"),
    }
}

#[test]
fn a_signed_checkpoint_is_read_back() {
    let (signer, checkpoint) = (signer(), checkpoint());
    let note: SignedNote = checkpoint.sign(&signer).to_string().parse().unwrap();
    assert_eq!(Checkpoint::verified(&note, &signer.verifier_key()), Ok(checkpoint));
}

#[test]
fn no_changed_byte_of_a_checkpoint_is_accepted() {
    let key = signer().verifier_key();
    let good = checkpoint().sign(&signer()).to_string().into_bytes();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let verified = text.parse::<SignedNote>().and_then(|note| Checkpoint::verified(&note, &key));
            assert!(verified.is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_log_or_key_is_refused() {
    let other = NoteSigner::new("stepgate/00112233445566778899aabbccddeeff", &[8; 32]).unwrap();
    let note = checkpoint().sign(&signer());
    assert!(matches!(Checkpoint::verified(&note, &other.verifier_key()), Err(NoteError::NotSigned(_))));
    let foreign = Checkpoint { origin: "stepgate/other".to_owned(), ..checkpoint() };
    let note = foreign.sign(&signer());
    assert!(matches!(Checkpoint::verified(&note, &signer().verifier_key()), Err(NoteError::NotSigned(_))));
}

#[test]
fn a_second_signature_is_ignored_by_verify_but_not_let_through_unchecked() {
    let good = checkpoint().sign(&signer()).to_string();
    let foreign = NoteSigner::new("witness", &[8; 32]).unwrap().sign("x\n").to_string();
    let line = foreign.lines().last().unwrap();
    let note: SignedNote = format!("{good}{line}\n").parse().unwrap();
    assert_eq!(note.verify(&signer().verifier_key()), Ok(()));
    assert!(note.verify_alone(&signer().verifier_key()).is_err());
}

#[test]
fn malformed_keys_are_refused() {
    for wrong in
        ["", "a+b", "a+00000000+AQ==", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
    {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
    assert!(NoteSigner::new("two words", &[0; 32]).is_err());
}
