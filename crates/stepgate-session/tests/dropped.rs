//! Messages that were read and not kept fail in their place, and nothing else does.

mod support;

use bytes::Bytes;
use stepgate_wire::{Dropped, Piece};
use support::{
    Stage, bind, complete, error, execute, find, frame, nonce, parse, permit, query, ready, sync, tags,
};

impl Stage {
    /// The client has sent a message of this type that was not kept.
    fn dropped(&mut self, tag: u8, why: Dropped) {
        let bytes = Bytes::from(vec![tag, 4, 0, 0, 0]);
        self.session.on_client(Piece::Dropped { tag, bytes, why });
        self.server(&[]);
    }
}

const TOO_LONG: Dropped = Dropped::TooLong { limit: 1 << 20 };

#[test]
fn a_query_that_was_not_kept_fails_and_the_next_one_runs() {
    let mut stage = Stage::new();
    stage.dropped(b'Q', TOO_LONG);
    assert_eq!(stage.not_parsed, [(1, "54000".to_owned())]);
    let sent = stage.at_server();
    assert_eq!(tags(&sent), "Q");
    stage.server(&[error("42601", &format!("at or near {}", nonce(&sent[0]))), ready(b'I')]);
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "EZ");
    assert!(find(&seen[0], b"C54000\0") && find(&seen[0], b"67108865 bytes"));
    stage.client(&[query("select 1")]);
    assert_eq!(stage.decision().sql, "select 1");
}

#[test]
fn a_function_call_that_was_not_kept_fails_as_one() {
    let mut stage = Stage::new();
    stage.dropped(b'F', Dropped::NoRoom);
    assert_eq!(tags(&stage.at_server()), "F");
    stage.server(&[error("42883", "no such function"), ready(b'I')]);
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "EZ");
    assert!(find(&seen[0], b"C53200\0"));
}

#[test]
fn what_goes_before_a_bind_that_was_not_kept_is_judged_and_what_stands_behind_it_is_skipped() {
    for tag in [b'B', b'P'] {
        let mut stage = Stage::new();
        stage.client(&[parse("", "select 1"), bind("", ""), execute("")]);
        stage.dropped(tag, Dropped::StoodStill);
        stage.client(&[execute(""), sync(), query("select 2")]);
        assert_eq!(stage.decision().sql, "select 1");
        stage.session.pass(permit(1)).unwrap();
        stage.server(&[]);
        let sent = stage.at_server();
        assert_eq!(tags(&sent), "PBEBS", "{tag}");
        assert!(find(&sent[3], b"sg_denied_"));
        stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
        stage.server(&[error("26000", &nonce(&sent[3])), ready(b'I')]);
        let seen = stage.at_client();
        assert_eq!(tags(&seen), "12CEZ");
        assert!(find(&seen[3], b"C57014\0"));
        assert_eq!(stage.decision().sql, "select 2");
    }
}

#[test]
fn where_the_server_skips_so_does_the_gate() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "select 1"), bind("", ""), execute("")]);
    assert_eq!(stage.decision().sql, "select 1");
    stage
        .session
        .refuse(&stepgate_wire::Problem::error(stepgate_types::SqlState::INSUFFICIENT_PRIVILEGE, "no"));
    for tag in *b"QPBF" {
        stage.dropped(tag, TOO_LONG);
    }
    stage.client(&[sync()]);
    assert_eq!(tags(&stage.at_server()), "PBS");
    assert!(stage.not_parsed.is_empty());
}

#[test]
fn what_the_client_has_sent_and_nobody_has_decided_on_is_counted_until_it_has_gone() {
    let mut stage = Stage::new();
    let (long, next) = (query(&format!("select {}", "1".repeat(100_000))), query("select 2"));
    stage.client(&[long.clone(), next.clone()]);
    assert!(stage.undecided());
    assert_eq!(stage.session.keeps(), long.len() + next.len());
    assert_eq!(stage.decision().number, 1);
    stage.session.pass(permit(1)).unwrap();
    assert_eq!(stage.session.keeps(), next.len());
}

#[test]
fn in_a_pipeline_the_error_comes_before_its_end() {
    let mut stage = Stage::new();
    let describe = frame(b'D', b"P\0");
    let segment = |sql: &str| [parse("", sql), bind("", ""), describe.clone(), execute("")];
    stage.client(&segment("select 1"));
    assert_eq!(stage.decision().sql, "select 1");
    stage.pass(permit(1));
    assert_eq!(tags(&stage.at_server()), "PBDE");
    stage.client(&[parse("", "select length($1)")]);
    stage.dropped(b'B', TOO_LONG);
    let sent = stage.at_server();
    assert_eq!(tags(&sent), "PB");
    stage.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'n', b""), complete(), frame(b'1', b"")]);
    stage.server(&[error("26000", &nonce(&sent[1]))]);
    assert_eq!(tags(&stage.at_client()), "12nC1E");
    stage.client(&[describe.clone(), execute("")]);
    stage.client(&segment("select 2"));
    stage.client(&[sync()]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
}

/// An error or notice of so many bytes, of which the beginning was kept.
fn said(tag: u8, fields: &str) -> Piece {
    let bytes = Bytes::from([&[tag, 2, 0, 0, 0][..], fields.as_bytes(), b"Mxxx"].concat());
    Piece::Dropped { tag, bytes, why: TOO_LONG }
}

#[test]
fn an_error_or_notice_of_the_servers_that_was_not_kept_is_told_by_one_of_the_gates_own() {
    for (fields, seen_as) in [
        ("SERROR\0VERROR\0CP0001\0", &b"CP0001\0"[..]),
        ("SERROR\0VERROR\0Cp-0-1\0", b"C54000\0"),
        ("", b"C54000\0"),
    ] {
        let mut stage = Stage::new();
        stage.client(&[query("select 1")]);
        let number = stage.decision().number;
        stage.pass(permit(number));
        stage.session.on_server(&said(b'N', "SNOTICE\0VNOTICE\0C00000\0"));
        stage.session.on_server(&said(b'E', fields));
        stage.server(&[ready(b'I')]);
        let seen = stage.at_client();
        assert_eq!(tags(&seen), "NEZ");
        assert!(seen[..2].iter().all(|it| find(it, b"left out: it has 33554433 bytes") && !find(it, b"xxx")));
        assert!(find(&seen[1], seen_as), "{fields}");
        assert_eq!(stage.completed.len(), 1);
        stage.client(&[query("select 2")]);
        assert_eq!(stage.decision().sql, "select 2");
    }
}
