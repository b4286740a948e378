//! What is dropped, prepared or taken back, and what of that is nothing.

use stepgate_testkit::{Cluster, Psql};

use super::support::{self, SOON, World, passes};
use super::{
    PAY, SHOP, beside, is_active, is_refused, nothing_is_labelled, tries, two, waits_for_lock, world,
};

/// One that takes part in transactions of several databases.
fn world_of_two_phases() -> World {
    let cluster = Cluster::builder().setting("max_prepared_transactions", "20").start().unwrap();
    let mut world = World::before(cluster, support::waiting);
    world.cluster.load("shop", SHOP).unwrap();
    world.gate.serve().unwrap();
    world
}

/// Prepares this under that name.
fn prepares(psql: &mut Psql, sql: &str, name: &str) {
    for sql in ["begin;", sql, &format!("prepare transaction '{name}';")] {
        passes(psql, sql);
    }
}

/// Whatever the server says.
fn says(psql: &mut Psql, sql: &str) {
    psql.run(sql).unwrap();
}

#[test]
fn rows_committed_in_two_phases_end_nobodys_statement_and_wait_for_nobody() {
    let world = world_of_two_phases();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    for reads in [
        "select count(*), (select count(*) from pg_sleep(1)) from products;",
        // What must not be changed beneath.
        "select public.fee(1) from pg_sleep(1);",
    ] {
        psql.send(reads).unwrap();
        is_active(&world, "wait_event = 'PgSleep'");
        for name in ["one", "two", "one"] {
            prepares(&mut other, "insert into lk values (1);", name);
            tries(&mut other, "rollback prepared 'none of the kind';");
            passes(&mut other, &format!("commit prepared '{name}';"));
        }
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{reads}: {}", reply.text());
    }
    nothing_is_labelled(&mut psql);
    passes(&mut psql, "select id from lk limit 1;");
}

#[test]
fn what_is_committed_in_two_phases_is_what_was_prepared_under_that_name_or_anything() {
    let world = world_of_two_phases();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    let rows = "insert into lk values (1);";
    let beside = |sql: &str, name: &str| {
        let text =
            format!("set session authorization stepgate_analyst; begin; {sql} prepare transaction '{name}'");
        world.cluster.load("shop", &text).unwrap();
    };
    let mut runs = |other: &mut Psql, name: &str, is_used: bool| {
        passes(&mut psql, "select mine.pay(1), fee(1);");
        psql.send("select mine.pay(1) from pg_sleep(1);").unwrap();
        is_active(&world, "wait_event = 'PgSleep'");
        let commit = format!("commit prepared '{name}';");
        if is_used {
            is_refused(other, &commit, "in use by a statement under way");
        } else {
            passes(other, &commit);
        }
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{name}: {}", reply.text());
        if is_used {
            passes(other, &commit);
        }
    };
    // What changes no names, other names, and those.
    prepares(&mut other, rows, "rows");
    runs(&mut other, "rows", false);
    prepares(&mut other, "create table mine.elsewhere (a int);", "elsewhere");
    runs(&mut other, "elsewhere", false);
    prepares(&mut other, PAY, "rows");
    runs(&mut other, "rows", true);
    // Before a message that begins another in the place of its own, which counts for what it may be.
    passes(&mut other, "begin;");
    passes(&mut other, &format!("commit\\; begin\\; {PAY}"));
    passes(&mut other, "prepare transaction 'another';");
    runs(&mut other, "another", true);
    // What was prepared beside the gate is not known, whatever is said to have that name.
    beside(rows, "beside");
    runs(&mut other, "beside", true);
    for fails in [
        &["prepare transaction 'said';"][..],
        &["begin;", "select 1 / 0;", "prepare transaction 'said';"],
        &["begin;", rows, "prepare transaction 'said';"],
    ] {
        beside(PAY, "said");
        fails.iter().for_each(|sql| says(&mut other, sql));
        runs(&mut other, "said", true);
    }
    // Nor once it was taken back.
    prepares(&mut other, rows, "back");
    passes(&mut other, "rollback prepared 'back';");
    beside(PAY, "back");
    runs(&mut other, "back", true);
    // Who says a name again says nothing of what has it.
    prepares(&mut other, PAY, "again");
    for says_again in ["prepare transaction 'again';", "begin;", rows, "prepare transaction 'again';"] {
        says(&mut other, says_again);
    }
    runs(&mut other, "again", true);
}

#[test]
fn what_is_dropped_must_not_run_whatever_it_is() {
    let world = world();
    world
        .cluster
        .load(
            "shop",
            "create table mine.base (a int); create table mine.next (a int); alter table mine.base owner to stepgate_analyst; \
             alter table mine.next owner to stepgate_analyst; \
             create function mine.keeps() returns bigint language sql volatile as 'select count(*) from mine.base'; \
             create function mine.both() returns bigint language sql volatile as \
               'select count(*) from mine.base; select count(*) from mine.next'; \
             alter function mine.keeps owner to stepgate_analyst; alter function mine.both owner to stepgate_analyst",
        )
        .unwrap();
    let (dora, eve) = two(&world);
    let (mut psql, mut other, mut locks) = (world.psql(&dora), world.psql(&eve), world.psql(&eve));
    let keeps = "create function mine.keeps() returns bigint language sql as 'select 1::bigint';";
    for (runs, drops, makes) in [
        ("select * from mine.keeps();", "drop function mine.keeps();", keeps),
        ("select mine.both();", "drop table mine.next;", "create table mine.next (a int);"),
    ] {
        passes(&mut locks, "begin;");
        passes(&mut locks, "lock table mine.base in access exclusive mode;");
        psql.send(runs).unwrap();
        waits_for_lock(&world);
        is_refused(&mut other, drops, "in use by a statement under way");
        passes(&mut locks, "commit;");
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{runs}: {}", reply.text());
        nothing_is_labelled(&mut psql);
        passes(&mut other, drops);
        passes(&mut other, makes);
    }
}

#[test]
fn drops_of_nothing_of_any_kind_end_nobodys_statement_and_label_nothing() {
    let world = world();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    let kinds = [
        "drop collation if exists mine.nope cascade;",
        "drop materialized view if exists mine.nope cascade;",
        "drop foreign table if exists mine.nope cascade;",
        "drop statistics if exists mine.nope;",
    ];
    let does = [kinds, kinds].concat();
    let reads = "select count(*), (select count(*) from pg_sleep(2)) from products;";
    beside(&world, &mut psql, reads, &mut other, &does);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    nothing_is_labelled(&mut psql);
}
