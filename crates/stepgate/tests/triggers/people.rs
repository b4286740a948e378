//! People of high risk: by their groups, by what has just become of their account, and robots that are typed into.

use std::process::Command;

use stepgate_testkit::{Person, until};

use crate::history::{self, DANA, Habit};
use crate::support::{SOON, World, held, said};
use crate::{asks_soon, decided, fires, policy, risky, risky_with, rule, silent, world};

const ORDERS: &str = "select status from orders where id = 1;";

#[test]
fn somebody_of_a_group_of_high_risk_is_asked_and_nobody_else() {
    let world = world("{groups: [leavers]}");
    let (dana, eve) = (world.dana(), world.person("eve", "analysts,leavers"));
    fires(&world, &mut world.psql(&eve), &eve, "", ORDERS);
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn an_account_that_slept_for_long_asks() {
    let asleep = Habit { ended: 60, ..DANA };
    let world = risky_with("dormant_account", "", &[asleep], "");
    let dana = world.dana();
    fires(&world, &mut world.psql(&dana), &dana, "dormant_account", ORDERS);
}

#[test]
fn an_account_in_daily_use_is_silent() {
    let world = risky("dormant_account", "");
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn who_was_denied_again_and_again_is_asked_for_anything() {
    let settings = "many_denials: {count: 3, per: 1h}";
    let world = risky("many_denials", settings);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, ORDERS);
    for _ in 0..3 {
        assert_eq!(psql.run("create role mallory;").unwrap().sqlstate, "42501");
    }
    asks_soon(&world, &dana, ORDERS);
    fires(&world, &mut psql, &dana, "many_denials", ORDERS);
}

#[test]
fn who_fails_to_verify_again_and_again_is_asked_for_anything() {
    let world = risky("failed_factors", "failed_factors: {count: 3, per: 1h}");
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, ORDERS);
    let _code = dana.code().unwrap();
    for _ in 0..3 {
        let wrong = world.gate.run(["login", "dana"], "not the password\n").unwrap();
        assert_ne!(wrong.status, 0);
        let (ok, _) =
            said(
                Command::new(world.cluster.binaries().path("psql"))
                    .env("PGPASSWORD", "not the password")
                    .args(["-X", "-d", &world.gate.conninfo("dana", "shop"), "-c", "select 1"]),
            );
        assert!(!ok);
    }
    asks_soon(&world, &dana, ORDERS);
    fires(&world, &mut psql, &dana, "failed_factors", ORDERS);
}

/// A gate that weighs failed factors, and asks about what is restricted anyhow.
fn proving() -> World {
    let risk = "risk:\n  signals: {failed_factors: 40}\n  failed_factors: {count: 3, per: 1h}\n";
    let anyhow = "  - {name: restricted, match: {class: restricted}, action: step-up, approval: self}";
    let rules = format!("{}\n{anyhow}", rule("{risk: \">=40\", kind: [select]}"));
    let mut world = World::not_serving(|_| policy(risk, &rules));
    history::plant(&world, &[DANA]);
    world.gate.serve().unwrap();
    world
}

/// Types a code that is none of the last steps'.
fn mistypes(world: &World, person: &mut Person, request: &str) {
    let code = person.code().unwrap();
    let wrong = if code == "000000" { "111111" } else { "000000" };
    let said = world.gate.run(["verify", request, "--as", person.name()], &format!("{wrong}\n")).unwrap();
    assert_eq!(said.status, 1, "{}", said.text());
}

/// Codes that are wrong, typed by somebody who knows the password.
#[test]
fn who_types_wrong_codes_again_and_again_is_asked_for_anything() {
    let world = proving();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, ORDERS);
    let mut held_one = world.psql(&dana);
    held_one.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut held_one);
    (0..3).for_each(|_| mistypes(&world, &mut dana, &request));
    let failed = world.records().into_iter().filter(|it| it["type"] == "stepup.factor_failed").count();
    assert_eq!(failed, 3);
    asks_soon(&world, &dana, ORDERS);
    fires(&world, &mut psql, &dana, "failed_factors", ORDERS);
}

#[test]
fn who_mistypes_a_code_once_and_then_types_it_right_is_asked_for_nothing_else() {
    let world = proving();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut psql);
    mistypes(&world, &mut dana, &request);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    // Once it is known of, and ever after.
    until("the failure to be known", SOON, || {
        silent(&world, &mut psql, ORDERS);
        decided(&world, "forward")["signals"][0]["bucket"] == "1"
    })
    .unwrap();
}

#[test]
fn a_new_factor_asks() {
    let world = risky("new_factor", "new_factor: {within: 1d}");
    // Enrolled just now.
    let dana = world.dana();
    fires(&world, &mut world.psql(&dana), &dana, "new_factor", ORDERS);
}

#[test]
fn a_factor_that_is_not_new_any_more_is_silent() {
    let world = risky("new_factor", "new_factor: {within: 1s}");
    let dana = world.dana();
    until("the factor to be old", SOON, || {
        let mut psql = world.psql(&dana);
        psql.send(ORDERS).unwrap();
        psql.line("a NOTICE", SOON, |line| line.contains("stepgate: held").then_some(())).is_err()
    })
    .unwrap();
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn a_service_that_somebody_types_into_is_not_taken_for_a_robot() {
    let etl = Habit { person: "etl", client: "nightly", ..DANA };
    let world = risky_with("interactive_service", "", &[etl], "");
    let add = ["user", "add", "etl", "--service", "--groups", "analysts"];
    world.gate.run(add, "etl-password\n").unwrap().ok().unwrap();
    let runs = |name: &str| {
        let mut psql = Command::new(world.cluster.binaries().path("psql"));
        psql.env("PGPASSWORD", "etl-password").env("PGAPPNAME", name);
        psql.args(["-X", "-At", "-v", "VERBOSITY=verbose", "-d", &world.gate.conninfo("etl", "shop")]);
        said(psql.args(["-c", ORDERS]))
    };
    let (ok, text) = runs("nightly");
    assert!(ok, "{text}");
    assert_eq!(decided(&world, "forward")["risk"], 0);
    // A service cannot verify itself.
    let (ok, text) = runs("psql");
    assert!(!ok && text.contains("42501"), "{text}");
    assert_eq!(decided(&world, "deny")["signals"][0]["name"], "interactive_service");
}
