//! Of which kinds a statement is besides its own: those of what runs within it, by whatever form.

use stepgate_sql::{Catalog, Facts, SessionState, analyze};
use stepgate_types::Kind;

fn facts(sql: &str) -> Vec<Facts> {
    let session = SessionState::with_search_path(["pg_catalog", "public"]);
    analyze(sql.as_bytes(), &Catalog::default(), &session)
}

/// What runs within the last of these statements.
fn runs(sql: &str) -> Vec<Kind> {
    facts(sql).last().map(|facts| facts.runs().collect()).unwrap_or_default()
}

#[test]
fn no_form_of_running_a_statement_within_another_hides_its_kind() {
    use Kind::{Ddl, Delete, Insert, Merge, Select, Update};
    for (sql, expected) in [
        ("explain analyze insert into t select 1", &[Insert][..]),
        ("explain (analyze, verbose) select 1", &[Select]),
        (
            "explain analyse with i as (insert into t values (1) returning a) select a from i",
            &[Select, Insert],
        ),
        ("explain analyze create table made as select 1", &[Select, Ddl]),
        ("with i as (insert into t values (1) returning a) select a from i", &[Insert]),
        (
            "with u as (update t set a = 1 returning a), d as (delete from t) insert into t select a from u",
            &[Update, Delete],
        ),
        (
            "with m as (merge into t using s on true when matched then do nothing returning 1) delete from t",
            &[Merge],
        ),
        ("copy (insert into t values (1) returning a) to stdout", &[Insert]),
        ("copy (with d as (delete from t returning a) select a from d) to stdout", &[Select, Delete]),
        ("copy (select 1) to stdout", &[Select]),
        ("create table made as select 1", &[Select]),
        ("create materialized view made as select 1", &[Select]),
        ("refresh materialized view made", &[Select]),
        ("declare c cursor for select 1", &[Select]),
        ("declare c cursor for select 1; fetch 1 from c", &[Select]),
        ("declare c cursor for select 1; move 1 in c", &[Select]),
        ("prepare p as select 1; execute p", &[Select]),
    ] {
        assert_eq!(runs(sql), expected, "{sql}");
    }
    // By PREPARE or by Parse.
    let execute = facts("execute p").remove(0);
    for (sql, expected) in [
        ("insert into t select 1", &[Insert][..]),
        ("with d as (delete from t returning a) select a from d", &[Select, Delete]),
    ] {
        for prepared in [sql.to_owned(), format!("prepare p as {sql}")] {
            let executed = execute.executed(&facts(&prepared)[0]);
            assert_eq!(executed.runs().collect::<Vec<_>>(), expected, "{prepared}");
        }
    }
}

#[test]
fn what_execute_goes_on_with_out_of_sight_may_be_all_that_can_be_prepared() {
    let any: Vec<_> = Kind::ALL.into_iter().filter(|kind| kind.is_preparable()).collect();
    assert_eq!(runs("execute p"), any);
    assert_eq!(Facts::unseen().runs().collect::<Vec<_>>(), any);
    for sql in ["explain analyze execute p", "create table made as execute p"] {
        let runs = runs(sql);
        assert!(
            any.iter().all(|kind| runs.contains(kind)) && runs.contains(&Kind::Execute),
            "{sql}: {runs:?}"
        );
    }
}

#[test]
fn what_is_only_planned_prepared_or_read_as_a_part_runs_nothing_within() {
    for sql in [
        "explain insert into t select 1",
        "explain (verbose) select 1",
        "explain execute p",
        "prepare p as insert into t select 1",
        "create table made as select 1 with no data",
        "create view made as select 1",
        "refresh materialized view made with no data",
        "insert into t select 1",
        "with s as (select 1) insert into t select * from s",
        "select (select 1), exists (select 2)",
        "copy t to stdout",
        "close c",
        "begin",
    ] {
        assert!(runs(sql).is_empty(), "{sql}: {:?}", runs(sql));
    }
}
