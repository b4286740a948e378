//! Real drivers, with what they do by themselves: implicit transactions, prepared statements, cursors.
//!
//! tests/tools/clients.sh fetches them; the test of one that is not there is skipped (`stepgate_testkit::skip`), except
//! psycopg's, which every machine with Python can have.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use stepgate_testkit::{Binaries, Person, skip, until};
use support::{SOON, World, connects_as, repository};

/// What people do about what a client has held, in turn.
enum Answer {
    /// The one who sent it verifies.
    Verified,
    /// An owner of the data denies it.
    Denied,
    /// The one who sent it takes it back, at the gate.
    TakenBack,
}

use Answer::{Denied, TakenBack, Verified};

/// Runs a client's script. It connects by PG* variables, has statements held (which are answered here), and ends
/// with `ok`.
fn play(world: &World, person: &mut Person, mut command: Command, answers: &[Answer]) {
    let mut olga = world.olga();
    let child = connects_as(&mut command, world, person)
        .env("DIRECT_PORT", world.cluster.port().to_string())
        .env("DIRECT_PASSWORD", "analyst-of-a-throwaway-cluster")
        .spawn()
        .unwrap();
    for answer in answers {
        let request = world.open_request(person);
        let answered = match answer {
            Verified => person.verify(&world.gate, &request),
            Denied => olga.answer(&world.gate, "deny", &request, "use the extract"),
            TakenBack => world.gate.run(["request", "cancel", &request, "--as", person.name()], ""),
        };
        answered.unwrap().ok().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let ended_well = output.status.success() && text.lines().any(|line| line == "ok");
    // What the gate last decided, for whoever reads the failure.
    let decided = || world.gate.run(["audit", "tail", "-n", "8", "-o", "json"], "").unwrap().text();
    assert!(ended_well, "{text}\n{}", decided());
    // Whatever it has cancelled, or left behind, the server does not work for it any more.
    let active =
        "select count(*) from pg_stat_activity where usename = 'stepgate_analyst' and state = 'active'";
    until("the server to be done", SOON, || world.cluster.psql("shop", active).is_ok_and(|all| all == "0"))
        .unwrap();
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/clients").join(name)
}

fn fetched(path: &str) -> Option<PathBuf> {
    Some(repository().join(".work").join(path)).filter(|path| path.exists())
}

/// A script of a driver that tests/tools/clients.sh puts below .work/, or nothing where it is not there.
fn python(driver: &str, name: &str) -> Option<Command> {
    let mut command = Command::new("python3");
    match fetched(driver) {
        Some(path) => _ = command.env("PYTHONPATH", path),
        None if driver == "psycopg" => {}
        None => {
            skip(driver, "tests/tools/clients.sh");
            return None;
        }
    }
    command.arg(script(name));
    Some(command)
}

/// With the answers that each client asks for: the third statement that is held it cancels itself.
fn plays(command: Option<Command>) {
    plays_with(command, &[Verified, Denied]);
}

fn plays_with(command: Option<Command>, answers: &[Answer]) {
    let Some(command) = command else { return };
    let world = World::new();
    let mut dana = world.dana();
    play(&world, &mut dana, command, answers);
}

#[test]
fn psql_from_scripts() {
    let mut command = Command::new("bash");
    command.arg(script("psql_client.sh"));
    let psql = Binaries::find().unwrap().path("psql");
    let mut path = std::ffi::OsString::from(psql.parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command.env("PATH", path);
    plays(Some(command));
}

#[test]
fn psycopg_with_its_implicit_transactions() {
    plays(python("psycopg", "psycopg_client.py"));
}

#[test]
fn psycopg2_with_named_cursors() {
    plays(python("psycopg2", "psycopg2_client.py"));
}

#[test]
fn asyncpg_with_its_pipelines() {
    plays(python("asyncpg", "asyncpg_client.py"));
}

#[test]
fn pg8000_with_protocol_code_of_its_own() {
    plays_with(python("pg8000", "pg8000_client.py"), &[Verified, Denied, TakenBack]);
}

#[test]
fn sqlalchemy_with_pool_and_orm() {
    let mut command = python("sqlalchemy", "sqlalchemy_client.py");
    if let (Some(command), Some(alchemy), Some(psycopg)) =
        (&mut command, fetched("sqlalchemy"), fetched("psycopg"))
    {
        command.env("PYTHONPATH", std::env::join_paths([alchemy, psycopg]).unwrap());
    }
    plays(command);
}

#[test]
fn a_function_that_takes_a_prepared_statements_name_does_not_get_its_rows_shown_unasked() {
    let mut world = World::not_serving(|policy| policy);
    let tidy = "create function tidy(sql text) returns void language plpgsql as 'begin execute sql; end'";
    world.cluster.load("shop", tidy).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    play(&world, &mut dana, python("psycopg", "taken_name.py").unwrap(), &[Verified]);
}

/// No driver at all: messages that none would send, to the gate and to the server beside it.
#[test]
fn messages_in_every_order_get_the_same_replies_as_without_a_gate() {
    let world = World::new();
    let mut dana = world.dana();
    play(&world, &mut dana, python("psycopg", "same_bytes.py").unwrap(), &[]);
}

#[test]
fn a_cancel_at_whatever_time_hits_the_statement_under_way_or_none() {
    let world = World::new();
    let mut dana = world.dana();
    play(&world, &mut dana, python("psycopg", "cancel_race.py").unwrap(), &[]);
    // Each that was let through has an end, be it that it was called off.
    let of = |what: &str| {
        let records = world.records();
        let sent = |record: &serde_json::Value| record["verdict"] != "hold";
        let of_kind = records.into_iter().filter(|it| sent(it) && it.to_string().contains(what));
        of_kind.map(|record| (record["session"].clone(), record["statement"].clone())).collect::<Vec<_>>()
    };
    let ended = of("statement.completed");
    let lost = of("statement.decided").into_iter().filter(|decided| !ended.contains(decided)).count();
    assert_eq!(lost, 0);
}

#[test]
fn psycopg_with_names_that_sql_and_protocol_share_and_temporary_tables() {
    let world = World::new();
    let mut dana = world.dana();
    play(&world, &mut dana, python("psycopg", "shared_names.py").unwrap(), &[Verified]);
}

#[test]
fn a_session_of_ones_own_is_ended_as_drivers_say_it() {
    let mut world = World::not_serving(|policy| policy);
    world.cluster.load("shop", "grant create on schema public to stepgate_analyst").unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    play(&world, &mut dana, python("psycopg", "own_session.py").unwrap(), &[]);
}

#[test]
fn pgjdbc_with_prepared_statements_and_fetch_size() {
    let Some(jar) = fetched("jdbc/postgresql.jar") else {
        skip("jdbc", "tests/tools/clients.sh");
        return;
    };
    let mut command = Command::new("java");
    command.arg("-cp").arg(jar).arg(script("PgjdbcClient.java"));
    plays(Some(command));
}

fn node(name: &str) -> Option<Command> {
    let Some(modules) = fetched("node/node_modules") else {
        skip("node_pg", "tests/tools/clients.sh");
        return None;
    };
    let mut command = Command::new("node");
    command.arg(script(name)).env("NODE_PATH", modules);
    Some(command)
}

#[test]
fn node_pg_with_parameters() {
    plays(node("node_client.js"));
}

#[test]
fn postgres_js_with_its_pipelines() {
    plays(node("postgresjs_client.js"));
}

/// A program that tests/tools/clients.sh builds for that driver.
fn built(driver: &str, path: &str) -> Option<Command> {
    let program = fetched(path).map(Command::new);
    if program.is_none() {
        skip(driver, "tests/tools/clients.sh");
    }
    program
}

#[test]
fn tokio_postgres_with_its_pipelines() {
    plays(built("rust", "rust/debug/tokio_postgres_client"));
}

#[test]
fn sqlx_with_its_pool() {
    let Some(command) = built("rust", "rust/debug/sqlx_client") else { return };
    let world = World::new();
    let mut dana = world.dana();
    play(&world, &mut dana, command, &[Verified, Denied]);
    // It has no cancel: who gives up hangs up, and that is the end of the request.
    until("the request of whoever hung up to have its end", SOON, || {
        let records = world.records();
        let ended = records.iter().filter(|record| record["type"] == "stepup.ended");
        let mut outcomes: Vec<_> = ended.filter_map(|record| record["outcome"].as_str()).collect();
        outcomes.sort_unstable();
        outcomes == ["approved", "denied", "withdrawn"]
    })
    .unwrap();
}

#[test]
fn pgx_with_its_batches() {
    plays(built("pgx", "go/pgx_client"));
}
