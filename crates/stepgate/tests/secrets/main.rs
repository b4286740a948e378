//! A workload full of marks (tests/clients/marked.py), then a hunt for them in everything that the gate keeps, says
//! and hands out: what statements carry is nobody's business but the client's and the server's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod cores;
mod hunt;
mod lake;
mod others;
mod outputs;
mod played;
#[path = "../sinks/receivers.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod receivers;
#[path = "../methods/running.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod running;
#[path = "../support/mod.rs"]
mod support;

use hunt::{ALL, Leaks, disguised};
use played::Played;

/// One workload, for all that it may have left something in. What is found is told at the end, all of it.
#[test]
fn no_literal_value_row_name_or_error_text_of_a_statement_stays_with_the_gate() {
    let mut leaks = Leaks::default();
    let mut played = Played::new(&mut leaks);
    outputs::what_commands_say(&played, &mut leaks);
    outputs::evidence(&played, &mut leaks);
    outputs::copies(&played, &mut leaks);
    outputs::figures(&played, &mut leaks);
    others::afterwards(&played, &mut leaks);
    outputs::what_has_left(&played, &mut leaks);
    outputs::what_stays(&mut played, &mut leaks);
    leaks.none();
}

#[test]
fn the_hunt_finds_what_it_looks_for() {
    for text in [
        "x zqxmark7 y",
        "ZQXMARK7",
        "7a71786d61726b37",
        "..eyJhIjoienF4bWFyazcifQ==",
        "n=7770001239,",
        "$777000123",
        "? #%@%#@#%@ ?",
        "z\0q\0x\0m\0a\0r\0k\x007\0",
        "77700\r\n01239",
        "zqxm=\r\nark7",
    ] {
        assert!(disguised(text.as_bytes(), &ALL).is_some(), "{text}");
    }
    for bytes in [7_770_001_239_i64.to_be_bytes(), 7_770_001_239_i64.to_le_bytes()] {
        assert!(disguised(&[&[0xff, 0x80][..], &bytes, &[0xfe]].concat(), &ALL).is_some(), "{bytes:?}");
    }
    assert_eq!(disguised(b"nothing of \xff that kind", &ALL), None);
}
