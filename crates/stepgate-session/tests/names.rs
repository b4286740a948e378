//! What unqualified names mean is asked of the server whenever it may have changed, and only then.

mod support;

use stepgate_types::Certainty;
use support::{
    Stage, bind, catalog_with_shadow, close_statement, complete, error, execute, frame, parse, permit, query,
    ready, sync, tags,
};

/// Runs one statement to its end and tells how often the server was asked what names mean.
fn probes(stage: &mut Stage, sql: &str, status: u8) -> usize {
    let before = stage.probes;
    stage.client(&[query(sql)]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[complete(), ready(status)]);
    stage.probes - before
}

#[test]
fn a_session_is_asked_once_and_not_again_while_nothing_changes() {
    let mut stage = Stage::new();
    assert_eq!(probes(&mut stage, "select a from t", b'I'), 1);
    for sql in ["begin", "select a from t", "commit", "select a from public.t", "rollback"] {
        assert_eq!(probes(&mut stage, sql, b'I'), 0, "{sql}");
    }
}

#[test]
fn a_changed_search_path_is_asked_for_before_the_next_name_is_resolved() {
    let mut stage = Stage::new();
    probes(&mut stage, "select a from t", b'I');
    probes(&mut stage, "set search_path = training", b'I');
    assert_eq!(probes(&mut stage, "select a from t", b'I'), 1);
}

#[test]
fn a_search_path_that_a_rollback_brings_back_is_asked_for_again() {
    let mut stage = Stage::new();
    probes(&mut stage, "select a from t", b'I');
    probes(&mut stage, "begin", b'T');
    probes(&mut stage, "set search_path = training", b'T');
    assert_eq!(probes(&mut stage, "select a from t", b'T'), 1);
    probes(&mut stage, "rollback", b'I');
    assert_eq!(probes(&mut stage, "select a from t", b'I'), 1);
    assert_eq!(probes(&mut stage, "select a from t", b'I'), 0);
}

#[test]
fn a_search_path_set_in_the_same_pipeline_makes_what_follows_unknown() {
    let mut stage = Stage::new();
    probes(&mut stage, "select a from t", b'I');
    stage.client(&[parse("", "set search_path = training"), bind("", ""), execute("")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.client(&[parse("", "select a from t"), bind("", ""), execute(""), sync()]);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
    // Asking now would end the implicit transaction.
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn names_are_unknown_behind_uncommitted_ddl_and_known_again_after_it() {
    let mut stage = Stage::new();
    probes(&mut stage, "begin", b'T');
    // Not one whose effect is known (`made.rs`).
    probes(&mut stage, "alter table t add column b int", b'T');
    stage.client(&[query("select a from t")]);
    let pending = stage.decision();
    assert_eq!(pending.facts[0].certainty, Certainty::Unknown);
    stage.pass(permit(pending.number));
    stage.server(&[complete(), ready(b'T')]);
    probes(&mut stage, "commit", b'I');
    stage.client(&[query("select a from t")]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Exact);
}

#[test]
fn a_statement_in_a_failed_transaction_is_marked_so_that_nobody_is_asked_in_vain() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(&[query("select 1/0")], &[error("22012", "division by zero"), ready(b'E')]);
    stage.client(&[query("select a from t")]);
    let pending = stage.decision();
    assert!(pending.aborted);
    stage.pass(permit(pending.number));
    stage.server(&[error("25P02", "current transaction is aborted"), ready(b'E')]);
    // The whole message may end the transaction and go on: that is judged as ever.
    stage.client(&[query("rollback; select a from t")]);
    assert!(!stage.decision().aborted);
}

/// PostgreSQL ends the transaction at once, and says so only at Sync.
#[test]
fn behind_a_rollback_that_was_flushed_a_statement_is_not_taken_for_one_of_the_failed_transaction() {
    let flush = || frame(b'H', b"");
    for sent in
        [vec![query("select a from t")], vec![parse("", "select a from t"), bind("", ""), execute("")]]
    {
        let mut stage = Stage::new();
        stage.run(&[query("begin")], &[complete(), ready(b'T')]);
        stage.run(&[query("select 1/0")], &[error("22012", "division by zero"), ready(b'E')]);
        stage.client(&[parse("", "rollback"), bind("", ""), execute(""), flush()]);
        let pending = stage.decision();
        stage.pass(permit(pending.number));
        stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
        stage.client(&sent);
        stage.client(&[flush()]);
        assert!(!stage.decision().aborted);
    }
}

#[test]
fn a_cursor_that_sql_declares_takes_the_name_of_a_portal_that_was_let_through() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(
        &[parse("", "select 1"), bind("p", ""), execute("p"), sync()],
        &[frame(b'1', b""), frame(b'2', b""), frame(b's', b""), ready(b'T')],
    );
    stage.run(
        &[query("close p; declare p cursor for select a from t")],
        &[complete(), complete(), ready(b'T')],
    );
    stage.client(&[execute("p"), sync()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn a_statement_that_sql_prepares_takes_the_name_of_one_that_parse_made() {
    let mut stage = Stage::new();
    stage.run(&[parse("s", "select 1"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.run(&[query("deallocate s; prepare s as select a from t")], &[complete(), complete(), ready(b'I')]);
    stage.client(&[bind("", "s"), execute(""), sync()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn a_parse_still_under_way_cannot_reclaim_a_name_that_sql_takes_behind_it() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", "select 1"), sync()]);
    stage.client(&[query("deallocate s; prepare s as select a from t")]);
    stage.server(&[frame(b'1', b""), ready(b'I')]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.client(&[bind("", "s"), execute(""), sync()]);
    stage.server(&[complete(), complete(), ready(b'I')]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
    assert_eq!(tags(&stage.at_client()), "1ZCCZ");
}

#[test]
fn a_driver_that_flushes_between_parse_and_bind_is_understood_from_its_first_statement() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", "select a from t"), frame(b'D', b"Ss\0"), frame(b'H', b"")]);
    assert_eq!(tags(&stage.at_server()), "PDH");
    stage.server(&[frame(b'1', b""), frame(b't', b"\0\0"), frame(b'T', b"\0\0")]);
    stage.client(&[bind("", "s"), execute(""), sync()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Exact);
}

#[test]
fn a_driver_that_sends_begin_and_its_first_statement_as_one_segment_is_understood() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "BEGIN"), bind("", ""), execute("")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.client(&[parse("", "select a from t"), bind("", ""), execute(""), sync()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Exact);
}

#[test]
fn a_table_that_appears_before_a_prepared_statements_own_does_not_hide_what_that_reads() {
    let reads = |stage: &mut Stage| {
        let pending = stage.decision();
        let relations = pending.facts[0].relations.iter().map(ToString::to_string);
        relations.collect::<Vec<_>>().join(" ")
    };
    // The plan was made for public.t, and PostgreSQL goes on with it.
    let mut stage = Stage::new();
    stage.run(&[parse("s", "select a from t"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.session.set_catalog(catalog_with_shadow());
    stage.client(&[bind("", "s"), execute(""), sync()]);
    assert_eq!(reads(&mut stage), "app.t public.t");
    let mut stage = Stage::new();
    stage.run(&[query("prepare s as select a from t")], &[complete(), ready(b'I')]);
    stage.session.set_catalog(catalog_with_shadow());
    stage.client(&[query("execute s")]);
    assert_eq!(reads(&mut stage), "app.t public.t");
}

/// A session with `s` prepared, in which something ran that nobody understood.
fn after_something_wild(status: u8) -> Stage {
    let mut stage = Stage::new();
    stage.run(&[parse("s", "select 1 + 1"), sync()], &[frame(b'1', b""), ready(b'I')]);
    if status == b'T' {
        stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    }
    stage.run(&[query("select leak()")], &[complete(), ready(status)]);
    stage
}

#[test]
fn a_prepared_statement_that_a_function_replaced_is_not_taken_for_the_one_before() {
    for status in [b'I', b'T'] {
        let mut stage = after_something_wild(status);
        stage.prepared_by_sql = vec!["s"];
        stage.client(&[bind("", "s"), execute(""), sync()]);
        assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
    }
}

#[test]
fn a_prepared_statement_that_no_function_replaced_goes_on_unasked() {
    for status in [b'I', b'T'] {
        let mut stage = after_something_wild(status);
        stage.client(&[bind("", "s"), execute(""), sync()]);
        let pending = stage.decision();
        assert_eq!(&*pending.sql, &b"select 1 + 1"[..]);
        // Within the transaction, its functions and operators may be others.
        let certainty = if status == b'I' { Certainty::Exact } else { Certainty::Unknown };
        assert_eq!(pending.facts[0].certainty, certainty);
    }
}

#[test]
fn a_prepared_statement_that_a_deferred_trigger_replaced_is_not_taken_for_the_one_before() {
    for runs_it in ["commit", "set constraints all immediate"] {
        let mut stage = after_something_wild(b'T');
        stage.run(&[bind("", "s"), execute(""), sync()], &[frame(b'2', b""), complete(), ready(b'T')]);
        stage.run(&[query(runs_it)], &[complete(), ready(if runs_it == "commit" { b'I' } else { b'T' })]);
        stage.prepared_by_sql = vec!["s"];
        stage.client(&[bind("", "s"), execute(""), sync()]);
        assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown, "{runs_it}");
    }
}

#[test]
fn where_nobody_can_be_asked_a_name_that_may_have_been_taken_is_unknown() {
    let mut stage = Stage::new();
    stage.run(&[parse("s", "select 1"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.client(&[parse("", "select leak()"), bind("", ""), execute("")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
    stage.client(&[bind("", "s"), execute(""), sync()]);
    stage.server(&[]);
    assert_eq!(stage.lookups, 1);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn a_drivers_prepared_rollback_ends_a_failed_transaction_unasked() {
    let mut stage = Stage::new();
    stage.run(&[parse("r", "rollback"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(&[query("select leak()")], &[error("22012", "division by zero"), ready(b'E')]);
    stage.client(&[bind("", "r"), execute(""), bind("", "r"), execute(""), sync()]);
    let pending = stage.decision();
    assert_eq!(&*pending.sql, &b"rollback"[..]);
    stage.pass(permit(pending.number));
    // Whatever follows it is outside the failed transaction.
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn the_question_what_names_mean_leaves_the_clients_unnamed_statement_alone() {
    let mut stage = Stage::new();
    stage.client(&[query("select a from t")]);
    assert_eq!(stage.probes, 1);
    // Under names of its own; a simple query would end what is unnamed.
    assert_eq!(tags(&stage.questions), "CPBECCS");
}

#[test]
fn a_transaction_can_be_set_up_after_a_changed_search_path_since_nothing_is_asked_before() {
    let mut stage = Stage::new();
    // As yet, no snapshot would be the transaction's.
    assert_eq!(probes(&mut stage, "begin", b'T'), 1);
    assert_eq!(probes(&mut stage, "set local search_path = training", b'T'), 0);
    stage.client(&[
        parse("", "set transaction isolation level serializable"),
        bind("", ""),
        execute(""),
        sync(),
    ]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert_eq!(stage.probes, 1);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), complete(), ready(b'T')]);
    assert_eq!(probes(&mut stage, "select a from t", b'T'), 1);
}

/// Names of more than 63 bytes are the same to the server from there on.
#[test]
fn a_statement_under_a_name_too_long_does_not_pass_for_the_one_that_had_its_beginning() {
    let mut stage = Stage::new();
    let (short, long) = ("n".repeat(63), "n".repeat(64));
    stage.run(&[parse(&long, "select 1"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.run(&[close_statement(&short), sync()], &[frame(b'3', b""), ready(b'I')]);
    stage.run(&[parse(&short, "select leak()"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.client(&[bind("", &long), execute(""), sync()]);
    assert_eq!(&*stage.decision().sql, &b"select leak()"[..]);
}

#[test]
fn a_portal_under_a_name_too_long_does_not_pass_for_the_one_that_had_its_beginning() {
    let mut stage = Stage::new();
    let (short, long) = ("p".repeat(63), "p".repeat(70));
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(
        &[parse("", "select 1"), bind(&long, ""), sync()],
        &[frame(b'1', b""), frame(b'2', b""), ready(b'T')],
    );
    stage.run(&[query(&format!("close {short}"))], &[complete(), ready(b'T')]);
    stage.client(&[execute(&long), sync()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

/// A byte above ASCII is another letter in another client_encoding, and so another name.
#[test]
fn a_name_beyond_ascii_is_never_taken_for_what_it_was_in_another_encoding() {
    let mut stage = Stage::new();
    stage.run(&[parse("é", "select 1"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.client(&[bind("", "é"), execute(""), sync()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

/// A domain's checks are functions, which the server calls when a value is bound.
#[test]
fn a_value_of_a_type_that_may_check_it_by_somebodys_function_is_asked_about() {
    for (oid, certainty) in [(16_500_u32, Certainty::Unknown), (25, Certainty::Exact)] {
        let mut stage = Stage::new();
        let mut body = b"\0select 1\0\0\x01".to_vec();
        body.extend(oid.to_be_bytes());
        stage.client(&[frame(b'P', &body), bind("", ""), execute(""), sync()]);
        assert_eq!(stage.decision().facts[0].certainty, certainty);
        // Also when it is judged again, as after a look at the catalog.
        assert_eq!(stage.session.judge_again().unwrap()[0].certainty, certainty);
    }
}

/// SQL cuts long names as well.
#[test]
fn a_long_name_in_sql_takes_the_statement_that_has_its_beginning() {
    let (short, long) = ("n".repeat(63), "n".repeat(64));
    for made in ["prepare {} as select a from t", "deallocate {}"] {
        let mut stage = Stage::new();
        stage.run(&[parse(&short, "select 1"), sync()], &[frame(b'1', b""), ready(b'I')]);
        stage.run(&[query(&made.replace("{}", &long))], &[complete(), ready(b'I')]);
        stage.client(&[bind("", &short), execute(""), sync()]);
        assert_ne!(&*stage.decision().sql, &b"select 1"[..], "{made}");
    }
}
