//! Rules on how much of a statement was delivered, through a real gate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{SOON, World, held};

fn world(rule: &str) -> World {
    World::with_policy(|text| {
        text.replace("\nrules:\n", &format!("\nrules:\n  - {{name: delivered, {rule}}}\n"))
    })
}

const ITEMS: &str = "select quantity, product_id from order_items;";

#[test]
fn a_statement_ends_once_it_has_delivered_what_a_rule_denies_and_the_session_lives_on() {
    let world = world("match: {tables: [public.order_items], delivered_bytes: \">10kB\"}, action: deny");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let few = psql.run("select quantity from order_items where id < 50;").unwrap();
    assert!(few.is_ok() && !few.text().contains("stepgate:"), "{}", few.text());
    let many = psql.run(ITEMS).unwrap();
    assert!(!many.is_ok() && many.text().contains("ERROR:  stepgate: "), "{}", many.text());
    assert!(psql.run("select 1;").unwrap().is_ok());
}

#[test]
fn people_are_asked_once_midway_and_then_all_of_it_comes() {
    let world = world(
        "match: {tables: [public.order_items], delivered_bytes: \">10kB\"}, action: step-up, approval: self",
    );
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(ITEMS).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    assert!(reply.text().contains("rows)"), "{}", reply.text());
}

#[test]
fn a_rule_on_what_was_delivered_asks_although_another_has_asked_as_much_before() {
    let world = World::with_policy(|text| {
        let rules = "\nrules:\n  \
                     - {name: at-first, match: {tables: [public.order_items]}, action: step-up, approval: once}\n  \
                     - {name: delivered, match: {tables: [public.order_items], delivered_rows: \">5\"}, \
                     action: step-up, approval: once}\n";
        // Not remembered: there is no grant that the rest would be asked of.
        text.replace("\napprovals:\n", "\napprovals:\n  once: {self: true, expires: 1m}\n")
            .replace("\nrules:\n", rules)
    });
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(ITEMS).unwrap();
    let first = held(&mut psql);
    dana.verify(&world.gate, &first).unwrap().ok().unwrap();
    let second = held(&mut psql);
    assert_ne!(first, second);
    dana.verify(&world.gate, &second).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("rows)"), "{}", reply.text());
}
