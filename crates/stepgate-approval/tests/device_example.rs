//! docs/DEVICE.md is what the gate does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use ed25519_dalek::{Signer as _, SigningKey};
use stepgate_approval::{push_answer, push_enrolment};

const DOCUMENT: &str = include_str!("../../../docs/DEVICE.md");

fn value(name: &str) -> &'static str {
    let line = DOCUMENT.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
    line.trim()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(name: &str) -> [u8; 32] {
    let text = value(name);
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn the_worked_example_of_the_device_protocol_is_right() {
    let key = SigningKey::from_bytes(&bytes("private key "));
    let public = key.verifying_key().to_bytes();
    assert_eq!(hex(&public), value("public key "));
    for (message, signed, answer) in [
        (push_enrolment(&bytes("enrolment binding "), &public), "enrolment signed ", "enrolment answer "),
        (push_answer(&bytes("answer binding "), value("answer code ")), "answer signed ", "answer answer "),
    ] {
        assert_eq!(hex(&message), value(signed));
        assert_eq!(hex(&key.sign(&message).to_bytes()), value(answer));
    }
}
