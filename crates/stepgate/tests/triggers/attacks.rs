//! What somebody tries who knows the rules.

use stepgate_testkit::until;

use crate::support::{SOON, held};
use crate::{decided, fires, from_network, policy, risky, risky_with, silent};

const ORDERS: &str = "select status from orders where id = 1;";

/// More is risky when a statement is approved than when it was asked about: it is asked about again.
#[test]
fn what_has_become_riskier_while_it_waited_is_asked_about_again() {
    let world = {
        let risk =
            "risk:\n  signals: {new_network: 40, many_denials: 30}\n  many_denials: {count: 2, per: 1h}\n";
        let rules = "  - {name: trigger, match: {risk: \">=40\"}, action: step-up, approval: self}";
        let mut world = crate::support::World::not_serving(|_| policy(risk, rules));
        crate::history::plant(&world, &[crate::DANA]);
        world.gate.serve().unwrap();
        world
    };
    let mut dana = world.dana();
    let mut away = from_network(&world, &dana, 7);
    away.send(ORDERS).unwrap();
    let first = held(&mut away);
    assert_eq!(decided(&world, "hold")["risk"], 40);
    let mut psql = world.psql(&dana);
    for _ in 0..2 {
        assert_eq!(psql.run("create role mallory;").unwrap().sqlstate, "42501");
    }
    until("the denials to be known", SOON, || {
        psql.run(ORDERS).unwrap();
        decided(&world, "forward")["risk"] == 30
    })
    .unwrap();
    dana.verify(&world.gate, &first).unwrap().ok().unwrap();
    let second = held(&mut away);
    assert_ne!(second, first);
    let cancelled = world.gate.run(["request", "cancel", &second, "--as", "dana"], "").unwrap();
    cancelled.ok().unwrap();
    assert_eq!(away.finish(SOON).unwrap().sqlstate, "57014");
}

/// What is held or denied teaches nothing: a network does not become usual by being tried.
#[test]
fn trying_again_and_again_makes_nothing_usual() {
    let world = risky("new_network", "");
    let dana = world.dana();
    let mut away = from_network(&world, &dana, 7);
    for _ in 0..3 {
        fires(&world, &mut away, &dana, "new_network", ORDERS);
    }
    fires(&world, &mut from_network(&world, &dana, 7), &dana, "new_network", ORDERS);
}

/// Profiles are made anew from the log.
#[test]
fn a_restart_forgets_nothing() {
    let mut world = risky("new_network", "");
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
    world.gate.kill();
    world.gate.serve().unwrap();
    fires(&world, &mut from_network(&world, &dana, 7), &dana, "new_network", ORDERS);
    silent(&world, &mut world.psql(&dana), ORDERS);
}

/// Somebody of whom nothing is known asks for nothing by that alone, and teaches nobody else's profile.
#[test]
fn one_persons_habits_are_nobody_elses() {
    let other = crate::Habit { person: "olga", address: "127.0.7.7", ..crate::DANA };
    let world = risky_with("new_network", "", &[crate::DANA, other], "");
    let dana = world.dana();
    fires(&world, &mut from_network(&world, &dana, 7), &dana, "new_network", ORDERS);
}
