//! What clients ask a database about itself: real ones, their statements taken from PostgreSQL's own log. None of
//! it may be held.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{corpus, facts, pii, risky, snapshot};
use stepgate_testkit::{Cluster, HostAuth};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The corpus' database on a server that logs every statement.
fn logging() -> Cluster {
    let cluster = Cluster::builder()
        .host_auth(HostAuth::Trust)
        .setting("logging_collector", "on")
        .setting("log_destination", "jsonlog")
        .setting("log_directory", "statements")
        .setting("log_statement", "all")
        .start()
        .expect("a PostgreSQL");
    cluster.create_database("clinic").expect("create database");
    cluster.load_file("clinic", &corpus().join("schema.sql")).expect("load the schema");
    // Not a superuser: those see connection strings of subscriptions too, and pg_dump asks them for it.
    cluster.psql("clinic", "create role dumper login in role pg_read_all_data").expect("a role");
    cluster
}

/// The statements that one application sent, each once.
fn statements(cluster: &Cluster, application: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(cluster.socket_directory().join("data/statements")).expect("logs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        for line in std::fs::read_to_string(path).expect("a log").lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let message = line["message"].as_str().unwrap_or_default();
            if !line["application_name"].as_str().unwrap_or_default().starts_with(application) {
                continue;
            }
            // `statement: …`, or `execute <name>: …`.
            let sql = message.strip_prefix("statement: ").or_else(|| {
                message.strip_prefix("execute ").and_then(|rest| rest.split_once(": ")).map(|(_, sql)| sql)
            });
            // An EXECUTE is what its PREPARE was, which is here too.
            found.extend(sql.filter(|sql| !sql.starts_with("EXECUTE ")).map(str::to_owned));
        }
    }
    found
}

/// Runs a client against the server and analyses what it sent.
fn nothing_is_held(application: &str, at_least: usize, client: impl FnOnce(&Cluster) -> Command) {
    let cluster = logging();
    let mut command = client(&cluster);
    let output = command
        .env("PGAPPNAME", application)
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", cluster.port().to_string())
        .env("PGUSER", "dumper")
        .env("PGDATABASE", "clinic")
        .output()
        .expect("the client runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sent = statements(&cluster, application);
    assert!(sent.len() >= at_least, "only {} statements of {application}", sent.len());
    let (catalog, pii) = (snapshot(&cluster, "clinic"), pii());
    let mut held = Vec::new();
    for sql in &sent {
        for facts in facts(sql, &catalog) {
            if risky(&facts, &pii) {
                let codes: Vec<_> = facts.reasons.iter().map(|reason| reason.code).collect();
                held.push(format!("{codes:?} {}\n{sql}\n", facts.kind));
            }
        }
    }
    println!("{application}: {} statements", sent.len());
    assert!(held.is_empty(), "{} of {}:\n{}", held.len(), sent.len(), held.join("\n"));
}

fn fetched(name: &str) -> Option<PathBuf> {
    let path = repository().join(".work").join(name);
    if !path.exists() {
        stepgate_testkit::skip(name, "tests/tools/clients.sh");
    }
    path.exists().then_some(path)
}

#[test]
fn pg_dump_of_the_schema() {
    nothing_is_held("pg_dump", 40, |cluster| {
        let mut command = Command::new(cluster.binaries().path("pg_dump"));
        command.args(["--schema-only"]);
        command
    });
}

#[test]
fn sqlalchemy_that_reflects() {
    let (Some(sqlalchemy), Some(psycopg)) = (fetched("sqlalchemy"), fetched("psycopg")) else { return };
    nothing_is_held("reflect", 15, |_| {
        let mut command = Command::new("python3");
        command.arg(repository().join("tests/clients/reflect.py"));
        let path = std::env::join_paths([sqlalchemy, psycopg]).expect("paths");
        command.env("PYTHONPATH", path);
        command
    });
}

#[test]
fn pgjdbc_that_is_asked_for_metadata() {
    let Some(jar) = fetched("jdbc/postgresql.jar") else { return };
    nothing_is_held("metadata", 25, |cluster| {
        let mut command = Command::new("java");
        command.arg("-cp").arg(jar).arg(repository().join("tests/clients/Metadata.java"));
        command.arg(format!(
            "jdbc:postgresql://127.0.0.1:{}/clinic?user=dumper&ApplicationName=metadata",
            cluster.port()
        ));
        command
    });
}
