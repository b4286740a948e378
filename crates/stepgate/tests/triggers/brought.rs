//! A policy that is the first to weigh signals, brought while the gate serves: what the log tells counts from the first
//! decision on, and until it was read the rules of before decide.

use stepgate_testkit::{Psql, until};

use crate::history::{self, DANA, Habit};
use crate::support::{SOON, World};
use crate::{asked, decided, from_network, policy};

const ORDERS: &str = "select status from orders where id = 1;";

/// So much that it takes a while to read.
const BUSY: Habit = Habit { person: "olga", tables: &["public.orders"; 4_000], days: 1, ..DANA };

const NOTHING: &str = "  - {name: everything, match: {kind: [control]}, action: allow}";
const RISK: &str = "risk:\n  signals: {new_network: 40, velocity: 20, first_seen_table: 10}\n  \
                    velocity: {rows: 300, per: 1h}\n";
const RULES: &str = "  - {name: seen, match: {signal: [new_network, velocity]}, action: monitor}\n  \
                     - {name: trigger, match: {signal: first_seen_table}, action: step-up, approval: self}";

#[test]
fn the_first_policy_that_weighs_signals_decides_by_the_whole_log_from_its_first_statement_on() {
    let mut world = World::not_serving(|_| policy("", NOTHING));
    history::plant(&world, &[DANA]);
    history::plant_at_once(&world, &BUSY);
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut away = from_network(&world, &dana, 7);
    // Much has been read by now, from where she never was: nobody asks, and nobody has read the log.
    assert!(away.run("select status from orders;").unwrap().is_ok());

    let map = std::fs::read_to_string(world.gate.directory().join("policies/pii-map.yaml")).unwrap();
    world.gate.policies(&map, &policy(RISK, RULES)).unwrap();
    world.gate.serving().unwrap().signal("HUP").unwrap();
    // Sessions go on meanwhile.
    until("the policy to come into force", SOON, || {
        assert!(away.run(ORDERS).unwrap().is_ok());
        world.gate.log().contains("map and policy loaded")
    })
    .unwrap();
    (0..3).for_each(|_| assert!(away.run(ORDERS).unwrap().is_ok()));

    let records = world.records();
    let loaded = records.iter().rev().find(|it| it["type"] == "policy.loaded").unwrap();
    let is_new = |it: &&serde_json::Value| it["policy_sha256"] == loaded["policy_sha256"];
    let all: Vec<_> = records.iter().filter(|it| it["type"] == "statement.decided").collect();
    assert!(all.iter().filter(|it| is_new(it)).count() >= 3);
    for decided in all.iter().filter(|it| is_new(it)) {
        assert_eq!(decided["risk"], 60, "{decided}");
        assert_eq!(decided["rules"], serde_json::json!(["seen"]), "{decided}");
        let bucket = |of: &str| {
            let signals = decided["signals"].as_array().unwrap();
            signals.iter().find(|it| it["name"] == of).unwrap()["bucket"].as_str().unwrap().to_owned()
        };
        // As the log tells: neither `learning` nor `unknown`.
        assert_eq!((bucket("new_network"), bucket("first_seen_table")), ("new".into(), "known".into()));
        assert!(bucket("velocity").ends_with('x'), "{decided}");
    }
    for decided in all.iter().filter(|it| !is_new(it)) {
        assert!(decided["risk"].is_null(), "{decided}");
    }
    let (_, reply) = asked(&world, &mut away, &dana, "select currency from payments where id = 1;");
    assert!(reply.text().contains("Rules: trigger, seen."), "{}", reply.text());
}

/// Whoever asks anew is told of what happened while nobody asked.
#[test]
fn signals_that_were_not_weighed_for_a_while_know_what_happened_meanwhile() {
    let mut world = World::not_serving(|_| policy(RISK, RULES));
    history::plant(&world, &[DANA]);
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let map = std::fs::read_to_string(world.gate.directory().join("policies/pii-map.yaml")).unwrap();
    let brings = |world: &mut World, psql: &mut Psql, policy: &str| {
        let before = world.gate.log().matches("map and policy loaded").count();
        world.gate.policies(&map, policy).unwrap();
        world.gate.serving().unwrap().signal("HUP").unwrap();
        until("the policy to come into force", SOON, || {
            world.gate.log().matches("map and policy loaded").count() > before
        })
        .unwrap();
        assert!(psql.run(ORDERS).unwrap().is_ok());
    };
    assert!(psql.run(ORDERS).unwrap().is_ok());
    assert_eq!(decided(&world, "forward")["risk"], 0);
    brings(&mut world, &mut psql, &policy("", NOTHING));
    assert!(psql.run("select status from orders;").unwrap().is_ok());
    assert!(decided(&world, "forward")["risk"].is_null());
    brings(&mut world, &mut psql, &policy(RISK, RULES));
    assert_eq!(decided(&world, "forward")["risk"], 20, "velocity");
}
