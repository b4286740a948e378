//! What was approved is what runs: not what its names, its session or the catalog have made of it since.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use stepgate_testkit::{Person, Psql};
use support::frames::{frame, held as held_of, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
use support::{World, held, passes, waits};

const WRITE: &str = "insert into products values (900, 'new', 'home', 1);";

/// A schema of the analysts' own, before a gate that serves.
fn world(more: &str) -> World {
    let mut world = World::not_serving(|policy| policy);
    let lab = "create schema lab; grant all on schema lab to stepgate_analyst;";
    world.cluster.load("shop", &format!("{lab} set role stepgate_analyst; {more}")).unwrap();
    world.gate.serve().unwrap();
    world
}

/// What an analyst does beside the gate, or somebody who manages the database.
fn beside(world: &World, sql: &str) {
    world.cluster.load("shop", sql).unwrap();
    // The server is asked every two seconds.
    std::thread::sleep(std::time::Duration::from_secs(5));
}

fn begins_with(world: &World, person: &Person, options: &str) -> Psql {
    let mut command = world.gate.psql_command(person);
    command.env("PGOPTIONS", options);
    Psql::start(command).unwrap()
}

/// In a transaction that has written, the statement is deferred at once: its request.
fn deferred(psql: &mut Psql, sql: &str) -> String {
    for statement in ["begin;", WRITE] {
        passes(psql, statement);
    }
    let reply = psql.run(sql).unwrap();
    let text = reply.text();
    assert_eq!(reply.sqlstate, "SG010", "{sql}: {text}");
    passes(psql, "rollback;");
    let (_, rest) = text.split_once("ERROR:  stepgate: deferred, ").unwrap();
    rest.split_once('(').unwrap().1.split_once(')').unwrap().0.to_owned()
}

fn approve(world: &World, olga: &mut Person, request: &str) {
    olga.answer(&world.gate, "approve", request, "ticket 4711").unwrap().ok().unwrap();
}

/// The lines with somebody's number that a statement shows which nobody is asked about.
fn shows(psql: &mut Psql, sql: &str) -> usize {
    let reply = psql.run(sql).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{sql}: {}", reply.text());
    reply.lines.iter().filter(|line| line.len() == 11 && line.matches('-').count() == 2).count()
}

const PICKED: &str = "copy (select ssn from customers where id in (select id from lab.pick)) to stdout;";
const PICKS: &str = "create view lab.pick as select customer_id as id from orders where id = 1; \
                     create view lab.all_of_them as select customer_id as id from orders;";
const SWAP: [&str; 2] =
    ["alter view lab.pick rename to before;", "alter view lab.all_of_them rename to pick;"];

#[test]
fn a_view_that_took_the_name_of_another_is_not_what_was_approved_be_it_held_or_deferred() {
    let world = world(PICKS);
    let (dana, mut olga, eve) = (world.dana(), world.olga(), world.person("eve", "analysts"));
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    let request = deferred(&mut psql, PICKED);
    approve(&world, &mut olga, &request);
    for rename in SWAP {
        passes(&mut other, rename);
    }
    waits(&world, &mut psql, &dana, PICKED);
    for rename in ["alter view lab.pick rename to all_of_them;", "alter view lab.before rename to pick;"] {
        passes(&mut other, rename);
    }
    psql.send(PICKED).unwrap();
    let request = held(&mut psql);
    for rename in SWAP {
        passes(&mut other, rename);
    }
    approve(&world, &mut olga, &request);
    assert_ne!(held(&mut psql), request);
}

#[test]
fn a_view_in_another_schema_or_with_other_columns_is_not_what_was_approved() {
    for (made, change) in [
        (
            PICKS,
            "create schema before; alter view lab.pick set schema before; \
             alter view lab.all_of_them rename to pick;",
        ),
        (
            "create view lab.pick as select 1 as id, customer_id as every from orders;",
            "alter view lab.pick rename column id to other; alter view lab.pick rename column every to id;",
        ),
    ] {
        let world = world(made);
        let (dana, mut olga) = (world.dana(), world.olga());
        let mut psql = world.psql(&dana);
        let request = deferred(&mut psql, PICKED);
        approve(&world, &mut olga, &request);
        beside(&world, change);
        waits(&world, &mut psql, &dana, PICKED);
    }
}

/// PL/pgSQL runs EXECUTE and FETCH as it does any statement: nobody sees by its text what of the session's that is.
#[test]
fn a_pass_of_code_that_nobody_understands_is_none_where_it_could_go_on_with_what_the_session_has_named() {
    const RUNS: &str = "copy (select * from lab.runs()) to stdout;";
    let world = world(
        "create function lab.runs() returns setof text language plpgsql as $$ declare r record; \
         begin for r in execute 'execute ' || 'p' loop return next r::text; end loop; end $$;",
    );
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let request = deferred(&mut psql, RUNS);
    approve(&world, &mut olga, &request);
    passes(&mut psql, "prepare p as select name from products;");
    waits(&world, &mut psql, &dana, RUNS);
    let runtime = runtime();
    let mut session = runtime.block_on(session(&config(&world, &dana))).unwrap();
    send(&runtime, &mut session, &[frame(b'P', b"p\0select name from products\0\0\0"), sync()].concat());
    until_tag(&runtime, &mut session, b'Z');
    send(&runtime, &mut session, &query(RUNS));
    held_of(&runtime, &mut session);
    // Where nothing has a name, it is what was approved.
    let reply = world.psql(&dana).run(RUNS).unwrap();
    assert!(reply.text().contains("ERROR:  cannot open EXECUTE query as cursor"), "{}", reply.text());
}

const CALLS: &str = "copy (select * from lab.shown()) to stdout;";

#[test]
fn what_code_that_is_not_seen_through_finds_by_name_is_what_it_was() {
    for (made, change) in [
        (
            "create view lab.it as select ssn from customers where id = 1; \
             create view lab.every as select ssn from customers;",
            "alter view lab.it rename to old; alter view lab.every rename to it;",
        ),
        (
            "create table lab.it as select 'none'::text as ssn; create table lab.every as select ssn from customers;",
            "alter table lab.it rename to old; alter table lab.every rename to it;",
        ),
    ] {
        let world = world(&format!(
            "{made} create function lab.shown() returns setof text language plpgsql as \
             $$ begin return query execute 'select ssn::text from lab.' || 'it'; end $$;"
        ));
        let (dana, mut olga) = (world.dana(), world.olga());
        let mut psql = world.psql(&dana);
        let request = deferred(&mut psql, CALLS);
        approve(&world, &mut olga, &request);
        beside(&world, change);
        waits(&world, &mut psql, &dana, CALLS);
    }
}

#[test]
fn a_pass_is_nothing_behind_what_its_own_transaction_has_changed() {
    let function = |body: &str| {
        format!(
            "create or replace function lab.shown() returns setof text language plpgsql as \
             $$ begin return query select ssn::text from public.customers {body}; end $$;"
        )
    };
    let world = world(&function("where id = 1"));
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let request = deferred(&mut psql, CALLS);
    approve(&world, &mut olga, &request);
    passes(&mut psql, "begin;");
    passes(&mut psql, &function(""));
    waits(&world, &mut psql, &dana, CALLS);
    passes(&mut psql, "rollback;");
    // As it was.
    assert_eq!(shows(&mut psql, CALLS), 1);
}

#[test]
fn a_pass_is_for_sessions_that_began_with_the_same_settings() {
    let world = world("");
    let (dana, mut olga) = (world.dana(), world.olga());
    let sql = "copy (select ssn from customers where length((id/7.0::float8)::text) < 9) to stdout;";
    let request = deferred(&mut world.psql(&dana), sql);
    approve(&world, &mut olga, &request);
    for options in
        ["-c extra_float_digits=-14", "-c bytea_output=escape", "-c lc_time=C -c extra_float_digits=0"]
    {
        let mut psql = begins_with(&world, &dana, options);
        waits(&world, &mut psql, &dana, sql);
        // What is usual for others is none of these.
        passes(&mut psql, "set extra_float_digits = 3;");
        waits(&world, &mut psql, &dana, sql);
    }
    let mut psql = world.psql(&dana);
    passes(&mut psql, "set bytea_output = 'escape';");
    waits(&world, &mut psql, &dana, sql);
    // As JDBC's driver begins.
    let mut psql = begins_with(&world, &dana, "-c extra_float_digits=3 -c bytea_output=hex");
    shows(&mut psql, sql);
    // And those that began with others have passes of their own.
    let request = deferred(&mut begins_with(&world, &dana, "-c extra_float_digits=-14"), sql);
    approve(&world, &mut olga, &request);
    waits(&world, &mut psql, &dana, sql);
    shows(&mut begins_with(&world, &dana, "-c extra_float_digits=-14"), sql);
}

#[test]
fn what_tells_of_its_session_is_held_and_not_deferred() {
    let world = world(
        "create view lab.settings as select * from pg_settings; create view lab.of_it as select * from lab.settings; \
         create view lab.set as select current_setting('work_mem') as it;",
    );
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for condition in [
        "(select setting from pg_settings where name = 'work_mem') = '9999'",
        "(select setting from lab.of_it where name = 'work_mem') = '9999'",
        "(select it from lab.set) = '9999kB'",
        "exists (select from pg_listening_channels())",
        "exists (select from pg_cursors)",
        "exists (select from pg_prepared_statements)",
        "inet_client_port() > 40000",
    ] {
        for statement in ["begin;", WRITE] {
            passes(&mut psql, statement);
        }
        let sql = format!("copy (select ssn from customers where {condition}) to stdout;");
        waits(&world, &mut psql, &dana, &sql);
        passes(&mut psql, "rollback;");
    }
}

#[test]
fn a_pass_is_nothing_once_values_are_compared_or_taken_apart_otherwise() {
    for (made, sql, change) in [
        (
            "create collation lab.it (provider = libc, locale = 'C');",
            "copy (select ssn from customers where lower(email) < 'Z' collate lab.it) to stdout;",
            "drop collation lab.it; create collation lab.it (provider = icu, locale = 'und');",
        ),
        (
            "create text search configuration lab.it (parser = default);",
            "copy (select ssn from customers where length(to_tsvector('lab.it', full_name)) > 0) to stdout;",
            "alter text search configuration lab.it add mapping for asciiword with simple;",
        ),
        (
            "create type lab.it as enum ('few', 'all');",
            "copy (select ssn from customers where 'all'::lab.it < 'few'::lab.it) to stdout;",
            "alter type lab.it rename value 'few' to 'none'; alter type lab.it rename value 'all' to 'few'; \
             alter type lab.it rename value 'none' to 'all';",
        ),
    ] {
        let world = world(made);
        let (dana, mut olga) = (world.dana(), world.olga());
        let mut psql = world.psql(&dana);
        let request = deferred(&mut psql, sql);
        approve(&world, &mut olga, &request);
        beside(&world, change);
        waits(&world, &mut psql, &dana, sql);
    }
}

#[test]
fn what_others_do_to_other_tables_takes_nothing_from_a_pass() {
    let world = world(PICKS);
    let (dana, mut olga) = (world.dana(), world.olga());
    let direct = "copy (select ssn from customers where id = 1) to stdout;";
    let mut psql = world.psql(&dana);
    for sql in [PICKED, direct] {
        let request = deferred(&mut psql, sql);
        approve(&world, &mut olga, &request);
    }
    beside(
        &world,
        "create table lab.staged (id serial primary key, at date not null) ; create index on lab.staged (at); \
         create table lab.parted (at date) partition by range (at); \
         create table lab.parted_2026 partition of lab.parted for values from ('2026-01-01') to ('2027-01-01'); \
         create temporary table mine (id int); truncate lab.staged; drop table lab.staged; analyze; \
         create index on orders (status); grant select on products to stepgate_catalog;",
    );
    beside(&world, "vacuum;");
    // Nor what is the session's own, if the statement does not name it.
    passes(&mut psql, "create temporary table staged (id int);");
    assert_eq!(shows(&mut psql, direct), 1);
    // Of what a view finds it is not known whether that is temporary.
    assert_eq!(shows(&mut world.psql(&dana), PICKED), 1);
}
