//! Signals that say little alone, and enough together.

use stepgate_testkit::Psql;

use crate::history::{self, DANA};
use crate::support::World;
use crate::{asked, command_from, decided, from_network, policy, rule, with_environment};

const ORDERS: &str = "select status from orders where id = 1;";

/// A gate that asks from a risk of 40 on, to which a network and a client that are new each add 20.
fn world() -> World {
    let risk = "risk:\n  signals: {new_network: 20, new_client: 20}\n";
    let mut world = World::not_serving(|_| policy(risk, &rule("{risk: \">=40\", kind: [select]}")));
    history::plant(&world, &[DANA]);
    world.gate.serve().unwrap();
    world
}

/// Nobody is asked, at this risk.
fn passes_at(world: &World, mut psql: Psql, risk: u64) {
    let reply = psql.run(ORDERS).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
    let decided = decided(world, "forward");
    assert_eq!(decided["risk"], risk, "{decided}");
    assert_eq!(decided["rules"], serde_json::json!([]), "{decided}");
}

#[test]
fn a_new_network_and_a_new_client_together_ask_where_neither_does_alone() {
    let world = world();
    let dana = world.dana();
    passes_at(&world, from_network(&world, &dana, 7), 20);
    passes_at(&world, with_environment(&world, &dana, "PGAPPNAME", "dump"), 20);
    let mut command = command_from(&world, &dana, 7);
    command.env("PGAPPNAME", "dump");
    let mut both = Psql::start(command).unwrap();
    let (shown, reply) = asked(&world, &mut both, &dana, ORDERS);
    assert!(reply.text().contains("Risk 40: new_network, new_client."), "{}", reply.text());
    assert!(shown.contains("new_network") && shown.contains("new_client"), "{shown}");
    let held = decided(&world, "hold");
    assert_eq!(held["risk"], 40, "{held}");
    assert_eq!(held["rules"], serde_json::json!(["trigger"]), "{held}");
    // Asked in vain, neither has become usual.
    passes_at(&world, from_network(&world, &dana, 7), 20);
}

#[test]
fn ordinary_work_sums_up_to_nothing() {
    let world = world();
    let dana = world.dana();
    passes_at(&world, world.psql(&dana), 0);
}
