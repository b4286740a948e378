//! A real PostgreSQL with the corpus' schema, and its catalog snapshot.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use stepgate_sql::{CATALOG_QUERIES, Catalog, Facts, Rows, SessionState, analyze};
use stepgate_testkit::Cluster;
use stepgate_types::{Certainty, Kind, Use};

/// A fixed sequence (xorshift), so that a failure repeats.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % count.max(1) as u64).expect("small")
    }
}

/// The corpus directory of the repository.
pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus")
}

/// A cluster with database `clinic`, loaded with the corpus' schema.
pub(crate) fn clinic() -> Cluster {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("clinic").expect("create database");
    cluster.load_file("clinic", &corpus().join("schema.sql")).expect("load the schema");
    cluster
}

/// The answers to the catalog queries, through psql.
pub(crate) fn snapshot(cluster: &Cluster, database: &str) -> Catalog {
    Catalog::from_rows(&answers(cluster, database)).expect("rows that fit")
}

/// The same where a snapshot of before is known: only what has changed since is asked for.
pub(crate) fn snapshot_after(cluster: &Cluster, database: &str, known: &Catalog) -> Catalog {
    let asked = CATALOG_QUERIES.iter().map(|query| (query.name, query.sql_after(Some(known))));
    let answers = asked.map(|(name, sql)| (name, rows(cluster, database, &sql).into_iter().collect()));
    Catalog::from_rows_after(&answers.collect::<Vec<_>>(), None, Some(known)).expect("rows that fit")
}

/// The same as a server of that version would give them.
pub(crate) fn snapshot_of_version(cluster: &Cluster, database: &str, version: &str) -> Catalog {
    let mut answers = answers(cluster, database);
    let server = answers.iter_mut().find(|(name, _)| *name == "server").expect("the version");
    server.1 = [vec![Some(version.to_owned()), Some("UTF8".to_owned())]].into_iter().collect();
    Catalog::from_rows(&answers).expect("rows that fit")
}

fn answers(cluster: &Cluster, database: &str) -> Vec<(&'static str, Rows)> {
    CATALOG_QUERIES
        .iter()
        .map(|query| (query.name, rows(cluster, database, query.sql).into_iter().collect()))
        .collect()
}

/// Rows of one query, through psql.
pub(crate) fn rows(cluster: &Cluster, database: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    let output = cluster
        .psql_command(database)
        .args([
            "-q",
            "-A",
            "-t",
            "-F",
            "\u{1f}",
            "-R",
            "\u{1e}",
            "-P",
            "null=\u{1d}",
            "-v",
            "ON_ERROR_STOP=1",
        ])
        .args(["-c", "set search_path = pg_catalog", "-c", sql])
        .output()
        .expect("psql");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let text = text.strip_suffix('\n').unwrap_or(&text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split('\u{1e}')
        .map(|row| row.split('\u{1f}').map(|value| (value != "\u{1d}").then(|| value.to_owned())).collect())
        .collect()
}

/// The session of a fresh connection.
pub(crate) fn session() -> SessionState {
    SessionState::with_search_path(["pg_catalog", "public"])
}

/// The PII map of the corpus: `schema.relation.column`.
pub(crate) fn pii() -> BTreeSet<String> {
    let text = std::fs::read_to_string(corpus().join("pii_map.csv")).expect("the map");
    text.lines().skip(1).map(|line| line.split(',').take(3).collect::<Vec<_>>().join(".")).collect()
}

/// `schema.relation.column` without quotes, and its uses.
pub(crate) fn columns(facts: &Facts) -> BTreeMap<String, BTreeSet<Use>> {
    facts
        .columns
        .iter()
        .map(|(column, uses)| {
            let relation = &column.relation;
            (format!("{}.{}.{}", relation.schema, relation.name, column.column), uses.clone())
        })
        .collect()
}

/// The mapped columns touched other than by writing alone.
pub(crate) fn touched(facts: &Facts, pii: &BTreeSet<String>) -> BTreeSet<String> {
    let read = |uses: &BTreeSet<Use>| uses.iter().any(|used| *used != Use::Write);
    columns(facts)
        .into_iter()
        .filter(|(name, uses)| pii.contains(name) && read(uses))
        .map(|(name, _)| name)
        .collect()
}

/// `risky` of DESIGN §7.
pub(crate) fn risky(facts: &Facts, pii: &BTreeSet<String>) -> bool {
    facts.certainty == Certainty::Unknown || facts.kind == Kind::Control || !touched(facts, pii).is_empty()
}

/// Facts of one message in a fresh session.
pub(crate) fn facts(sql: &str, catalog: &Catalog) -> Vec<Facts> {
    analyze(sql.as_bytes(), catalog, &session())
}

/// The corpus' schema and shapes that it lacks (`extra.sql`), with the labels of both.
pub(crate) fn everything() -> (Cluster, Catalog, BTreeSet<String>) {
    let cluster = clinic();
    cluster
        .load_file("clinic", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/extra.sql"))
        .expect("load the extra schema");
    let catalog = snapshot(&cluster, "clinic");
    let mut pii = pii();
    for column in [
        "people.email",
        "visits_log.ip_addr",
        "staff.badge",
        "amount.holder",
        "doubted.secret",
        "computed.secret",
        "emptied.secret",
        "chiefs.pay",
        "last_spoke.pay",
        "second_born.secret",
        "pairs.grantee",
        "keyed.secret",
        "secretly_keyed.secret",
        "contacts.phones",
        "contacts.doc",
        "contacts.held",
    ] {
        pii.insert(format!("public.{column}"));
    }
    (cluster, catalog, pii)
}
