//! Exports in bulk, large datasets, and much more than usual.

use crate::history::DANA;
use crate::support::{SOON, held};
use crate::{asks_soon, fires, risky_with, silent, world};

#[test]
fn an_export_in_bulk_asks() {
    let world = world("{bulk: true}");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    fires(&world, &mut psql, &dana, "", "copy orders to stdout;");
    fires(&world, &mut psql, &dana, "", "select * from customers;");
}

#[test]
fn a_look_at_one_row_is_no_export() {
    let world = world("{bulk: true}");
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), "select status from orders where id = 1;");
}

#[test]
fn a_large_dataset_asks_and_a_small_one_is_silent() {
    let world = world("{tables: [public.order_items], estimate_rows: \">1000\"}");
    world.cluster.load("shop", "analyze").unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    fires(&world, &mut psql, &dana, "", "select quantity from order_items;");
    silent(&world, &mut psql, "select quantity from order_items where id = 1;");
}

#[test]
fn rows_that_were_delivered_ask_midway_and_few_are_silent() {
    let world = world("{tables: [public.order_items], delivered_rows: \">1000\"}");
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    silent_of_rule(&mut psql, "select quantity from order_items where id < 100;");
    psql.send("select quantity from order_items;").unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}

/// Nobody is asked.
fn silent_of_rule(psql: &mut stepgate_testkit::Psql, sql: &str) {
    let reply = psql.run(sql).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
}

#[test]
fn much_more_than_somebody_usually_reads_asks_and_as_much_as_usual_is_silent() {
    let world = risky_with("volume", "volume: {times: 10, rows: 200}", &[DANA], "");
    // Of tables without statistics nobody can tell how many rows there are, which is any number.
    world.cluster.load("shop", "analyze").unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let one = "select status from orders where id = 1;";
    silent(&world, &mut psql, one);
    // Twenty rows are usual. What has gone out counts, whatever was estimated.
    assert!(psql.run("select status from orders;").unwrap().is_ok());
    asks_soon(&world, &dana, one);
    fires(&world, &mut psql, &dana, "volume", one);
}
