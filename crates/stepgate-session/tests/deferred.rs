//! What a limited statement says besides its rows, and after them: none of it is a way past its limit.

mod support;

use support::*;

/// The stage's own process at the server.
const OWN: i32 = 4_711;

fn notice(text: &str) -> Vec<u8> {
    frame(b'N', format!("SNOTICE\0VNOTICE\0C00000\0M{text}\0\0").as_bytes())
}

fn notification(pid: i32, payload: &str) -> Vec<u8> {
    frame(b'A', &[&pid.to_be_bytes()[..], b"ch\0", payload.as_bytes(), b"\0"].concat())
}

fn status(name: &str, value: &str) -> Vec<u8> {
    frame(b'S', format!("{name}\0{value}\0").as_bytes())
}

/// In an open transaction, what may defer something has run by a limit.
fn written(rows: Option<u64>, bytes: Option<u64>) -> Stage {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.client(&[query("insert into t select a from t")]);
    let number = stage.decision().number;
    stage.pass_limited(number, rows, bytes);
    stage.server(&[complete(), ready(b'T')]);
    stage.at_client();
    stage
}

/// Sends COMMIT, with that as the first that the server says of it.
fn commits(stage: &mut Stage, says: &[Vec<u8>]) -> Vec<bytes::Bytes> {
    stage.client(&[query("commit")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(says);
    stage.at_client()
}

fn shows(frames: &[bytes::Bytes], text: &str) -> usize {
    frames.iter().filter(|frame| find(frame, text.as_bytes())).count()
}

/// `raise notice '%', old.ssn` in a deferred trigger shows a table as well as a SELECT does.
#[test]
fn notices_of_deferred_triggers_at_commit_are_counted_as_rows() {
    let mut stage = written(Some(2), None);
    let says = [vec![notice("901-00"); 5], vec![complete(), ready(b'I')]].concat();
    let shown = commits(&mut stage, &says);
    assert_eq!(shows(&shown, "901-00"), 2);
    assert_eq!(shows(&shown, "further notices"), 1);
    assert_eq!(tags(&shown), "NNNCZ");
    // The next transaction is another's account.
    let shown = commits(&mut stage, &[notice("there is no transaction"), complete(), ready(b'I')]);
    assert_eq!(tags(&shown), "NCZ");
}

#[test]
fn notices_of_deferred_triggers_at_sync_are_counted_as_rows() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "insert into t select a from t"), bind("", ""), execute(""), sync()]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
    stage.server(&[notice("901-00"), notice("901-01"), notice("901-02"), ready(b'I')]);
    let shown = stage.at_client();
    assert_eq!((shows(&shown, "901-0"), shows(&shown, "further notices")), (1, 1));
    assert_eq!(tags(&shown), "12CNNZ");
    // What it did not use goes back to its grant now, and not before.
    assert_eq!(stage.limits_over, 1);
}

#[test]
fn an_error_at_the_end_of_a_transaction_is_shown_only_as_far_as_limits_let_it() {
    let failed = error("23514", &"901-00-0001 ".repeat(20));
    for (bytes, shown_in_full) in [(40, false), (4_000, true)] {
        let mut stage = written(None, Some(bytes));
        let shown = commits(&mut stage, &[failed.clone(), ready(b'I')]);
        assert_eq!(shows(&shown, "901-00") == 1, shown_in_full);
        assert_eq!(tags(&shown), "EZ");
        let mut stage = Stage::new();
        stage.client(&[parse("", "insert into t select a from t"), bind("", ""), execute(""), sync()]);
        let number = stage.decision().number;
        stage.pass_limited(number, None, Some(bytes));
        stage.server(&[frame(b'1', b""), frame(b'2', b""), complete(), failed.clone(), ready(b'I')]);
        let shown = stage.at_client();
        assert_eq!(shows(&shown, "901-00") == 1, shown_in_full);
        assert_eq!(tags(&shown), "12CEZ");
    }
}

/// LISTEN, and `select pg_notify('ch', ssn) from customers`: all of it comes back with the COMMIT.
#[test]
fn a_sessions_own_notifications_are_counted_as_rows_and_those_of_others_are_not() {
    let mut stage = written(Some(2), None);
    let own: Vec<_> = (0..4).map(|at| notification(OWN, &format!("901-{at}"))).collect();
    let others: Vec<_> = (0..4).map(|_| notification(99, "news")).collect();
    let says = [vec![complete()], own, others.clone(), vec![ready(b'I')]].concat();
    let shown = commits(&mut stage, &says);
    assert_eq!((shows(&shown, "901-"), shows(&shown, "news")), (2, 4));
    assert_eq!(tags(&shown), "CAANAAAAZ");
    // What comes while nothing of the session's is under way.
    stage.server(&others);
    assert_eq!(shows(&stage.at_client(), "news"), 4);
}

/// `select set_config('application_name', ssn, false) from customers` on a server that reports each.
#[test]
fn settings_that_the_server_reports_are_counted_as_rows() {
    let mut stage = Stage::new();
    stage.client(&[query("select count(set_config('application_name', a, false)) from t")]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(3), None);
    let reports: Vec<_> = (0..5).map(|at| status("application_name", &format!("901-{at}"))).collect();
    stage.server(&reports);
    let shown = stage.at_client();
    assert_eq!((shows(&shown, "901-"), shows(&shown, "further notices")), (3, 1));
    // What clients read the connection by they must know.
    stage.server(&[status("client_encoding", "LATIN1")]);
    assert_eq!(tags(&stage.at_client()), "S");
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "CZ");
}

#[test]
fn a_report_at_sync_is_on_the_account_of_what_set_it() {
    let mut stage = Stage::new();
    let sets = "select count(set_config('application_name', a, false)) from t";
    stage.client(&[parse("", sets), bind("", ""), execute(""), sync()]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    let row = frame(b'D', b"\0\0");
    stage.server(&[frame(b'1', b""), frame(b'2', b""), row, complete()]);
    stage.server(&[status("application_name", "901-00"), ready(b'I')]);
    let shown = stage.at_client();
    assert_eq!(shows(&shown, "901-00"), 0);
    assert_eq!(tags(&shown), "12DCNZ");
}

/// However many statements a transaction has, what they deferred has no room that grows with them.
#[test]
fn of_more_limited_statements_than_are_kept_nothing_is_said_at_the_end() {
    let mut stage = written(Some(100), None);
    for _ in 0..70 {
        stage.client(&[query("insert into t select a from t")]);
        let number = stage.decision().number;
        stage.pass_limited(number, Some(100), None);
        stage.server(&[complete(), ready(b'T')]);
    }
    stage.at_client();
    let shown = commits(&mut stage, &[notice("901-00"), complete(), ready(b'I')]);
    assert_eq!(shows(&shown, "901-00"), 0);
    assert_eq!(tags(&shown), "NCZ");
}

/// COMMIT, in one message with a statement of another limit, is a COMMIT.
#[test]
fn what_is_deferred_is_on_its_own_account_also_where_the_commit_comes_with_a_limited_statement() {
    let mut stage = written(Some(1), None);
    stage.client(&[query("commit; select a from t")]);
    let number = stage.decision().number;
    stage.pass_limited(number, None, Some(1_000_000));
    stage.server(&[vec![notice("901-00"); 3], vec![complete()]].concat());
    let shown = stage.at_client();
    assert_eq!((shows(&shown, "901-00"), shows(&shown, "further notices")), (1, 1));
    stage.server(&[complete(), ready(b'I')]);
    // And one that is alone in its message says what it has to say.
    let mut stage = written(Some(0), None);
    stage.client(&[query("select a from t")]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(2), None);
    stage.server(&[notice("of its own"), complete(), ready(b'T')]);
    assert_eq!(tags(&stage.at_client()), "NCZ");
}
