//! A running gate, operated: sessions, grants, reloads, logins, and what the operator may not see.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use support::{SOON, World, held};

#[test]
fn the_operator_sees_and_ends_sessions_and_grants_but_no_sql() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers where ssn = '078-05-1120';").unwrap();
    let request = held(&mut psql);
    let shown = world.gate.run(["request", "show", &request, "--operator", "-o", "json"], "").unwrap();
    let shown = shown.ok().unwrap();
    assert!(shown.contains("customers") && !shown.contains("078-05"), "{shown}");
    let own = world.gate.run(["request", "show", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    assert!(own.contains("078-05-1120"), "{own}");
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    psql.finish(SOON).unwrap();
    let grants = world.gate.run(["grant", "ls", "--operator", "-o", "json"], "").unwrap().ok().unwrap();
    let grants: serde_json::Value = serde_json::from_str(&grants).unwrap();
    let grant = grants[0]["grant"].as_str().unwrap();
    world.gate.run(["grant", "revoke", grant, "--operator"], "").unwrap().ok().unwrap();
    assert_eq!(world.gate.run(["grant", "revoke", grant, "--operator"], "").unwrap().status, 1);
    let sessions = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let sessions: serde_json::Value = serde_json::from_str(&sessions).unwrap();
    let session = sessions[0]["session"].as_str().unwrap();
    world.gate.run(["session", "kill", session], "").unwrap().ok().unwrap();
    assert!(psql.run("select 1;").is_err());
    assert!(world.recorded("session.killed", session), "which session");
}

#[test]
fn sessions_are_listed_with_what_each_is_doing_and_for_what_it_waits() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let pid = |psql: &mut stepgate_testkit::Psql| {
        psql.run("select pg_backend_pid();").unwrap().lines.iter().find_map(|line| line.trim().parse().ok())
    };
    let pid: i64 = pid(&mut psql).unwrap();
    let row = || {
        let list = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
        let rows: serde_json::Value = serde_json::from_str(&list).unwrap();
        rows.as_array().unwrap().iter().find(|row| row["pid"] == pid).unwrap().clone()
    };
    let comes_to = |state: &str| {
        stepgate_testkit::until(state, SOON, || row()["state"] == state).unwrap();
        assert_eq!(row().get("request"), None);
    };
    comes_to("idle");
    psql.run("begin;").unwrap();
    comes_to("idle in transaction");
    assert_eq!(psql.run("select 1/0;").unwrap().sqlstate, "22012");
    comes_to("idle in transaction (aborted)");
    psql.run("rollback;").unwrap();
    psql.send("select pg_sleep(60);").unwrap();
    comes_to("active");
    world.cluster.psql("shop", &format!("select pg_cancel_backend({pid})")).unwrap();
    assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
    psql.send("select ssn from customers limit 1;").unwrap();
    let request = held(&mut psql);
    stepgate_testkit::until("the hold", SOON, || row()["state"] == "held").unwrap();
    assert_eq!(row()["request"], request.as_str());
    let table = world.gate.run(["session", "ls"], "").unwrap().ok().unwrap();
    assert!(table.contains("STATE") && table.contains("held") && table.contains(&request), "{table}");
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    psql.finish(SOON).unwrap();
    comes_to("idle");
}

#[test]
fn a_policy_that_does_not_load_changes_nothing_and_one_that_does_takes_effect() {
    let world = World::new();
    let dana = world.dana();
    let path = world.gate.directory().join("policies/policy.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replacen("action: step-up", "acton: allow", 1)).unwrap();
    stepgate_testkit::until("the rejection", SOON, || world.recorded("policy.rejected", "")).unwrap();
    assert!(world.gate.log().contains("acton"), "{}", world.gate.log());
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers limit 1;").unwrap();
    let request = held(&mut psql);
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    psql.finish(SOON).unwrap();
    std::fs::write(&path, good.replacen("action: step-up\n    approval: self", "action: deny", 1)).unwrap();
    stepgate_testkit::until("the new policy", SOON, || {
        world.records().iter().filter(|record| record.to_string().contains("policy.loaded")).count() == 2
    })
    .unwrap();
    assert_eq!(psql.run("select ssn from customers limit 1;").unwrap().sqlstate, "42501");
}

#[test]
fn a_login_is_kept_for_its_owner_alone_and_who_is_removed_can_do_nothing_with_it() {
    let world = World::new();
    let dana = world.dana();
    let home = world.gate.environment().into_iter().find(|(name, _)| *name == "XDG_CONFIG_HOME").unwrap().1;
    let file = home.join("stepgate/logins.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&file).unwrap().contains(dana.password()));
    let wrong = world.gate.run(["login", "dana"], "not the password\n").unwrap();
    assert_eq!(wrong.status, 1, "{}", wrong.text());
    let mut psql = world.psql(&dana);
    assert!(psql.run("select 1;").unwrap().is_ok());
    world.gate.run(["user", "rm", "dana"], "").unwrap().ok().unwrap();
    let after = world.gate.run(["request", "ls", "--as", "dana"], "").unwrap();
    assert_eq!(after.status, 1, "{}", after.text());
    assert!(after.stderr.contains("stepgate login dana"), "{}", after.stderr);
    assert!(psql.run("select 1;").is_err());
}
