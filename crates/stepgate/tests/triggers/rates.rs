//! How much in how long.

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
