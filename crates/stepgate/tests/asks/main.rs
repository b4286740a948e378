//! Requests and grants as an attacker, an approver and a service meet them: real psql, people's commands, PostgreSQL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod bombing;
mod charged;
mod grants;
mod killed;
mod meanwhile;
mod news;
mod others;
mod parallel;
mod races;
mod scripted;
mod sealed;
mod services;
#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use support::World;

/// Adds to the sample policy's approval by data owners.
fn owners(policy: &str, lines: &str) -> String {
    let changed = policy.replace("    reason: required ", &format!("    {lines}\n    reason: required "));
    assert_ne!(changed, policy);
    changed
}

/// What a command of somebody's prints as JSON.
fn json(world: &World, arguments: &[&str]) -> Value {
    let text = world.gate.run(arguments, "").unwrap().ok().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// How many records of this kind there are that hold this text.
fn recorded(world: &World, kind: &str, about: &str) -> usize {
    let is = |record: &&Value| record["type"] == kind && record.to_string().contains(about);
    world.records().iter().filter(is).count()
}
