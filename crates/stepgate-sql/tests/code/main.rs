//! Code of one's own that runs within statements: seen through, or unknown.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::format_push_string, reason = "a test")]

mod calls;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod computed;
mod constraints;
mod domains;
mod extensions;
mod generated;
mod indexes;
mod missing;
mod partitions;
mod paths;
mod planned;
mod policies;
mod stores;
mod triggers;
mod utilities;

use std::collections::BTreeSet;
use std::path::Path;

use common::{columns, facts, snapshot};
use stepgate_sql::{Catalog, Facts};
use stepgate_testkit::Cluster;
use stepgate_types::{Certainty, Use, quote_ident};

fn database(schema: &str) -> (Cluster, Catalog) {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster
        .load_file("shop", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/code").join(schema))
        .expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    (cluster, catalog)
}

fn guarded(facts: &Facts) -> BTreeSet<String> {
    let read = columns(facts).into_iter().filter(|(_, uses)| uses.iter().any(|used| *used != Use::Write));
    let names = read.map(|(name, _)| name.trim_start_matches("public.").to_owned());
    names.filter(|name| name.ends_with(".email") || name.ends_with(".secret")).collect()
}

fn check(cases: &[(&str, &str)], catalog: &Catalog) {
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let [facts] = facts(sql, catalog).try_into().expect("one statement");
        let unknown = facts.certainty == Certainty::Unknown;
        let codes: Vec<_> = facts.reasons.iter().map(|reason| reason.code).collect();
        let wanted: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
        if if *expected == "?" { !unknown } else { unknown || guarded(&facts) != wanted } {
            wrong.push(format!("{sql}: unknown {unknown} {codes:?}, {:?}", guarded(&facts)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A role that may read exactly the columns reported runs each statement; its functions run with its rights. A column
/// that the analysis misses is a `permission denied`. What is written may be read back where it is written.
fn judge(cases: &[(&str, &str)], cluster: &Cluster, catalog: &Catalog) {
    cluster
        .load(
            "shop",
            "do $$ declare v regclass; begin
               create role probe;
               for v in select oid from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace loop
                 execute format('alter view %s set (security_invoker = true); grant select on %s to probe', v, v);
               end loop;
             end $$; grant usage on schema public, other to probe; grant usage on all sequences in schema public to probe;
             grant insert, update, delete on all tables in schema public to probe",
        )
        .expect("a role");
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (sql, _) in cases {
        let [facts] = facts(sql, catalog).try_into().expect("one statement");
        if facts.certainty == Certainty::Unknown || sql.starts_with("copy") {
            continue;
        }
        let mut script = String::from("begin;");
        for (column, uses) in &facts.columns {
            if uses.iter().any(|used| *used != Use::Write) {
                let name = quote_ident(&column.column);
                script.push_str(&format!("grant select ({name}) on {} to probe;", column.relation));
            }
        }
        script.push_str(&format!("set local role probe; {sql}; rollback"));
        let output = cluster.psql_command("shop").args(["-q", "-c", &script]).output().expect("psql");
        let error = String::from_utf8_lossy(&output.stderr);
        judged += 1;
        if error.contains("permission denied") {
            wrong.push(format!("{sql}\n  {error}"));
        }
    }
    assert!(judged * 2 > cases.len(), "{judged}");
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the client sees of a statement does not depend on columns called `secret`, unless those are reported. `rows`
/// fills the tables, once for each of some secrets.
fn compare(cases: &[(&str, &str)], cluster: &Cluster, catalog: &Catalog, fill: impl Fn(&str) -> String) {
    let mut wrong = Vec::new();
    let (mut compared, mut told) = (0, 0);
    for (sql, _) in cases {
        let [facts] = facts(sql, catalog).try_into().expect("one statement");
        if facts.certainty == Certainty::Unknown || sql.starts_with("copy") {
            continue;
        }
        compared += 1;
        let seen = |secret: &str| {
            let script = format!(
                "listen changes; begin; set local session_replication_role = replica; {}
                 set local session_replication_role = origin; {sql}; commit",
                fill(secret)
            );
            let output = cluster.psql_command("shop").args(["-q", "-c", &script]).output().expect("psql");
            let tag = cluster.psql_command("shop").args(["-c", &script]).output().expect("psql");
            [output.stdout, output.stderr, tag.stdout].map(|it| {
                // Of a notification, not by which process.
                let text = String::from_utf8_lossy(&it).into_owned();
                text.lines()
                    .map(|line| line.split(" received from ").next().unwrap_or_default().to_owned())
                    .collect::<Vec<_>>()
            })
        };
        let first = seen("'AAA'");
        let other = ["'zzz'", "'7'", "'x'", "null"].into_iter().map(seen).find(|other| *other != first);
        match other {
            Some(other) if guarded(&facts).is_empty() => {
                wrong.push(format!("{sql}: {first:?} but {other:?}"))
            }
            Some(_) => told += 1,
            None => {}
        }
    }
    // Of those that are reported it sees most.
    assert!(compared * 2 > cases.len() && told >= 15, "{compared}, {told}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
