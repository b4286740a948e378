//! Real drivers, with what they do by themselves: implicit transactions, prepared statements, cursors.
//!
//! tests/tools/clients.sh fetches them; one that is not there is reported as SKIP, except psycopg, which
//! every machine with Python can have.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use stepgate_testkit::Person;
use support::{World, repository};

/// Runs a client's script. It connects by PG* variables, has one statement held (which is verified here),
/// and ends with `ok`.
fn play(world: &World, person: &mut Person, mut command: Command) {
    let child = command
        .env("PGHOST", world.gate.listen().ip().to_string())
        .env("PGPORT", world.gate.listen().port().to_string())
        .env("PGUSER", person.name())
        .env("PGPASSWORD", person.password())
        .env("PGDATABASE", "shop")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", world.gate.ca())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = world.open_request(person);
    person.verify(&world.gate, &request).unwrap().ok().unwrap();
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let ended_well = output.status.success() && text.lines().any(|line| line == "ok");
    // What the gate last decided, for whoever reads the failure.
    let decided = || world.gate.run(["audit", "tail", "-n", "8", "-o", "json"], "").unwrap().text();
    assert!(ended_well, "{text}\n{}", decided());
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/clients").join(name)
}

fn fetched(path: &str) -> Option<PathBuf> {
    Some(repository().join(".work").join(path)).filter(|path| path.exists())
}

fn python(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(script(name));
    if let Some(path) = fetched("psycopg") {
        command.env("PYTHONPATH", path);
    }
    command
}

#[test]
fn psycopg_with_its_implicit_transactions() {
    let world = World::new();
    let mut dana = world.dana();
    play(&world, &mut dana, python("psycopg_client.py"));
}

#[test]
fn a_function_that_takes_a_prepared_statements_name_does_not_get_its_rows_shown_unasked() {
    let mut world = World::not_serving(|policy| policy);
    let tidy = "create function tidy(sql text) returns void language plpgsql as 'begin execute sql; end'";
    world.cluster.load("shop", tidy).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    play(&world, &mut dana, python("taken_name.py"));
}

#[test]
fn psycopg_with_names_that_sql_and_protocol_share_and_temporary_tables() {
    let world = World::new();
    let mut dana = world.dana();
    play(&world, &mut dana, python("shared_names.py"));
}

#[test]
fn pgjdbc_with_prepared_statements_and_fetch_size() {
    let Some(jar) = fetched("jdbc/postgresql.jar") else {
        eprintln!("SKIP: no pgjdbc here (tests/tools/clients.sh)");
        return;
    };
    let world = World::new();
    let mut dana = world.dana();
    let mut command = Command::new("java");
    command.arg("-cp").arg(jar).arg(script("PgjdbcClient.java"));
    play(&world, &mut dana, command);
}

#[test]
fn node_pg_with_parameters() {
    let Some(modules) = fetched("node/node_modules") else {
        eprintln!("SKIP: no node pg here (tests/tools/clients.sh)");
        return;
    };
    let world = World::new();
    let mut dana = world.dana();
    let mut command = Command::new("node");
    command.arg(script("node_client.js")).env("NODE_PATH", modules);
    play(&world, &mut dana, command);
}
