//! Portals that read at their Execute what was stored after their Bind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use stepgate_sql::{Flow, Taints};
use stepgate_types::{Certainty, ColumnName, RelationName};
use support::*;

/// What `t` is known to hold once somebody has copied a labelled column there.
fn copied() -> Taints {
    let ssn = ColumnName::new(RelationName::new("public", "customers"), "ssn");
    let flow = Flow { each: [("a".to_owned(), [ssn].into())].into(), ..Flow::default() };
    let mut taints = Taints::default();
    taints.add(RelationName::new("public", "t"), flow).unwrap();
    taints
}

/// In a transaction, a portal `p` of this statement, bound and not executed.
fn bound(sql: &str) -> Stage {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.run(&[parse("", sql), bind("p", ""), sync()], &[frame(b'1', b""), frame(b'2', b""), ready(b'T')]);
    stage
}

#[test]
fn a_portal_bound_before_a_labelled_copy_does_not_show_it() {
    for sql in [
        "copy t to stdout",
        "update t set a = a returning a",
        "with d as (delete from t returning a) select a from d",
    ] {
        let mut stage = bound(sql);
        stage.session.set_taints(copied());
        stage.client(&[execute("p"), sync()]);
        assert!(stage.undecided(), "{sql}");
        assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown, "{sql}");
    }
}

#[test]
fn a_portal_goes_on_unasked_where_nothing_was_copied_or_its_rows_are_of_its_bind() {
    let mut stage = bound("copy t to stdout");
    stage.client(&[execute("p"), sync()]);
    assert!(!stage.undecided());
    // A plain SELECT has the snapshot of its Bind.
    let mut stage = bound("select a from t");
    stage.session.set_taints(copied());
    stage.client(&[execute("p"), sync()]);
    assert!(!stage.undecided());
    // What was copied elsewhere.
    let mut stage = bound("copy t to stdout");
    let mut taints = Taints::default();
    taints.add(RelationName::new("other", "t"), Flow { unknown: true, ..Flow::default() }).unwrap();
    stage.session.set_taints(taints);
    stage.client(&[execute("p"), sync()]);
    assert!(!stage.undecided());
}

#[test]
fn a_portal_bound_before_its_names_were_changed_is_judged_by_what_they_mean_now() {
    let mut stage = bound("copy t to stdout");
    stage.session.set_catalog(catalog_with_shadow());
    stage.client(&[execute("p"), sync()]);
    assert!(stage.undecided());
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
    // The same again.
    let mut stage = bound("copy t to stdout");
    stage.session.set_catalog(catalog());
    stage.client(&[execute("p"), sync()]);
    assert!(!stage.undecided());
}

const REPLACE: &str =
    "create or replace function late(n bigint) returns text language sql as 'select a from t'";

#[test]
fn a_portal_of_a_function_that_its_transaction_has_replaced_is_judged_by_what_it_is_now() {
    for (made, asks) in [(REPLACE, true), ("alter function late rename to later", true), ("select 1", false)]
    {
        let mut stage = bound("select late(1)");
        stage.run(&[query(made)], &[complete(), ready(b'T')]);
        stage.client(&[execute("p"), sync()]);
        assert_eq!(stage.undecided(), asks, "{made}");
    }
    // Within one segment.
    let mut stage = bound("select late(1)");
    stage.client(&[parse("", REPLACE), bind("q", ""), execute("q"), execute("p"), sync()]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert!(stage.undecided());
    // What calls nobody's functions is what it was.
    let mut stage = bound("select a from t");
    stage.run(&[query(REPLACE)], &[complete(), ready(b'T')]);
    stage.client(&[execute("p"), sync()]);
    assert!(!stage.undecided());
    // DDL by itself is no reason to ask about it.
    let mut stage = bound("create table u as select late(1)");
    stage.client(&[execute("p"), sync()]);
    assert!(!stage.undecided());
}

#[test]
fn a_portal_that_may_call_functions_yet_is_watched_while_it_is_suspended() {
    for (sql, watched) in [("select late(1)", true), ("select a from t", false)] {
        let mut stage = bound(sql);
        stage.client(&[execute("p"), sync()]);
        stage.server(&[frame(b's', b""), ready(b'T')]);
        assert_eq!(stage.suspended, watched, "{sql}");
        assert!(stage.goes_on, "{sql}");
    }
}

#[test]
fn a_portal_goes_on_unless_the_end_of_its_transaction_is_sure_to_come_next() {
    for (rest, goes_on) in [(sync(), false), (frame(b'H', b""), true)] {
        let mut stage = Stage::new();
        stage.client(&[parse("", "select a from t"), bind("", ""), execute(""), rest]);
        let number = stage.decision().number;
        stage.pass(permit(number));
        stage.server(&[frame(b'1', b""), frame(b'2', b""), frame(b's', b"")]);
        assert_eq!((stage.goes_on, stage.completed.len()), (goes_on, 1));
    }
}

#[test]
fn a_fetch_of_a_function_that_its_transaction_has_replaced_is_judged_by_what_it_is_now() {
    for (made, expected) in [(REPLACE, Certainty::Unknown), ("select 1", Certainty::Exact)] {
        let mut stage = Stage::new();
        for sql in ["begin", "declare c cursor for select late(1)", made] {
            stage.run(&[query(sql)], &[complete(), ready(b'T')]);
        }
        stage.client(&[query("fetch c")]);
        assert_eq!(stage.decision().facts[0].certainty, expected, "{made}");
    }
}

#[test]
fn after_an_uncommitted_rename_qualified_names_are_unknown_too() {
    for sql in ["alter table public.t rename to u", "alter schema app rename to b", REPLACE] {
        let mut stage = Stage::new();
        for sql in ["begin", sql] {
            stage.run(&[query(sql)], &[complete(), ready(b'T')]);
        }
        stage.client(&[query("select a from public.t")]);
        assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown, "{sql}");
        let mut stage = Stage::new();
        for sql in ["begin", sql, "rollback"] {
            stage.run(&[query(sql)], &[complete(), ready(if sql == "rollback" { b'I' } else { b'T' })]);
        }
        stage.client(&[query("select a from public.t")]);
        assert_eq!(stage.decision().facts[0].certainty, Certainty::Exact, "{sql}, undone");
    }
}

#[test]
fn what_follows_a_rename_in_a_pipeline_is_unknown_by_whatever_name() {
    let mut stage = Stage::new();
    stage.run(&[query("select a from t")], &[complete(), ready(b'I')]);
    let statement = |sql: &str| [parse("", sql), bind("", ""), execute("")];
    let first = statement("alter table public.t rename to u");
    let second = statement("select a from public.t");
    stage.client(&[&first[..], &second[..], &[sync()]].concat());
    let renames = stage.decision();
    assert_ne!(renames.facts[0].certainty, Certainty::Unknown);
    stage.pass(permit(renames.number));
    stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

/// A session in which SQL has prepared `x` as this.
fn prepared(sql: &str) -> Stage {
    let mut stage = Stage::new();
    stage.run(&[query(&format!("prepare x as {sql}"))], &[complete(), ready(b'I')]);
    stage
}

#[test]
fn an_execute_bound_before_its_name_was_given_to_another_statement_is_not_let_through_for_that() {
    for harmless in ["select a from t", "select 1"] {
        let mut stage = prepared(harmless);
        let evil = parse("x", "select ssn from customers");
        stage.client(&[
            parse("f", "execute x"),
            bind("p", "f"),
            close_statement("x"),
            evil,
            execute("p"),
            sync(),
        ]);
        let first = stage.decision();
        assert!(first.facts.iter().all(|facts| facts.certainty != Certainty::Unknown), "{harmless}");
        stage.pass(ticket(first.number));
        assert!(stage.undecided(), "{harmless}");
        assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown, "{harmless}");
    }
}

#[test]
fn an_execute_bound_behind_what_gives_its_name_to_another_statement_is_not_known_by_the_old_one() {
    let mut stage = prepared("select a from t");
    let evil = parse("x", "select ssn from customers");
    stage.client(&[
        close_statement("x"),
        evil,
        parse("f", "execute x"),
        bind("p", "f"),
        execute("p"),
        sync(),
    ]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn an_execute_goes_on_unasked_where_its_name_means_what_it_did() {
    let mut stage = prepared("select a from t");
    stage.client(&[parse("f", "execute x"), bind("p", "f"), execute("p"), sync()]);
    let first = stage.decision();
    stage.pass(ticket(first.number));
    assert!(!stage.undecided());
}

#[test]
fn a_copy_bound_before_the_path_was_changed_is_not_let_through_by_the_old_one() {
    let mut stage = bound("copy t to stdout");
    let set = [parse("s", "set local search_path = other, public"), bind("s", "s"), execute("s")];
    stage.client(&set);
    let number = stage.decision().number;
    stage.pass(ticket(number));
    // In the middle of a segment what it is now cannot be asked.
    stage.client(&[execute("p"), sync()]);
    assert!(stage.undecided());
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
    let mut stage = bound("copy t to stdout");
    stage.client(&[query("set local search_path = other, public")]);
    let number = stage.decision().number;
    stage.pass(ticket(number));
    stage.release(number);
    stage.server(&[complete(), ready(b'T')]);
    stage.silent = true;
    stage.client(&[execute("p"), sync()]);
    assert!(stage.session.is_probing(), "else it is asked first");
}
