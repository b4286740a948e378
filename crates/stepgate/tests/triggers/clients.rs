//! Devices and clients out of profile.

use stepgate_testkit::until;

use crate::support::SOON;
use crate::{decided, fires, risky, silent, verified, with_environment, world};

const ORDERS: &str = "select status from orders where id = 1;";

#[test]
fn a_listed_client_asks_and_any_other_is_silent() {
    let world = world("{client: [\"DBeaver*\"]}");
    let dana = world.dana();
    let mut listed = with_environment(&world, &dana, "PGAPPNAME", "DBeaver 24.1 - Main");
    fires(&world, &mut listed, &dana, "", ORDERS);
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn a_client_that_somebody_has_never_used_asks() {
    let world = risky("new_client", "");
    let dana = world.dana();
    let mut dump = with_environment(&world, &dana, "PGAPPNAME", "dump");
    fires(&world, &mut dump, &dana, "new_client", ORDERS);
    // Calling itself otherwise later on does not help.
    assert!(dump.run("set application_name = 'psql';").unwrap().is_ok());
    fires(&world, &mut dump, &dana, "new_client", ORDERS);
}

#[test]
fn the_client_that_somebody_uses_every_day_is_silent() {
    let world = risky("new_client", "");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, ORDERS);
    // Nor does it harm.
    assert!(psql.run("set application_name = 'another';").unwrap().is_ok());
    silent(&world, &mut psql, ORDERS);
}

#[test]
fn a_driver_that_begins_as_none_of_theirs_does_asks_under_whatever_name() {
    let world = risky("new_fingerprint", "");
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    // The history is of times before fingerprints were recorded.
    verified(&world, &mut psql, &mut dana, ORDERS);
    until("the fingerprint to be known", SOON, || {
        psql.run(ORDERS).unwrap();
        decided(&world, "forward")["risk"] == 0
    })
    .unwrap();
    silent(&world, &mut world.psql(&dana), ORDERS);
    let mut other = with_environment(&world, &dana, "PGOPTIONS", "-c statement_timeout=60000");
    // What was approved above is for another table.
    fires(&world, &mut other, &dana, "new_fingerprint", "select name from products where id = 1;");
}
