//! Labels follow data into tables: what was copied from labelled columns is asked for like those.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::frames::{frame, next, parse, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
use support::{SOON, World, approved, held, passes, waits};

#[test]
fn a_temporary_copy_does_not_launder_a_label() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    approved(&world, &mut psql, &mut olga, "create temp table t as select id, ssn as x from customers;");
    waits(&world, &mut psql, &dana, "select x from t;");
    waits(&world, &mut psql, &dana, "select count(*) from t where x like '901%';");
    passes(&mut psql, "select count(*), max(id) from t;");
    // And on from there, and in a view of it.
    passes(&mut psql, "create temp table u (a int, b text);");
    approved(&world, &mut psql, &mut olga, "insert into u select id, x from t;");
    waits(&world, &mut psql, &dana, "select b from u;");
    passes(&mut psql, "select a from u;");
    passes(&mut psql, "create temp view v as select a from u;");
    passes(&mut psql, "select a from v;");
    // Another session's table of that name is its own.
    let mut other = world.psql(&dana);
    passes(&mut other, "create temp table t as select id, name as x from products;");
    passes(&mut other, "select x from t limit 1;");
}

#[test]
fn a_copy_that_all_can_read_keeps_its_labels_through_a_restart_of_the_gate() {
    let mut world = World::new();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut eve = world.person("eve", "analysts");
    let mut psql = world.psql(&dana);
    approved(&world, &mut psql, &mut olga, "create table copies as select id, ssn from customers;");
    approved(
        &world,
        &mut psql,
        &mut olga,
        "update products set name = c.ssn from customers c where c.id = products.id and products.id < 5;",
    );
    for restarted in [false, true] {
        if restarted {
            world.gate.kill();
            world.gate.serve().unwrap();
            eve.login(&world.gate).unwrap();
        }
        let mut other = world.psql(&eve);
        waits(&world, &mut other, &eve, "select ssn from copies;");
        waits(&world, &mut other, &eve, "select name from products where id = 1;");
        passes(&mut other, "select id from copies limit 1;");
        passes(&mut other, "select count(*) from products;");
    }
}

#[test]
fn a_copy_into_what_the_transaction_has_just_made_is_remembered() {
    let world = World::waiting();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin; create temp table fresh (x text);");
    approved(&world, &mut psql, &mut olga, "insert into fresh select ssn from customers limit 3;");
    assert!(psql.run("commit;").unwrap().is_ok());
    waits(&world, &mut psql, &dana, "select x from fresh;");
    // Only this session's, by that name.
    let mut other = world.psql(&dana);
    passes(&mut other, "create temp table fresh (x text);");
    passes(&mut other, "select x from fresh;");
}

#[test]
fn a_statement_that_the_server_refuses_unseen_taints_nothing() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("begin; select 1/0;").unwrap().text().contains("division by zero"));
    let refused = psql.run("update products set name = (select ssn from customers limit 1);").unwrap();
    assert_eq!(refused.sqlstate, "25P02", "{}", refused.text());
    assert!(psql.run("rollback;").unwrap().is_ok());
    let eve = world.person("eve", "analysts");
    let mut other = world.psql(&eve);
    passes(&mut other, "select name from products where id = 1;");
}

#[test]
fn a_decoy_dropped_in_another_session_does_not_open_what_it_stood_before() {
    let world = World::new();
    world.cluster.load("shop", "grant create on database shop to public").unwrap();
    let dana = world.dana();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&dana);
    passes(&mut psql, "create schema decoy;");
    passes(&mut psql, "create table decoy.employees (id bigint, full_name text, ssn text, salary numeric);");
    let mut other = world.psql(&eve);
    passes(&mut other, "set search_path = decoy, hr, public;");
    passes(&mut other, "select ssn, salary from employees limit 2;");
    passes(&mut psql, "drop table decoy.employees;");
    waits(&world, &mut other, &eve, "select ssn, salary from employees limit 2;");
}

#[test]
fn a_schema_made_in_another_session_changes_what_names_mean() {
    let world = World::new();
    world.cluster.load("shop", "grant create on database shop to public").unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let eve = world.person("eve", "analysts");
    let mut other = world.psql(&eve);
    passes(&mut other, "set search_path = later, public;");
    passes(&mut other, "select status from orders limit 1;");
    let mut psql = world.psql(&dana);
    passes(&mut psql, "create schema later;");
    approved(
        &world,
        &mut psql,
        &mut olga,
        "create table later.orders as select ssn as status from public.customers limit 2;",
    );
    waits(&world, &mut other, &eve, "select status from orders limit 1;");
}

#[test]
fn a_schema_made_while_a_statement_waits_does_not_make_it_wait_again() {
    let world = World::new();
    world.cluster.load("shop", "grant create on database shop to public").unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&dana));
    psql.send("create temp table t as select ssn from customers;").unwrap();
    let request = support::held(&mut psql);
    passes(&mut other, "create schema later;");
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().matches("stepgate: held").count() == 1, "{}", reply.text());
}

#[test]
fn a_statement_that_waits_while_a_labelled_copy_is_made_does_not_show_it() {
    let world = World::waiting();
    world.cluster.load("shop", "create table notes (x text); grant all on notes to public").unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let eve = world.person("eve", "analysts");
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    passes(&mut other, "select x from notes;");
    passes(&mut psql, "begin; lock table notes in access exclusive mode;");
    other.send("select x from notes;").unwrap();
    stepgate_testkit::until_some("a statement that waits for a lock", SOON, || {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        (world.cluster.psql("shop", waiting).unwrap() != "0").then_some(())
    })
    .unwrap();
    approved(&world, &mut psql, &mut olga, "insert into notes select ssn from customers limit 3;");
    assert!(psql.run("commit;").unwrap().is_ok());
    let lines = other.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("FATAL:  stepgate: ") && !lines.contains("901-00-"), "{lines}");
}

/// Before its session has said anything of it, whoever reads that or does not; also over several.
#[test]
fn what_a_statement_under_way_copies_on_is_labelled_when_what_it_is_taken_from_is() {
    let world = World::waiting();
    let made = "create table whole (x text); create table first () inherits (whole); \
         create table second (y text); create table third (z text, n int); create table fourth (x text); \
         insert into first values ('plain'); grant all on whole, first, second, third, fourth to public";
    world.cluster.load("shop", made).unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let eve = world.person("eve", "analysts");
    let [mut on, mut further, mut above, mut psql, mut reads] =
        [&eve, &eve, &eve, &dana, &eve].map(|person| world.psql(person));
    passes(&mut reads, "select y, z, n from second, third;");
    on.send("select pg_sleep(6)\\; insert into second select x from first;").unwrap();
    further.send("select pg_sleep(6)\\; insert into third select y, 1 from second;").unwrap();
    above.send("select pg_sleep(6)\\; insert into fourth select x from whole;").unwrap();
    stepgate_testkit::until_some("statements under way", SOON, || {
        let active = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        (world.cluster.psql("shop", active).unwrap() == "3").then_some(())
    })
    .unwrap();
    approved(&world, &mut psql, &mut olga, "update first set x = (select ssn from customers limit 1);");
    waits(&world, &mut reads, &eve, "select y from second;");
    waits(&world, &mut reads, &eve, "select z from third;");
    waits(&world, &mut reads, &eve, "select x from fourth;");
    passes(&mut reads, "select n from third;");
    // They stored it, and their own session was not let through for that.
    for psql in [&mut on, &mut further, &mut above] {
        let lines = psql.ended(SOON).unwrap().join("\n");
        assert!(lines.contains("FATAL:  stepgate: "), "{lines}");
    }
}

/// What is locked, and by which number, everybody sees.
#[test]
fn what_a_statement_under_way_lays_open_is_not_given_labelled_contents() {
    let world = World::waiting();
    let made =
        "create table notes (x text); insert into notes values ('plain'); grant all on notes to public";
    world.cluster.load("shop", made).unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let eve = world.person("eve", "analysts");
    let (mut psql, mut sends) = (world.psql(&dana), world.psql(&eve));
    let locks = "select pg_advisory_lock(ascii(x)) from notes;";
    passes(&mut sends, locks);
    sends.send(&format!("select pg_sleep(5)\\; {locks}")).unwrap();
    stepgate_testkit::until_some("a statement under way", SOON, || {
        let active = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        (world.cluster.psql("shop", active).unwrap() == "1").then_some(())
    })
    .unwrap();
    psql.send("update notes set x = (select ssn from customers limit 1);").unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "yes").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "55006", "{}", reply.text());
    let reply = sends.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    // The lock is open, and nothing is under way.
    approved(&world, &mut psql, &mut olga, "update notes set x = (select ssn from customers limit 1);");
    waits(&world, &mut sends, &eve, locks);
}

#[test]
fn a_copy_renamed_in_the_transaction_that_made_it_keeps_its_label() {
    let mut world = World::not_serving(|text| text);
    let ddl = "grant create on schema public to public; create schema s; grant all on schema s to public";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin;");
    approved(&world, &mut psql, &mut olga, "create table t1 as select id, ssn as x from customers;");
    passes(
        &mut psql,
        "alter table t1 rename x to y\\; alter table t1 rename to t2\\; alter table t2 set schema s;",
    );
    passes(&mut psql, "commit;");
    let mut other = world.psql(&dana);
    waits(&world, &mut other, &dana, "select y from s.t2;");
    passes(&mut other, "select id from s.t2 limit 1;");
}

#[test]
fn a_copy_renamed_in_the_message_that_made_it_keeps_its_label() {
    let world = World::new();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let message = "create table t1 as select id, ssn as x from customers\\; alter table t1 rename to t2;";
    approved(&world, &mut psql, &mut olga, message);
    let mut other = world.psql(&dana);
    waits(&world, &mut other, &dana, "select x from t2;");
}

#[test]
fn what_is_not_understood_and_stores_is_for_others_to_approve_in_whatever_form_it_is_run() {
    let mut world = World::not_serving(|policy| policy);
    let made = "create schema lab; grant all on schema lab to stepgate_analyst; set role stepgate_analyst; \
                create table lab.kept (a text); create function lab.own(t text) returns text language plpgsql \
                as $$ begin for i in 1..2 loop t := t; end loop; return t; end $$;";
    world.cluster.load("shop", made).unwrap();
    world.gate.serve().unwrap();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let stores = "insert into lab.kept select lab.own(ssn) from customers where id <= 3";
    // It stores nothing yet.
    psql.send(&format!("prepare x as {stores};")).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    for sql in [
        // Before code runs that is not understood, and could give its name to another.
        "execute x;".to_owned(),
        format!("explain analyze {stores};"),
        format!("with i as ({stores} returning 1) select count(*) from i;"),
    ] {
        approved(&world, &mut psql, &mut olga, &sql);
    }
    assert_eq!(world.cluster.psql("shop", "select count(*) from lab.kept").unwrap().trim(), "9");
}

/// Queries that lock rows as they are fetched, of a table of that name: of each the newest version is shown.
const LOCKING: [&str; 3] = [
    "select id, x from notes for update",
    "select id, y from (select id, x as y from notes for share offset 0) s",
    "select id, x from locking_notes",
];

/// One table, with a view that locks its rows, for each of them.
fn world_with_notes() -> World {
    let world = World::waiting();
    for at in 0..LOCKING.len() {
        let made = "create table notes (id int, x text); insert into notes select g, 'a' from generate_series(1, 5) g; \
             create view locking_notes as select id, x from notes for update; grant all on notes, locking_notes to public";
        world.cluster.load("shop", &made.replace("notes", &format!("notes{at}"))).unwrap();
    }
    world
}

/// Stores what is labelled in all of them.
fn store(world: &World) {
    let (dana, mut olga) = (world.dana(), world.olga());
    let stores = |at| format!("update notes{at} set x = (select ssn from customers limit 1) where id > 1");
    let stores: Vec<_> = (0..LOCKING.len()).map(stores).collect();
    approved(world, &mut world.psql(&dana), &mut olga, &format!("{};", stores.join("\\;")));
}

#[test]
fn a_cursor_that_locks_rows_does_not_show_what_another_session_has_stored_in_them_since() {
    let world = world_with_notes();
    let eve = world.person("eve", "analysts");
    let mut sessions = Vec::new();
    for (at, locking) in LOCKING.iter().enumerate() {
        let mut psql = world.psql(&eve);
        passes(&mut psql, "begin;");
        passes(
            &mut psql,
            &format!("declare c cursor for {};", locking.replace("notes", &format!("notes{at}"))),
        );
        passes(&mut psql, "fetch c;");
        sessions.push(psql);
    }
    store(&world);
    for psql in &mut sessions {
        waits(&world, psql, &eve, "fetch c;");
    }
}

#[test]
fn a_portal_that_locks_rows_does_not_show_what_another_session_has_stored_in_them_since() {
    let (world, runtime) = (world_with_notes(), runtime());
    let eve = world.person("eve", "analysts");
    let one_row = [frame(b'E', b"p\0\0\0\0\x01"), sync()].concat();
    let mut sessions = Vec::new();
    for (at, locking) in LOCKING.iter().enumerate() {
        let mut upstream = runtime.block_on(session(&config(&world, &eve))).unwrap();
        let locking = parse(&locking.replace("notes", &format!("notes{at}")));
        let bind = frame(b'B', b"p\0\0\0\0\0\0\0\0");
        send(&runtime, &mut upstream, &[query("begin"), locking, bind, one_row.clone()].concat());
        until_tag(&runtime, &mut upstream, b'Z');
        let tags: Vec<u8> = until_tag(&runtime, &mut upstream, b'Z').iter().map(|(tag, _)| *tag).collect();
        assert_eq!(tags, b"12DsZ");
        sessions.push(upstream);
    }
    store(&world);
    for upstream in &mut sessions {
        send(&runtime, upstream, &one_row);
        let (tag, said) = next(&runtime, upstream, Duration::from_secs(5)).unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(matches!(tag, b'N' | b'E') && said.contains("stepgate: "), "{said}");
    }
}

#[test]
fn a_row_of_a_cursor_may_be_given_what_is_labelled() {
    let world = World::waiting();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "create temp table t (x text); insert into t values ('a'), ('b');");
    passes(&mut psql, "begin;");
    passes(&mut psql, "declare c cursor for select x from t;");
    passes(&mut psql, "fetch c;");
    let stores = "update t set x = (select ssn from customers limit 1) where current of c;";
    approved(&world, &mut psql, &mut olga, stores);
    passes(&mut psql, "commit;");
    waits(&world, &mut psql, &dana, "select x from t;");
}
