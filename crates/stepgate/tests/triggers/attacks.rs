//! What somebody tries who knows the rules.

use stepgate_testkit::until;

use crate::history::{self, DANA, Habit};
use crate::support::{SOON, World, held, passes, waits};
use crate::{decided, fires, from_network, policy, risky, risky_with, rule, silent, verified};

const ORDERS: &str = "select status from orders where id = 1;";

/// More is risky when a statement is approved than when it was asked about: it is asked about again, though the same rule
/// asks.
#[test]
fn what_has_become_riskier_while_it_waited_is_asked_about_again() {
    let risk = "risk:\n  signals: {many_denials: 30}\n  many_denials: {count: 2, per: 1h}\n";
    let mut world = World::not_serving(|_| policy(risk, &rule("{network: [127.0.7.0/24]}")));
    history::plant(&world, &[DANA]);
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut away = from_network(&world, &dana, 7);
    away.send(ORDERS).unwrap();
    let first = held(&mut away);
    assert_eq!(decided(&world, "hold")["risk"], 0);
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
    assert_eq!(decided(&world, "hold")["risk"], 30);
    // As asked, it goes on.
    dana.verify(&world.gate, &second).unwrap().ok().unwrap();
    assert!(away.finish(SOON).unwrap().is_ok());
}

/// What was approved at no risk is remembered for that, and for no more.
#[test]
fn what_is_remembered_of_an_approval_covers_no_higher_risk() {
    let risk = "risk:\n  signals: {many_denials: 30}\n  many_denials: {count: 2, per: 1h}\n";
    let mut world = World::not_serving(|_| policy(risk, &rule("{class: restricted}")));
    history::plant(&world, &[DANA]);
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    let sql = "select ssn from customers where id = 1;";
    verified(&world, &mut psql, &mut dana, sql);
    passes(&mut psql, sql);
    for _ in 0..2 {
        assert_eq!(psql.run("create role mallory;").unwrap().sqlstate, "42501");
    }
    until("the denials to be known", SOON, || {
        psql.run(ORDERS).unwrap();
        decided(&world, "forward")["risk"] == 30
    })
    .unwrap();
    waits(&world, &mut psql, &dana, sql);
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
    let mut dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
    world.gate.kill();
    world.gate.serve().unwrap();
    // Logins of people's commands end with the gate.
    dana.login(&world.gate).unwrap();
    fires(&world, &mut from_network(&world, &dana, 7), &dana, "new_network", ORDERS);
    silent(&world, &mut world.psql(&dana), ORDERS);
}

/// Somebody of whom nothing is known asks for nothing by that alone, and teaches nobody else's profile.
#[test]
fn one_persons_habits_are_nobody_elses() {
    let other = Habit { person: "olga", address: "127.0.7.7", ..DANA };
    let world = risky_with("new_network", "", &[DANA, other], "");
    let dana = world.dana();
    fires(&world, &mut from_network(&world, &dana, 7), &dana, "new_network", ORDERS);
}
