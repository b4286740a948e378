//! Who cannot change what a name means keeps nobody from it, and what does nothing counts for nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dropped;
#[path = "../support/mod.rs"]
mod support;
mod unheard;

use std::time::{Duration, Instant};

use stepgate_testkit::{Person, Psql};
use support::frames::{execute, parse, query, send, sync};
use support::raw::{config, runtime, session};
use support::{EVERYTHING, SOON, World, is_active, passes, waits, waits_for_lock};

/// `mine` is the analysts' own, `locked` nobody's of them. What is called is somebody's code, and passes.
const SHOP: &str = "create schema mine authorization stepgate_analyst; \
    create schema locked; grant usage on schema locked to public; \
    create type mine.of_ssn as enum ('harmless'); alter type mine.of_ssn owner to stepgate_analyst; \
    create table mine.customers (id int, ssn mine.of_ssn); insert into mine.customers values (1, 'harmless'); \
    alter table mine.customers owner to stepgate_analyst; \
    create table stolen (x text); create table lk (id int); grant all on stolen, lk to public; \
    create function fee(id bigint) returns text language sql volatile as $$ select 1; select 'x' || id $$; \
    create function mine.pay(id bigint) returns text language sql volatile as $$ select 1; select 'y' || id $$; \
    alter function mine.pay owner to stepgate_analyst;";

const PAY: &str = "create or replace function mine.pay(id bigint) returns text language sql volatile \
    as $$ select 1; select 'z' || id $$;";

fn world() -> World {
    let mut world = World::not_serving(support::waiting);
    world.cluster.load("shop", SHOP).unwrap();
    world.gate.serve().unwrap();
    world
}

fn two(world: &World) -> (Person, Person) {
    (world.person("dora", "analysts"), world.person("eve", "analysts"))
}

/// Whatever becomes of it.
fn tries(psql: &mut Psql, sql: &str) {
    let reply = psql.run(sql).unwrap();
    assert!(!reply.text().contains("stepgate:"), "{sql}: {}", reply.text());
}

fn is_refused(psql: &mut Psql, sql: &str, why: &str) {
    let reply = psql.run(sql).unwrap();
    assert!(reply.sqlstate == "55006" && reply.text().contains(why), "{sql}: {}", reply.text());
}

fn is_cut_off(psql: &mut Psql) {
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("FATAL:  stepgate: what this statement reads was changed"), "{lines}");
    assert!(!lines.contains("901-00-"), "{lines}");
}

/// A statement of `psql` runs for a second, in which `other` does this; it is answered, unless it is cut off.
fn beside(world: &World, psql: &mut Psql, reads: &str, other: &mut Psql, does: &[&str]) {
    psql.send(reads).unwrap();
    is_active(world, "wait_event = 'PgSleep'");
    for sql in does {
        tries(other, sql);
    }
}

#[test]
fn a_table_renamed_as_an_index_and_back_under_a_waiting_statement_shows_nothing() {
    let world = world();
    let (dora, eve) = two(&world);
    let all = "select string_agg((select ssn from customers c limit 1)::text, ' '), (select count(*) from pg_sleep(1)) \
               from public.customers p where id < 4;";
    for (away, back) in [
        ("alter index mine.customers rename to away;", "alter index mine.away rename to customers;"),
        (
            "alter index if exists mine.customers rename to away;",
            "alter table mine.away rename to customers;",
        ),
        // What goes with a type.
        ("drop type mine.of_ssn cascade;", "alter table mine.customers add column ssn text;"),
        // A word that says that something is temporary elsewhere.
        (
            "drop table mine.customers;",
            "create table mine.customers (id int, ssn text, temp int, \"temporary\" int);",
        ),
    ] {
        let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
        passes(&mut psql, "set search_path = mine, public;");
        passes(&mut psql, "select ssn from customers;");
        passes(&mut other, "begin;");
        passes(&mut other, away);
        psql.send(all).unwrap();
        waits_for_lock(&world);
        passes(&mut other, "commit;");
        passes(&mut other, back);
        is_cut_off(&mut psql);
    }
}

/// A session that has committed and LISTENs has a transaction of its own, for as long as others NOTIFY.
#[test]
fn a_session_that_listens_has_committed_though_it_has_a_transaction() {
    let world = world();
    let (dora, eve) = two(&world);
    let mut sessions = [(); 3].map(|()| world.psql(&eve));
    let [renames, makes, locks] = &mut sessions;
    let mut psql = world.psql(&dora);
    passes(&mut psql, "set search_path = mine, public;");
    passes(&mut psql, "select ssn from customers;");
    for from in (0..9_000).step_by(500) {
        let listens: Vec<_> = (from..from + 500).map(|channel| format!("listen c{channel}")).collect();
        passes(renames, &format!("{};", listens.join("\\;")));
    }
    passes(locks, "begin;");
    passes(locks, "lock table mine.customers in access exclusive mode;");
    renames.send("alter table mine.customers rename to away;").unwrap();
    is_active(&world, "wait_event_type = 'Lock' and query like 'alter%'");
    psql.send("select ssn || '' from customers limit 5;").unwrap();
    is_active(&world, "wait_event_type = 'Lock' and query like 'select ssn%'");
    std::thread::sleep(Duration::from_millis(150));
    let flood = "select count(pg_notify('z', n::text)) from generate_series(1, 40000) n";
    world.cluster.psql("shop", flood).unwrap();
    passes(locks, "commit;");
    let renamed = "select count(*) from pg_class where relname = 'away'";
    stepgate_testkit::until_some("the commit", SOON, || {
        (world.cluster.psql("shop", renamed).unwrap() == "1").then_some(())
    })
    .unwrap();
    makes.send("create table mine.customers (id int, ssn text);").unwrap();
    is_cut_off(&mut psql);
}

/// A message of three: what its first has done, its second commits, and its third fails. Its client has gone, or stays.
#[test]
fn what_a_message_has_committed_counts_though_it_fails_later() {
    let world = world();
    let made = "create table mine.first (a int); create table mine.last (a int); create table mine.kept (a int); \
         insert into mine.first values (1); insert into mine.last values (1); \
         alter table mine.first owner to stepgate_analyst; alter table mine.last owner to stepgate_analyst; \
         alter table mine.kept owner to stepgate_analyst";
    world.cluster.load("shop", made).unwrap();
    let (dora, eve) = two(&world);
    let reads = "select ssn || '' from mine.first, customers, mine.last limit 5;";
    for hangs_up in [false, true] {
        let mut sessions = [(); 6].map(|()| world.psql(&eve));
        let [renames, makes, first, last, kept, back] = &mut sessions;
        let mut psql = world.psql(&dora);
        passes(&mut psql, "set search_path = mine, public;");
        passes(&mut psql, reads);
        for (locks, table) in [(&mut *first, "first"), (&mut *last, "last"), (&mut *kept, "kept")] {
            passes(locks, "begin;");
            passes(locks, &format!("lock table mine.{table} in access exclusive mode;"));
        }
        psql.send(reads).unwrap();
        waits_for_lock(&world);
        // What is not there brings a NOTICE, which brings what came before it.
        renames
            .send("alter table mine.customers rename to away\\; commit\\; drop table if exists mine.nothing, mine.kept, orders;")
            .unwrap();
        is_active(&world, "wait_event_type = 'Lock' and query like 'alter%'");
        std::thread::sleep(Duration::from_millis(300));
        if hangs_up {
            renames.signal("KILL").unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        passes(first, "commit;");
        std::thread::sleep(Duration::from_millis(50));
        passes(kept, "commit;");
        std::thread::sleep(Duration::from_millis(100));
        passes(makes, "create table mine.customers (id int, ssn text);");
        passes(last, "commit;");
        is_cut_off(&mut psql);
        passes(back, "drop table mine.customers;");
        passes(back, "alter table mine.away rename to customers;");
    }
}

/// In the same message, once its reads are done.
#[test]
fn names_that_the_waiting_session_changes_back_itself_show_nothing() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "set search_path = mine, public;");
    passes(&mut psql, "select ssn from customers;");
    passes(&mut other, "begin;");
    passes(&mut other, "drop table mine.customers;");
    psql.send(
        "select string_agg(ssn || '', ' ') from customers\\; create table if not exists mine.customers (id int, ssn text);",
    )
    .unwrap();
    waits_for_lock(&world);
    passes(&mut other, "commit;");
    is_cut_off(&mut psql);
}

#[test]
fn a_schema_made_on_a_path_under_a_waiting_statement_and_dropped_again_shows_nothing() {
    let world = world();
    world
        .cluster
        .load(
            "shop",
            "grant create on database shop to public; create view locked.seen as select id, segment as x from customers; \
             grant select on locked.seen to public; create table locked.t (a int); grant all on locked.t to public",
        )
        .unwrap();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "set search_path = later, locked, public;");
    passes(&mut psql, "select count(x) from seen;");
    let mut dba = Psql::start(world.cluster.psql_command("shop")).unwrap();
    assert!(dba.run("begin; lock table locked.t, locked.seen in access exclusive mode;").unwrap().is_ok());
    psql.send("select string_agg(x || '', ' ') from t, seen;").unwrap();
    waits_for_lock(&world);
    passes(&mut other, "create schema later;");
    passes(&mut other, "create table later.seen (x text);");
    passes(&mut other, "drop table later.seen;");
    passes(&mut other, "drop schema later;");
    assert!(dba.run("commit;").unwrap().is_ok());
    is_cut_off(&mut psql);
}

#[test]
fn who_may_change_nothing_of_it_keeps_nobody_from_what_has_the_same_name() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "select public.fee(1);");
    let many: Vec<String> = (0..257).map(|at| format!("zz{at}()")).collect();
    for does in [
        // Elsewhere.
        &["create table mine.fee (id int);"][..],
        &["create function mine.fee(bigint) returns text language sql as 'select 1::text';"],
        // What fails, and is taken back or not.
        &["create view locked.fee as select 1;"],
        &["savepoint s;", "create view locked.fee as select 1;", "rollback to s;"],
        &["savepoint s\\; savepoint t\\; create table locked.fee (id int);", "rollback to s;"],
        // What is not there.
        &["drop function if exists nowhere.fee(bigint);"],
        &["drop table if exists fee cascade;"],
        &["drop view if exists mine.fee, locked.fee;"],
        &["drop function if exists public.fee(xid8, text);"],
        &["drop table if exists \"größe\";"],
        &["comment on table mine.customers is 'Größe \\\\ fee';"],
        &[&format!("drop function if exists {};", many.join(","))],
    ] {
        passes(&mut other, "begin;");
        for sql in does {
            tries(&mut other, sql);
        }
        for sql in ["select public.fee(1);", "select fee(1);"] {
            let reply = psql.run(sql).unwrap();
            assert!(reply.is_ok(), "{does:?}: {}", reply.text());
        }
        tries(&mut other, "rollback;");
    }
}

/// Where it is on the path, it is what others mean by that name.
#[test]
fn what_is_made_on_a_path_keeps_others_from_it_until_it_is_committed() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "set search_path = mine, public;");
    passes(&mut psql, "select fee(1);");
    passes(&mut other, "begin;");
    passes(&mut other, "create function mine.fee(bigint) returns text language sql as 'select 1::text';");
    is_refused(&mut psql, "select fee(1);", "another session is changing");
    passes(&mut psql, "select public.fee(1);");
    // Made by the same transaction under a name of its own, and moved there.
    passes(&mut other, "rollback;");
    passes(&mut other, "begin;");
    passes(&mut other, "create function mine.fo(bigint) returns text language sql as 'select 1::text';");
    passes(&mut psql, "select fee(1);");
    passes(&mut other, "alter function mine.fo(bigint) rename to fee;");
    is_refused(&mut psql, "select fee(1);", "another session is changing");
    passes(&mut other, "rollback;");
    passes(&mut psql, "select fee(1);");
}

#[test]
fn a_transaction_that_has_failed_counts_for_nothing_until_a_savepoint_brings_it_back() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "select mine.pay(1);");
    passes(&mut other, "begin;");
    passes(&mut other, PAY);
    passes(&mut other, "savepoint a;");
    is_refused(&mut psql, "select mine.pay(1);", "another session is changing");
    tries(&mut other, "drop view nothing_of_the_kind;");
    passes(&mut psql, "select mine.pay(1);");
    // It does not come back beneath a statement that calls what it changes.
    psql.send("select case when pg_sleep(2) is null then 'x' else mine.pay(1) end;").unwrap();
    is_active(&world, "wait_event = 'PgSleep'");
    is_refused(&mut other, "rollback to a;", "in use by a statement under way");
    assert!(psql.finish(SOON).unwrap().is_ok());
    passes(&mut other, "rollback to a;");
    is_refused(&mut psql, "select mine.pay(1);", "another session is changing");
    tries(&mut other, "drop view nothing_of_the_kind;");
    passes(&mut psql, "select mine.pay(1);");
    passes(&mut other, "rollback;");
    passes(&mut psql, "select mine.pay(1);");
}

#[test]
fn drops_of_nothing_end_nobodys_statement_and_label_nothing() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "set search_path = locked, mine, public;");
    let reads = "select count(*), (select count(*) from pg_sleep(1)) from products;";
    for does in [
        &["drop function if exists products();"][..],
        &["drop table if exists mine.products, locked.products;"],
        // What fails.
        &["create view locked.products as select 1;"],
        &["begin;", "create view locked.products as select 1;", "commit;"],
    ] {
        beside(&world, &mut psql, reads, &mut other, &[does, does].concat());
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{does:?}: {}", reply.text());
    }
    // What is made, and is not on the path.
    passes(&mut psql, "set search_path = public;");
    let does = ["create table mine.products (id int);", "drop table mine.products;"];
    beside(&world, &mut psql, reads, &mut other, &does);
    assert!(psql.finish(SOON).unwrap().is_ok());
    passes(&mut psql, "select name from products limit 1; select x from stolen;");
}

#[test]
fn a_plain_read_that_is_cut_off_labels_nothing() {
    let world = world();
    world
        .cluster
        .load(
            "shop",
            "create function mine.name() returns int language sql as 'select 1'; \
             create function mine.price() returns int language sql as 'select 1'; \
             alter function mine.name owner to stepgate_analyst; alter function mine.price owner to stepgate_analyst",
        )
        .unwrap();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "set search_path = mine, public;");
    let reads = "select max(name), max(price), (select count(*) from pg_sleep(1)) from products;";
    beside(
        &world,
        &mut psql,
        reads,
        &mut other,
        &["drop function mine.name();", "drop function mine.price();"],
    );
    // Nothing else has these names: it could only have missed them.
    assert!(psql.finish(SOON).unwrap().is_ok());
    let does =
        ["alter table mine.customers rename to products;", "alter table mine.products rename to customers;"];
    beside(&world, &mut psql, reads, &mut other, &does);
    is_cut_off(&mut psql);
    let mut psql = world.psql(&dora);
    passes(&mut psql, "select name from products limit 1; select x from stolen;");
}

/// Read for a while, it runs what copies.
#[test]
fn what_a_view_stored_that_was_there_for_a_while_is_shown_to_nobody_unasked() {
    let world = world();
    world
        .cluster
        .load(
            "shop",
            "create function mine.keeps() returns text language plpgsql volatile as \
             $$ begin execute 'insert into public.stolen select ssn from public.customers'; return 'x'; end $$; \
             create view mine.armed as select 1 as id, mine.keeps() as ssn; \
             alter view mine.armed owner to stepgate_analyst; create table mine.t (a int); \
             alter table mine.t owner to stepgate_analyst",
        )
        .unwrap();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "set search_path = mine, public;");
    passes(&mut psql, "select ssn from customers; select x from stolen;");
    passes(&mut other, "begin;");
    passes(&mut other, "alter table mine.customers rename to away;");
    passes(&mut other, "alter view mine.armed rename to customers;");
    psql.send("select count(ssn || ''), (select count(*) from pg_sleep(1)) from customers;").unwrap();
    waits_for_lock(&world);
    passes(&mut other, "commit;");
    passes(&mut other, "alter view mine.customers rename to armed;");
    passes(&mut other, "alter table mine.away rename to customers;");
    is_cut_off(&mut psql);
    waits(&world, &mut world.psql(&dora), &dora, "select x from stolen;");
}

fn sleep(world: &World, how_many: usize) {
    stepgate_testkit::until_some("statements under way", SOON, || {
        let active =
            format!("select count(*) >= {how_many} from pg_stat_activity where wait_event = 'PgSleep'");
        (world.cluster.psql("shop", &active).unwrap() == "t").then_some(())
    })
    .unwrap();
}

fn nothing_is_labelled(psql: &mut Psql) {
    passes(psql, "select id, segment from customers where id = 1;");
    passes(psql, "select count(*) from products;");
}

#[test]
fn ddl_behind_a_sleep_in_one_message_ends_no_session_of_others_and_labels_nothing() {
    let world = world();
    let (dora, eve) = two(&world);
    let ewald = world.person("ewald", "analysts");
    for behind in [
        "commit prepared 'nope';",
        "create function public.lower(text) returns text language sql as 'select 1::text';",
        "create table public.products (a int);",
    ] {
        let mut others = [world.psql(&eve), world.psql(&ewald)];
        let mut psql = world.psql(&dora);
        // One that began before, and one that begins while they wait.
        psql.send("select lower(segment), (select count(*) from pg_sleep(5)) from customers where id = 1;")
            .unwrap();
        sleep(&world, 1);
        for other in &mut others {
            other.send(&format!("select pg_sleep(20)\\; {behind}")).unwrap();
        }
        sleep(&world, 3);
        let mut third = world.psql(&dora);
        let began = Instant::now();
        passes(&mut third, "select lower(segment) from customers where id = 1;");
        assert!(began.elapsed() < Duration::from_secs(2), "{behind}: {:?}", began.elapsed());
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok() && reply.text().contains('1'), "{behind}: {}", reply.text());
        nothing_is_labelled(&mut third);
    }
}

/// Of which nobody could know whether it is committed.
#[test]
fn ddl_behind_the_end_of_a_transaction_that_waits_is_not_sent() {
    let world = world();
    let (dora, _) = two(&world);
    let mut psql = world.psql(&dora);
    let reply = psql.run("select pg_sleep(20)\\; commit\\; create table mine.made (a int);").unwrap();
    assert!(reply.sqlstate == "0A000" && reply.text().contains("one by one"), "{}", reply.text());
    passes(&mut psql, "begin\\; create table mine.made (a int)\\; commit;");
}

/// Which others could do in a loop.
#[test]
fn what_another_session_stores_ends_nobody_who_renames_what_they_have_just_made() {
    let rule = "  - {name: guesses, match: {certainty: [unknown]}, action: deny}\n";
    let mut world = World::not_serving(support::waiting);
    let map = include_str!("../../../../policies/pii-map.yaml").replace(": step-up", ": deny");
    world.gate.policies(&map, &format!("{EVERYTHING}{rule}")).unwrap();
    world.cluster.load("shop", SHOP).unwrap();
    world.gate.serve().unwrap();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    for round in 0..3 {
        passes(&mut other, &format!("begin; create table mine.kept{round} (a text);"));
        passes(&mut other, &format!("insert into mine.kept{round} select ssn from customers limit 3;"));
        passes(&mut other, "commit;");
        passes(&mut psql, "begin;");
        passes(&mut psql, "create table mine.one (a text);");
        passes(&mut psql, "alter table mine.one rename to two;");
        passes(&mut psql, "alter table mine.two rename a to b;");
        passes(&mut psql, "rollback;");
    }
}

/// Nobody of the clients hears that it has failed, but the gate does.
#[test]
fn ddl_that_fails_once_its_client_has_hung_up_ends_no_session_of_others_and_labels_nothing() {
    let world = world();
    let (dora, eve) = two(&world);
    for fails in [
        "create function public.lower(text) returns text language sql as 'select 1::text';",
        "select pg_sleep(1)\\; create function public.lower(text) returns text language sql as 'select 1::text';",
        "commit prepared 'nope';",
    ] {
        let mut psql = world.psql(&dora);
        psql.send("select lower(segment), (select count(*) from pg_sleep(4)) from customers where id = 1;")
            .unwrap();
        sleep(&world, 1);
        for _ in 0..2 {
            let mut other = world.psql(&eve);
            other.send(fails).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            other.signal("KILL").unwrap();
        }
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{fails}: {}", reply.text());
        nothing_is_labelled(&mut psql);
    }
}

/// Nor if the server says so much before it that nobody reads it to its end.
#[test]
fn ddl_that_fails_behind_what_nobody_reads_ends_no_session_of_others_and_labels_nothing() {
    let world = world();
    let (dora, eve) = two(&world);
    let much = "select repeat('x', 1000) from generate_series(1, 30000)";
    let ddl = "create function public.lower(text) returns text language sql as 'select 1::text'";
    let runtime = runtime();
    let in_one_message = query(&format!("{much}; {ddl}"));
    let in_one_segment = [parse(much), execute(), parse(ddl), execute(), sync()].concat();
    let mut psql = world.psql(&dora);
    for sent in [in_one_message, in_one_segment] {
        psql.send("select lower(segment), (select count(*) from pg_sleep(4)) from customers where id = 1;")
            .unwrap();
        sleep(&world, 1);
        let mut others: Vec<_> =
            (0..3).map(|_| runtime.block_on(session(&config(&world, &eve))).unwrap()).collect();
        others.iter_mut().for_each(|other| send(&runtime, other, &sent));
        std::thread::sleep(Duration::from_millis(500));
        drop(others);
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{}", reply.text());
        nothing_is_labelled(&mut psql);
    }
}

/// Nor if it says that it would commit as it goes.
#[test]
fn ddl_that_fails_at_once_ends_no_session_of_others_whatever_it_says() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    for fails in [
        "alter table public.customers set (concurrently = 1);",
        "drop index concurrently public.customers;",
        // One statement, whatever is in its body.
        "create function mine.customers() returns int language sql begin atomic select 1; select nope; end;",
    ] {
        psql.send("select segment, (select count(*) from pg_sleep(1)) from public.customers where id = 1;")
            .unwrap();
        sleep(&world, 1);
        for _ in 0..3 {
            let reply = other.run(fails).unwrap();
            assert!(!reply.is_ok() && !reply.text().contains("stepgate:"), "{fails}: {}", reply.text());
        }
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{fails}: {}", reply.text());
        nothing_is_labelled(&mut psql);
    }
}

/// What commits as it goes may take as long as it likes, where it is all that its session has to do, whatever that ran before.
#[test]
fn an_index_made_concurrently_is_not_ended_for_others_who_read_the_table() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other, mut open) = (world.psql(&dora), world.psql(&eve), world.psql(&dora));
    passes(&mut other, "select mine.pay(1);");
    passes(&mut open, "begin;");
    passes(&mut open, "insert into mine.customers values (2, 'harmless');");
    other.send("create index concurrently later on mine.customers (id);").unwrap();
    is_active(&world, "wait_event_type = 'Lock' and query like 'create index%'");
    // What a reply asks about that was long in coming.
    passes(&mut psql, "select id, (select count(*) from pg_sleep(1)) from mine.customers limit 1;");
    passes(&mut psql, "select id, (select count(*) from pg_sleep(1)) from mine.customers limit 1;");
    passes(&mut open, "commit;");
    let reply = other.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
}
