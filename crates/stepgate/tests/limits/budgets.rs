//! On whose account it is: grants, people and services, policies that only watch.

use serde_json::Value;
use stepgate_testkit::{Psql, until};

use crate::support::{SOON, World, held};
use crate::{MANY, MANY_CONTACTS, bare, brake, direct, events, replaced, restricted, rows, verified};

#[test]
fn what_a_grant_lets_out_is_counted_over_statements_and_over_a_kill_of_the_gate() {
    let mut world = World::with_policy(restricted("{rows: 1000}"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    // Pages of a hundred rows, as whoever avoids a large result would take them.
    let page =
        |offset: usize| format!("select ssn from customers order by id limit 100 offset {};", offset % 400);
    psql.send(&page(0)).unwrap();
    verified(&world, &mut psql, &mut dana);
    assert_eq!(rows(&psql.finish(SOON).unwrap().lines).len(), 100);
    for number in 1..5 {
        let reply = psql.run(&page(number * 100)).unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{number}: {}", reply.text());
    }
    let left = |world: &World| {
        let list = world.gate.run(["grant", "ls", "--as", "dana", "-o", "json"], "").unwrap().ok().unwrap();
        let grants: Value = serde_json::from_str(&list).unwrap();
        grants[0]["rows_left"].as_u64().unwrap()
    };
    stepgate_testkit::until("what was set aside to go back", SOON, || {
        // A statement of the same session closes what the one before has left.
        psql.run("select 1;").unwrap();
        left(&world) == 500
    })
    .unwrap();
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    assert!(left(&world) <= 500, "{}", left(&world));
    let mut psql = bare(&world, &dana);
    let mut free = 0;
    loop {
        psql.send(&page(0)).unwrap();
        match psql.line("a row or the gate's NOTICE", SOON, |line| Some(line.starts_with("NOTICE"))).unwrap()
        {
            false => assert!(psql.finish(SOON).unwrap().is_ok()),
            true => break,
        }
        free += 100;
    }
    assert!(free <= 500, "{free} rows more without anybody having been asked");
    assert!(free >= 200, "{free}: a kill loses at most what was set aside");
}

#[test]
fn in_monitor_mode_what_would_have_waited_is_recorded_and_waits_for_nobody() {
    let world = World::with_policy(|policy| {
        restricted("{rows: 1000}")(replaced(&policy, "mode: enforce", "mode: monitor"))
    });
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let reply = psql.run(MANY).unwrap();
    assert!(reply.is_ok() && rows(&reply.lines) == direct(&world, MANY), "{}", reply.text().len());
    let reached = events(&world, "limit.reached");
    assert!(reached.len() == 1 && reached[0]["verdict"] == "monitor", "{reached:?}");
}

#[test]
fn a_service_is_not_asked_and_its_statement_ends_at_the_limit() {
    let world = World::with_policy(brake("{rows: 1000}", "self"));
    let add = ["user", "add", "etl", "--groups", "services", "--service"];
    world.gate.run(add, "etl-password-of-a-throwaway-gate\n").unwrap().ok().unwrap();
    let conninfo = world.gate.conninfo("etl", "shop");
    let psql = world.cluster.binaries().path("psql");
    let mut command = std::process::Command::new(psql);
    command.env("PGPASSWORD", "etl-password-of-a-throwaway-gate").arg(conninfo);
    let mut psql = Psql::start(command).unwrap();
    let reply = psql.run(MANY_CONTACTS).unwrap();
    assert_eq!(reply.sqlstate, "42501", "{}", reply.text());
    assert!(reply.text().contains("limit of 1,000 rows is reached"), "{}", reply.text());
    assert!(psql.run("select 1;").unwrap().is_ok());
}

#[test]
fn what_runs_by_a_grant_is_as_limited_as_that_even_where_its_own_rule_has_no_limit() {
    let world = World::with_policy(|policy| {
        let rule = "  - {name: numbers, match: {labels: [ssn]}, action: step-up, approval: self, limit: {rows: 100}}";
        replaced(&policy, "\nrules:\n", &format!("\nrules:\n{rule}\n"))
    });
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send("select ssn from customers limit 10;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    // Not limited by itself; it is the grant that lets it out, and that has ninety rows left.
    psql.send("select birth_date from customers order by id;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("held after 90 rows"), "{}", reply.text());
    assert_eq!(rows(&reply.lines).len(), 500);
}

#[test]
fn what_is_harmless_can_be_limited_too_and_waits_for_its_record_as_ever() {
    let world = World::with_policy(|policy| {
        let rule = "  - {name: list, match: {tables: [public.products]}, action: allow, limit: {rows: 150}}";
        replaced(&policy, "\nrules:\n", &format!("\nrules:\n{rule}\n"))
    });
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    for _ in 0..2 {
        let few = psql.run("select id from products limit 150;").unwrap();
        assert!(few.is_ok() && rows(&few.lines).len() == 150 && !few.text().contains("stepgate:"));
    }
    psql.send("select id from products order by id;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert_eq!(
        rows(&psql.finish(SOON).unwrap().lines),
        direct(&world, "select id from products order by id")
    );
    // All statements of a message draw on one limit; what another message takes is its own.
    psql.send("select id from products limit 100\\; select id from products limit 100;").unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(
        reply.is_ok() && !reply.text().contains("stepgate:"),
        "by the rest of the grant: {}",
        reply.text()
    );
    let reached = events(&world, "limit.reached");
    assert_eq!(reached.len(), 1, "{reached:?}");
    assert_eq!(events(&world, "limit.extended").len(), 2);
}

#[test]
fn a_stopping_gate_and_its_operator_end_what_waits_midway_with_an_error() {
    let mut world = World::with_policy(brake("{rows: 1000}", "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send(MANY_CONTACTS).unwrap();
    let request = held(&mut psql);
    let list = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let sessions: Value = serde_json::from_str(&list).unwrap();
    let session = sessions.as_array().unwrap().iter().find(|it| it["person"] == "dana").unwrap();
    world.gate.run(["session", "kill", session["session"].as_str().unwrap()], "").unwrap().ok().unwrap();
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("ended by the gate's operator") && !lines.contains("@example.test"), "{lines}");
    stepgate_testkit::until("the request to end", SOON, || world.recorded("withdrawn", &request)).unwrap();
    let mut psql = bare(&world, &dana);
    psql.send(MANY_CONTACTS).unwrap();
    held(&mut psql);
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("the gate is stopping") && !lines.contains("@example.test"), "{lines}");
}

/// What is in a transaction runs on while the gate drains; the stop would withdraw what it asks.
#[test]
fn while_the_gate_stops_what_comes_to_its_limit_is_ended_and_nobody_is_asked_for_more() {
    let mut world = World::with_policy(brake("{rows: 1000}", "self"));
    let mut psql = bare(&world, &world.dana());
    assert!(psql.run("begin;").unwrap().is_ok());
    world.gate.serving().unwrap().signal("TERM").unwrap();
    let listen = world.gate.listen();
    until("nobody to be let in", SOON, || std::net::TcpStream::connect(listen).is_err()).unwrap();
    let reply = psql.run(MANY_CONTACTS).unwrap();
    let text = reply.text();
    assert_eq!(reply.sqlstate, "57P01", "{text}");
    assert!(text.contains("ERROR:  stepgate: the gate is stopping, so nobody is asked"), "{text}");
    assert!(text.contains("were delivered before; the result is not complete."), "{text}");
    assert!(psql.run("rollback;").unwrap().is_ok());
    assert_eq!(world.gate.serving().unwrap().exit_status(SOON), Some(0));
    let reached = events(&world, "limit.reached");
    assert_eq!((reached.len(), &reached[0]["verdict"]), (1, &"deny".into()), "{reached:?}");
    assert!(events(&world, "stepup.requested").is_empty());
}

/// A grant that limits nothing, or much: what runs by it stops at its next row, not at the end of anything.
#[test]
fn what_runs_by_a_grant_stops_in_the_middle_when_that_is_revoked() {
    for limited in [false, true] {
        let world = if limited {
            World::with_policy(restricted("{rows: 10000000, bytes: 100GiB}"))
        } else {
            World::new()
        };
        let mut dana = world.dana();
        let mut psql = bare(&world, &dana);
        psql.send("select count(ssn) from customers;").unwrap();
        verified(&world, &mut psql, &mut dana);
        assert!(psql.finish(SOON).unwrap().is_ok());
        // Far more than any buffer holds, and nobody reads it: the server is in the middle of it.
        psql.send("select ssn, repeat('x', 1000) from customers, generate_series(1, 1000);").unwrap();
        // Not before psql has sent it.
        let runs = "select count(*) from pg_stat_activity where query like 'select ssn, repeat%'";
        until("the statement to run", SOON, || direct(&world, runs) == ["1"]).unwrap();
        psql.signal("STOP").unwrap();
        let stuck = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite'";
        until("the server to wait", SOON, || direct(&world, stuck) == ["1"]).unwrap();
        let list = world.gate.run(["grant", "ls", "--as", "dana", "-o", "json"], "").unwrap().ok().unwrap();
        let grants: Value = serde_json::from_str(&list).unwrap();
        let grant = grants[0]["grant"].as_str().unwrap();
        world.gate.run(["grant", "revoke", grant, "--as", "dana"], "").unwrap().ok().unwrap();
        psql.signal("CONT").unwrap();
        let request = held(&mut psql);
        let reached = events(&world, "limit.reached");
        let rows = reached.last().unwrap()["rows"].as_u64().unwrap();
        assert!((1..400_000).contains(&rows), "{limited}: {rows} of 500,000 rows");
        world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
        let reply = psql.finish(SOON).unwrap();
        assert_eq!(reply.sqlstate, "57014", "{}", reply.text().len());
    }
}
