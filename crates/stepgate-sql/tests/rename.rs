//! RENAME, SET SCHEMA and CREATE FUNCTION: nobody is asked, and what has another name keeps its labels.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{everything, session};
use stepgate_sql::{Catalog, Facts, Flow, SessionState, analyze};
use stepgate_types::{Certainty, ColumnName, RelationName};

fn all(sql: &str, catalog: &Catalog, session: &SessionState) -> Vec<Facts> {
    analyze(sql.as_bytes(), catalog, session)
}

fn column(relation: &str, name: &str) -> ColumnName {
    ColumnName::new(RelationName::new("public", relation), name)
}

/// What the last statement lets flow: `relation.column < relation.column`, `*` being any column.
fn flows(sql: &str, catalog: &Catalog, session: &SessionState) -> BTreeSet<String> {
    let all = all(sql, catalog, session);
    let last = all.last().expect("a statement");
    assert_ne!(last.certainty, Certainty::Unknown, "{sql}: {:?}", last.reasons);
    let mut flows = BTreeSet::new();
    for (relation, Flow { each, all, unknown }) in &last.flows {
        let each: BTreeMap<_, _> = each.iter().map(|(to, from)| (to.as_str(), from)).collect();
        for (to, from) in each.into_iter().chain([("*", all)]) {
            flows.extend(from.iter().map(|from| {
                format!("{}.{}.{to} < {}.{}", relation.schema, relation.name, from.relation.name, from.column)
            }));
        }
        flows.extend(unknown.then(|| format!("{}.{}: unknown", relation.schema, relation.name)));
    }
    flows
}

fn is_unknown(sql: &str, catalog: &Catalog, session: &SessionState) -> bool {
    all(sql, catalog, session).iter().any(|facts| facts.certainty == Certainty::Unknown)
}

#[test]
fn renaming_and_making_functions_asks_nobody() {
    let (_cluster, catalog, _) = everything();
    // In a transaction that has renamed something, too.
    let moved = SessionState { search_path: None, moved: true, ..session() };
    for sql in [
        "alter table doctors rename to x",
        "alter table only public.doctors rename annual_pay to x",
        "alter table clinic.public.doctors rename to x",
        "alter table if exists doctors rename to x",
        "alter index doctors rename to x",
        "alter view v_patient_card rename pid to x",
        "alter view v_star rename to x",
        "alter table doctors set schema training",
        "alter view v_star set schema training",
        "alter schema training rename to x",
        "alter function ward_size(text) rename to x",
        "alter function public.ward_size(text) set schema training",
        "create function f2() returns numeric language sql as 'select annual_pay from doctors'",
        "create or replace function f2(a int default 1, out b text) language plpgsql as $$ begin null; end $$",
        "create function f2() returns int language sql immutable strict security definer cost 1 set work_mem = '1MB' as 'select 1'",
        "create procedure public.p() language plpgsql as $$ begin delete from doctors; end $$",
        "create function f2() returns trigger language plpgsql as $$ begin return new; end $$",
        "create function f2(a int) returns int return a + 1",
        "create function f() returns int begin atomic select 1; select 2; end",
        "create function f() returns int begin atomic select 1; select 2; end; drop function f",
        "begin; alter table doctors rename to x; alter table visits rename to doctors; drop table x; commit",
    ] {
        assert!(!is_unknown(sql, &catalog, &session()), "{sql}");
        assert!(!is_unknown(sql, &catalog, &moved), "{sql} after another rename");
    }
}

#[test]
fn after_a_rename_nothing_that_depends_on_names_is_known() {
    let (_cluster, catalog, _) = everything();
    let moved = SessionState { search_path: None, moved: true, ..session() };
    for sql in [
        "select vid from public.visits",
        "select pg_catalog.lower('x')",
        "select 1 + 1",
        "insert into public.visits (vid) values (1)",
        "copy public.visits (vid) to stdout",
        "declare c cursor for select vid from public.visits",
        "prepare p as select vid from public.visits",
        "create table x as select vid from public.visits",
        "create view x as select vid from public.visits",
        "alter table public.visits add column x text default lower('X')",
        "create index on public.visits (lower(kind))",
        "truncate public.visits",
        "reindex table public.visits",
        "explain analyze select vid from public.visits",
    ] {
        assert!(is_unknown(sql, &catalog, &moved), "{sql}");
    }
}

#[test]
fn what_a_relation_holds_by_name_flows_into_its_new_name() {
    let (_cluster, catalog, _) = everything();
    let mut session = session();
    let held = |to: &str| Flow {
        each: [(to.to_owned(), [column("people", "email")].into())].into(),
        ..Flow::default()
    };
    let names = [
        ("training", "fresh"),
        ("training", "patients"),
        ("public", "fresh"),
        ("", "anywhere"),
        ("later", "x"),
    ];
    for (schema, name) in names {
        session.taints.add(RelationName::new(schema, name), held("a")).expect("room");
    }
    let unknown = Flow { unknown: true, ..Flow::default() };
    session.taints.add(RelationName::new("training", "odd"), unknown).expect("room");
    let blind = SessionState { search_path: None, ..session.clone() };
    let set = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<String>>();
    for (sql, state, expected) in [
        ("alter table training.fresh rename to y", &blind, &["training.y.a < people.email"][..]),
        ("alter table db.training.fresh rename to y", &blind, &["training.y.a < people.email"]),
        // Whichever it is.
        ("alter table fresh rename to y", &blind, &[".y.a < people.email"]),
        ("alter table anywhere rename to y", &blind, &[".y.a < people.email"]),
        ("alter table training.fresh set schema later", &blind, &["later.fresh.a < people.email"]),
        ("alter table training.odd rename to y", &blind, &["training.y: unknown"]),
        // Swapped in one message.
        (
            "alter table training.fresh rename to t; alter table training.t rename to u",
            &session,
            &["training.u.a < people.email"],
        ),
        ("create table z as select email from people; alter table z rename email to e", &session, &["z"]),
        // A schema, with all that is known by name in it.
        (
            "alter schema training rename to later",
            &session,
            &["later.fresh.a < people.email", "later.patients.a < people.email", "later.odd: unknown"],
        ),
    ] {
        let found = flows(sql, &catalog, state);
        if expected == ["z"] {
            assert!(found.iter().any(|flow| flow.ends_with(".z.e < people.email")), "{sql}: {found:?}");
        } else {
            assert_eq!(found, set(expected), "{sql}");
        }
    }
    // A column, also of children that the transaction has made.
    let found = flows("alter table public.parent rename a to b", &catalog, &blind);
    assert!(found.contains("training.fresh.b < people.email"), "{found:?}");
    // What the map says of it goes along as well.
    let found = flows("alter table people rename email to mail", &catalog, &session);
    assert_eq!(found, set(&["public.people.mail < people.email"]));
    let found = flows("alter table people rename to folk", &catalog, &session);
    assert!(found.contains("public.folk.email < people.email"), "{found:?}");
}

#[test]
fn where_code_may_run_as_late_as_commit_names_do_not_change_unasked() {
    let (cluster, catalog, _) = everything();
    let changes = [
        "alter table visits rename to x",
        "alter function ward_size(text) rename to x",
        "create function f2() returns int language sql as 'select 1'",
    ];
    for sql in changes {
        assert!(!is_unknown(sql, &catalog, &session()), "{sql}");
    }
    cluster
        .load(
            "clinic",
            "create constraint trigger late after insert on visits deferrable for each row execute function audit()",
        )
        .expect("a trigger");
    let catalog = common::snapshot(&cluster, "clinic");
    for sql in changes {
        assert!(is_unknown(sql, &catalog, &session()), "{sql}");
    }
}
