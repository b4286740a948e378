//! Texts are read in the encoding in which the server will read them.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use stepgate_sql::ClientEncoding;
use stepgate_types::Certainty;
use support::{Stage, complete, frame, permit, query, ready};

/// `select 'é', 1 as é` in LATIN1.
fn in_latin1() -> Vec<u8> {
    frame(b'Q', b"select '\xe9', 1 as \xe9\0")
}

fn is_encoding(name: &str) -> Vec<u8> {
    frame(b'S', format!("client_encoding\0{name}\0").as_bytes())
}

fn certainty(stage: &mut Stage, frame: Vec<u8>) -> Certainty {
    stage.client(&[frame]);
    let pending = stage.decision();
    stage.pass(permit(pending.number));
    stage.server(&[complete(), ready(b'I')]);
    pending.facts[0].certainty
}

#[test]
fn letters_are_read_once_the_server_has_said_how() {
    let mut stage = Stage::new();
    assert_eq!(certainty(&mut stage, in_latin1()), Certainty::Unknown);
    stage.client(&[query("set client_encoding = 'LATIN1'"), in_latin1()]);
    let set = stage.decision();
    assert_eq!(set.facts[0].certainty, Certainty::Exact);
    stage.pass(permit(set.number));
    assert!(!stage.undecided(), "it is not known yet in which encoding that is");
    stage.server(&[frame(b'C', b"SET\0"), is_encoding("LATIN1"), ready(b'I')]);
    let pending = stage.decision();
    assert_eq!(pending.facts[0].certainty, Certainty::Exact);
    stage.pass(permit(pending.number));
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(certainty(&mut stage, in_latin1()), Certainty::Exact);
    // The role's own setting, whatever it is.
    stage.server(&[is_encoding("SJIS")]);
    assert_eq!(certainty(&mut stage, in_latin1()), Certainty::Unknown);
    assert_eq!(certainty(&mut stage, query("select 'e'")), Certainty::Exact);
}

#[test]
fn in_a_pipeline_letters_are_not_read_while_it_may_change() {
    for undo in ["rollback", "reset all"] {
        let mut stage = Stage::new();
        stage.run(&[query("begin")], &[complete(), ready(b'T')]);
        let set = [frame(b'C', b"SET\0"), is_encoding("LATIN1"), ready(b'T')];
        stage.run(&[query("set client_encoding = 'LATIN1'")], &set);
        stage.run(&[query("select 1")], &[complete(), ready(b'T')]);
        stage.client(&[query(undo), in_latin1()]);
        let number = stage.decision().number;
        stage.pass(permit(number));
        while stage.undecided() {
            assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown, "{undo}");
        }
        stage.server(&[frame(b'C', b"X\0"), is_encoding("UTF8"), ready(b'I')]);
    }
}

#[test]
fn an_encoding_that_cannot_be_read_is_told_to_whoever_decides() {
    for sql in ["set client_encoding = 'SJIS'", "set names 'big5'", "select 1; set client_encoding = gbk"] {
        let mut stage = Stage::new();
        stage.client(&[query(sql)]);
        let facts = stage.decision().facts;
        assert!(facts.iter().any(|facts| facts.effect.encoding == Some(ClientEncoding::Other)), "{sql}");
    }
}

#[test]
fn quotes_are_not_read_while_what_they_are_read_by_may_change() {
    let hidden = "select 'a\\'' || a from t -- '";
    // In one segment nothing can be waited for.
    let mut stage = Stage::new();
    let set = "do $$ begin set standard_conforming_strings = off; end $$";
    let executed = |sql: &str| [support::parse("", sql), support::bind("", ""), support::execute("")];
    stage.client(&[executed(set), executed(hidden)].concat());
    stage.client(&[support::sync()]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert!(!stage.undecided(), "it is not understood: the server is asked whether it parses");
    assert_eq!(stage.at_server().iter().filter(|frame| frame[0] == b'E').count(), 1);
}

/// The server has kept its parse tree.
#[test]
fn what_was_prepared_is_read_as_it_was_when_the_encoding_changes() {
    let text = "select \"\u{e9}\".a from t U&\"\\00e9\", app.other U&\"\\00c3\\00a9\"";
    let by_sql = format!("prepare s as {text}");
    let declare = format!("declare s cursor for select late(a) from ({text}) x");
    let executed = |sql: &str| {
        vec![support::parse("s", sql), support::bind("", "s"), support::execute(""), support::sync()]
    };
    let bound = || vec![support::bind("", "s"), support::execute(""), support::sync()];
    for (prepares, goes_on) in [
        (executed(text), bound()),
        (executed(text), vec![query("execute s")]),
        (vec![query(&by_sql)], bound()),
        (vec![query(&by_sql)], vec![query("execute s")]),
        (executed(&by_sql), vec![query("execute s")]),
        (vec![query(&declare)], vec![query("fetch s")]),
    ] {
        let mut stage = Stage::new();
        stage.session.set_catalog(support::catalog_with(&[], &["other"]));
        let mut run = |frames: &[Vec<u8>], said: &[Vec<u8>]| {
            let simple = frames[0][0] == b'Q';
            let begun = frames[0][0] == b'P';
            let confirmed = [frame(b'1', b""), frame(b'2', b"")];
            let confirmed = if simple { &confirmed[2..] } else { &confirmed[usize::from(!begun)..] };
            stage.client(frames);
            let pending = stage.decision();
            stage.pass(permit(pending.number));
            stage.server(&[confirmed, said, &[complete(), ready(b'T')]].concat());
            assert!(!stage.ended);
            (pending.facts[0].columns.clone(), pending.facts[0].certainty)
        };
        run(&[query("begin")], &[]);
        run(&prepares, &[]);
        let then = run(&goes_on, &[]);
        run(&[query("set client_encoding = 'LATIN1'")], &[is_encoding("LATIN1")]);
        assert_eq!(run(&goes_on, &[]), then, "{:?}", prepares[0].escape_ascii().to_string());
    }
}
