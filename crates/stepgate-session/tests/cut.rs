//! Replies that are ended in the middle: an error in place of the rest, whatever the server has made of it by then.

mod support;

use support::*;

#[test]
fn what_the_server_fails_is_ended_by_the_gates_error_and_the_session_goes_on() {
    let (mut stage, meter) = running("select a from t", 2);
    stage.client(&[query("select 2")]);
    stage.server(&rows(4));
    stage.at_client();
    stage.cut("denied");
    stage.server(
        &[rows(3), vec![error("57014", "canceling statement due to user request"), ready(b'I')]].concat(),
    );
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "EZ");
    assert!(find(&seen[0], b"C42501\0") && find(&seen[0], b"stepgate: denied"));
    assert_eq!(stage.completed, [(meter.number(), Some("42501".to_owned()), 2)]);
    assert_eq!(stage.decision().sql, "select 2");
}

#[test]
fn what_the_server_has_completed_all_the_same_is_never_shown_as_complete() {
    let (mut stage, meter) = running("select a from t", 2);
    stage.server(&[rows(3), vec![complete(), ready(b'I')]].concat());
    stage.at_client();
    stage.cut("denied");
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "EZ");
    assert_eq!(stage.completed, [(meter.number(), Some("42501".to_owned()), 2)]);
    assert!(stage.at_server().is_empty() && !stage.ended);
}

#[test]
fn a_transaction_in_which_it_was_completed_fails_as_the_client_was_told() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.client(&[query("insert into t select a from t returning a"), query("select 2")]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    stage.at_server();
    stage.server(&[rows(2), vec![complete(), ready(b'T')]].concat());
    stage.at_client();
    stage.cut("denied");
    assert_eq!(tags(&stage.at_client()), "E", "and no ReadyForQuery yet");
    let sent = stage.at_server();
    assert_eq!(tags(&sent), "Q");
    let nonce = nonce(&sent[0]);
    stage.server(&[error("42601", &format!("syntax error at or near \"{nonce}\"")), ready(b'E')]);
    let seen = stage.at_client();
    assert_eq!((tags(&seen), seen[0][5]), ("Z".to_owned(), b'E'));
    assert!(stage.completed.contains(&(number, Some("42501".to_owned()), 1)));
    assert!(!stage.ended);
}

#[test]
fn what_was_committed_is_not_said_to_have_failed() {
    let (mut stage, _) = running("insert into t select a from t returning a", 1);
    stage.server(&[rows(2), vec![complete(), ready(b'I')]].concat());
    stage.at_client();
    stage.cut("denied");
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "E");
    assert!(find(&seen[0], b"SFATAL\0") && find(&seen[0], b"committed"));
    assert!(stage.ended);
}

#[test]
fn the_rest_of_a_message_of_several_statements_is_not_shown_either() {
    let (mut stage, _) = running("select a from t; select a from t; copy t from stdin", 1);
    stage.server(&rows(2));
    stage.at_client();
    stage.at_server();
    stage.cut("denied");
    let none = description_of_none();
    stage.server(&[complete(), none.clone(), row(), complete(), frame(b'G', b"\0\0\0")]);
    assert_eq!(tags(&stage.at_client()), "");
    assert_eq!(tags(&stage.at_server()), "f", "nobody will send what it would copy");
    stage.server(&[error("57014", "COPY from stdin failed"), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "EZ");
}

#[test]
fn an_ended_execute_skips_to_the_clients_sync_whether_the_server_failed_or_completed_it() {
    for completed in [false, true] {
        let mut stage = Stage::new();
        stage.client(&[
            parse("", "select a from t"),
            bind("", ""),
            execute(""),
            parse("", "delete from t"),
            bind("", ""),
            execute(""),
            sync(),
            query("select 2"),
        ]);
        let number = stage.decision().number;
        stage.pass_limited(number, Some(1), None);
        stage.at_server();
        stage.server(&[frame(b'1', b""), frame(b'2', b""), row(), row()]);
        stage.at_client();
        stage.cut("denied");
        if completed {
            stage.server(&[complete()]);
            let sent = stage.at_server();
            assert_eq!(tags(&sent), "ES");
            let nonce = nonce(&sent[0]);
            stage.server(&[error("34000", &format!("portal \"{nonce}\" does not exist")), ready(b'I')]);
        } else {
            stage.server(&[row(), error("57014", "canceling statement due to user request")]);
            assert_eq!(tags(&stage.at_server()), "S");
            stage.server(&[ready(b'I')]);
        }
        let seen = stage.at_client();
        assert_eq!(tags(&seen), "EZ", "completed: {completed}");
        assert!(find(&seen[0], b"C42501\0"));
        assert!(stage.completed.contains(&(number, Some("42501".to_owned()), 1)));
        assert_eq!(stage.decision().sql, "select 2", "the DELETE was skipped");
    }
}

#[test]
fn an_ended_copy_fails_in_the_middle_of_its_data() {
    let (mut stage, _) = running("copy t to stdout", 1);
    let data = frame(b'd', b"x\n");
    stage.server(&[frame(b'H', b"\0\0\0"), data.clone(), data.clone()]);
    assert_eq!(tags(&stage.at_client()), "Hd");
    stage.cut("denied");
    stage.server(&[data, frame(b'c', b""), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "EZ");
}

#[test]
fn notifications_parameters_and_the_servers_end_still_reach_a_client_whose_reply_is_ended() {
    let (mut stage, _) = running("select a from t", 1);
    stage.server(&rows(2));
    stage.at_client();
    stage.cut("denied");
    let notification = frame(b'A', b"\0\0\0\x01c\0\0");
    stage.server(&[notification, frame(b'S', b"TimeZone\0UTC\0")]);
    assert_eq!(tags(&stage.at_client()), "AS");
    stage.server(&[frame(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0")]);
    let seen = stage.at_client();
    assert!(find(&seen[0], b"C57P01\0") && stage.session.server_said_fatal());
}

#[test]
fn what_waited_with_its_tag_and_is_refused_is_undone_where_it_can_be_and_never_said_to_have_failed_elsewhere()
{
    // Of a pipeline: its Sync has not been sent.
    let mut stage = Stage::new();
    stage.client(&[parse("", "delete from t"), bind("", ""), execute(""), sync(), query("select 2")]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(0), None);
    stage.at_server();
    stage.server(&[frame(b'1', b""), frame(b'2', b""), tagged("DELETE 7")]);
    stage.cut("denied");
    assert_eq!(tags(&stage.at_client()), "12E");
    let sent = stage.at_server();
    assert_eq!(tags(&sent), "ES");
    let nonce = nonce(&sent[0]);
    stage.server(&[error("34000", &format!("portal \"{nonce}\" does not exist")), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert_eq!(stage.completed, [(number, Some("42501".to_owned()), 0)]);
    assert!(stage.undecided() && !stage.ended);
    // Of a message whose transaction is over.
    let (mut stage, _) = running("delete from t", 0);
    stage.server(&[tagged("DELETE 7"), ready(b'I')]);
    stage.cut("denied");
    let seen = stage.at_client();
    assert!(tags(&seen) == "E" && find(&seen[0], b"SFATAL\0") && find(&seen[0], b"committed"));
    assert!(stage.ended);
    assert_eq!(
        stage.completed.len(),
        1,
        "its record says that it has done what it does: {:?}",
        stage.completed
    );
    assert_eq!(stage.completed[0].1, None);
    // Of one that has moved a cursor, and no more.
    let (mut stage, _) = running("declare c cursor with hold for select 1", 0);
    stage.server(&[tagged("DECLARE CURSOR"), ready(b'I')]);
    stage.at_client();
    stage.client(&[query("move all in c")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[tagged("MOVE 7"), ready(b'I')]);
    assert!(stage.session.is_stalled(), "it draws on its cursor's meter");
    stage.cut("denied");
    assert_eq!(tags(&stage.at_client()), "EZ");
    assert!(!stage.ended);
}
