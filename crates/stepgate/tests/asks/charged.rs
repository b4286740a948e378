//! What grants let out is charged, whatever carries it, and charged before it goes: in bytes, for copies and for what is
//! stored as well.

use stepgate_testkit::{Psql, until};

use crate::support::{SOON, World, approved, held, passes};
use crate::{json, owners};

/// The bytes of a CopyData message besides what it carries (PostgreSQL documentation, "Message Formats").
const HEADER: u64 = 5;

/// Bytes of the gate's own limit in these tests.
const LIMIT: u64 = 16 * 1024;

/// A gate where exports, and copies into `kept`, are remembered up to so many bytes in all.
fn world() -> World {
    let world = World::with_policy(|text| {
        let limit = format!("    limit: {{bytes: {LIMIT}}}\n    action: approve");
        let limited = owners(&text, "remember: {for: 15m, sink: true}")
            .replace("kind: [copy-out]}\n    action: approve", &format!("kind: [copy-out]}}\n{limit}"))
            .replace(
                "kind: [insert, update, merge, ddl]}]}\n    action: approve",
                &format!("kind: [insert, update, merge, ddl]}}]}}\n{limit}"),
            );
        assert_eq!(limited.matches("limit: {bytes").count(), 2);
        limited
    });
    let tables = "create table kept (id int, ssn text); grant select, insert on kept to stepgate_analyst;";
    world.cluster.load("shop", tables).unwrap();
    world
}

/// So many rows of the same 500 people, again and again.
fn export(rows: usize) -> String {
    format!("copy (select email from customers, generate_series(1, 1000) limit {rows}) to stdout;")
}

fn bytes_left(world: &World) -> u64 {
    json(world, &["grant", "ls", "--as", "dana", "-o", "json"])[0]["bytes_left"].as_u64().unwrap()
}

/// The messages of the rows among these lines.
fn bytes(lines: &[String]) -> u64 {
    let rows = lines.iter().filter(|line| line.ends_with("@example.test"));
    rows.map(|line| HEADER + u64::try_from(line.len()).unwrap() + 1).sum()
}

/// Once what a statement was given and did not use is back.
fn settles(world: &World, psql: &mut Psql, left: u64) {
    psql.run("select 1;").unwrap();
    let said = until("what was set aside to go back", SOON, || bytes_left(world) == left);
    said.unwrap_or_else(|error| panic!("{error}: {} are left, not {left}", bytes_left(world)));
}

#[test]
fn an_export_by_a_grant_is_charged_to_the_byte_and_stops_where_that_is_spent() {
    let world = world();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(&export(10)).unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let first = bytes(&psql.finish(SOON).unwrap().lines);
    assert!(first > 10 * HEADER);
    settles(&world, &mut psql, LIMIT - first);
    let second = psql.run(&export(100)).unwrap();
    assert!(second.is_ok() && !second.text().contains("stepgate:"), "{}", second.text());
    let second = bytes(&second.lines);
    settles(&world, &mut psql, LIMIT - first - second);
    // More than is left: what fits goes out, and not the row after it.
    psql.send(&export(5_000)).unwrap();
    let request = held(&mut psql);
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    let third = bytes(&psql.finish(SOON).unwrap().lines);
    assert!(first + second + third <= LIMIT, "{third} bytes more");
    assert!(LIMIT - (first + second + third) < 200, "no row is larger");
}

#[test]
fn what_a_killed_gate_had_let_out_by_a_grant_was_charged_on_disk_before() {
    let mut world = world();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    // In the middle of it, and once all of it is out.
    for spent in [false, true] {
        let mut psql = world.psql(&dana);
        approved(&world, &mut psql, &mut olga, &export(1));
        psql.send(&export(5_000)).unwrap();
        if spent {
            held(&mut psql);
        } else {
            let row = |line: &str| line.ends_with("@example.test").then_some(());
            psql.line("a row", SOON, row).unwrap();
        }
        world.gate.kill();
        let shown = bytes(&psql.ended(SOON).unwrap());
        world.gate.serve().unwrap();
        dana.login(&world.gate).unwrap();
        olga.login(&world.gate).unwrap();
        let left = bytes_left(&world);
        assert!(shown > 0 && left + shown <= LIMIT, "{shown} bytes were shown, {left} of {LIMIT} are left");
        let grants = json(&world, &["grant", "ls", "--as", "dana", "-o", "json"]);
        let grant = grants[0]["grant"].as_str().unwrap();
        world.gate.run(["grant", "revoke", grant, "--as", "dana"], "").unwrap().ok().unwrap();
    }
}

#[test]
fn what_is_stored_by_a_grant_takes_all_its_bytes_since_nobody_knows_how_many_they_are() {
    let world = world();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    until("the table", SOON, || psql.run("select count(*) from kept;").unwrap().is_ok()).unwrap();
    let copy = |id: u32| format!("insert into kept select id, ssn from customers where id = {id};");
    psql.send(&copy(0)).unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    // It found nobody: nothing is charged, and the next one passes.
    settles(&world, &mut psql, LIMIT);
    passes(&mut psql, &copy(1));
    psql.run("select 1;").unwrap();
    assert_eq!(bytes_left(&world), 0);
    psql.send(&copy(2)).unwrap();
    assert_ne!(held(&mut psql), request);
    assert_eq!(world.cluster.psql("shop", "select count(*) from kept").unwrap().trim(), "1");
}
