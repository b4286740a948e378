//! How much in how long.

use stepgate_testkit::{Psql, until};

use crate::support::SOON;
use crate::{asks_soon, decided, fires, risky, silent};

const FAST: &str = "velocity: {rows: 300, per: 1h}";

#[test]
fn who_reads_too_much_within_an_hour_is_asked_from_then_on() {
    let world = risky("velocity", FAST);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for page in 0..4 {
        let reply =
            psql.run(&format!("select status from orders order by id limit 100 offset {};", 100 * page));
        assert!(reply.unwrap().is_ok());
    }
    let one = "select status from orders where id = 1;";
    asks_soon(&world, &dana, one);
    fires(&world, &mut psql, &dana, "velocity", one);
}

#[test]
fn who_reads_a_little_now_and_then_is_not() {
    let world = risky("velocity", FAST);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for id in 1..20 {
        silent(&world, &mut psql, &format!("select status from orders where id = {id};"));
    }
    assert_eq!(decided(&world, "forward")["signals"][0]["name"], "velocity");
}

/// Rows without an end, as psql shows them while they come.
const ENDLESS: &str = "copy (select a.status from orders a, orders b) to stdout;";

/// Has so many rows of it.
fn reads(psql: &mut Psql, rows: u32) {
    psql.send(ENDLESS).unwrap();
    let seen = std::cell::Cell::new(0);
    psql.line("rows", SOON, |_| {
        seen.set(seen.get() + 1);
        (seen.get() == rows).then_some(())
    })
    .unwrap();
}

/// What was delivered is out, however its statement ended.
#[test]
fn who_kills_the_connection_after_ten_thousand_rows_each_time_is_asked_all_the_same() {
    let world = risky("velocity", "velocity: {rows: 25000, per: 1h}");
    let dana = world.dana();
    // As many more as were on their way count, too.
    let mut counted = 0;
    while counted < 25_000 {
        let mut psql = world.psql(&dana);
        reads(&mut psql, 10_000);
        psql.signal("KILL").unwrap();
        until("the end of it", SOON, || is_over(&world.records())).unwrap();
        let records = world.records();
        let last = records.iter().rev().find(|it| it["type"] == "statement.outcome_unknown").unwrap();
        let rows = last["rows"].as_u64().unwrap();
        assert!(rows >= 10_000, "{last}");
        counted += rows;
        assert!(last["bytes"].as_u64().unwrap() > 10_000 * 5, "{last}");
    }
    let one = "select status from orders where id = 1;";
    asks_soon(&world, &dana, one);
    fires(&world, &mut world.psql(&dana), &dana, "velocity", one);
}

/// Every session that was opened is closed.
fn is_over(records: &[serde_json::Value]) -> bool {
    let count = |of: &str| records.iter().filter(|it| it["type"] == of).count();
    count("session.opened") == count("session.closed")
}

#[test]
fn who_cancels_in_the_middle_of_a_result_is_asked_all_the_same() {
    let world = risky("velocity", FAST);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    reads(&mut psql, 300);
    psql.interrupt().unwrap();
    psql.ended(SOON).unwrap();
    asks_soon(&world, &dana, "select status from orders where id = 1;");
    let completed = world.records().into_iter().find(|it| it["sqlstate"] == "57014").unwrap();
    assert!(completed["rows"].as_u64().unwrap() >= 300, "{completed}");
}

/// It counts as well where profiles are made anew from the log.
#[test]
fn what_was_left_half_way_still_counts_after_a_restart() {
    let mut world = risky("velocity", FAST);
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    reads(&mut psql, 300);
    psql.signal("KILL").unwrap();
    until("the end of it", SOON, || is_over(&world.records())).unwrap();
    world.gate.kill();
    let profiles = world.gate.data().join("profiles");
    if profiles.exists() {
        std::fs::remove_file(profiles).unwrap();
    }
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    let one = "select status from orders where id = 1;";
    fires(&world, &mut world.psql(&dana), &dana, "velocity", one);
}
