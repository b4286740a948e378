//! Timeouts of the server's while a statement is held: it neither ends the session unheard, nor takes the hold with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::{SOON, World, held};

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
