//! PostgreSQL's privilege checks judge random queries of sqlsmith and those of TPC-H and TPC-DS, both ways: a role
//! with exactly the reported columns must be able to run a query, and one that lacks any of them must not.
//!
//! `make oracle` is the long run (STEPGATE_ORACLE_QUERIES); `make test` a short one. tests/tools/oracle.sh fetches
//! the queries.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::format_push_string, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::snapshot;
use stepgate_sql::{Catalog, Facts, SessionState, analyze};
use stepgate_testkit::{Cluster, HostAuth};
use stepgate_types::{Certainty, ColumnName, Use, quote_ident};

/// How many queries sqlsmith makes in the short run; of three, PostgreSQL takes about one.
const SHORT: usize = 300;

/// What PostgreSQL said.
#[derive(Default)]
struct Verdicts {
    /// Queries that PostgreSQL takes.
    judged: usize,
    /// It refuses the role that has exactly what was reported.
    missed: Vec<String>,
    /// It needs less than was reported.
    over: Vec<String>,
    /// It needs less, but only since the planner proved a part dead: parse analysis names all that was reported.
    planned_away: usize,
    /// Certainty is unknown: the statement would be held whatever its columns.
    unknown: BTreeMap<&'static str, usize>,
}

impl Verdicts {
    fn show(&self, what: &str) -> String {
        let unknown: usize = self.unknown.values().sum();
        format!(
            "{what}: {} queries judged, {} miss a column, {} report one too many ({:.2} %; {} more name what the \
             planner removes), {unknown} are unknown {:?}",
            self.judged,
            self.missed.len(),
            self.over.len(),
            100.0 * self.over.len() as f64 / self.judged.max(1) as f64,
            self.planned_away,
            self.unknown,
        )
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Both schemas, empty: privileges are checked before a plan is made. `probe` may look things up in them.
fn tpc() -> Option<Cluster> {
    let schema = repository().join(".work/tpc/schema.sql");
    if !schema.exists() {
        stepgate_testkit::skip("tpc", "tests/tools/oracle.sh");
        return None;
    }
    let cluster = Cluster::builder().host_auth(HostAuth::Trust).start().expect("a PostgreSQL");
    cluster.create_database("tpc").expect("create database");
    cluster.load_file("tpc", &schema).expect("the schemas");
    cluster
        .load(
            "tpc",
            "create role probe; grant usage on schema tpch, tpcds to probe;
         grant insert, update, delete on all tables in schema tpch, tpcds to probe",
        )
        .expect("a role");
    Some(cluster)
}

/// The columns that are read, and a grant of each; where only rows of a relation count, of its first column.
fn grants(facts: &Facts, catalog: &Catalog) -> Vec<(ColumnName, bool)> {
    let mut granted: Vec<(ColumnName, bool)> = facts
        .columns
        .iter()
        .filter(|(_, uses)| uses.iter().any(|used| *used != Use::Write))
        .map(|(column, _)| (column.clone(), true))
        .collect();
    for relation in &facts.relations {
        if !granted.iter().any(|(column, _)| column.relation == *relation) {
            let first = catalog.columns(relation).and_then(|mut columns| columns.next().map(str::to_owned));
            granted.extend(first.map(|first| (ColumnName::new(relation.clone(), first), false)));
        }
    }
    granted
}

fn judge(cluster: &Cluster, path: &str, statements: &[String]) -> Verdicts {
    let catalog = snapshot(cluster, "tpc");
    let session = SessionState::with_search_path(["pg_catalog", path]);
    let mut verdicts = Verdicts::default();
    let mut script = format!("set search_path = {path};\n");
    // Number of statement, and the column left out.
    let mut trials: Vec<(usize, Option<ColumnName>)> = Vec::new();
    let mut all = Vec::new();
    for (at, sql) in statements.iter().enumerate() {
        let facts = analyze(sql.as_bytes(), &catalog, &session);
        let [facts] = facts.as_slice() else { continue };
        all.push((at, facts.clone()));
        let granted = grants(facts, &catalog);
        let columns =
            granted.iter().filter(|(_, reported)| *reported).map(|(column, _)| Some(column.clone()));
        for without in std::iter::once(None).chain(columns) {
            script.push_str(&format!("\\warn trial {}\nbegin;\n", trials.len()));
            for (column, _) in granted.iter().filter(|(column, _)| Some(column) != without.as_ref()) {
                let name = quote_ident(&column.column);
                script.push_str(&format!("grant select ({name}) on {} to probe;\n", column.relation));
            }
            script.push_str(&format!("set local role probe;\nexplain (costs off) {sql}\n;\nrollback;\n"));
            trials.push((at, without));
        }
    }
    let file = tempfile(&script);
    let output =
        cluster.psql_command("tpc").args(["-v", "ON_ERROR_STOP=0", "-f"]).arg(&file).output().expect("psql");
    std::fs::remove_file(&file).expect("remove the script");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: BTreeMap<usize, &str> = errors
        .split("trial ")
        .filter_map(|said| said.split_once('\n').and_then(|(at, said)| Some((at.trim().parse().ok()?, said))))
        .collect();
    for (at, facts) in &all {
        let of = |without: bool| {
            trials.iter().enumerate().filter(move |(_, (of, column))| of == at && column.is_some() == without)
        };
        let (whole, _) = of(false).next().expect("a trial");
        let error = said.get(&whole).copied().unwrap_or_default();
        let refused = error.contains("permission denied");
        if error.contains("ERROR") && !refused {
            // PostgreSQL does not take the query at all.
            continue;
        }
        verdicts.judged += 1;
        if facts.certainty == Certainty::Unknown {
            if std::env::var_os("STEPGATE_ORACLE_SHOW").is_some() {
                println!("{:?}\n{}\n", facts.reasons, statements[*at]);
            }
            for reason in &facts.reasons {
                *verdicts.unknown.entry(reason.code).or_insert(0) += 1;
            }
            continue;
        }
        if refused {
            verdicts.missed.push(format!("{}\n  {error}", statements[*at]));
        }
        let mut needless: Vec<String> = of(true)
            .filter(|(trial, _)| !said.get(trial).copied().unwrap_or_default().contains("permission denied"))
            .filter_map(|(_, (_, column))| column.as_ref().map(ToString::to_string))
            .collect();
        if !needless.is_empty() && !facts.effect.catalog {
            let named = named_by(cluster, path, &statements[*at]);
            let before = needless.len();
            needless.retain(|column| !named.contains(column));
            verdicts.planned_away += usize::from(needless.is_empty() && before > 0);
        }
        if !needless.is_empty() {
            verdicts.over.push(format!("{}\n  {}", statements[*at], needless.join(" ")));
        }
    }
    verdicts
}

/// The columns that a statement names after parse analysis: what a function of it would depend on.
fn named_by(cluster: &Cluster, path: &str, sql: &str) -> Vec<String> {
    let script = format!(
        "begin; set local search_path = {path};
         create function pg_temp.judged() returns void language sql begin atomic {sql}\n; end;
         select distinct c.relnamespace::regnamespace || '.' || c.relname || '.' || a.attname
         from pg_depend d join pg_class c on c.oid = d.refobjid
         join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
         where d.classid = 'pg_proc'::regclass and d.objid = 'pg_temp.judged'::regproc and d.refobjsubid > 0; rollback"
    );
    let output = cluster.psql_command("tpc").args(["-q", "-A", "-t", "-c", &script]).output().expect("psql");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn tempfile(text: &str) -> PathBuf {
    let name = format!("stepgate-oracle-{}-{:?}.sql", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, text).expect("write the script");
    file
}

#[test]
fn queries_of_tpc_h_and_tpc_ds_need_exactly_the_columns_reported() {
    let Some(cluster) = tpc() else { return };
    for (benchmark, at_least) in [("tpch", 40), ("tpcds", 150)] {
        let mut files: Vec<PathBuf> = std::fs::read_dir(repository().join(".work/tpc"))
            .expect("queries")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{benchmark}-")))
            })
            .collect();
        files.sort();
        let statements: Vec<String> =
            files.iter().map(|path| std::fs::read_to_string(path).expect("a query")).collect();
        let verdicts = judge(&cluster, benchmark, &statements);
        println!("{}", verdicts.show(benchmark));
        assert!(verdicts.judged >= at_least, "{}", verdicts.show(benchmark));
        assert!(verdicts.missed.is_empty(), "{}", verdicts.missed.join("\n"));
        assert!(verdicts.over.is_empty(), "{}", verdicts.over.join("\n"));
        assert!(verdicts.unknown.is_empty(), "{}", verdicts.show(benchmark));
    }
}

#[test]
fn random_queries_of_sqlsmith_need_the_columns_reported() {
    let Some(cluster) = tpc() else { return };
    let count = std::env::var("STEPGATE_ORACLE_QUERIES").ok().and_then(|it| it.parse().ok()).unwrap_or(SHORT);
    let made = Command::new("sqlsmith")
        .arg(format!("--target=host=127.0.0.1 port={} dbname=tpc user=postgres", cluster.port()))
        .args([&format!("--max-queries={count}"), "--seed=20261128", "--exclude-catalog", "--dry-run"])
        .output();
    let Ok(made) = made else {
        stepgate_testkit::skip("sqlsmith", "tests/tools/oracle.sh");
        return;
    };
    let text = String::from_utf8_lossy(&made.stdout).into_owned();
    let statements: Vec<String> =
        text.split(";\n").map(|sql| sql.trim().to_owned()).filter(|sql| !sql.is_empty()).collect();
    let verdicts = judge(&cluster, "tpcds", &statements);
    println!("{} of {} statements made", verdicts.show("sqlsmith"), statements.len());
    assert!(verdicts.judged * 8 > statements.len(), "{} of {}", verdicts.judged, statements.len());
    assert!(verdicts.missed.is_empty(), "{}", verdicts.missed.join("\n"));
    assert!(verdicts.over.len() * 50 <= verdicts.judged, "{}", verdicts.over.join("\n"));
}
