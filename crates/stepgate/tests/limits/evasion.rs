//! How somebody would get more than a limit lets out, and does not.

use stepgate_testkit::{Person, Psql};

use crate::support::{SOON, World, held, passes};
use crate::{bare, brake, called_off, contacts, events, replaced, restricted, rows, verified};

const WINDOW: &str = "{rows: 100, per: 1h}";

/// How many rows it was held after.
fn held_after(psql: &mut Psql) -> u64 {
    held(psql);
    let shown = psql.shown().join("\n");
    let after = shown.rsplit_once("held after ").unwrap().1;
    after.split_once(" row").unwrap().0.replace(',', "").parse().unwrap()
}

#[test]
fn by_many_small_statements() {
    let world = World::with_policy(brake(WINDOW, "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    for _ in 0..50 {
        passes(&mut psql, &contacts(2));
    }
    psql.send(&contacts(1)).unwrap();
    assert_eq!(held_after(&mut psql), 0);
}

#[test]
fn by_pages() {
    let world = World::with_policy(brake(WINDOW, "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let page = |at: usize| format!("select email from customers order by id limit 30 offset {};", at * 30);
    for at in 0..3 {
        passes(&mut psql, &page(at));
    }
    psql.send(&page(3)).unwrap();
    assert_eq!(held_after(&mut psql), 10);
}

#[test]
fn by_many_sessions_at_once() {
    let world = World::with_policy(brake(WINDOW, "self"));
    let dana = world.dana();
    let mut all: Vec<_> = (0..6).map(|_| bare(&world, &dana)).collect();
    for psql in &mut all {
        psql.send("select email from customers order by id limit 45;").unwrap();
    }
    let mut out = 0;
    for psql in &mut all {
        let waits = psql.line("a row, or the gate's NOTICE", SOON, |line| {
            Some(line.starts_with("NOTICE:")).filter(|_| !line.is_empty())
        });
        out += if waits.unwrap() {
            let shown = psql.shown().join("\n");
            let after = shown.rsplit_once("held after ").unwrap().1;
            after.split_once(" row").unwrap().0.parse::<u64>().unwrap()
        } else {
            45
        };
    }
    assert_eq!(out, 100);
}

#[test]
fn by_connecting_anew() {
    for per in ["1h", "session"] {
        let world = World::with_policy(brake(&format!("{{rows: 100, per: {per}}}"), "self"));
        let dana = world.dana();
        for _ in 0..2 {
            let mut psql = bare(&world, &dana);
            passes(&mut psql, &contacts(40));
        }
        let mut psql = bare(&world, &dana);
        psql.send(&contacts(40)).unwrap();
        assert_eq!(held_after(&mut psql), 20, "{per}");
    }
}

#[test]
fn by_a_kill_of_the_gate() {
    for per in ["1h", "session"] {
        let mut world = World::with_policy(brake(&format!("{{rows: 100, per: {per}}}"), "self"));
        let dana = world.dana();
        let mut psql = bare(&world, &dana);
        passes(&mut psql, &contacts(60));
        world.gate.kill();
        world.gate.serve().unwrap();
        let mut psql = bare(&world, &dana);
        psql.send(&contacts(60)).unwrap();
        let after = held_after(&mut psql);
        // What a kill loses is a chunk of an eighth at most.
        assert!((28..=40).contains(&after), "{per}: {after}");
    }
}

#[test]
fn by_a_kill_in_the_middle_of_a_result() {
    let mut world = World::with_policy(brake(WINDOW, "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send(&contacts(101)).unwrap();
    assert_eq!(held_after(&mut psql), 100);
    world.gate.kill();
    world.gate.serve().unwrap();
    let mut psql = bare(&world, &dana);
    psql.send(&contacts(1)).unwrap();
    assert_eq!(held_after(&mut psql), 0);
}

#[test]
fn by_cursors() {
    let world = World::with_policy(brake(WINDOW, "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "begin;");
    for cursor in ["a", "b"] {
        passes(&mut psql, &format!("declare {cursor} cursor for select email from customers order by id;"));
    }
    for _ in 0..5 {
        passes(&mut psql, "fetch 10 from a;");
        passes(&mut psql, "fetch 10 from b;");
    }
    psql.send("fetch 1 from a;").unwrap();
    assert_eq!(held_after(&mut psql), 50);
}

#[test]
fn by_copy_in_any_format() {
    let world = World::with_policy(|policy| {
        let export = "{class: \">=confidential\", kind: [copy-out]}";
        let none = "{class: \">=confidential\", kind: [copy-in]}";
        brake(WINDOW, "self")(crate::replaced(&policy, export, none))
    });
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    for format in ["text", "csv", "binary"] {
        let copy = format!("\\copy (select email from customers limit 30) to '/dev/null' (format {format})");
        passes(&mut psql, &copy);
    }
    psql.send("\\copy (select email from customers limit 30) to '/dev/null' (format csv)").unwrap();
    assert_eq!(held_after(&mut psql), 10);
}

#[test]
fn by_several_statements_in_a_message() {
    let world = World::with_policy(brake(WINDOW, "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let page = "select email from customers limit 60";
    psql.send(&format!("{page}\\; {page};")).unwrap();
    assert_eq!(held_after(&mut psql), 100);
}

#[test]
fn by_executing_a_prepared_statement_again_and_again() {
    let world = World::with_policy(brake(WINDOW, "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "prepare p as select email from customers order by id limit $1;");
    for _ in 0..9 {
        passes(&mut psql, "execute p(11);");
    }
    psql.send("execute p(11);").unwrap();
    assert_eq!(held_after(&mut psql), 1);
}

#[test]
fn by_errors_that_show_a_value_each() {
    let world = World::with_policy(brake("{rows: 5, per: 1h}", "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let leak = |id: u64| format!("select email::int from customers where id = {id};");
    for id in 1..=5 {
        let reply = psql.run(&leak(id)).unwrap();
        assert!(reply.text().contains("@example.test"), "{}", reply.text());
    }
    let reply = psql.run(&leak(6)).unwrap();
    assert!(reply.sqlstate == "42501" && !reply.text().contains("@example.test"), "{}", reply.text());
    assert!(reply.text().contains("more than the statement's limit"), "{}", reply.text());
}

/// What is approved once is so much, and no more, however it is asked for.
#[test]
fn by_asking_once() {
    let world = World::with_policy(brake(WINDOW, "self"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send("select email, n from customers, generate_series(1, 5) n;").unwrap();
    for after in [100, 200] {
        assert_eq!(held_after(&mut psql), after);
        let request = world.open_request(&dana);
        if after == 100 {
            dana.verify(&world.gate, &request).unwrap().ok().unwrap();
        } else {
            called_off(&world, &mut psql, &dana, &request);
        }
    }
    assert!(rows(&psql.run("select 1;").unwrap().lines) == ["1"]);
    assert_eq!(events(&world, "limit.enforced").len(), 1);
}

/// `MOVE 100` is a letter of an address, and no row: it counts as one, and waits like one.
#[test]
fn by_numbers_in_command_tags() {
    let world = World::with_policy(brake("{rows: 5, per: 1h}", "self"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    let letter = |at: usize| format!("(select ascii(substr(email, {at}, 1)) from customers where id = 7)");
    passes(&mut psql, "begin;");
    for at in 1..=3 {
        let sql = format!("declare c{at} scroll cursor for select from generate_series(1, {});", letter(at));
        passes(&mut psql, &sql);
        passes(&mut psql, &format!("move all in c{at};"));
    }
    passes(&mut psql, "rollback;");
    let deletes = format!("delete from numbers where n <= {};", letter(4));
    passes(&mut psql, "create temp table numbers as select generate_series(1, 200) as n;");
    passes(&mut psql, &deletes);
    passes(&mut psql, &deletes);
    psql.run("\\set QUIET off").unwrap();
    // Nobody approves: no number, and the transaction has failed as after any error.
    passes(&mut psql, "begin;");
    psql.send(&deletes).unwrap();
    assert_eq!(held_after(&mut psql), 0);
    let request = world.open_request(&dana);
    called_off(&world, &mut psql, &dana, &request);
    assert!(!psql.shown().iter().any(|line| line.starts_with("DELETE")), "{:?}", psql.shown());
    assert_eq!(psql.run("select 1;").unwrap().sqlstate, "25P02");
    passes(&mut psql, "rollback;");
    passes(&mut psql, "begin;");
    let numbers = [
        (
            format!(
                "declare c scroll cursor for select from generate_series(1, {}); move all in c;",
                letter(5)
            ),
            "MOVE ",
        ),
        (deletes.clone(), "DELETE "),
    ];
    for (sql, tag) in numbers {
        psql.send(&sql).unwrap();
        assert_eq!(held_after(&mut psql), 0);
        let request = world.open_request(&dana);
        assert!(!psql.shown().iter().any(|line| line.starts_with(tag)), "{:?}", psql.shown());
        dana.verify(&world.gate, &request).unwrap().ok().unwrap();
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok() && reply.lines.iter().any(|line| line.starts_with(tag)), "{}", reply.text());
    }
    passes(&mut psql, "commit;");
}

/// Nineteen rows, then one that is larger than all that the grant has: that is called off, and the cursor lives on.
fn by_rows_too_large(world: &World, psql: &mut Psql, dana: &mut Person, column: &str) {
    let value = format!("case when id % 20 = 0 then repeat('x', 120000) else {column}::text end");
    psql.send(&format!("declare h cursor with hold for select {value} from customers order by id;")).unwrap();
    if column == "ssn" {
        verified(world, psql, dana);
    }
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && (column == "ssn" || !reply.text().contains("stepgate:")), "{}", reply.text());
    for _ in 0..5 {
        passes(psql, "fetch 19 from h;");
        psql.send("fetch 1 from h;").unwrap();
        let request = held(psql);
        called_off(world, psql, dana, &request);
    }
}

#[test]
fn by_calling_off_rows_that_are_too_large_for_a_grant() {
    let world = World::with_policy(restricted("{rows: 100, bytes: 64KiB}"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    by_rows_too_large(&world, &mut psql, &mut dana, "ssn");
    psql.send("fetch 19 from h;").unwrap();
    assert_eq!(held_after(&mut psql), 100);
    called_off(&world, &mut psql, &dana, &world.open_request(&dana));
    let sum =
        |kind: &str| -> u64 { events(&world, kind).iter().map(|it| it["rows"].as_u64().unwrap()).sum() };
    assert_eq!(sum("grant.debited") - sum("grant.credited"), 100);
}

/// Nothing limits it but the grant that it goes by.
#[test]
fn by_calling_off_rows_that_are_too_large_for_a_grant_of_another_rule() {
    let world = World::with_policy(|policy| {
        let rule = "  - {name: numbers, match: {labels: [ssn]}, action: step-up, approval: self, \
            limit: {rows: 100, bytes: 64KiB}}";
        replaced(&policy, "\nrules:\n", &format!("\nrules:\n{rule}\n"))
    });
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    let few = "declare few cursor with hold for select ssn from customers order by id;";
    psql.send(few).unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    // With it goes what was set aside for it.
    passes(&mut psql, "close few;");
    by_rows_too_large(&world, &mut psql, &mut dana, "birth_date");
    psql.send("fetch 19 from h;").unwrap();
    assert_eq!(held_after(&mut psql), 100);
}
