//! Addresses, networks and places.

use stepgate_testkit::until;

use crate::history::{DANA, Habit};
use crate::places::{BERLIN_AND_SYDNEY, database};
use crate::support::{SOON, World};
use crate::{fires, from_network, risky, risky_with, silent, verified, world};

const ORDERS: &str = "select status from orders where id = 1;";

#[test]
fn an_address_of_a_listed_network_asks() {
    let world = world("{network: [127.0.7.0/24]}");
    let dana = world.dana();
    fires(&world, &mut from_network(&world, &dana, 7), &dana, "", ORDERS);
}

#[test]
fn an_address_of_any_other_network_is_silent() {
    let world = world("{network: [127.0.7.0/24]}");
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn a_network_that_somebody_has_never_used_asks_until_they_verify_there() {
    let world = risky("new_network", "");
    let mut dana = world.dana();
    let mut elsewhere = from_network(&world, &dana, 7);
    fires(&world, &mut elsewhere, &dana, "new_network", ORDERS);
    verified(&world, &mut elsewhere, &mut dana, ORDERS);
    // From there on it is theirs.
    until("the network to be known", SOON, || {
        elsewhere.run(ORDERS).unwrap();
        crate::decided(&world, "forward")["risk"] == 0
    })
    .unwrap();
    silent(&world, &mut from_network(&world, &dana, 7), ORDERS);
}

#[test]
fn a_network_that_somebody_uses_every_day_is_silent() {
    let world = risky("new_network", "");
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
    silent(&world, &mut world.psql(&dana), ORDERS);
}

/// With places, and this signal of them.
fn travelling(signal: &str) -> World {
    let file = std::env::temp_dir().join(format!("stepgate-places-{}.mmdb", std::process::id()));
    std::fs::write(&file, database(&BERLIN_AND_SYDNEY)).unwrap();
    // Until an hour ago, Dana was in Berlin.
    let lately = Habit { ended: 0, ..DANA };
    risky_with(signal, "", &[lately], &format!("places: {}", file.display()))
}

#[test]
fn another_country_asks() {
    let world = travelling("geo_change");
    let dana = world.dana();
    fires(&world, &mut from_network(&world, &dana, 7), &dana, "geo_change", ORDERS);
}

#[test]
fn the_same_country_is_silent_from_any_network() {
    let world = travelling("geo_change");
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn from_berlin_to_sydney_within_the_hour_asks() {
    let world = travelling("impossible_travel");
    let dana = world.dana();
    let mut at_home = world.psql(&dana);
    silent(&world, &mut at_home, ORDERS);
    let mut away = from_network(&world, &dana, 7);
    fires(&world, &mut away, &dana, "impossible_travel", ORDERS);
}

#[test]
fn staying_in_berlin_is_silent() {
    let world = travelling("impossible_travel");
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn sessions_that_are_far_from_each_other_ask_and_neighbours_do_not() {
    let world = travelling("far_sessions");
    let dana = world.dana();
    let (mut one, mut other) = (world.psql(&dana), world.psql(&dana));
    silent(&world, &mut one, ORDERS);
    silent(&world, &mut other, ORDERS);
    drop(other);
    let mut away = from_network(&world, &dana, 7);
    fires(&world, &mut away, &dana, "far_sessions", ORDERS);
}
