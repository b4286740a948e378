//! Cancel requests: what has not been sent ends here, and nothing is sent while one is under way to the server.

mod support;

use stepgate_types::{Amount, SqlState};
use stepgate_wire::Problem;
use support::{
    Stage, bind, complete, error, execute, find, frame, nonce, parse, permit, query, ready, sync, tags,
};

impl Stage {
    fn cancel(&mut self) -> bool {
        let done = self.session.cancel_unsent(&Problem::error(SqlState::QUERY_CANCELED, "called off"));
        self.server(&[]);
        done
    }
}

/// A session in which the server has not said what names mean, and will not before it is made to.
fn asked(frames: &[Vec<u8>]) -> Stage {
    let mut stage = Stage::new();
    stage.silent = true;
    stage.client(frames);
    assert!(!stage.undecided() && stage.session.is_probing());
    assert!(!stage.session.is_running(), "the question is the gate's own");
    stage
}

#[test]
fn a_query_is_called_off_while_the_server_is_asked_what_its_names_mean() {
    let mut stage = asked(&[query("select a from t"), query("select 1")]);
    assert!(stage.cancel());
    let sent = stage.at_server();
    let refused = nonce(&sent[0]);
    assert_eq!(tags(&sent), "Q");
    stage.answer();
    stage.server(&[error("42601", &format!("at or near {refused}")), ready(b'I')]);
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "EZ");
    assert!(find(&seen[0], b"C57014\0"));
    // And that one alone.
    assert_eq!(stage.decision().sql, "select 1");
}

#[test]
fn a_bind_is_called_off_and_its_segment_with_it() {
    let mut stage =
        asked(&[parse("", "select a from t"), bind("", ""), execute(""), sync(), query("select 1")]);
    assert!(stage.cancel());
    let sent = stage.at_server();
    assert_eq!(tags(&sent), "PBS");
    assert!(find(&sent[1], b"sg_denied_"));
    stage.answer();
    stage.server(&[frame(b'1', b""), error("26000", &nonce(&sent[1])), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "1EZ");
    assert_eq!(stage.decision().sql, "select 1");
}

#[test]
fn a_question_whether_something_parses_is_nobodys_once_that_was_called_off() {
    for refused in [None, Some(error("42601", "syntax error"))] {
        let mut stage = Stage::new();
        stage.client(&[query("select a from t")]);
        let number = stage.decision().number;
        stage.pass(permit(number));
        stage.server(&[complete(), ready(b'I')]);
        stage.silent = true;
        stage.unparsable = refused;
        stage.client(&[query("selec nonsense")]);
        assert!(!stage.undecided());
        assert!(stage.cancel());
        let sent = stage.at_server();
        stage.at_client();
        stage.answer();
        stage.server(&[error("42601", &nonce(sent.last().unwrap())), ready(b'I')]);
        let seen = stage.at_client();
        assert_eq!(tags(&seen), "EZ");
        assert!(find(&seen[0], b"C57014\0"));
        assert!(stage.not_parsed.is_empty());
    }
}

/// Whoever hangs up now has had so much.
#[test]
fn what_of_a_reply_is_out_is_told_while_it_is_coming() {
    let mut stage = Stage::new();
    stage.client(&[query("select a from t"), query("select b from t")]);
    let number = stage.decision().number;
    assert_eq!(stage.session.under_way(), None, "nothing has been sent");
    stage.pass(permit(number));
    assert_eq!(stage.session.under_way(), Some((number, Amount::NOTHING)));
    stage.server(&[frame(b'D', &[0; 12]), frame(b'D', &[0; 3])]);
    assert_eq!(stage.session.under_way(), Some((number, Amount::of(2, 5 + 12 + 5 + 3))));
    stage.server(&[complete(), ready(b'I')]);
    let next = stage.decision().number;
    stage.pass(permit(next));
    assert_eq!(stage.session.under_way(), Some((next, Amount::NOTHING)), "another's");
}

#[test]
fn what_the_server_works_on_is_not_called_off_here() {
    let mut stage = Stage::new();
    stage.client(&[query("select 1"), query("select 2")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.at_server();
    assert_eq!(stage.session.running(), Some(number));
    assert!(!stage.cancel());
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "CZ");
}

#[test]
fn nothing_more_is_sent_while_a_request_is_under_way() {
    let mut stage = Stage::new();
    stage.client(&[query("select 1")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.at_server();
    stage.session.pause();
    stage.server(&[complete(), ready(b'I')]);
    stage.client(&[query("select 2"), parse("", "select 3"), bind("", ""), execute(""), sync()]);
    assert!(!stage.undecided());
    assert!(stage.at_server().is_empty());
    stage.session.resume();
    stage.server(&[]);
    assert_eq!(stage.decision().sql, "select 2");
}
