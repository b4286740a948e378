//! A statement that waits for a lock means what its names mean once it has it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Child, Stdio};
use std::time::Duration;

use support::{SOON, World};

/// Somebody beside the gate, in a transaction for a second and a half.
fn holding_a_lock(world: &World, ddl: &str) -> Child {
    let script = format!("begin; {ddl}; select pg_sleep(1.5); commit");
    let mut command = world.cluster.psql_command("shop");
    command.args(["-c", &script]).stdout(Stdio::null()).spawn().unwrap()
}

fn waits_for_lock(world: &World) {
    stepgate_testkit::until_some("a statement that waits for a lock", SOON, || {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        (world.cluster.psql("shop", waiting).unwrap() != "0").then_some(())
    })
    .unwrap();
}

fn world() -> World {
    let world = World::new();
    world
        .cluster
        .load("shop", "create view v as select id, segment as x from customers; grant select on v to public")
        .unwrap();
    let mut psql = world.psql(&world.dana());
    assert!(psql.run("select count(x) from v;").unwrap().is_ok());
    world
}

#[test]
fn what_was_made_beside_the_gate_a_moment_ago_is_known() {
    let world = world();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    world.cluster.load("shop", "create table fresh (id int); grant select on fresh to public").unwrap();
    let reply = psql.run("select count(id) from fresh;").unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
}

#[test]
fn a_view_replaced_under_a_waiting_statement_shows_nothing_that_was_not_asked_for() {
    let world = world();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    let mut dba = holding_a_lock(&world, "create or replace view v as select id, ssn as x from customers");
    std::thread::sleep(Duration::from_millis(300));
    psql.send("select x from v;").unwrap();
    waits_for_lock(&world);
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(dba.wait().unwrap().success());
    assert!(lines.contains("FATAL:  stepgate: what this statement reads was changed"), "{lines}");
    assert!(!lines.contains("901-00-"), "{lines}");
    // Sent again, it is judged by what it reads now.
    let mut psql = world.psql(&eve);
    psql.send("select x from v;").unwrap();
    support::held(&mut psql);
}

#[test]
fn a_statement_that_waited_for_harmless_ddl_is_answered_as_ever() {
    let world = world();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    let mut dba =
        holding_a_lock(&world, "create or replace view v as select id, segment || '!' as x from customers");
    std::thread::sleep(Duration::from_millis(300));
    psql.send("select x from v limit 1;").unwrap();
    waits_for_lock(&world);
    let reply = psql.finish(SOON).unwrap();
    assert!(dba.wait().unwrap().success());
    assert!(reply.is_ok() && reply.text().contains('!'), "{}", reply.text());
}
