//! Decisions that a session remembers end with what they hung on: groups, rules, and what names mean.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use stepgate_testkit::{Psql, until};
use support::{SOON, World, passes, repository};

/// Interns do not count customers, and analysts read nothing restricted.
const DENIED: &str = "
  - {name: not-interns, match: {groups: [interns], tables: [public.customers]}, action: deny}
  - {name: not-analysts, match: {groups: [analysts], class: \">=restricted\"}, action: deny}
";

const COUNT: &str = "select count(*) from customers;";

fn is_denied(psql: &mut Psql, sql: &str) -> bool {
    psql.run(sql).unwrap().sqlstate == "42501"
}

/// Often enough to be remembered.
fn remembered(psql: &mut Psql, sql: &str) {
    for _ in 0..3 {
        passes(psql, sql);
    }
}

#[test]
fn a_remembered_decision_ends_with_groups_rules_and_meaning() {
    let world = World::with_policy(|policy| policy + DENIED);
    let dana = world.dana();
    let mut psql = world.psql(&dana);

    remembered(&mut psql, COUNT);
    let groups = |groups| world.gate.run(["user", "groups", "dana", groups], "").unwrap().ok().unwrap();
    groups("analysts,interns");
    assert!(is_denied(&mut psql, COUNT), "the very next one");
    groups("analysts");
    remembered(&mut psql, COUNT);

    let policies = repository().join("policies");
    let read = |name: &str| std::fs::read_to_string(policies.join(name)).unwrap();
    let (map, policy) = (read("pii-map.yaml"), read("policy.yaml") + DENIED);
    world.gate.policies(&map, &policy.replace("[interns]", "[analysts]")).unwrap();
    until("the new rules", SOON, || is_denied(&mut psql, COUNT)).unwrap();
    world.gate.policies(&map, &policy).unwrap();
    until("the old rules", SOON, || psql.run(COUNT).unwrap().is_ok()).unwrap();

    let view = |of: &str| format!("create or replace view shown as {of}; grant select on shown to public;");
    world.cluster.load("shop", &view("select name::text as it from products")).unwrap();
    let sql = "select it from shown limit 1;";
    until("the view", SOON, || psql.run(sql).unwrap().is_ok()).unwrap();
    remembered(&mut psql, sql);
    world.cluster.load("shop", &view("select ssn::text as it from hr.employees")).unwrap();
    until("what it means now", SOON, || is_denied(&mut psql, sql)).unwrap();
}
