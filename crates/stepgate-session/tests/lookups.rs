//! A name of which the gate knows nothing is looked for before people are asked about it: what does not exist gets
//! PostgreSQL's own error, at its place.

mod support;

use stepgate_types::Certainty;
use support::{
    Stage, bind, close_statement, complete, error, execute, find, frame, parse, permit, query, ready, sync,
    tags,
};

fn without(frames: &[Vec<u8>]) -> Stage {
    let mut stage = Stage::new();
    stage.absent = true;
    stage.client(frames);
    stage
}

#[test]
fn what_does_not_exist_gets_the_servers_error_and_nobody_is_asked() {
    for (frames, code) in
        [(vec![bind("", "s"), execute(""), sync()], "26000"), (vec![execute("p"), sync()], "34000")]
    {
        let mut stage = without(&frames);
        assert!(!stage.undecided());
        assert_eq!(stage.lookups, 1);
        assert_eq!(tags(&stage.at_server()), "S", "the client's own, and nothing of what failed");
        stage.server(&[ready(b'I')]);
        let seen = stage.at_client();
        assert_eq!(tags(&seen), "EZ");
        assert!(find(&seen[0], format!("C{code}\0").as_bytes()));
        stage.client(&[query("select 1")]);
        assert_eq!(stage.decision().sql, "select 1");
    }
}

#[test]
fn what_goes_before_it_in_its_segment_is_done_first() {
    let mut stage = without(&[parse("q", "select 1"), bind("", "s"), execute(""), sync()]);
    assert_eq!(tags(&stage.at_server()), "P");
    stage.server(&[frame(b'1', b"")]);
    assert_eq!(tags(&stage.at_client()), "1E");
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    // And counts.
    stage.absent = false;
    stage.client(&[bind("", "q"), execute(""), sync()]);
    assert_eq!(stage.decision().sql, "select 1");
}

#[test]
fn what_exists_is_asked_about() {
    for frames in [vec![bind("", "s"), execute(""), sync()], vec![execute("p"), sync()]] {
        let mut stage = Stage::new();
        stage.client(&frames);
        let pending = stage.decision();
        assert_eq!(pending.facts[0].certainty, Certainty::Unknown);
        assert!(stage.at_server().is_empty() && stage.at_client().is_empty());
        stage.pass(permit(pending.number));
        let sent = tags(&stage.at_server());
        assert!(matches!(sent.as_str(), "BEH" | "EH"), "{sent}");
    }
}

#[test]
fn an_error_before_the_question_is_the_only_one() {
    let mut stage = without(&[parse("q", "select 1"), bind("", "s"), execute(""), sync(), query("select 1")]);
    stage.absent = true;
    stage.unsay();
    stage.server(&[error("42P05", "prepared statement exists")]);
    assert_eq!(tags(&stage.at_client()), "E");
    assert_eq!(tags(&stage.at_server()), "PS");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert_eq!(stage.decision().sql, "select 1");
}

/// A Close and another Parse before the one that is misspelt: their replies come first, as if nobody had asked.
#[test]
fn replies_to_what_goes_before_a_misspelt_statement_are_not_lost() {
    let mut stage = Stage::new();
    stage.run(&[query("select a from t")], &[complete(), ready(b'I')]);
    stage.silent = true;
    stage.unparsable = Some(error("42703", "no such column"));
    let frames = [support::close_statement("x"), parse("q", "select 1"), parse("", "select nosuch from t")];
    stage.client(&[&frames[..], &[bind("", ""), execute(""), sync()]].concat());
    assert_eq!(tags(&stage.at_server()), "CP");
    stage.server(&[frame(b'3', b""), frame(b'1', b"")]);
    stage.answer();
    assert_eq!(tags(&stage.at_client()), "31E");
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    stage.client(&[bind("", "q"), execute(""), sync()]);
    assert_eq!(stage.decision().sql, "select 1");
}

#[test]
fn an_error_before_a_misspelt_statement_is_the_only_one() {
    let mut stage = Stage::new();
    stage.run(&[query("select a from t")], &[complete(), ready(b'I')]);
    stage.silent = true;
    let frames =
        [parse("q", "select 1"), parse("", "select nosuch from t"), bind("", ""), execute(""), sync()];
    stage.client(&frames);
    assert_eq!(tags(&stage.at_server()), "P");
    stage.server(&[error("42P05", "prepared statement exists")]);
    // The server skips to the question's own Sync.
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "E");
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert!(!stage.undecided() && stage.not_parsed.is_empty());
}

#[test]
fn a_slip_behind_another_message_waits_for_its_end_and_is_tried_then() {
    let mut stage = Stage::new();
    stage.client(&[query("select 1"), query("selec 2")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert_eq!(stage.checks, 0);
    stage.unparsable = Some(error("42601", "syntax error"));
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(stage.checks, 1);
    assert!(!stage.undecided());
    assert_eq!(tags(&stage.at_client()), "CZEZ");
}

/// In the middle of a segment too, and without ending it.
#[test]
fn a_slip_in_the_middle_of_a_segment_gets_its_error_there() {
    let mut stage = Stage::new();
    stage.run(&[query("select a from t")], &[complete(), ready(b'I')]);
    let first = [parse("", "select 1"), bind("", ""), execute("")];
    let second = [parse("", "select nosuch from t"), bind("", ""), execute(""), sync()];
    stage.unparsable = Some(error("42703", "no such column"));
    stage.client(&[&first[..], &second[..]].concat());
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert_eq!(tags(&stage.at_server()), "PBE");
    stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
    assert_eq!(tags(&stage.at_client()), "12CE");
    assert_eq!(tags(&stage.at_server()), "S");
    assert_eq!(stage.not_parsed.len(), 1);
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert!(!stage.undecided());
    // The failed Parse has taken the unnamed statement with it (`exec_parse_message` of postgres.c): also the first one's.
    assert!(stage.questions.iter().any(|frame| frame[..] == close_statement("")[..]));
    stage.client(&[bind("", ""), execute(""), sync()]);
    assert!(stage.decision().sql.is_empty());
}
