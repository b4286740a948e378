//! How much in how long.

use stepgate_testkit::until;

use crate::support::SOON;
use crate::{decided, fires, risky, silent};

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
    // What ends is counted as soon as it is on disk.
    until("the count", SOON, || {
        let mut other = world.psql(&dana);
        other.send("select status from orders where id = 1;").unwrap();
        let asked = other.line("a NOTICE", SOON, |line| line.contains("stepgate: held").then_some(()));
        asked.is_ok()
    })
    .unwrap();
    fires(&world, &mut psql, &dana, "velocity", "select status from orders where id = 1;");
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
