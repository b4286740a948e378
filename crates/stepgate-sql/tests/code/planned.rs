//! What planning a query runs: immutable functions in expressions of indexes, checks, partition keys and statistics.

use super::common::snapshot;
use super::{check, database, judge};

/// Statements, and which of the columns called `email` they read; `?` where unknown is right.
const PLANNED: &[(&str, &str)] = &[
    ("select a from indexed", "people.email"),
    ("select count(*) from indexed where b = 3", "people.email"),
    ("explain select a from indexed", "people.email"),
    ("select a from seen", "people.email"),
    ("select a from kept", "people.email"),
    ("select a from partial", "people.email"),
    ("select a from within", "people.email"),
    ("select a from checked union all select a from plain", "people.email"),
    ("select a from counted where a = 1", "people.email"),
    ("select a from parted where a = 1", "people.email"),
    ("select a from parted_1", "people.email"),
    ("select a from parent", "people.email"),
    ("select a from child", "people.email"),
    ("insert into plain select a, b from indexed", "people.email"),
    ("delete from indexed where a = 99", "people.email"),
    ("update key set b = b", "people.email"),
    ("insert into refers values (1, 1)", "people.email"),
    ("delete from key where a = 99", "people.email"),
    ("select a from refers", ""),
    ("select a from spans where r <@ '[1,30)'", "people.email"),
    ("insert into spans select * from spans", "people.email"),
    ("select a from spans_within", "people.email"),
    ("select a from spans_slow", "?"),
    ("select a from of_floats where r <@ '[1,30)'", ""),
    // A range type brings a cast of its own, which is the server's code.
    ("select a::text, date '2020-01-01' from plain", ""),
    // Of a schema that the path does not have.
    ("select count(a) from plain", ""),
    // Planning runs these as well, and they read nothing.
    ("select a from adding", ""),
    // Not run: none of them can be put in place, and their arguments are no constants.
    ("select a from slowly_too", ""),
    // It cannot be told that a sum is no constant.
    ("select a from slowly", "?"),
    ("select a from slow_const", "?"),
    // One of the server's functions, of a column and a NULL, is NULL.
    ("select a from slow_null", "?"),
];

/// The same of DDL, for which the judge's role has no rights.
const DEFINED: &[(&str, &str)] = &[
    ("alter table parent add column c uuid default gen_random_uuid()", "people.email"),
    ("alter table indexed alter b type bigint", "people.email"),
    ("create table parted_2 partition of parted default", "people.email"),
    ("refresh materialized view kept_plain", "people.email"),
    ("refresh materialized view kept_indexed", "people.email"),
    ("refresh materialized view kept_seen", "people.email"),
    ("create table alike (like checked including all)", ""),
];

#[test]
fn what_planning_runs_is_seen_through() {
    let (cluster, catalog) = database("planned.sql");
    check(PLANNED, &catalog);
    judge(PLANNED, &cluster, &catalog);
    check(DEFINED, &catalog);
}

/// Commands on tables, and whether they run what is at those tables.
const COMMANDS: &[(&str, bool)] = &[
    ("analyze indexed", true),
    ("analyze counted", true),
    ("analyze parent", true),
    ("analyze kept", true),
    ("analyze spans_slow", true),
    ("analyze", true),
    ("vacuum analyze parted", true),
    ("vacuum full indexed", true),
    ("reindex table within", true),
    ("reindex index within_reads_within_idx", true),
    ("reindex (verbose) index concurrently within_reads_within_idx", true),
    ("cluster key using key_pkey", true),
    ("truncate emptied", true),
    ("truncate plain", false),
    ("analyze plain", false),
    ("reindex table plain", false),
    ("lock table plain", false),
];

#[test]
fn commands_that_run_what_is_at_tables_are_not_let_through() {
    let (cluster, catalog) = database("planned.sql");
    drop(cluster);
    for (sql, runs) in COMMANDS {
        let [facts] = super::facts(sql, &catalog).try_into().expect("one statement");
        assert_eq!(facts.certainty == stepgate_types::Certainty::Unknown, *runs, "{sql}");
    }
}

/// Tables with triggers that fail, and nothing else of somebody's own but an index on one, a default of the other.
const TRIGGERED: &str = "
    create function touches() returns trigger language plpgsql as 'begin execute ''select 1''; raise exception ''fired''; end';
    create function loudly(a int) returns int immutable language plpgsql as 'begin raise notice ''computed''; return a; end';
    create table touched (a int primary key, b int default slow_five());
    create table touched_loudly (a int); create index touched_loudly_idx on touched_loudly (loudly(a));
    insert into touched values (1, 1); insert into touched_loudly values (1);
    create view over_touched as select * from touched;
    create trigger touches before insert or update or delete on touched for each row execute function touches();
    create trigger touches_all before truncate on touched execute function touches();
    create trigger touches before insert or update or delete on touched_loudly for each row execute function touches();";

/// Commands on those, what the server says when it runs them, and whether that may be somebody's code.
const BESIDE_TRIGGERS: &[(&str, &str, bool)] = &[
    ("lock table touched in access share mode", "", false),
    ("lock touched, touched_loudly in access exclusive mode", "", false),
    ("lock over_touched", "", false),
    ("checkpoint", "", false),
    ("analyze touched", "", false),
    ("vacuum touched", "", false),
    ("vacuum (full, analyze) touched", "", false),
    ("reindex table touched", "", false),
    ("cluster touched using touched_pkey", "", false),
    ("truncate touched", "fired", true),
    ("delete from touched", "fired", true),
    ("lock touched_loudly", "", false),
    ("analyze touched_loudly", "computed", true),
    ("vacuum full touched_loudly", "computed", true),
    ("reindex table touched_loudly", "computed", true),
    ("reindex index touched_loudly_idx", "computed", true),
    ("analyze", "computed", true),
];

/// `pg_dump` locks every table that it dumps.
#[test]
fn triggers_are_not_run_by_commands_that_write_no_rows_and_those_of_truncate_are() {
    let (cluster, _) = database("planned.sql");
    cluster.load("shop", TRIGGERED).expect("triggers");
    let catalog = snapshot(&cluster, "shop");
    for (sql, told, runs) in BESIDE_TRIGGERS {
        let mut psql = cluster.psql_command("shop");
        let locks = sql.starts_with("lock").then_some("begin");
        let commands = locks.into_iter().chain([*sql]).flat_map(|sql| ["-c", sql]);
        let output = psql.arg("-q").args(commands).output().expect("psql");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(told) && (!told.is_empty() || error.is_empty()), "{sql}: {error}");
        let [facts] = super::facts(sql, &catalog).try_into().expect("one statement");
        let codes: Vec<_> = facts.reasons.iter().map(|reason| reason.code).collect();
        assert_eq!(facts.certainty == stepgate_types::Certainty::Unknown, *runs, "{sql}: {codes:?}");
    }
}

/// What one of the whole database does, without anybody's index in it.
#[test]
fn triggers_are_not_run_by_commands_on_all_tables() {
    let (cluster, _) = database("triggers.sql");
    cluster
        .load(
            "shop",
            "create function fires() returns trigger language plpgsql as 'begin execute new.a; return new; end';
             create table fired (a text primary key);
             create trigger fires before update on fired for each row execute function fires()",
        )
        .expect("a trigger");
    let catalog = snapshot(&cluster, "shop");
    for (sql, unknown) in [
        ("analyze", false),
        ("vacuum", false),
        ("cluster", false),
        ("reindex database shop", false),
        ("truncate fired", true),
        ("truncate fired cascade", true),
        ("update fired set a = 'x'", true),
    ] {
        let [facts] = super::facts(sql, &catalog).try_into().expect("one statement");
        assert_eq!(facts.certainty == stepgate_types::Certainty::Unknown, unknown, "{sql}");
    }
}

/// Range types of somebody's own that only expressions of indexes and statistics have, in all shapes.
const RANGES: &str = "
    create type slow_fields as (a int, r span_slow); create domain slow_domain as span_slow;
    create function made(a int) returns span immutable language sql as 'select span($1, $1 + 5)';
    create table z_gist (a int); create index on z_gist using gist ((case when a > 25 then '[1,2]'::span else '[3,7]'::span end));
    create table z_btree (a int); create index on z_btree ((case when a > 25 then '[1,2]'::span else '[3,7]'::span end));
    create table z_seen (a int);
    create statistics z_seen_s on (case when a > 25 then '[1,2]'::span else '[3,7]'::span end) from z_seen;
    create view z_over as select a, case when a > 25 then '[1,2]'::span else '[3,7]'::span end as r from z_seen;
    create table z_array (a int); create index on z_array ((array['[1,2]'::span]));
    create table z_null (a int); create index on z_null using gist ((null::span_slow)) where false;
    create table z_field (a int); create index on z_field ((row(a, null)::slow_fields));
    create table z_domain (a int); create statistics z_domain_s on (null::slow_domain), a from z_domain;
    create table z_many (a int); create statistics z_many_s on (multirange('[1,2]'::span)), a from z_many;
    create table z_parent (a int); create table z_child () inherits (z_parent);
    create index on z_child using gist ((case when a > 25 then '[1,2]'::span else '[3,7]'::span end));
    create table z_floats (a int); create index on z_floats using gist ((case when a > 25 then '[1,2]'::floats else '[3,7]'::floats end));
    create table z_plain (a int); create index on z_plain using gist ((case when a > 25 then '[1,2]'::int4range else '[3,7]'::int4range end));";

/// Statements, whether the server runs what measures the ranges (which now fails), and what of `email` they read.
const MEASURED: &[(&str, bool, &str)] = &[
    ("insert into z_gist select i from generate_series(1, 500) i", true, "people.email"),
    ("update z_gist set a = a + 1", true, "people.email"),
    ("explain select a from z_over where r <@ '[0,4]'", true, "people.email"),
    ("select a from z_over where r <@ '[0,4]'", true, "people.email"),
    (
        "select a from z_seen where (case when a > 25 then '[1,2]'::span else '[3,7]'::span end) <@ '[0,4]'",
        true,
        "people.email",
    ),
    (
        "select a from z_btree where (case when a > 25 then '[1,2]'::span else '[3,7]'::span end) <@ '[0,4]'",
        true,
        "people.email",
    ),
    ("insert into z_parent values (1)", false, "people.email"),
    ("insert into z_child select i from generate_series(1, 500) i", true, "people.email"),
    ("select a from z_array", false, "people.email"),
    ("select a from z_many", false, "people.email"),
    ("select a from z_null", false, "?"),
    ("select a from z_field", false, "?"),
    ("select a from z_domain", false, "?"),
    ("insert into z_floats values (1)", false, ""),
    ("insert into z_plain values (1)", false, ""),
    ("select a from z_plain", false, ""),
];

#[test]
fn ranges_that_only_stored_expressions_make_are_measured_by_somebodys_function() {
    let (cluster, _) = database("planned.sql");
    cluster.load("shop", RANGES).expect("ranges");
    cluster
        .load(
            "shop",
            "insert into z_gist select i from generate_series(1, 500) i; insert into z_btree select * from z_gist;
             insert into z_seen select * from z_gist; insert into z_child select * from z_gist; analyze z_gist; analyze z_seen; analyze z_btree; analyze z_child",
        )
        .expect("rows");
    let catalog = snapshot(&cluster, "shop");
    cluster
        .load("shop", "create or replace function apart(a int, b int) returns float8 immutable language plpgsql as 'begin raise exception ''measured''; end'")
        .expect("replaced");
    for (sql, measures, expected) in MEASURED {
        let output = cluster.psql_command("shop").args(["-q", "-c", sql]).output().expect("psql");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(error.contains("measured"), *measures, "{sql}: {error}");
        check(&[(sql, expected)], &catalog);
    }
}

/// Statistics may be over functions that are not immutable; ANALYZE runs them, and shows in `pg_stats_ext_exprs` what they made.
#[test]
fn statistics_over_functions_of_the_servers_own_are_not_computed_unasked() {
    let (cluster, _) = database("planned.sql");
    cluster
        .load(
            "shop",
            "create table told (a int, b timestamptz); insert into told select i, now() from generate_series(1, 50) i;
             create statistics told_s on (query_to_xml(current_setting('app.q', true), false, false, '')::text), a from told;
             create table days (a int, b timestamptz); insert into days select * from told;
             create statistics days_s on (date_trunc('day', b)), a from days;",
        )
        .expect("statistics");
    let script = "set app.q = 'select max(email) from people'; analyze told; analyze days;
                  select most_common_vals from pg_stats_ext_exprs where tablename = 'told'";
    let output = cluster.psql_command("shop").args(["-q", "-c", script]).output().expect("psql");
    assert!(String::from_utf8_lossy(&output.stdout).contains("c@d.test"));
    let catalog = snapshot(&cluster, "shop");
    check(&[("analyze told", "?"), ("analyze days", ""), ("select a from days", "")], &catalog);
}
