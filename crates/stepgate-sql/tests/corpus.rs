//! The public corpus against a real PostgreSQL's catalog: no leak passes, and nearly no benign one is stopped.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeSet;

use common::{clinic, corpus, facts, pii, risky, snapshot, touched};
use stepgate_sql::{SessionState, analyze};
use stepgate_types::Certainty;

/// Benign, but of two messages: who keeps the session knows what its names stand for, a text alone does not.
const TOLERATED: [&str; 2] = ["PB24", "PB25"];

struct Block {
    id: String,
    leak: bool,
    pii: BTreeSet<String>,
    steps: Vec<String>,
}

fn blocks() -> Vec<Block> {
    let text = std::fs::read_to_string(corpus().join("statements.sql")).expect("the corpus");
    text.split("-- id: ")
        .skip(1)
        .map(|block| {
            let (header, body) = block.split_once('\n').expect("a header");
            let field = |name: &str| {
                header.split(" | ").find_map(|field| field.strip_prefix(name)).unwrap_or_default().trim()
            };
            Block {
                id: header.split(" | ").next().expect("an id").trim().to_owned(),
                leak: field("expected:") == "leak",
                pii: field("pii:").split(", ").filter(|name| *name != "-").map(str::to_owned).collect(),
                steps: body.split("-- then\n").map(|step| step.trim().to_owned()).collect(),
            }
        })
        .collect()
}

#[test]
fn no_leak_of_the_corpus_passes_and_benign_statements_do() {
    let cluster = clinic();
    let catalog = snapshot(&cluster, "clinic");
    let pii = pii();
    let blocks = blocks();
    assert_eq!(blocks.len(), 60);
    let mut wrong = Vec::new();
    for block in &blocks {
        let mut session = common::session();
        let mut flagged = false;
        for step in &block.steps {
            let all = analyze(step.as_bytes(), &catalog, &session);
            assert!(!all.is_empty(), "{}", block.id);
            for facts in &all {
                flagged |= risky(facts, &pii);
                let seen = touched(facts, &pii);
                let exact = facts.certainty != Certainty::Unknown && seen == block.pii;
                println!(
                    "{} {} {:?} {:?} {:?}{}",
                    block.id,
                    facts.kind,
                    facts.certainty,
                    facts.reasons.iter().map(|reason| reason.code).collect::<Vec<_>>(),
                    seen,
                    if exact { " =" } else { "" },
                );
                // What is known for certain has the very columns PostgreSQL's privilege checks name.
                if facts.certainty != Certainty::Unknown
                    && block.leak
                    && !seen.is_empty()
                    && seen != block.pii
                {
                    wrong.push(format!("{}: {seen:?} instead of {:?}", block.id, block.pii));
                }
            }
            if let Some(path) = step.strip_prefix("set search_path = ") {
                session = SessionState::with_search_path(["pg_catalog", path]);
            }
        }
        if flagged != block.leak && !(flagged && TOLERATED.contains(&block.id.as_str())) {
            wrong.push(format!("{}: flagged {flagged}", block.id));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_fingerprint_of_the_catalog_changes_with_any_object_and_only_then() {
    let cluster = clinic();
    let ask = || cluster.psql("clinic", stepgate_sql::CATALOG_FINGERPRINT_QUERY).expect("fingerprint");
    let mut before = ask();
    cluster.psql("clinic", "insert into training.patients values (900, 'x', 'y')").expect("insert");
    cluster.psql("clinic", "analyze").expect("analyze");
    let temporary = "create temp table t (a int primary key default 1, check (a > 0)); create temp view v as select a from t";
    let during = format!("{temporary}; {}", stepgate_sql::CATALOG_FINGERPRINT_QUERY);
    assert_eq!(
        cluster.psql("clinic", &during).expect("temporary objects").lines().last(),
        Some(before.as_str())
    );
    assert_eq!(ask(), before);
    for change in [
        "create table extra (a int)",
        "alter table extra add column b text",
        "alter table extra rename column b to c",
        "alter table extra rename to more",
        "create view v_more as select a from more",
        "create or replace view v_more as select a, c from more",
        "create function f() returns int language sql as 'select 1'",
        "create or replace function f() returns int language sql as 'select 2'",
        "alter table more set schema training",
        "create schema fresh",
        "drop view v_more",
        "alter table training.more add check (a > 0)",
        "create unique index more_a on training.more (a)",
        "drop index training.more_a",
        "create policy mine on training.more using (true)",
        "drop policy mine on training.more",
        "create trigger mine before insert on training.more for each row execute function suppress_redundant_updates_trigger()",
        "drop trigger mine on training.more",
        "alter table training.more alter column a set default 1",
        "alter table training.more alter column a drop default",
        "alter table training.more drop constraint more_a_check",
        "create statistics training.mine on a, c from training.more",
        "drop statistics training.mine",
        "create table training.heir () inherits (training.more)",
        "alter table training.heir no inherit training.more",
        "create rule mine as on delete to training.more do nothing",
        "drop rule mine on training.more",
        "alter table training.more drop column a",
        "alter table training.more drop column c",
        "create language other handler plpgsql_call_handler",
        "create extension pg_trgm",
        "alter extension pg_trgm drop function show_limit()",
    ] {
        cluster.psql("clinic", change).expect(change);
        let after = ask();
        assert_ne!(after, before, "{change}");
        before = after;
    }
}

#[test]
fn an_unknown_search_path_leaves_nothing_to_resolve() {
    let cluster = clinic();
    let catalog = snapshot(&cluster, "clinic");
    let lost = SessionState { search_path: None, ..common::session() };
    let all = analyze(b"select pid from patients", &catalog, &lost);
    assert_eq!(all[0].certainty, Certainty::Unknown);
    assert_eq!(facts("select pid from patients", &catalog)[0].certainty, Certainty::Exact);
}

#[test]
fn a_copy_into_a_table_counts_the_rows_it_copies() {
    let cluster = clinic();
    let catalog = snapshot(&cluster, "clinic");
    let estimate = |sql: &str| facts(sql, &catalog)[0].estimate;
    for sql in [
        "select * from patients",
        "create table k as select * from patients",
        "create temp table k as table patients",
        "create view k as select * from patients",
        "select * into k from patients",
    ] {
        assert_eq!(estimate(sql), Some(1000), "{sql}");
    }
    assert_eq!(estimate("create table k as select * from patients limit 5"), Some(5));
    assert_eq!(estimate("create table k (a int)"), Some(0));
    assert_eq!(estimate("create table k as select no_such_function()"), None);
}
