//! What a statement stores elsewhere no limit can hold back: it is asked about before it runs, whatever was approved of
//! rows, and counted when it is done.

use stepgate_testkit::{Psql, until};

use crate::support::{SOON, World, held, passes};
use crate::{bare, brake, called_off, contacts, direct, verified};

fn world(limit: &str) -> World {
    let mut world = World::not_serving(brake(limit, "self"));
    let tables = "create table kept (email text); grant all on kept to stepgate_analyst; \
        grant create on schema public to stepgate_analyst; \
        create materialized view addresses as select email from customers; \
        alter materialized view addresses owner to stepgate_analyst;";
    world.cluster.load("shop", tables).unwrap();
    world.configure("limits: {open_requests: 100, cool_down: 0s}");
    world.gate.serve().unwrap();
    world
}

#[test]
fn an_approval_of_rows_covers_nothing_that_stores_them() {
    let world = world("{rows: 5, per: 1h}");
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send(&contacts(6)).unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    // As it covers what only shows them.
    passes(&mut psql, &contacts(1));
    for sql in [
        "create table copied as select email from customers limit 1;",
        "select email into copied from customers limit 1;",
        "insert into kept select email from customers limit 1;",
        "merge into kept k using (select email from customers limit 1) c on k.email = c.email \
         when not matched then insert values (c.email);",
        "with c as (select email from customers limit 1) insert into kept select email from c;",
        "select lo_from_bytea(0, email::bytea) from customers where id = 1;",
        "copy (select email from customers limit 1) to '/tmp/stepgate-copied';",
        "copy (select email from customers limit 1) to program 'cat';",
        "create materialized view copied as select email from customers limit 1;",
        "refresh materialized view addresses;",
    ] {
        let mut psql = bare(&world, &dana);
        eprintln!("{sql}");
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        let shown = called_off(&world, &mut psql, &dana, &request);
        assert!(shown.contains("stepgate: held, "), "before it runs: {sql}: {shown}");
    }
    assert_eq!(direct(&world, "select count(*) from kept"), ["0"]);
}

#[test]
fn what_is_stored_is_counted_by_its_command_tag() {
    let world = world("{rows: 100, per: 1h}");
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send("insert into kept select email from customers where id <= 80;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    psql.send(&contacts(30)).unwrap();
    held(&mut psql);
    assert!(psql.shown().join("\n").contains("held after 20 rows"), "{:?}", psql.shown());
    assert_eq!(direct(&world, "select count(*) from kept"), ["80"]);
}

/// Where a part of a statement stores, or code that it runs, its command tag tells only what it shows.
#[test]
fn what_no_command_tag_tells_of_takes_all_that_the_window_had_left() {
    for (storing, told) in [
        (
            "with a as (insert into kept select email from customers where id <= 80 returning 1) select 1;",
            "80",
        ),
        (
            "with a as (insert into kept select email from customers where id <= 80) insert into kept values ('x');",
            "81",
        ),
        ("explain analyze insert into kept select email from customers where id <= 80;", "80"),
        ("explain analyze create table kept2 as select email from customers where id <= 80;", "0"),
        (
            "prepare p as with a as (insert into kept select email from customers where id <= 80) select 1; execute p;",
            "80",
        ),
        ("select count(lo_from_bytea(0, email::bytea)) from customers where id <= 80;", "0"),
        ("refresh materialized view addresses;", "0"),
    ] {
        let world = world("{rows: 100, per: 1h}");
        let mut dana = world.dana();
        let mut psql = bare(&world, &dana);
        // PREPARE is asked about as well, and stores nothing.
        for sql in storing.split_inclusive("; ") {
            psql.send(sql.trim()).unwrap();
            verified(&world, &mut psql, &mut dana);
            let reply = psql.finish(SOON).unwrap();
            assert!(reply.is_ok(), "{storing}: {}", reply.text());
        }
        assert_eq!(direct(&world, "select count(*) from kept"), [told], "{storing}");
        let mut another = bare(&world, &dana);
        another.send(&contacts(1)).unwrap();
        let request = held(&mut another);
        let shown = called_off(&world, &mut another, &dana, &request);
        assert!(shown.contains("held after 0 rows") && shown.contains("100 counted"), "{storing}: {shown}");
    }
}

/// Nothing labelled is stored by it: it is counted as any other.
#[test]
fn what_a_part_of_a_statement_stores_of_no_labelled_data_takes_nothing_of_a_window() {
    let world = world("{rows: 100, per: 1h}");
    world.cluster.load("shop", "create table seen (n int); grant all on seen to stepgate_analyst").unwrap();
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "with a as (insert into seen values (1) returning n) select n from a;");
    passes(
        &mut psql,
        "with a as (insert into seen select id from products returning n) select count(*) from a;",
    );
    passes(
        &mut psql,
        "with a as (insert into seen values (2) returning n) select email from customers, a where id <= 20;",
    );
    psql.send(&contacts(81)).unwrap();
    let request = held(&mut psql);
    let shown = called_off(&world, &mut psql, &dana, &request);
    assert!(shown.contains("held after 80 rows"), "{shown}");
}

/// While it runs nobody knows how much it will be: all that is left is set aside.
#[test]
fn a_kill_after_something_was_stored_leaves_nothing() {
    let mut world = world("{rows: 100, per: 1h}");
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send("insert into kept select email from customers where id <= 80;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    world.gate.kill();
    world.gate.serve().unwrap();
    let mut psql = bare(&world, &dana);
    psql.send(&contacts(1)).unwrap();
    held(&mut psql);
    assert!(psql.shown().join("\n").contains("held after 0 rows"), "{:?}", psql.shown());
}

/// The server goes on with what a client has left behind, and commits it.
#[test]
fn whose_session_is_ended_while_something_is_stored_has_nothing_left() {
    let world = world("{rows: 100, per: 1h}");
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    let mut dba = Psql::start(world.cluster.psql_command("shop")).unwrap();
    assert!(dba.run("begin;").unwrap().is_ok());
    assert!(dba.run("lock table kept in exclusive mode;").unwrap().is_ok());
    psql.send("insert into kept select email from customers where id <= 80;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    until("the copy to wait", SOON, || direct(&world, waits) == ["1"]).unwrap();
    // Whether it is done in the last moment, nobody hears.
    let listed = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let session = listed[0]["session"].as_str().unwrap().to_owned();
    world.gate.run(["session", "kill", &session], "").unwrap().ok().unwrap();
    until("the end of the session", SOON, || world.recorded("statement.outcome_unknown", "")).unwrap();
    assert!(dba.run("commit;").unwrap().is_ok());
    let mut psql = bare(&world, &dana);
    psql.send(&contacts(1)).unwrap();
    held(&mut psql);
    assert!(psql.shown().join("\n").contains("held after 0 rows"), "{:?}", psql.shown());
}
