//! What planning a query runs: immutable functions in expressions of indexes, checks, partition keys and statistics.

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
