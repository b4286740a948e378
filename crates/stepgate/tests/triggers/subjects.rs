//! How much in how long: whose rows, how many statements, how many bytes.

use crate::{asks_soon, decided, fires, history, policy, risky, rule, silent, support::World};

/// A gate that records whose rows are shown, and asks who saw too many people's.
fn tracked() -> World {
    let risk = "risk:\n  signals: {velocity: 40}\n  velocity: {subjects: 10, per: 1h}\n";
    let mut world = World::not_serving(|_| policy(risk, &rule("{risk: \">=40\", kind: [select]}")));
    history::plant(&world, &[history::DANA]);
    let refused = world.gate.run(["check"], "").unwrap();
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.status != 0 && said.contains("nobody records whose rows are shown"), "{said}");
    world.edit("audit: {ordinary: durable}", "audit: {ordinary: durable, track_subjects: true}");
    world.gate.serve().unwrap();
    world
}

#[test]
fn who_is_shown_too_many_peoples_rows_is_asked_from_then_on() {
    let world = tracked();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for page in 0..4 {
        let reply =
            psql.run(&format!("select id, country from customers order by id limit 4 offset {};", 4 * page));
        assert!(reply.unwrap().is_ok());
    }
    let one = "select id, country from customers where id = 1;";
    asks_soon(&world, &dana, one);
    fires(&world, &mut psql, &dana, "velocity", one);
}

#[test]
fn who_is_shown_the_rows_of_a_few_people_again_and_again_is_not() {
    let world = tracked();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for round in 0..20 {
        silent(
            &world,
            &mut psql,
            &format!("select id, country from customers where id = {};", round % 3 + 1),
        );
    }
    assert_eq!(decided(&world, "forward")["signals"][0]["name"], "velocity");
}

#[test]
fn who_sends_too_many_statements_or_is_sent_too_many_bytes_is_asked_from_then_on() {
    for limit in ["{statements: 8, per: 1h}", "{bytes: 300, per: 1h}"] {
        let world = risky("velocity", &format!("velocity: {limit}"));
        let dana = world.dana();
        let mut psql = world.psql(&dana);
        let one = "select status, total from orders where id = 1;";
        for _ in 0..3 {
            silent(&world, &mut psql, one);
        }
        asks_soon(&world, &dana, one);
        fires(&world, &mut psql, &dana, "velocity", one);
    }
}
