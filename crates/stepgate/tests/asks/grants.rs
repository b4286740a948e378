use stepgate_testkit::Psql;

use crate::support::{SOON, World, approved, connects_as, held, passes, repository};
use crate::{json, owners, recorded};

/// Tables to copy into, and a policy by which such copies are remembered, a hundred rows in all.
fn storing() -> World {
    let world = World::with_policy(|text| {
        let text = owners(&text, "remember: {for: 15m, sink: true}");
        let limited = text.replace(
            "kind: [insert, update, merge, ddl]}]}\n    action: approve",
            "kind: [insert, update, merge, ddl]}]}\n    limit: {rows: 100}\n    action: approve",
        );
        assert_ne!(limited, text);
        limited
    });
    let tables = "create table kept (id int, ssn text); create table other (id int, ssn text);
        grant select, insert on kept, other to stepgate_analyst;";
    world.cluster.load("shop", tables).unwrap();
    world
}

fn copy(to: &str, from: u32, until: u32) -> String {
    format!("insert into {to} select id, ssn from customers where id between {from} and {until};")
}

fn rows_left(world: &World, person: &str) -> Option<u64> {
    json(world, &["grant", "ls", "--as", person, "-o", "json"])[0]["rows_left"].as_u64()
}

#[test]
fn what_is_stored_is_charged_by_the_command_tag_into_that_table_alone() {
    let world = storing();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    // The gate knows of tables that were made beside it by its next look.
    stepgate_testkit::until("the tables", SOON, || psql.run("select count(*) from kept;").unwrap().is_ok())
        .unwrap();
    psql.send(&copy("kept", 1, 10)).unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    passes(&mut psql, &copy("kept", 11, 30));
    psql.run("select 1;").unwrap();
    assert_eq!(rows_left(&world, "dana"), Some(70));
    assert!(recorded(&world, "grant.debited", "") >= 2, "each before it ran");
    // Elsewhere is somewhere else, and looking is not storing.
    let mut second = world.psql(&dana);
    second.send(&copy("other", 1, 1)).unwrap();
    assert_ne!(held(&mut second), request);
    // What a part of a statement stores, its command tag does not tell.
    let mut third = world.psql(&dana);
    let within = "with a as (insert into kept select id, ssn from customers where id = 1) \
                  insert into kept select id, ssn from customers where false;";
    third.send(within).unwrap();
    assert_ne!(held(&mut third), request);
    // More than is left is known when it is stored: then nothing is left.
    passes(&mut psql, &copy("kept", 31, 120));
    psql.run("select 1;").unwrap();
    psql.send(&copy("kept", 121, 121)).unwrap();
    held(&mut psql);
    assert_eq!(world.cluster.psql("shop", "select count(*) from kept").unwrap().trim(), "120");
}

/// The server goes on with what a client has left behind, and commits it.
#[test]
fn who_hangs_up_while_rows_are_stored_by_a_grant_is_charged_and_whose_session_is_ended_for_all_it_had_left() {
    for is_ended in [false, true] {
        let world = storing();
        let (dana, mut olga) = (world.dana(), world.olga());
        let mut psql = world.psql(&dana);
        let knows = || psql.run("select count(*) from kept;").unwrap().is_ok();
        stepgate_testkit::until("the tables", SOON, knows).unwrap();
        approved(&world, &mut psql, &mut olga, &copy("kept", 1, 10));
        let mut dba = Psql::start(world.cluster.psql_command("shop")).unwrap();
        assert!(dba.run("begin;").unwrap().is_ok());
        assert!(dba.run("lock table kept in exclusive mode;").unwrap().is_ok());
        psql.send(&copy("kept", 11, 60)).unwrap();
        let direct = |sql: &str| world.cluster.psql("shop", sql).unwrap().trim().to_owned();
        let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        stepgate_testkit::until("the copy to wait", SOON, || direct(waits) == "1").unwrap();
        if is_ended {
            // Whether it is done in the last moment, nobody hears.
            let listed = json(&world, &["session", "ls", "-o", "json"]);
            let session = listed[0]["session"].as_str().unwrap();
            world.gate.run(["session", "kill", session], "").unwrap().ok().unwrap();
            let unheard = || recorded(&world, "statement.outcome_unknown", "") == 1;
            stepgate_testkit::until("the end of the session", SOON, unheard).unwrap();
            assert_eq!(rows_left(&world, "dana"), Some(0));
            assert!(dba.run("commit;").unwrap().is_ok());
            let mut psql = world.psql(&dana);
            psql.send(&copy("kept", 61, 61)).unwrap();
            held(&mut psql);
        } else {
            drop(psql);
            assert!(dba.run("commit;").unwrap().is_ok());
            let stored = || direct("select count(*) from kept") == "60";
            stepgate_testkit::until("what was sent to be done all the same", SOON, stored).unwrap();
            let charged = || rows_left(&world, "dana") == Some(40);
            stepgate_testkit::until("the server's answer to count", SOON, charged).unwrap();
        }
    }
}

#[test]
fn rows_that_are_stored_behind_one_that_is_shown_are_charged_to_the_grant_by_which_they_are() {
    let world = storing();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let knows = || psql.run("select count(*) from kept;").unwrap().is_ok();
    stepgate_testkit::until("the tables", SOON, knows).unwrap();
    let mut client = std::process::Command::new("python3");
    client.arg(repository().join("tests/clients/stored_behind.py"));
    let client = connects_as(&mut client, &world, &dana).spawn().unwrap();
    let request = world.open_request(&dana);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(world.cluster.psql("shop", "select count(*) from kept").unwrap().trim(), "51");
    assert_eq!(rows_left(&world, "dana"), Some(0), "nobody was told how many they are");
}

#[test]
fn without_sink_in_the_policy_every_copy_asks() {
    let world = World::with_policy(|text| owners(&text, "remember: {for: 15m}"));
    world
        .cluster
        .load("shop", "create table kept (id int, ssn text); grant insert on kept to stepgate_analyst;")
        .unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    stepgate_testkit::until("the table", SOON, || {
        psql.run("select 1 where exists (select from pg_class where relname = 'kept');").unwrap().is_ok()
    })
    .unwrap();
    psql.send(&copy("kept", 1, 10)).unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    psql.send(&copy("kept", 11, 20)).unwrap();
    assert_ne!(held(&mut psql), request);
}

const SSN: &str = "select ssn from customers where id = 1;";

/// psql by way of this machine's address in another network.
fn from_elsewhere(world: &World, person: &stepgate_testkit::Person) -> Psql {
    let (to, listener) = (world.gate.listen(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 7, 7], 0).into()).unwrap();
            let mut gate = socket.connect(to).await.unwrap();
            let mut client = tokio::net::TcpStream::from_std(client).unwrap();
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut gate).await;
        });
    });
    let mut command = world.gate.psql_command(person);
    let conninfo = world.gate.conninfo(person.name(), "shop");
    command.args(["-d", &conninfo.replace(&format!("port={}", to.port()), &format!("port={port}"))]);
    Psql::start(command).unwrap()
}

#[test]
fn another_table_network_or_driver_asks_again() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    passes(&mut psql, SSN);
    let mut again = world.psql(&dana);
    passes(&mut again, SSN);
    again.send("select iban from payments where id = 1;").unwrap();
    assert_ne!(held(&mut again), request);
    let mut driver = world.gate.psql_command(&dana);
    driver.env("PGAPPNAME", "dump");
    let mut driver = Psql::start(driver).unwrap();
    driver.send(SSN).unwrap();
    assert_ne!(held(&mut driver), request);
    let mut elsewhere = from_elsewhere(&world, &dana);
    elsewhere.send(SSN).unwrap();
    assert_ne!(held(&mut elsewhere), request);
}

/// Whoever has stolen a password sends from elsewhere what its owner sends, too: one of them before the owner does, one after.
#[test]
fn what_is_sent_from_elsewhere_neither_joins_nor_runs_by_what_its_person_or_others_have_approved() {
    let world = World::new();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let (mut thief, mut own) = (from_elsewhere(&world, &dana), world.psql(&dana));
    thief.send(SSN).unwrap();
    let theirs = held(&mut thief);
    own.send(SSN).unwrap();
    let request = held(&mut own);
    assert_ne!(request, theirs);
    // A second session of hers joins, hears so, and is seen to wait.
    let mut second = world.psql(&dana);
    second.send(SSN).unwrap();
    assert_eq!(held(&mut second), request);
    let told = format!(
        "Joins what was asked before, from the same address; 2 sessions wait for one answer. Not yours? stepgate request deny {request} --not-me"
    );
    second.line("why", SOON, |line| line.contains(&told).then_some(())).unwrap();
    let shown = world.gate.run(["request", "show", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    assert!(shown.contains("Waits       2 sessions at 127.0.0.1 (psql)"), "{shown}");
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    for psql in [&mut own, &mut second] {
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok() && reply.text().contains("901-00-"), "{}", reply.text());
    }
    // The same of what others approve: her client goes away, and what was approved is for who comes again from there.
    let export = "copy (select email from customers where id = 1) to stdout;";
    own.send(export).unwrap();
    let request = held(&mut own);
    let mut other = from_elsewhere(&world, &dana);
    other.send(export).unwrap();
    assert_ne!(held(&mut other), request);
    drop(own);
    stepgate_testkit::until("the request to be deferred", SOON, || {
        json(&world, &["request", "show", &request, "--as", "dana", "-o", "json"])[0]["state"] == "deferred"
    })
    .unwrap();
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let mut late = from_elsewhere(&world, &dana);
    late.send(export).unwrap();
    assert_ne!(held(&mut late), request);
    let mut driver = world.gate.psql_command(&dana);
    driver.env("PGAPPNAME", "exfil");
    let mut driver = Psql::start(driver).unwrap();
    driver.send(export).unwrap();
    assert_ne!(held(&mut driver), request);
    passes(&mut world.psql(&dana), export);
    for psql in [&thief, &other, &late, &driver] {
        let shown = psql.shown().join("\n");
        assert!(!shown.contains("901-00-") && !shown.contains("@example.test"), "{shown}");
    }
}

#[test]
fn a_revocation_ends_the_grant_and_what_a_removed_person_waits_for() {
    let world = World::new();
    let (mut dana, _olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    let grants = json(&world, &["grant", "ls", "--as", "dana", "-o", "json"]);
    let grant = grants[0]["grant"].as_str().unwrap();
    world.gate.run(["grant", "revoke", grant, "--as", "dana"], "").unwrap().ok().unwrap();
    psql.send(SSN).unwrap();
    let second = held(&mut psql);
    assert_ne!(second, request);
    // In the middle of the hold: her groups are others now, and what she asked for has ended.
    world.gate.run(["user", "groups", "dana", "analysts,interns"], "").unwrap().ok().unwrap();
    let late = dana.verify(&world.gate, &second).unwrap();
    assert_eq!(late.status, 1, "{}", late.text());
    let reply = psql.finish(SOON).unwrap();
    assert!(!reply.is_ok() && !reply.text().contains("901-00-"), "{}", reply.text());
}

#[test]
fn lying_statistics_do_not_lift_a_cap() {
    let world = World::with_policy(|text| {
        let limited = text.replace(
            "match: {class: \">=restricted\"}\n    action: step-up",
            "match: {class: \">=restricted\"}\n    limit: {rows: 10}\n    action: step-up",
        );
        assert_ne!(limited, text);
        limited
    });
    let lie = "update pg_class set reltuples = 1, relpages = 1 where relname = 'customers'";
    world.cluster.psql("shop", lie).unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers;").unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let midway = psql
        .line("the second question", SOON, |line| {
            Some(
                line.strip_prefix("NOTICE:  stepgate: held after")?
                    .rsplit_once('(')?
                    .1
                    .strip_suffix(')')?
                    .to_owned(),
            )
        })
        .unwrap();
    world.gate.run(["request", "cancel", &midway, "--as", "dana"], "").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "57014", "no truncated success: {}", reply.text());
    assert!(reply.lines.iter().filter(|line| line.contains("901-00-")).count() <= 10, "{}", reply.text());
}
