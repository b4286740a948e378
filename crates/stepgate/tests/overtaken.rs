//! A statement that waits for a lock means what its names mean once it has it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use stepgate_testkit::{Psql, until};
use support::frames::{cancel, error, extended, frame, next, parse, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
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

/// It has no table beneath it, and so nothing that was judged could be told to have changed.
#[test]
fn a_view_of_nothing_that_is_replaced_under_a_waiting_statement_shows_nothing_that_was_not_asked_for() {
    let (world, runtime) = (world(), runtime());
    let eve = world.person("eve", "analysts");
    for (name, extends) in [("blank", false), ("empty", true)] {
        let view = format!("create view {name} as select 'x'::text as x; grant select on {name} to public");
        world.cluster.load("shop", &view).unwrap();
        let mut session = runtime.block_on(session(&config(&world, &eve))).unwrap();
        // Known, so that it is the statement that waits and not the look for names.
        send(&runtime, &mut session, &query(&format!("select count(x) from {name}")));
        assert!(error(&until_tag(&runtime, &mut session, b'Z')).is_none());
        let replaces = format!("create or replace view {name} as select ssn as x from customers");
        let mut dba = holding_a_lock(&world, &replaces);
        let reads = format!("select x from {name} limit 1");
        send(&runtime, &mut session, &if extends { extended(&reads) } else { query(&reads) });
        waits_for_lock(&world);
        assert!(dba.run("commit;").unwrap().is_ok());
        let replies = until_tag(&runtime, &mut session, b'E');
        assert!(replies.iter().all(|(tag, _)| *tag != b'D'), "{replies:?}");
        assert!(error(&replies).unwrap().1.contains("what this statement reads was changed"), "{replies:?}");
    }
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
fn what_waits_behind_thousands_of_statements_of_a_pipeline_does_not_show_what_it_waited_for() {
    let world = world();
    let mut dba = holding_a_lock(&world, "create or replace view v as select id, ssn as x from customers");
    let runtime = runtime();
    let mut eve = runtime.block_on(session(&config(&world, &world.person("eve", "analysts")))).unwrap();
    let ahead = query("select count(*) from orders where id < 5").repeat(3_000);
    send(&runtime, &mut eve, &[query("select pg_sleep(2)"), ahead, query("select x from v")].concat());
    waits_for_lock(&world);
    assert!(dba.run("commit;").unwrap().is_ok());
    loop {
        let message = next(&runtime, &mut eve, SOON).unwrap();
        assert!(!message.1.windows(7).any(|text| text == b"901-00-"), "shown");
        if let Some((state, text)) = error(&[message]) {
            assert!(text.contains("what this statement reads was changed"), "{state} {text}");
            break;
        }
    }
}

/// Both are decided on before either is sent.
#[test]
fn a_portal_bound_ahead_of_another_does_not_show_what_it_waited_for() {
    let world = world();
    let mut dba = holding_a_lock(&world, "create or replace view v as select id, ssn as x from customers");
    let runtime = runtime();
    let mut eve = runtime.block_on(session(&config(&world, &world.person("eve", "analysts")))).unwrap();
    send(&runtime, &mut eve, &query("select 1"));
    until_tag(&runtime, &mut eve, b'Z');
    let named = |statement: &str, sql: &str| {
        frame(b'P', &[statement.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
    };
    let bound = |portal: &str, statement: &str| {
        frame(b'B', &[portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0\0\0\0\0"].concat())
    };
    let executed = |portal: &str| frame(b'E', &[portal.as_bytes(), b"\0\0\0\0\0"].concat());
    let all = [
        named("one", "select x from v"),
        named("other", "select 1"),
        bound("p", "one"),
        bound("q", "other"),
        executed("p"),
        executed("q"),
        sync(),
    ];
    send(&runtime, &mut eve, &all.concat());
    waits_for_lock(&world);
    assert!(dba.run("commit;").unwrap().is_ok());
    let mut came = std::iter::from_fn(|| next(&runtime, &mut eve, SOON));
    let last = came.find(|(tag, _)| !matches!(tag, b'1' | b'2' | b'S')).unwrap();
    let (state, text) = error(&[last]).expect("shown");
    assert!(text.contains("what this statement reads was changed"), "{state} {text}");
}

/// As `setMaxRows` of JDBC leaves them; each portal is made anew by the next statement.
#[test]
fn a_transaction_that_leaves_thousands_of_results_half_read_goes_on_and_is_still_watched() {
    let world = world();
    let runtime = runtime();
    let mut eve = runtime.block_on(session(&config(&world, &world.person("eve", "analysts")))).unwrap();
    let one_row = frame(b'E', b"\0\0\0\0\x01");
    let half_read = [parse("select id from orders"), frame(b'B', &[0; 8]), one_row, sync()].concat();
    send(&runtime, &mut eve, &query("begin"));
    for _ in 0..10 {
        send(&runtime, &mut eve, &half_read.repeat(500));
    }
    for _ in 0..5_001 {
        let replies = until_tag(&runtime, &mut eve, b'Z');
        assert_eq!(error(&replies), None);
    }
    let mut dba = holding_a_lock(&world, "create or replace view v as select id, ssn as x from customers");
    send(&runtime, &mut eve, &query("select x from v"));
    waits_for_lock(&world);
    assert!(dba.run("commit;").unwrap().is_ok());
    let (state, text) = error(&until_tag(&runtime, &mut eve, b'E')).unwrap();
    assert!(text.contains("what this statement reads was changed"), "{state} {text}");
}

/// A name that is too long is noticed before anything is locked.
#[test]
fn a_notice_is_no_sign_that_a_statement_has_its_locks() {
    let world = world();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let runtime = runtime();
    let mut eve = world.psql(&world.person("eve", "analysts"));
    // Somebody's DDL of the gate may be committed at any time: what comes at once is looked at, too.
    assert!(eve.run("begin;").unwrap().is_ok() && eve.run("create table scratch (a int);").unwrap().is_ok());
    eve.send("select pg_sleep(300);").unwrap();
    let dora = world.person("dora", "analysts");
    for (number, milliseconds) in (0..).zip([30, 60, 90, 120]) {
        let view = |column: &str| {
            format!("create or replace view v{number} as select id, {column} as x from customers")
        };
        world
            .cluster
            .load("shop", &format!("{}; grant select on v{number} to public", view("segment")))
            .unwrap();
        let mut session = runtime.block_on(session(&config(&world, &dora))).unwrap();
        send(&runtime, &mut session, &query(&format!("select count(x) from v{number}")));
        assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None);
        let mut dba = holding_a_lock(&world, &view("ssn"));
        dba.send(&format!("select pg_sleep(0.{milliseconds:03}); commit;")).unwrap();
        send(&runtime, &mut session, &query(&format!("select x as {} from v{number}", "a".repeat(70))));
        let mut came = std::iter::from_fn(|| next(&runtime, &mut session, SOON));
        let is_held = |body: &[u8]| body.windows(10).any(|text| text == b"Mstepgate:");
        let (tag, body) = came.find(|(tag, body)| *tag != b'S' && (*tag != b'N' || is_held(body))).unwrap();
        if tag == b'N' {
            // It came so late that the gate knew of the other view already.
            continue;
        }
        let (state, text) = error(&[(tag, body)]).unwrap_or_else(|| panic!("shown after {milliseconds} ms"));
        assert!(text.contains("what this statement reads was changed"), "{state} {text}");
    }
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

/// A gate that has to read its catalog again and cannot: somebody has made a table, and somebody else keeps a part of the
/// catalog to themselves.
fn catalog_locked() -> (World, Psql) {
    let world = world();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let mut fred = world.psql(&world.person("fred", "analysts"));
    assert!(fred.run("create table earlier (a int);").unwrap().is_ok());
    assert!(fred.run("select count(*) from earlier;").unwrap().is_ok());
    let dba = holding_a_lock(&world, "lock table pg_catalog.pg_policy in access exclusive mode");
    assert!(fred.run("create table scratch (a int);").unwrap().is_ok());
    (world, dba)
}

#[test]
fn who_comes_while_the_catalog_cannot_be_read_waits_until_it_can_and_not_for_ever() {
    let (world, mut dba) = catalog_locked();
    let mut psql = world.psql(&world.person("eve", "analysts"));
    psql.send("select count(x) from v;").unwrap();
    // Longer than a single look.
    assert!(psql.is_silent_for(Duration::from_millis(2_500)), "{:?}", psql.shown());
    // What needs no catalog needs none of this either.
    let mut other = world.psql(&world.person("gus", "analysts"));
    assert!(other.run("begin;").unwrap().is_ok());
    assert!(dba.run("rollback;").unwrap().is_ok());
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
}

#[test]
fn who_waits_for_the_catalog_is_cancelled_at_once_and_the_session_goes_on() {
    let (world, mut dba) = catalog_locked();
    let runtime = runtime();
    let eve = world.person("eve", "analysts");
    let mut waits = runtime.block_on(session(&config(&world, &eve))).unwrap();
    for sent in [query("select count(x) from v"), extended("select count(x) from v")] {
        send(&runtime, &mut waits, &sent);
        assert_eq!(next(&runtime, &mut waits, Duration::from_secs(1)), None);
        let begun = Instant::now();
        cancel(&runtime, &world, waits.pid, &waits.secret.clone());
        let told = until_tag(&runtime, &mut waits, b'Z');
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        let (state, said) = error(&told).unwrap();
        assert!(state == "57014" && said.starts_with("stepgate: cancelled before"), "{state} {said}");
    }
    send(&runtime, &mut waits, &query("begin; rollback"));
    assert_eq!(error(&until_tag(&runtime, &mut waits, b'Z')), None);
    assert!(dba.run("rollback;").unwrap().is_ok());
    send(&runtime, &mut waits, &query("select count(x) from v"));
    assert_eq!(error(&until_tag(&runtime, &mut waits, b'Z')), None);
}

#[test]
fn who_vanishes_while_waiting_for_the_catalog_is_noticed_within_a_second() {
    let (world, _dba) = catalog_locked();
    let runtime = runtime();
    let eve = world.person("eve", "analysts");
    let mut waits = runtime.block_on(session(&config(&world, &eve))).unwrap();
    send(&runtime, &mut waits, &query("insert into earlier values (1)"));
    assert_eq!(next(&runtime, &mut waits, Duration::from_secs(1)), None);
    let of_eve =
        || world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap().contains("\"eve\"");
    assert!(of_eve());
    drop(waits);
    let gone = Instant::now();
    until("the session's end", SOON, || !of_eve()).unwrap();
    assert!(gone.elapsed() < Duration::from_millis(1_300), "{:?}", gone.elapsed());
    assert!(world.recorded("session.closed", "client-gone"));
    assert_eq!(world.cluster.psql("shop", "select count(*) from earlier").unwrap(), "0");
}

fn kill_of_eve(world: &World) {
    let listed = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let of_eve = listed.as_array().unwrap().iter().find(|it| it.get("person").unwrap() == "eve").unwrap();
    let id = of_eve.get("session").unwrap().as_str().unwrap();
    world.gate.run(["session", "kill", id], "").unwrap().ok().unwrap();
}

#[test]
fn an_operator_ends_a_session_that_waits_for_the_catalog() {
    let (world, _dba) = catalog_locked();
    let mut psql = world.psql(&world.person("eve", "analysts"));
    psql.send("select count(x) from v;").unwrap();
    assert!(psql.is_silent_for(Duration::from_secs(1)), "{:?}", psql.shown());
    kill_of_eve(&world);
    let said = psql.ended(Duration::from_secs(2)).unwrap().join("\n");
    assert!(said.contains("FATAL:  stepgate: this session was ended by"), "{said}");
}

/// Its statement has run, and its reply waits.
#[test]
fn a_session_whose_reply_waits_for_the_catalog_hears_that_it_is_ended_or_its_client_has_gone() {
    let world = world();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let runtime = runtime();
    let eve = world.person("eve", "analysts");
    let mut fred = world.psql(&world.person("fred", "analysts"));
    let of_eve =
        || world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap().contains("\"eve\"");
    for kills in [true, false] {
        let scratch = format!("scratch_{kills}");
        assert!(fred.run(&format!("create table earlier_{kills} (a int);")).unwrap().is_ok());
        assert!(fred.run(&format!("select count(*) from earlier_{kills};")).unwrap().is_ok());
        let mut waits = runtime.block_on(session(&config(&world, &eve))).unwrap();
        let mut lock = holding_a_lock(&world, "lock table customers in access exclusive mode");
        send(&runtime, &mut waits, &query("select count(x) from v"));
        waits_for_lock(&world);
        let mut dba = holding_a_lock(&world, "lock table pg_catalog.pg_policy in access exclusive mode");
        assert!(fred.run(&format!("create table {scratch} (a int);")).unwrap().is_ok());
        assert!(lock.run("rollback;").unwrap().is_ok());
        assert_eq!(next(&runtime, &mut waits, Duration::from_secs(1)), None);
        if kills {
            kill_of_eve(&world);
            let (_, said) = error(&until_tag(&runtime, &mut waits, b'E')).unwrap();
            assert!(said.starts_with("stepgate: this session was ended by"), "{said}");
        } else {
            drop(waits);
            until("the session's end", SOON, || world.recorded("session.closed", "client-gone")).unwrap();
        }
        assert!(dba.run("rollback;").unwrap().is_ok());
        until("its place", SOON, || !of_eve()).unwrap();
    }
}

/// Two sessions of the gate, of which one can give tables other names, and the names they start with.
fn world_of_names() -> World {
    let mut world = World::not_serving(support::waiting);
    let ddl = "create schema mine authorization stepgate_analyst; \
               create table mine.customers (id int, ssn text); insert into mine.customers values (1, 'harmless'); \
               alter table mine.customers owner to stepgate_analyst; \
               create table mine.loot (x text); alter table mine.loot owner to stepgate_analyst;";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    world
}

const AWAY: &str = "alter table mine.customers rename to away;";
const BACK: &str = "alter table mine.away rename to customers;";

/// Neither the catalog before nor the one after tells what it was in between.
#[test]
fn names_that_are_changed_and_changed_back_under_a_waiting_statement_show_nothing() {
    let world = world_of_names();
    let (dana, eve) = (world.dana(), world.person("eve", "analysts"));
    let all = "select string_agg(ssn || '', ' '), (select count(*) from pg_sleep(1)) from customers";
    for sends in
        [format!("{all};"), format!("prepare p as {all};"), format!("begin; declare c cursor for {all};")]
    {
        let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
        assert!(psql.run("set search_path = mine, public;").unwrap().is_ok());
        assert!(psql.run("select ssn from customers;").unwrap().is_ok());
        assert!(other.run("begin;").unwrap().is_ok());
        assert!(other.run(AWAY).unwrap().is_ok());
        psql.send(&sends).unwrap();
        waits_for_lock(&world);
        assert!(other.run("commit;").unwrap().is_ok());
        assert!(other.run(BACK).unwrap().is_ok());
        let lines = psql.ended(SOON).unwrap().join("\n");
        assert!(
            lines.contains("FATAL:  stepgate: what this statement reads was changed"),
            "{sends}: {lines}"
        );
        assert!(!lines.contains("901-00-"), "{lines}");
    }
    // What it would store cannot be kept from anybody.
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    assert!(psql.run("set search_path = mine, public;").unwrap().is_ok());
    assert!(other.run("begin;").unwrap().is_ok());
    assert!(other.run(AWAY).unwrap().is_ok());
    let reply = psql.run("insert into mine.loot select ssn || '' from customers;").unwrap();
    assert_eq!(reply.sqlstate, "55006", "{}", reply.text());
    assert!(other.run("commit;").unwrap().is_ok());
    assert_eq!(world.cluster.psql("shop", "select count(*) from mine.loot").unwrap(), "0");
}

/// The server finds the names of a Parse when it gets there, and has no reason to look again.
#[test]
fn names_changed_while_a_statement_is_parsed_are_not_what_it_is_bound_by() {
    let (world, runtime) = (world_of_names(), runtime());
    let eve = world.person("eve", "analysts");
    let named = b"s\0select string_agg(ssn || '', ' ') from customers\0\0\0";
    let mut other = world.psql(&world.dana());
    for (early, late) in [
        (Vec::new(), frame(b'P', named)),
        // It looks anew, too, when the statement is described.
        ([frame(b'P', named), sync()].concat(), frame(b'D', b"Ss\0")),
    ] {
        let mut session = runtime.block_on(session(&config(&world, &eve))).unwrap();
        for text in ["set search_path = mine, public", "select ssn from customers"] {
            send(&runtime, &mut session, &query(text));
            assert!(error(&until_tag(&runtime, &mut session, b'Z')).is_none());
        }
        if !early.is_empty() {
            send(&runtime, &mut session, &early);
            assert!(error(&until_tag(&runtime, &mut session, b'Z')).is_none());
            // The server has reason to look at it anew.
            assert!(other.run("alter table mine.customers add column more int;").unwrap().is_ok());
            assert!(other.run("alter table mine.customers drop column more;").unwrap().is_ok());
        }
        send(&runtime, &mut session, &[query("select pg_sleep(1)"), late, sync()].concat());
        until("the statement before it to run", SOON, || {
            let sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
            world.cluster.psql("shop", sleeping).unwrap() != "0"
        })
        .unwrap();
        assert!(other.run(AWAY).unwrap().is_ok());
        until_tag(&runtime, &mut session, b'Z');
        assert!(error(&until_tag(&runtime, &mut session, b'Z')).is_none());
        assert!(other.run(BACK).unwrap().is_ok());
        let bind = [frame(b'B', b"\0s\0\0\0\0\0\0\0"), frame(b'E', b"\0\0\0\0\0"), sync()].concat();
        send(&runtime, &mut session, &bind);
        let replies = until_tag(&runtime, &mut session, b'Z');
        let (state, message) = error(&replies).unwrap();
        assert!(state == "42501" && message.contains("denied"), "{state} {message}");
        assert!(replies.iter().all(|(tag, _)| *tag != b'D'), "{replies:?}");
    }
}
