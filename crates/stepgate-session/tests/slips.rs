//! What nobody can understand is tried on the server's parser before people are asked about it.

mod support;

use stepgate_types::Certainty;
use support::{
    Stage, bind, close_statement, complete, error, execute, frame, parse, permit, query, ready, sync, tags,
};

#[test]
fn a_slip_of_the_pen_gets_postgresqls_error_at_once_and_nobody_is_asked() {
    let mut stage = Stage::new();
    stage.unparsable = Some(error("42601", "syntax error at or near \"selec\""));
    stage.client(&[query("selec a from t"), query("select a from t")]);
    assert_eq!(tags(&stage.at_client()), "EZ");
    assert_eq!(stage.not_parsed, [(1, "42601".to_owned())]);
    assert_eq!(stage.decision().sql, "select a from t");
    assert!(stage.at_server().is_empty());
}

#[test]
fn a_misspelt_name_in_the_extended_protocol_gets_its_error_and_skips_to_sync() {
    let mut stage = Stage::new();
    stage.unparsable = Some(error("42P01", "relation \"custmers\" does not exist"));
    stage.client(&[
        parse("", "select * from custmers"),
        bind("", ""),
        execute(""),
        sync(),
        query("select a from t"),
    ]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "EZ");
    assert_eq!(stage.decision().sql, "select a from t");
}

#[test]
fn what_parses_but_is_not_understood_is_still_asked_about() {
    let mut stage = Stage::new();
    stage.client(&[query("select leak()")]);
    assert_eq!(stage.checks, 1);
    let pending = stage.decision();
    assert_eq!(pending.facts[0].certainty, Certainty::Unknown);
    stage.hold();
    assert!(stage.at_server().is_empty());
    assert_eq!(tags(&stage.at_client()), "N");
}

#[test]
fn several_statements_that_cannot_be_parsed_as_one_are_asked_about() {
    let mut stage = Stage::new();
    let fields = "SERROR\0VERROR\0C42601\0Mcannot insert multiple commands\0Rexec_parse_message\0\0";
    stage.unparsable = Some(frame(b'E', fields.as_bytes()));
    stage.client(&[query("select 'x; select 1")]);
    assert!(stage.undecided());
    assert!(stage.at_client().is_empty());
}

#[test]
fn what_is_understood_is_not_tried() {
    let mut stage = Stage::new();
    stage.run(&[query("select a from t")], &[complete(), ready(b'I')]);
    assert_eq!(stage.checks, 0);
}

#[test]
fn a_fetch_goes_on_with_the_cursor_that_was_let_through_until_its_transaction_ends() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(&[query("declare c cursor for select a from t")], &[complete(), ready(b'T')]);
    stage.client(&[query("fetch forward 10 from \"c\"")]);
    let pending = stage.decision();
    assert_eq!(pending.facts[0].certainty, Certainty::Exact);
    stage.pass(permit(pending.number));
    stage.server(&[complete(), ready(b'T')]);
    stage.run(&[query("commit")], &[complete(), ready(b'I')]);
    stage.client(&[query("fetch c")]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn a_write_to_a_cursors_row_is_known_while_its_cursor_is() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(&[query("declare c cursor for select a from t for update")], &[complete(), ready(b'T')]);
    for (sql, certainty) in [
        ("delete from t where current of c", Certainty::Exact),
        ("delete from t where current of d", Certainty::Unknown),
        ("delete from t where current of c returning swap_cursor()", Certainty::Unknown),
    ] {
        stage.client(&[query(sql)]);
        let pending = stage.decision();
        assert_eq!(pending.facts[0].certainty, certainty, "{sql}");
        assert!(pending.facts[0].flows.is_empty(), "{sql}");
        stage.pass(permit(pending.number));
        stage.server(&[complete(), ready(b'T')]);
    }
}

#[test]
fn a_fetch_from_a_cursor_whose_declare_failed_is_unknown() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(&[query("declare c cursor for select a from t")], &[error("42P03", "exists"), ready(b'T')]);
    stage.client(&[query("fetch c")]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn a_fetch_behind_something_that_may_have_made_the_cursor_anew_is_unknown() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(&[query("declare c cursor for select a from t")], &[complete(), ready(b'T')]);
    stage.run(&[query("select swap_cursor()")], &[complete(), ready(b'T')]);
    stage.client(&[query("fetch c")]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn an_execute_has_the_facts_of_what_was_prepared() {
    let mut stage = Stage::new();
    stage.run(&[query("prepare s(int) as select a from t where a = $1")], &[complete(), ready(b'I')]);
    stage.client(&[query("execute s(3)")]);
    let facts = &stage.decision().facts;
    assert_eq!(facts[0].certainty, Certainty::Exact);
    assert_eq!(facts[0].columns.len(), 1);
}

#[test]
fn an_execute_whose_argument_calls_a_function_is_unknown() {
    let mut stage = Stage::new();
    stage.run(&[query("prepare s(int) as select a from t where a = $1")], &[complete(), ready(b'I')]);
    stage.client(&[query("execute s(leak())")]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn an_execute_does_not_trust_a_name_that_parse_has_taken_over() {
    let mut stage = Stage::new();
    stage.run(&[query("prepare s as select a from t")], &[complete(), ready(b'I')]);
    stage.run(&[query("deallocate s")], &[complete(), ready(b'I')]);
    stage.client(&[parse("s", "select leak()"), sync()]);
    // Even before the server has confirmed it.
    stage.client(&[query("execute s")]);
    stage.server(&[frame(b'1', b""), ready(b'I')]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn a_cursor_that_a_held_session_goes_on_with_stays_known_behind_the_gates_own_sync() {
    let mut stage = Stage::new();
    stage.run(&[query("prepare s as select a from t")], &[complete(), ready(b'I')]);
    stage.client(&[query("execute s")]);
    stage.decision();
    stage.hold();
    stage.session.keep_alive();
    assert_eq!(stage.session.judge_again().unwrap()[0].certainty, Certainty::Exact);
}

#[test]
fn what_the_server_notices_in_a_statement_that_it_cannot_parse_is_told_with_its_error() {
    let mut stage = Stage::new();
    let notice = frame(b'N', b"SNOTICE\0VNOTICE\0C42622\0Midentifier will be truncated\0\0");
    stage.unparsable = Some([notice, error("42P01", "no such relation")].concat());
    stage.client(&[query("select * from custmers")]);
    assert_eq!(tags(&stage.at_client()), "NEZ");
}

#[test]
fn a_slip_drops_the_unnamed_statement_as_the_query_would() {
    let mut stage = Stage::new();
    stage.run(&[parse("", "select 1"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.unparsable = Some(error("42601", "syntax error"));
    stage.client(&[query("selec 1")]);
    assert!(stage.questions.iter().any(|frame| frame[..] == close_statement("")[..]));
    stage.client(&[bind("", ""), execute(""), sync()]);
    assert!(stage.decision().sql.is_empty());
}
