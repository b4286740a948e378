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
