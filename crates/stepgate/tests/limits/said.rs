//! What is no row and shows as much: notices, errors, notifications.

use crate::support::{SOON, World, held, passes};
use crate::{bare, brake, called_off, events, replaced, restricted, verified};

/// A function that says what it is given shows a table without a row of it.
#[test]
fn notices_and_errors_count_like_rows() {
    let mut world = World::not_serving(restricted("{rows: 100, bytes: 64KiB}"));
    let leak = "create function leak(t text) returns int language plpgsql as \
                $$begin raise notice '%', t; return 1; end$$; \
                create function fail(t text) returns int language plpgsql as $$begin raise '%', t; end$$";
    world.cluster.psql("shop", leak).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    // What is not known to only read ends its session where it has committed by then.
    passes(&mut psql, "begin;");
    psql.send("select count(leak(ssn)) from customers;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let request = held(&mut psql);
    let said = |lines: &[String]| lines.iter().filter(|line| line.starts_with("NOTICE:  9")).count();
    assert_eq!(said(psql.shown()), 100, "{:?}", psql.shown());
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "57014");
    assert_eq!(said(&reply.lines), 100);
    passes(&mut psql, "rollback;");
    psql.send("select fail(repeat(string_agg(ssn, ','), 20)) from customers;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "42501" && !reply.text().contains("901-00-"), "{}", reply.text());
    assert!(reply.text().contains("more than the statement's limit"), "{}", reply.text());
    // A short one is shown, and counted.
    psql.send("select fail(ssn) from customers where id = 1;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "P0001" && reply.text().contains("901-00-0001"), "{}", reply.text());
    let completed = events(&world, "statement.completed");
    let failed = completed.iter().rev().find(|it| it["sqlstate"] == "P0001").unwrap();
    assert!(failed["rows"] == 0 && failed["bytes"].as_u64().unwrap() > 50, "{failed}");
}

/// `pg_notify('ch', old.email)` in a trigger sends a table to whoever listens, and gives not one row back: no limit on rows
/// is anywhere near it.
#[test]
fn what_is_sent_as_notifications_is_asked_about_before_it_runs_where_rows_are_limited() {
    let mut world = World::not_serving(brake("{rows: 3}", "self"));
    let ddl = "create function tell() returns trigger language plpgsql as \
               $$ begin perform pg_notify('ch', old.email); return null; end $$; \
               create trigger tell after update on customers for each row execute function tell()";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    // Rows of the same class, which the limit can hold, are let through as ever.
    passes(&mut psql, "select email from customers where id < 3;");
    psql.send("update customers set city = 'x' where id < 100;").unwrap();
    held(&mut psql);
    psql.interrupt().unwrap();
    drop(psql);
    assert_eq!(world.cluster.psql("shop", "select count(*) from customers where city = 'x'").unwrap(), "0");
    let mut psql = world.psql(&dana);
    psql.send("update customers set city = 'x' where id < 4;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    assert_eq!(world.cluster.psql("shop", "select count(*) from customers where city = 'x'").unwrap(), "3");
}

/// None of these gives back a row, and what they leave behind shows all that they read.
#[test]
fn what_is_put_into_settings_or_locks_is_asked_about_before_it_runs_where_rows_are_limited() {
    let mut world = World::not_serving(brake("{rows: 3}", "self"));
    let ddl =
        "create function lock_it(bigint) returns boolean language sql as 'select pg_try_advisory_lock($1)'";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "select email from customers where id < 3;");
    for sql in [
        "select 1 from customers where set_config('my.x', current_setting('my.x', true) || email, false) is null;",
        "select 1 from customers where not pg_try_advisory_lock(ascii(email));",
        "select 1 from customers where pg_try_advisory_xact_lock_shared(1, ascii(email)) is null;",
        "select 1 from customers where lock_it(ascii(email)) is null;",
    ] {
        let mut psql = bare(&world, &dana);
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        called_off(&world, &mut psql, &dana, &request);
    }
    // Those that read nothing labelled, and what gives locks back, run as ever.
    passes(
        &mut psql,
        "select id from products where pg_try_advisory_lock(id) and pg_advisory_unlock(id) limit 5;",
    );
    passes(&mut psql, "select set_config('my.x', 'y', false);");
    psql.send("select count(*) from customers where pg_try_advisory_lock(ascii(email)) and id < 9;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
}

/// A deferred trigger speaks at COMMIT, which is a statement without rows and without a limit.
#[test]
fn what_deferred_triggers_say_at_commit_counts_like_rows() {
    // Not as a copy, about which others would be asked.
    let copies = "kind: [insert, update, merge, ddl]";
    let policy = |policy: String| replaced(&restricted("{rows: 100}")(policy), copies, "kind: [insert]");
    let mut world = World::not_serving(policy);
    let ddl = "create function say() returns trigger language plpgsql as \
               $$ begin raise notice '%', old.ssn; return null; end $$; \
               create constraint trigger say after update on customers deferrable initially deferred \
               for each row execute function say()";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "begin;");
    psql.send("update customers set city = 'x';").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    let reply = psql.run("commit;").unwrap();
    let said = reply.lines.iter().filter(|line| line.starts_with("NOTICE:  9")).count();
    // `UPDATE 500` was one of the hundred.
    assert_eq!(said, 99, "{}", reply.text());
    assert!(reply.text().contains("further notices of this statement are not shown"), "{}", reply.text());
    passes(&mut psql, "select 1;");
}
