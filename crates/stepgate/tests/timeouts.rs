//! Timeouts of the server's while a statement is held: it neither ends the session unheard, nor takes the hold with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use stepgate_testkit::skip;
use support::{SOON, World, connects_as, held, repository};

const SSN: &str = "select ssn from customers order by id limit 1;";

/// Longer than any of the timeouts here.
const LONGER: Duration = Duration::from_millis(3_500);

#[test]
fn a_hold_outlives_the_servers_idle_timeouts_and_the_statements_own() {
    for (setting, begin) in [
        ("idle_session_timeout", ""),
        ("idle_in_transaction_session_timeout", "begin;"),
        ("statement_timeout", "begin;"),
    ] {
        let world = World::new();
        let mut dana = world.dana();
        let mut psql = world.psql(&dana);
        assert!(psql.run(&format!("set {setting} = '2s';")).unwrap().is_ok());
        if !begin.is_empty() {
            assert!(psql.run(begin).unwrap().is_ok());
        }
        psql.send(SSN).unwrap();
        let request = held(&mut psql);
        std::thread::sleep(LONGER);
        dana.verify(&world.gate, &request).unwrap().ok().unwrap();
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok() && reply.text().contains("901-00-0001"), "{setting}: {}", reply.text());
    }
}

/// asyncpg has a statement parsed and described before it binds it: from then on the server's timer runs.
#[test]
fn asyncpg_is_shown_what_it_asked_for_however_short_its_statement_timeout() {
    let path = repository().join(".work/asyncpg");
    if !path.exists() {
        return skip("asyncpg", "tests/tools/clients.sh");
    }
    let world = World::new();
    let mut dana = world.dana();
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", path).arg(repository().join("tests/clients/short_timeout.py"));
    let child = connects_as(&mut command, &world, &dana).stdout(Stdio::piped()).spawn().unwrap();
    let request = world.open_request(&dana);
    std::thread::sleep(LONGER);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.lines().any(|line| line == "ok"), "{text}");
}

/// The server ends it, says so, and nobody can approve it any more.
#[test]
fn a_held_session_that_the_server_ends_says_why_and_its_request_is_withdrawn() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("begin;").unwrap().is_ok());
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'stepgate_analyst' \
               and state = 'idle in transaction'";
    world.cluster.psql("shop", end).unwrap();
    let ended = psql.finish(SOON).unwrap_err().to_string();
    assert!(ended.contains("FATAL:  terminating connection"), "{ended}");
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 1);
    assert!(world.recorded("withdrawn", &request));
}
