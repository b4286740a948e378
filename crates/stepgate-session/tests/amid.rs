//! A Query in the middle of a segment: whether an error is its own, or that of a Flush behind which the server skips it.

mod support;

use support::{Stage, complete, description, error, frame, nonce, parse, permit, query, ready, sync, tags};

fn flush() -> Vec<u8> {
    frame(b'H', b"")
}

fn closed() -> Vec<u8> {
    frame(b'3', b"")
}

fn overdue() -> Vec<u8> {
    error("57014", "canceling statement due to statement timeout")
}

/// A Parse that has been answered, a Flush, and a Query that was let through.
fn amid() -> Stage {
    let mut stage = Stage::new();
    stage.run(&[parse("a", "select 1"), flush()], &[frame(b'1', b"")]);
    stage.client(&[flush(), query("select a from t"), sync(), query("select 2")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert_eq!(tags(&stage.at_server()), "HQ", "nothing is sent behind it");
    stage
}

#[test]
fn a_query_in_the_middle_of_a_segment_goes_on_once_anything_comes_of_it() {
    let mut stage = amid();
    stage.server(&[description(&[])]);
    assert_eq!(tags(&stage.at_server()), "S");
    assert!(stage.undecided());
    stage.server(&[complete(), ready(b'I'), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "TCZZ");
    assert!(!stage.ended);
}

#[test]
fn an_error_of_the_query_is_followed_by_its_ready_for_query() {
    let mut stage = amid();
    stage.server(&[overdue()]);
    assert_eq!(tags(&stage.at_server()), "SCS");
    stage.server(&[ready(b'I'), ready(b'I'), closed()]);
    assert_eq!(tags(&stage.at_client()), "E", "it is not known yet");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert!(stage.undecided() && !stage.ended);
    assert_eq!(stage.completed.len(), 1);
}

#[test]
fn a_query_that_the_server_skips_is_waited_for_no_longer_and_no_reply_is_taken_for_its() {
    let mut stage = amid();
    stage.server(&[overdue(), ready(b'I'), closed(), ready(b'I')]);
    assert_eq!(tags(&stage.at_server()), "SCSS", "the last is the client's");
    assert_eq!(tags(&stage.at_client()), "E");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert!(stage.session.is_idle() && stage.undecided() && !stage.ended);
    assert_eq!(stage.completed[0].1.as_deref(), Some("57014"));
}

#[test]
fn a_refused_query_in_the_middle_of_a_segment_may_be_skipped_too() {
    for skipped in [true, false] {
        let mut stage = Stage::new();
        stage.run(&[parse("a", "select 1"), flush()], &[frame(b'1', b"")]);
        stage.client(&[flush(), query("select a from t"), sync()]);
        stage.decision();
        stage.refuse("no");
        let sent = stage.at_server();
        assert_eq!(tags(&sent), "HQ");
        if skipped {
            stage.server(&[overdue(), ready(b'I'), closed(), ready(b'I')]);
            assert_eq!(tags(&stage.at_server()), "SCSS");
            stage.server(&[ready(b'I')]);
            assert_eq!(tags(&stage.at_client()), "EZ");
        } else {
            stage.server(&[error("42601", &nonce(&sent[1])), ready(b'I')]);
            assert_eq!(tags(&stage.at_server()), "S");
            stage.server(&[ready(b'I')]);
            assert_eq!(tags(&stage.at_client()), "EZZ");
        }
        assert!(stage.session.is_idle() && !stage.ended);
    }
}

#[test]
fn what_an_earlier_segment_fails_by_says_nothing_of_a_query_in_a_later_one() {
    let mut stage = Stage::new();
    stage.client(&[
        parse("a", "selec 1"),
        sync(),
        parse("b", "select 1"),
        flush(),
        query("select a from t"),
        sync(),
    ]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert_eq!(tags(&stage.at_server()), "PSPHQ");
    stage.server(&[error("42601", "no"), ready(b'I'), frame(b'1', b"")]);
    assert_eq!(tags(&stage.at_server()), "", "nothing has come of it yet");
    stage.server(&[overdue(), ready(b'I'), closed(), ready(b'I')]);
    assert_eq!(tags(&stage.at_server()), "SCSS");
}
