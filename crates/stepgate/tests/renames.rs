//! Nobody is asked for RENAME, SET SCHEMA and CREATE FUNCTION, and no label is lost by them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use stepgate_testkit::{Person, Psql};
use support::{SOON, World, approved, is_active, passes, waits, waits_for_lock};

/// Where analysts may make tables, and own those of the shop.
fn world(more: &str) -> World {
    let mut world = World::not_serving(support::waiting);
    let ddl = "grant create on schema public to public; create schema s; grant all on schema s to public; \
               alter table customers owner to stepgate_analyst; alter table products owner to stepgate_analyst; \
               grant create on database shop to public; alter schema s owner to stepgate_analyst;";
    world.cluster.load("shop", &format!("{ddl} {more}")).unwrap();
    world.gate.serve().unwrap();
    world
}

/// A function that is compiled when it is first called.
const LATE: &str = "create function late(id bigint) returns text language sql volatile \
                    as $$ select 1; select 'x' || id $$; alter function late owner to stepgate_analyst;";

/// The same, become something else.
const REPLACE: &str = "create or replace function late(id bigint) returns text language sql volatile \
                       as $$ select 1; select ssn from public.customers limit 1 $$;";

/// What makes it what it was.
fn restored() -> String {
    LATE.replace("create function", "create or replace function").split_inclusive(';').take(2).collect()
}

/// In a session of its own, the statement waits, and is called off.
fn asks(world: &World, person: &Person, sql: &str) {
    waits(world, &mut world.psql(person), person, sql);
}

fn is_cut_off(psql: &mut Psql) {
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("FATAL:  stepgate: ") && !lines.contains("901-00-"), "{lines}");
}

#[test]
fn dbts_way_to_replace_a_table_asks_for_nothing_but_labelled_data() {
    let mut world = world("");
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    // A model without labels, statement by statement and as dbt does it, in transactions and with the database's name.
    passes(&mut psql, "create table m as select id, segment from customers;");
    for sql in [
        "create table m__tmp as select id, segment from customers;",
        "alter table m rename to m__backup;",
        "alter table m__tmp rename to m;",
        "drop table if exists m__backup cascade;",
        "select segment from m limit 1;",
        "begin;",
        "create table \"shop\".\"public\".\"m__tmp\" as (select id, segment from \"shop\".\"public\".\"customers\");",
        "alter table \"shop\".\"public\".\"m\" rename to \"m__backup\";",
        "alter table \"shop\".\"public\".\"m__tmp\" rename to \"m\";",
        "commit;",
        "begin;",
        "drop table if exists \"shop\".\"public\".\"m__backup\" cascade;",
        "commit;",
        "select segment from m limit 1;",
        "select * from \"shop\".\"public\".\"m\" limit 1;",
    ] {
        passes(&mut psql, sql);
    }
    // One with labels.
    approved(&world, &mut psql, &mut olga, "create table l as select id, ssn as x from customers;");
    for transaction in [false, true] {
        if transaction {
            passes(&mut psql, "begin;");
        }
        let make = "create table public.l__tmp as select id, ssn as x from public.customers;";
        approved(&world, &mut psql, &mut olga, make);
        passes(&mut psql, "alter table public.l rename to l__backup;");
        passes(&mut psql, "alter table public.l__tmp rename to l;");
        if transaction {
            passes(&mut psql, "commit;");
        }
        for table in ["l", "l__backup"] {
            waits(&world, &mut psql, &dana, &format!("select x from {table};"));
            passes(&mut psql, &format!("select max(id) from {table};"));
        }
        passes(&mut psql, "drop table if exists public.l__backup cascade;");
        waits(&world, &mut psql, &dana, "select count(*) from public.l where x like '901%';");
    }
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    asks(&world, &dana, "select x from l;");
    passes(&mut world.psql(&dana), "select segment from m limit 1;");
}

#[test]
fn names_swapped_in_a_transaction_show_nothing_in_it_and_nothing_after_it() {
    let world =
        world("create table plain (id bigint, ssn text); alter table plain owner to stepgate_analyst;");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select id from public.plain; select segment from public.customers limit 1;");
    passes(&mut psql, "begin;");
    for sql in [
        "alter table public.customers rename segment to was;",
        "alter table public.customers rename ssn to segment;",
        "alter table public.products rename to p0;",
        "alter table public.customers rename to products;",
        "alter table public.products rename birth_date to name;",
    ] {
        passes(&mut psql, sql);
    }
    // By names that are known to be harmless.
    waits(&world, &mut psql, &dana, "select name from public.products limit 1;");
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin;");
    passes(
        &mut psql,
        "alter table public.customers rename ssn to was; alter table public.customers rename segment to ssn;",
    );
    passes(&mut psql, "alter table public.customers rename was to segment;");
    passes(
        &mut psql,
        "alter table public.products rename to p0\\; alter table public.customers rename to products;",
    );
    passes(&mut psql, "commit;");
    for sql in
        ["select segment from products;", "select ssn from products;", "select birth_date from products;"]
    {
        waits(&world, &mut psql, &dana, sql);
    }
    passes(&mut psql, "select max(id) from products;");
    // What came to stand under the name of a labelled table.
    passes(&mut psql, "create table customers (id bigint, ssn text);");
    waits(&world, &mut psql, &dana, "select ssn from customers;");
}

#[test]
fn a_rename_in_the_message_or_transaction_of_a_read_does_not_change_what_it_is_taken_for() {
    let world = world("");
    let dana = world.dana();
    for sql in [
        "alter table customers rename ssn to x\\; select x from public.customers limit 1;",
        "alter table public.products rename to p\\; alter table public.customers rename ssn to name\\; \
         alter table public.customers rename to products\\; select name from public.products;",
        "create function public.f() returns text language sql as 'select ssn from public.customers'\\; select f();",
    ] {
        asks(&world, &dana, sql);
    }
    // Undone by a savepoint, and then done.
    let mut psql = world.psql(&dana);
    for sql in [
        "begin;",
        "savepoint a;",
        "alter table public.customers rename ssn to x;",
        "rollback to a;",
        "alter table public.customers rename segment to x;",
    ] {
        passes(&mut psql, sql);
    }
    waits(&world, &mut psql, &dana, "select x from public.customers limit 1;");
    passes(&mut psql, "rollback;");
    passes(&mut psql, "select segment from public.customers limit 1;");
    asks(&world, &dana, "select ssn from public.customers limit 1;");
}

#[test]
fn a_schema_renamed_in_the_transaction_that_filled_a_table_in_it_keeps_the_labels() {
    let world = world("");
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin;");
    approved(&world, &mut psql, &mut olga, "create table s.t as select id, ssn as x from public.customers;");
    passes(&mut psql, "alter schema s rename to r;");
    passes(&mut psql, "commit;");
    waits(&world, &mut psql, &dana, "select x from r.t;");
    passes(&mut psql, "select max(id) from r.t;");
    // And one that the gate has seen.
    passes(&mut psql, "alter schema r rename to q;");
    asks(&world, &dana, "select x from q.t;");
}

#[test]
fn labels_stored_a_moment_before_the_gate_is_killed_outlive_a_rename_before_it_is_back() {
    let mut world = world("create table notes (id bigint, note text); grant all on notes to public;");
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select note from notes;");
    // Committed, while the gate waits for the rest.
    psql.send("begin\\; insert into notes select id, ssn from customers\\; commit\\; select pg_sleep(60);")
        .unwrap();
    let request = support::held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    is_active(&world, "wait_event = 'PgSleep'");
    world.gate.kill();
    world.cluster.load("shop", "alter table notes rename note to n; alter table notes rename to m").unwrap();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    asks(&world, &dana, "select n from m;");
    passes(&mut world.psql(&dana), "select max(id) from m;");
}

#[test]
fn a_gate_killed_in_the_moment_of_a_rename_knows_where_the_labels_went() {
    let mut world = world("");
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin;");
    approved(&world, &mut psql, &mut olga, "create table t as select id, ssn as x from customers;");
    passes(&mut psql, "alter table t rename x to y\\; alter table t rename to u\\; commit;");
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    asks(&world, &dana, "select y from u;");
}

#[test]
fn nothing_is_stored_by_a_name_that_a_rename_waits_to_take_along() {
    let world = world("create table x (a text); alter table x owner to stepgate_analyst;");
    let (dana, mut olga) = (world.dana(), world.olga());
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&dana));
    passes(&mut other, "select a from x;");
    passes(&mut psql, "begin;");
    passes(&mut psql, "drop table x;");
    other.send("alter table x rename to y;").unwrap();
    waits_for_lock(&world);
    let stores = "create table public.x as select ssn as a from public.customers;";
    let reply = psql.run(stores).unwrap();
    assert_eq!(reply.sqlstate, "55006", "{}", reply.text());
    passes(&mut psql, "rollback;");
    let reply = other.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    passes(&mut other, "select a from y;");
    // And once it is renamed.
    approved(&world, &mut psql, &mut olga, stores);
    passes(&mut other, "drop table y;");
    passes(&mut other, "alter table x rename to y;");
    asks(&world, &dana, "select a from y;");
}

#[test]
fn a_function_replaced_under_an_open_cursor_is_judged_before_it_is_fetched_from() {
    let world = world(LATE);
    let dana = world.dana();
    let eve = world.person("eve", "analysts");
    // Beside the session, and within its transaction.
    for own in [false, true] {
        let mut psql = world.psql(&dana);
        passes(&mut psql, "begin;");
        passes(&mut psql, "declare c cursor for select late(id) from products order by id;");
        if own {
            passes(&mut psql, REPLACE);
        } else {
            passes(&mut world.psql(&eve), REPLACE);
        }
        waits(&world, &mut psql, &dana, "fetch 1 from c;");
        drop(psql);
        passes(&mut world.psql(&eve), &restored());
    }
}

/// What a function does cannot be taken back by keeping the reply from the client: through the gate it is not replaced
/// meanwhile.
#[test]
fn a_function_replaced_while_what_calls_it_runs_shows_nothing() {
    let world = world(LATE);
    let dana = world.dana();
    let eve = world.person("eve", "analysts");
    let slow = "select case when id = 1 then pg_sleep(2)::text else late(id) end from products where id < 4 order by id";
    for (before, runs) in [
        (format!("begin; declare c cursor for {slow};"), "fetch all from c;".to_owned()),
        (format!("prepare p as {slow};"), "execute p;".to_owned()),
        // Reads no relation by itself.
        (String::new(), "select case when pg_sleep(2) is null then 'x' else late(1) end;".to_owned()),
    ] {
        for beside in [false, true] {
            let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
            // What the one before has left at the server may not be over yet.
            stepgate_testkit::until_some("the function restored", SOON, || {
                other.run(&restored()).unwrap().is_ok().then_some(())
            })
            .unwrap();
            passes(&mut psql, "select late(id) from products limit 1;");
            if !before.is_empty() {
                passes(&mut psql, &before);
            }
            psql.send(&runs).unwrap();
            is_active(&world, "wait_event = 'PgSleep'");
            if beside {
                world.cluster.load("shop", REPLACE).unwrap();
                is_cut_off(&mut psql);
                continue;
            }
            let refused = other.run(REPLACE).unwrap();
            assert!(
                refused.text().contains("what this changes is in use by a statement under way"),
                "{}",
                refused.text()
            );
            let reply = psql.finish(SOON).unwrap();
            assert!(reply.is_ok() && !reply.text().contains("901-00-"), "{}", reply.text());
            passes(&mut other, REPLACE);
            passes(&mut other, &restored());
        }
    }
}

/// Withholding its reply would not take back what it has sent to whoever listens.
#[test]
fn a_function_that_another_transaction_replaces_is_not_called_before_that_has_ended() {
    let world = world(LATE);
    let dana = world.dana();
    let eve = world.person("eve", "analysts");
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    passes(&mut psql, "select late(id) from products limit 1;");
    passes(&mut other, "begin;");
    passes(&mut other, "lock table products;");
    passes(&mut other, REPLACE);
    let refused = psql.run("select late(id) from products;").unwrap();
    assert!(
        refused.text().contains("another session is changing what this statement runs"),
        "{}",
        refused.text()
    );
    // What has nothing to do with it goes on.
    passes(&mut psql, "select count(*) from customers;");
    passes(&mut other, "rollback;");
    passes(&mut psql, "select late(id) from products limit 1;");
}

/// What a function is made to store something in, and what is none of its maker's.
const STOLEN: &str = "create table stolen (x text); create table lk (id int); insert into lk values (1); \
                      grant all on stolen, lk to public; create table kept (x text); grant select on kept to public;";

/// The same function, become something that nobody understands.
const STEALS: &str = "create or replace function late(id bigint) returns text language plpgsql volatile as \
                      $$ begin insert into public.stolen select ssn from public.customers; return 'x'; end $$;";

/// A statement waits for a lock, and what it calls becomes something else; `meanwhile` the session may go.
fn replaced_under(
    world: &World,
    replace: &str,
    meanwhile: impl FnOnce(Psql) -> Option<Psql>,
) -> Option<Psql> {
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    let calls = "select late(id) from lk;";
    passes(&mut psql, calls);
    let mut dba = Psql::start(world.cluster.psql_command("shop")).unwrap();
    assert!(dba.run("begin; lock table lk in access exclusive mode;").unwrap().is_ok());
    psql.send(calls).unwrap();
    waits_for_lock(world);
    let psql = meanwhile(psql);
    // Through the gate it would be refused.
    world.cluster.load("shop", replace).unwrap();
    assert!(dba.run("commit;").unwrap().is_ok());
    psql
}

#[test]
fn what_a_function_stored_that_became_something_unknown_under_a_statement_is_shown_to_nobody_unasked() {
    let world = world(&format!("{STOLEN} {LATE}"));
    let mut psql = replaced_under(&world, STEALS, Some).unwrap();
    is_cut_off(&mut psql);
    assert_ne!(world.cluster.psql("shop", "select count(*) from stolen").unwrap(), "0");
    let dana = world.dana();
    asks(&world, &dana, "select x from stolen;");
    // What it could not write is what it was.
    passes(&mut world.psql(&dana), "select x from kept;");
}

#[test]
fn a_function_replaced_by_one_that_only_returns_something_else_makes_nothing_unknown() {
    let world = world(&format!("{STOLEN} {LATE}"));
    is_cut_off(&mut replaced_under(&world, REPLACE, Some).unwrap());
    passes(&mut world.psql(&world.dana()), "select x from stolen;");
}

/// Nobody hears its reply, and so nobody looked again at what it had become.
#[test]
fn what_a_statement_stored_whose_client_had_gone_when_its_function_was_replaced_is_shown_to_nobody_unasked() {
    for replace in [
        STEALS,
        "create or replace function late(id bigint) returns text language sql volatile as \
         $$ insert into public.stolen select ssn from public.customers; select 'x' $$;",
    ] {
        let world = world(&format!("{STOLEN} {LATE}"));
        replaced_under(&world, replace, |psql| {
            drop(psql);
            std::thread::sleep(Duration::from_millis(300));
            None
        });
        stepgate_testkit::until_some("what it stored", SOON, || {
            (world.cluster.psql("shop", "select count(*) from stolen").unwrap() != "0").then_some(())
        })
        .unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let dana = world.dana();
        asks(&world, &dana, "select x from stolen;");
        passes(&mut world.psql(&dana), "select x from kept;");
    }
}

#[test]
fn a_function_made_while_a_column_is_added_does_not_fill_it_unnoticed() {
    let world = world(
        "create table mine (a int); insert into mine values (1); alter table mine owner to stepgate_analyst;",
    );
    let dana = world.dana();
    let eve = world.person("eve", "analysts");
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    passes(&mut psql, "set search_path = s, pg_catalog, public;");
    let mut dba = Psql::start(world.cluster.psql_command("shop")).unwrap();
    assert!(dba.run("begin; lock table mine in access exclusive mode;").unwrap().is_ok());
    psql.send("alter table mine add column c text default lower('X');").unwrap();
    waits_for_lock(&world);
    passes(
        &mut other,
        "create function s.lower(text) returns text language sql as 'select ssn from public.customers limit 1';",
    );
    assert!(dba.run("commit;").unwrap().is_ok());
    is_cut_off(&mut psql);
    stepgate_testkit::until_some("a column", SOON, || {
        let there = "select count(*) from pg_attribute where attrelid = 'mine'::regclass and attname = 'c'";
        (world.cluster.psql("shop", there).unwrap() == "1").then_some(())
    })
    .unwrap();
    asks(&world, &dana, "select c from mine;");
}

#[test]
fn a_table_with_a_trigger_renamed_to_what_is_truncated_does_not_run_it_unnoticed() {
    let world = world(
        "create table plain (a int); create table armed (a int); \
         create function fired() returns trigger language plpgsql as $$ begin \
         raise notice '%', (select ssn from public.customers limit 1); return null; end $$; \
         create trigger fired before truncate on armed execute function fired(); \
         alter table plain owner to stepgate_analyst; alter table armed owner to stepgate_analyst;",
    );
    let dana = world.dana();
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&dana));
    asks(&world, &dana, "truncate armed;");
    passes(&mut psql, "begin;");
    passes(&mut psql, "alter table plain rename to plain_0;");
    waits(&world, &mut psql, &dana, "truncate plain_0;");
    passes(&mut psql, "rollback;");
    passes(&mut psql, "begin;");
    passes(&mut psql, "alter table plain rename to plain_0;");
    passes(&mut psql, "alter table armed rename to plain;");
    other.send("truncate plain;").unwrap();
    waits_for_lock(&world);
    passes(&mut psql, "commit;");
    is_cut_off(&mut other);
}

#[test]
fn what_finds_things_by_name_is_judged_by_what_has_the_name_now() {
    let world = world(
        "create function g() returns text language sql as 'select name from public.products limit 1'; \
         create view v as select id, name from products; create view w as select ssn as x from customers; \
         grant select on v, w to public;",
    );
    let dana = world.dana();
    let eve = world.person("eve", "analysts");
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    passes(&mut other, "prepare p as select name from public.products limit 1;");
    passes(&mut other, "set search_path = s, pg_catalog, public;");
    for sql in ["execute p;", "select g();", "select name from v limit 1;", "select lower('X');"] {
        passes(&mut other, sql);
    }
    passes(
        &mut psql,
        "create function s.lower(text) returns text language sql as 'select ssn from public.customers limit 1';",
    );
    waits(&world, &mut other, &eve, "select lower('X');");
    passes(&mut other, "set search_path = public;");
    for sql in [
        "alter table products rename to p0;",
        "alter table customers rename ssn to name;",
        "alter table customers rename to products;",
    ] {
        passes(&mut psql, sql);
    }
    for sql in ["execute p;", "select g();", "select x from w;", "select name from products;"] {
        waits(&world, &mut other, &eve, sql);
    }
    // By OID, this is what it was.
    passes(&mut other, "select name from v limit 1;");
}

/// Somebody who owns two labelled tables gives one the name of the other.
#[test]
fn what_was_approved_of_a_table_is_not_approved_of_another_that_gets_its_name() {
    let mut world = World::not_serving(support::waiting);
    let ddl = "grant create on schema public to public; \
               create table lo as select 1 as id, '901-00-LOW'::text as ssn; create table lo2 as table lo; \
               create table hi as select 1 as id, '901-00-HIGH'::text as ssn; create table hi2 as table hi; \
               alter table lo owner to stepgate_analyst; alter table lo2 owner to stepgate_analyst; \
               alter table hi owner to stepgate_analyst; alter table hi2 owner to stepgate_analyst;";
    world.cluster.load("shop", ddl).unwrap();
    let read =
        |name: &str| std::fs::read_to_string(support::repository().join("policies").join(name)).unwrap();
    let labelled = |table: &str| format!("    public.{table}: {{columns: {{ssn: ssn}}}}\n");
    let more: String = ["lo", "lo2", "hi", "hi2"].map(labelled).concat();
    let map = read("pii-map.yaml");
    let map = map.replacen("    public.customers:", &format!("{more}    public.customers:"), 1);
    world.gate.policies(&map, &support::waiting(read("policy.yaml"))).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&dana));
    let swapped = |psql: &mut Psql, low: &str, high: &str| {
        passes(psql, &format!("alter table {low} rename to {low}_before;"));
        passes(psql, &format!("alter table {high} rename to {low};"));
    };
    let shows = |reply: stepgate_testkit::Reply, what: &str| {
        assert!(reply.is_ok() && reply.text().contains(what), "{}", reply.text());
    };
    // Remembered.
    psql.send("select ssn from public.lo;").unwrap();
    let request = support::held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    shows(psql.finish(SOON).unwrap(), "901-00-LOW");
    shows(psql.run("select ssn from public.lo;").unwrap(), "901-00-LOW");
    swapped(&mut psql, "lo", "hi");
    waits(&world, &mut psql, &dana, "select ssn from public.lo;");
    // Under a statement that waits: it is asked about anew.
    psql.send("select ssn from public.lo2;").unwrap();
    let request = support::held(&mut psql);
    swapped(&mut other, "lo2", "hi2");
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let again = support::held(&mut psql);
    assert_ne!(again, request);
    world.gate.run(["request", "cancel", &again, "--as", "dana"], "").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "57014" && !reply.text().contains("901-00-"), "{}", reply.text());
}
