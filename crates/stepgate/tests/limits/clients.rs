//! Other clients than psql.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use stepgate_testkit::Person;

use crate::brake;
use crate::support::{SOON, World, connects_as, repository};

/// Runs a client's script at a limit of 1,000 rows, above which an owner of the data answers so; it ends with `ok`.
fn play(mut command: Command, answers: &[&str]) {
    let world = World::with_policy(brake("{rows: 1000}", "data-owners"));
    let dana = world.dana();
    // Codes run ahead of the clock only so far: owners take turns.
    let mut owners = std::collections::VecDeque::from([
        world.olga(),
        world.person("omar", "data-owners"),
        world.person("amir", "data-owners"),
    ]);
    let mut child = connects_as(&mut command, &world, &dana).spawn().unwrap();
    for answer in answers {
        let over = || child.try_wait().unwrap().is_some();
        let Some(request) = request_unless(&world, &dana, over) else { break };
        owners.rotate_left(1);
        let owner = owners.front_mut().unwrap();
        owner.answer(&world.gate, answer, &request, "ticket 4711").unwrap().ok().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.lines().any(|line| line == "ok"), "{text}");
}

/// The open request, unless that is in vain.
fn request_unless(world: &World, person: &Person, mut over: impl FnMut() -> bool) -> Option<String> {
    stepgate_testkit::until_some("an open request, or the client's end", SOON, || {
        let list = world.gate.run(["request", "ls", "--as", person.name(), "-o", "json"], "").unwrap();
        let open: Value = serde_json::from_str(&list.ok().unwrap()).unwrap();
        let open = open.as_array().unwrap().iter().find(|it| it["state"] == "open");
        let id = open.map(|it| it["request"].as_str().unwrap().to_owned());
        id.map(Some).or_else(|| over().then_some(None))
    })
    .unwrap()
}

pub(crate) fn fetched(path: &str) -> Option<PathBuf> {
    let found = Some(repository().join(".work").join(path)).filter(|path| path.exists());
    if found.is_none() {
        stepgate_testkit::skip(path, "tests/tools/clients.sh");
    }
    found
}

pub(crate) fn script(name: &str) -> PathBuf {
    repository().join("tests/clients").join(name)
}

#[test]
fn psycopg_gets_exactly_as_many_rows_as_may_go_and_the_rest_after_an_approval() {
    let mut command = Command::new("python3");
    if let Some(path) = fetched("psycopg") {
        command.env("PYTHONPATH", path);
    }
    command.arg(script("limits_client.py"));
    play(command, &["approve", "approve", "approve", "deny", "deny"]);
}

#[test]
fn asyncpg_with_a_cursor_and_a_timeout_of_its_own() {
    let Some(path) = fetched("asyncpg") else { return };
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", path).arg(script("limits_asyncpg.py"));
    play(command, &["approve", "deny"]);
}

#[test]
fn pgjdbc_with_a_small_fetch_size() {
    let Some(jar) = fetched("jdbc/postgresql.jar") else { return };
    let mut command = Command::new("java");
    command.arg("-cp").arg(jar).arg(script("LimitsClient.java"));
    play(command, &["approve", "deny"]);
}
