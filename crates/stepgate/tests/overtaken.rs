//! A statement that waits for a lock means what its names mean once it has it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use stepgate_testkit::Psql;
use support::{SOON, World};

/// Somebody beside the gate, in a transaction that has done this.
fn holding_a_lock(world: &World, ddl: &str) -> Psql {
    let mut psql = Psql::start(world.cluster.psql_command("shop")).unwrap();
    assert!(psql.run("begin;").unwrap().is_ok());
    assert!(psql.run(&format!("{ddl};")).unwrap().is_ok());
    psql
}

fn waits_for_lock(world: &World) {
    stepgate_testkit::until_some("a statement that waits for a lock", SOON, || {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        (world.cluster.psql("shop", waiting).unwrap() != "0").then_some(())
    })
    .unwrap();
    // Longer than what the gate takes for a wait.
    std::thread::sleep(Duration::from_millis(150));
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
    psql.send("select x from v;").unwrap();
    waits_for_lock(&world);
    assert!(dba.run("commit;").unwrap().is_ok());
    let lines = psql.ended(SOON).unwrap().join("\n");
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
    psql.send("select x from v limit 1;").unwrap();
    waits_for_lock(&world);
    assert!(dba.run("commit;").unwrap().is_ok());
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains('!'), "{}", reply.text());
}

#[test]
fn a_copy_that_was_overtaken_is_shown_to_nobody_unasked() {
    let world = World::new();
    let ddl = "create table notes (x text); grant all on notes, products to public; \
               grant create on schema public to public";
    world.cluster.load("shop", ddl).unwrap();
    for (at, (copy, reads)) in [
        ("insert into notes select x from", "select x from notes;"),
        ("create table copies as select x from", "select x from copies;"),
        ("update products set name = x from", "select name from products;"),
    ]
    .into_iter()
    .enumerate()
    {
        let view = format!("create or replace view v{at} as select id as i,");
        let harmless = format!("{view} segment as x from customers; grant select on v{at} to public");
        world.cluster.load("shop", &harmless).unwrap();
        let eve = world.person(&format!("eve{at}"), "analysts");
        let mut psql = world.psql(&eve);
        // Known, so that it is the copy that waits and not the look for names.
        assert!(psql.run(&format!("select count(x) from v{at};")).unwrap().is_ok());
        let mut dba = holding_a_lock(&world, &format!("{view} ssn as x from customers"));
        psql.send(&format!("{copy} v{at};")).unwrap();
        waits_for_lock(&world);
        assert!(dba.run("commit;").unwrap().is_ok());
        let lines = psql.ended(SOON).unwrap().join("\n");
        assert!(lines.contains("FATAL:  stepgate: what this statement reads was changed"), "{lines}");
        // It was stored all the same.
        let mut psql = world.psql(&eve);
        psql.send(reads).unwrap();
        support::held(&mut psql);
    }
}

#[test]
fn a_cursor_declared_on_a_view_that_was_replaced_meanwhile_shows_nothing() {
    let world = world();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    assert!(psql.run("begin;").unwrap().is_ok());
    let mut dba = holding_a_lock(&world, "create or replace view v as select id, ssn as x from customers");
    psql.send("declare c cursor for select x from v;").unwrap();
    waits_for_lock(&world);
    assert!(dba.run("commit;").unwrap().is_ok());
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("FATAL:  stepgate: what this statement reads was changed"), "{lines}");
}

#[test]
fn an_execute_that_waited_is_judged_by_what_it_goes_on_with() {
    let world = world();
    let eve = world.person("eve", "analysts");
    for (column, shown) in [("segment || '!'", true), ("ssn", false)] {
        let mut psql = world.psql(&eve);
        assert!(psql.run("prepare p as select x from v limit 1;").unwrap().is_ok());
        let ddl = format!("create or replace view v as select id, {column} as x from customers");
        let mut dba = holding_a_lock(&world, &ddl);
        psql.send("execute p;").unwrap();
        waits_for_lock(&world);
        assert!(dba.run("commit;").unwrap().is_ok());
        if shown {
            let reply = psql.finish(SOON).unwrap();
            assert!(reply.is_ok() && reply.text().contains('!'), "{}", reply.text());
        } else {
            let lines = psql.ended(SOON).unwrap().join("\n");
            assert!(lines.contains("FATAL:  stepgate: what this statement reads was changed"), "{lines}");
        }
    }
}

#[test]
fn the_second_statement_of_a_message_does_not_show_what_it_waited_for() {
    let world = world();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    let mut dba = holding_a_lock(&world, "create or replace view v as select id, ssn as x from customers");
    // What comes at once is more than the server keeps to itself.
    psql.send("select repeat('x', 100) from customers a, customers b limit 1000\\; select x from v;")
        .unwrap();
    waits_for_lock(&world);
    assert!(dba.run("commit;").unwrap().is_ok());
    let lines = psql.ended(SOON).unwrap().join("\n");
    // Why is not said where it would stand in the middle of a row.
    assert!(lines.contains("connection to server was lost"), "{lines}");
    assert!(!lines.contains("901-00-"), "{lines}");
}

#[test]
fn a_script_in_one_message_may_drop_what_it_has_read() {
    let world = world();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let mut psql = world.psql(&world.person("eve", "analysts"));
    assert!(psql.run("create table scratch (a int);").unwrap().is_ok());
    let reply =
        psql.run("insert into scratch values (1)\\; select a from scratch\\; drop table scratch;").unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
}

#[test]
fn a_script_is_not_refused_because_somebody_changes_the_catalog_while_it_is_read() {
    let world = world();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let mut psql = world.psql(&world.person("eve", "analysts"));
    // A view whose definition is gone between the list of views and its reading.
    let churn = "do $$ begin for i in 1..100000 loop \
         create view churn as select id from customers; commit; \
         perform pg_sleep(0.002); drop view churn; commit; end loop; end $$;";
    let mut dba = Psql::start(world.cluster.psql_command("shop")).unwrap();
    dba.send(churn).unwrap();
    for number in 0..40 {
        let reply = psql.run(&format!("create table scratch{number} (a int);")).unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
        let reply = psql.run(&format!("select a from scratch{number};")).unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
    }
    dba.interrupt().unwrap();
}

#[test]
fn ddl_that_outlives_its_session_is_noticed() {
    let world = world();
    world.cluster.load("shop", "grant create on database shop to public").unwrap();
    let eve = world.person("eve", "analysts");
    let (mut psql, mut other) = (world.psql(&world.person("fred", "analysts")), world.psql(&eve));
    assert!(psql.run("create schema decoy;").unwrap().is_ok());
    assert!(psql.run("create table decoy.customers (id bigint, ssn text);").unwrap().is_ok());
    assert!(other.run("set search_path = decoy, public;").unwrap().is_ok());
    assert!(other.run("select ssn from customers limit 2;").unwrap().is_ok());
    let mut dba = holding_a_lock(&world, "lock table decoy.customers in access share mode");
    psql.send("drop table decoy.customers;").unwrap();
    waits_for_lock(&world);
    drop(psql);
    assert!(dba.run("commit;").unwrap().is_ok());
    stepgate_testkit::until_some("a table that is gone", SOON, || {
        let gone = "select to_regclass('decoy.customers') is null and not exists (select from pg_stat_activity \
             where query = 'drop table decoy.customers;')";
        (world.cluster.psql("shop", gone).unwrap() == "t").then_some(())
    })
    .unwrap();
    // Until the gate has heard of it, the statement is ended instead of held. It hears that the server has closed the
    // connection of whoever left: the same query, of which a table's end can be seen without being asked about, tells when.
    stepgate_testkit::until("the gate to hear of it", SOON, || {
        let mut third = world.psql(&eve);
        assert!(third.run("set search_path = decoy, public;").unwrap().is_ok());
        third.send("select ssn from customers limit 2;").unwrap();
        third
            .line("what becomes of it", SOON, |line| {
                (line.contains("held") || line.contains("FATAL")).then(|| line.contains("held"))
            })
            .unwrap()
    })
    .unwrap();
    other.send("select ssn from customers limit 2;").unwrap();
    support::held(&mut other);
}

#[test]
fn whoever_locks_a_view_keeps_nobody_from_other_work() {
    let mut world = world();
    let bound = "create function bound() returns bigint begin atomic select count(ssn) from customers; end";
    world.cluster.load("shop", &format!("grant create on schema public to public; {bound}")).unwrap();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    // So that the gate has read the catalog since the GRANT.
    assert!(psql.run("create table earlier (a int);").unwrap().is_ok());
    assert!(psql.run("select count(*) from earlier;").unwrap().is_ok());
    // A table beneath it will do: TRUNCATE, VACUUM FULL, LOCK TABLE.
    let mut dba = holding_a_lock(&world, "lock table customers in access exclusive mode");
    assert!(psql.run("create table scratch (a int);").unwrap().is_ok());
    let passes = |psql: &mut Psql, sql: &str| {
        let reply = psql.run(sql).unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{sql}: {}", reply.text());
    };
    passes(&mut psql, "select count(*) from scratch;");
    // How the view is defined is remembered: this waits for PostgreSQL, not for people.
    psql.send("select x from v limit 1;").unwrap();
    waits_for_lock(&world);
    assert!(dba.run("rollback;").unwrap().is_ok());
    assert!(psql.finish(SOON).unwrap().is_ok());
    // Not so by a gate that has never seen it.
    let mut dba = holding_a_lock(&world, "lock table customers in access exclusive mode");
    world.gate.kill();
    world.gate.serve().unwrap();
    let mut psql = world.psql(&eve);
    passes(&mut psql, "select count(*) from products;");
    psql.send("select x from v limit 1;").unwrap();
    waits_for_lock(&world);
    assert!(dba.run("rollback;").unwrap().is_ok());
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn a_view_locked_while_another_change_is_read_still_shows_nothing_that_was_not_asked_for() {
    let world = world();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let eve = world.person("eve", "analysts");
    let (mut psql, mut other) = (world.psql(&eve), world.psql(&world.person("fred", "analysts")));
    assert!(other.run("create table earlier (a int);").unwrap().is_ok());
    assert!(other.run("select count(*) from earlier;").unwrap().is_ok());
    let mut dba = holding_a_lock(&world, "create or replace view v as select id, ssn as x from customers");
    // Makes the gate read the catalog, in which the view is as it was.
    assert!(other.run("create table scratch (a int);").unwrap().is_ok());
    psql.send("select x from v;").unwrap();
    waits_for_lock(&world);
    assert!(other.run("create table scratch2 (a int);").unwrap().is_ok());
    assert!(dba.run("commit;").unwrap().is_ok());
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("FATAL:  stepgate: what this statement reads was changed"), "{lines}");
    assert!(!lines.contains("901-00-"), "{lines}");
}
