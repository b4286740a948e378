//! What the open transaction has made is known in it, and only for as long as it is certain.

mod support;

use stepgate_types::{Certainty, ColumnName, RelationName};
use support::{
    Stage, bind, catalog, catalog_with_shadow, complete, error, execute, frame, parse, permit, query, ready,
    sync,
};

const OWN: [&str; 4] = ["pg_temp_3", "pg_catalog", "app", "public"];

/// Runs one statement to its end.
fn runs(stage: &mut Stage, sql: &str, status: u8) {
    stage.client(&[query(sql)]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    if sql.contains(" temp") {
        stage.path = OWN.to_vec();
    }
    stage.server(&[complete(), ready(status)]);
}

/// The server refuses it.
fn fails(stage: &mut Stage, sql: &str) {
    stage.client(&[query(sql)]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[error("42P07", "there is one already"), ready(b'E')]);
}

/// Whether the statement is understood; it runs then, or else is refused.
fn knows(stage: &mut Stage, sql: &str) -> bool {
    stage.client(&[query(sql)]);
    let pending = stage.decision();
    if pending.facts.iter().any(|facts| facts.certainty == Certainty::Unknown) {
        stage.refuse("no");
        let nonce = support::nonce(&stage.at_server().concat());
        // In a savepoint of the test's own.
        stage.server(&[error("42601", &format!("syntax error at or near \"{nonce}\"")), ready(b'T')]);
        return false;
    }
    stage.pass(permit(pending.number));
    stage.server(&[complete(), ready(b'T')]);
    true
}

fn in_transaction() -> Stage {
    let mut stage = Stage::new();
    runs(&mut stage, "begin", b'T');
    stage
}

#[test]
fn a_temporary_table_is_known_in_the_transaction_that_made_it() {
    let mut stage = in_transaction();
    for made in [
        "create temp table x as select a from t",
        "create temporary table y (b int primary key, c text) on commit drop",
        "select a as d into temp z from t",
        "create table w as select a as e from t",
        "create temp view v as select a from t",
    ] {
        runs(&mut stage, made, b'T');
    }
    for sql in [
        "select a from x",
        "select count(*) from y",
        "insert into y select 1, a from x",
        "select c, b from y, z",
        "select e from w",
        "select v.a from v",
        "copy x to stdout",
        "select a from t",
        "update y set c = 'x'",
        "savepoint s",
        "release s",
        "analyze x",
        "create index on x (a)",
        "create unique index named on y (b, c)",
        "drop table x",
        "drop view v",
        "drop table if exists never_there",
    ] {
        assert!(knows(&mut stage, sql), "{sql}");
    }
    runs(&mut stage, "create temp table x (f int)", b'T');
    assert!(knows(&mut stage, "select f from x"));
    assert!(!knows(&mut stage, "select a from x"), "that is the one before");
}

#[test]
fn what_it_was_filled_with_is_asked_for() {
    let mut stage = in_transaction();
    runs(&mut stage, "create temp table x as select a as harmless from t", b'T');
    runs(&mut stage, "create temp table y as select harmless as z from x", b'T');
    runs(&mut stage, "drop table x", b'T');
    stage.client(&[query("select z from y")]);
    let facts = stage.decision().facts;
    assert_eq!(facts[0].certainty, Certainty::Exact);
    let origin = ColumnName::new(RelationName::new("public", "t"), "a");
    assert!(facts[0].columns.contains_key(&origin), "{:?}", facts[0].columns);
}

#[test]
fn nothing_is_known_before_the_server_has_made_it() {
    let mut stage = in_transaction();
    // All in one segment, and in the next.
    stage.client(&[
        parse("", "create temp table x (a int)"),
        bind("", ""),
        execute(""),
        parse("", "select a from x"),
        bind("", ""),
        execute(""),
        sync(),
    ]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    assert!(!stage.undecided(), "the server is asked whether it parses");
    stage.server(&[frame(b'1', b""), frame(b'2', b""), complete()]);
    // In the middle of a segment, nobody can ask in which schema.
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
    let mut stage = in_transaction();
    stage.client(&[query("create temp table x (a int)"), query("select a from x")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.path = OWN.to_vec();
    assert!(!stage.undecided(), "it waits for what becomes of the first");
    stage.server(&[complete(), ready(b'T')]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Exact);
    // A Bind alone makes nothing.
    let mut stage = in_transaction();
    stage.client(&[parse("", "create temp table x (a int)"), bind("", ""), sync()]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[support::frame(b'1', b""), support::frame(b'2', b""), ready(b'T')]);
    assert!(!knows(&mut stage, "select a from x"));
}

#[test]
fn the_extended_protocol_makes_the_same() {
    let mut stage = in_transaction();
    let make = [parse("", "create temp table x (a int)"), bind("", ""), execute(""), sync()];
    stage.client(&make);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.path = OWN.to_vec();
    stage.server(&[
        support::frame(b'1', b""),
        support::frame(b'2', b""),
        support::frame(b'C', b"CREATE TABLE\0"),
        ready(b'T'),
    ]);
    assert!(knows(&mut stage, "select a from x"));
}

#[test]
fn nothing_is_known_once_the_transaction_may_have_lost_it() {
    for lost in [
        "create index on t (a)",
        "create index on x (lower(a::text))",
        "rollback to s",
        "drop table t",
        "alter table x rename to y",
        "do $$ begin end $$",
    ] {
        let mut stage = in_transaction();
        runs(&mut stage, "savepoint s", b'T');
        runs(&mut stage, "create temp table x (a int)", b'T');
        assert!(knows(&mut stage, "select a from x"), "{lost}");
        runs(&mut stage, lost, b'T');
        assert!(!knows(&mut stage, "select a from x"), "{lost}");
    }
    // A failure, from which a savepoint leads back.
    let mut stage = in_transaction();
    runs(&mut stage, "savepoint s", b'T');
    runs(&mut stage, "create temp table x (a int)", b'T');
    fails(&mut stage, "create temp table y (a int)");
    runs(&mut stage, "rollback to s", b'T');
    assert!(!knows(&mut stage, "select a from x"));
    assert!(!knows(&mut stage, "select a from y"));
    // The end.
    for end in ["commit", "rollback"] {
        let mut stage = in_transaction();
        runs(&mut stage, "create temp table x (a int)", b'T');
        runs(&mut stage, end, b'I');
        runs(&mut stage, "begin", b'T');
        assert!(!knows(&mut stage, "select a from x"), "the catalog does not show it: {end}");
    }
}

#[test]
fn what_may_mean_something_else_is_not_known() {
    for (sql, reads) in [
        // The name is another's as well.
        ("create temp table t (b int)", "select b from t"),
        ("create table if not exists x (a int)", "select a from x"),
        ("create table if not exists x as select a from t", "select a from x"),
        ("drop table t", "select a from t"),
        ("create temp table x (a int); create temp table y (a int)", "select a from x"),
    ] {
        let mut stage = in_transaction();
        runs(&mut stage, sql, b'T');
        assert!(!knows(&mut stage, reads), "{sql}");
    }
    // Somebody else's, seen only now.
    let mut stage = in_transaction();
    runs(&mut stage, "create temp table u (b int)", b'T');
    assert!(knows(&mut stage, "select b from u"));
    stage.session.set_catalog(catalog_with_shadow());
    assert!(knows(&mut stage, "select b from u"), "it is not of that name");
    stage.session.set_catalog(support::catalog_with(&[], &["u"]));
    assert!(!knows(&mut stage, "select b from u"));
}

#[test]
fn what_a_session_before_had_in_its_temporary_schema_does_not_stand_before_anything() {
    // The catalog is from when that session was there: `pg_temp_3.t` stands for harmless columns.
    let mut stage = Stage::new();
    stage.session.set_catalog(support::catalog_with(&["pg_temp_3"], &[]));
    runs(&mut stage, "begin", b'T');
    runs(&mut stage, "create temp table x (a int)", b'T');
    stage.client(&[query("select a from t")]);
    let facts = stage.decision().facts;
    assert_eq!(facts[0].relations, [RelationName::new("public", "t")].into());
    // It is its own if it had one before.
    let mut stage = Stage::new();
    stage.path = OWN.to_vec();
    stage.session.set_catalog(support::catalog_with(&["pg_temp_3"], &[]));
    runs(&mut stage, "begin", b'T');
    runs(&mut stage, "create temp table x (a int)", b'T');
    stage.client(&[query("select a from t")]);
    let facts = stage.decision().facts;
    assert_eq!(facts[0].relations, [RelationName::new("pg_temp_3", "t")].into());
}

#[test]
fn a_transaction_begun_before_the_catalog_is_loaded_waits_for_it() {
    let mut stage = Stage::new();
    stage.loads = false;
    runs(&mut stage, "create table x (a int)", b'I');
    runs(&mut stage, "begin", b'T');
    stage.client(&[query("select a from t")]);
    assert!(!stage.undecided(), "the catalog is on its way");
    stage.session.catalog_loaded(1, catalog());
    stage.client(&[]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Exact);
}
