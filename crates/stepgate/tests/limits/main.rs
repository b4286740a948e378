//! Limits: a statement delivers so much, then people are asked whether it may go on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behind;
mod budgets;
mod clients;
mod delivery;
mod evasion;
mod said;
mod sinks;
mod subjects;
#[path = "../support/mod.rs"]
mod support;
mod windows;

use serde_json::Value;
use stepgate_testkit::{Person, Psql};
use support::{World, held};

/// 2,500 rows, always the same.
const MANY: &str = "select id, n, ssn from customers, generate_series(1, 5) n order by id, n;";
const MANY_CONTACTS: &str = "select id, n, email from customers, generate_series(1, 5) n order by id, n;";

/// Looking at restricted data, so many rows for an approval.
fn restricted(limit: &str) -> impl FnOnce(String) -> String {
    let rule = "    action: step-up\n    approval: self\n";
    let limited = format!("{rule}    limit: {limit}\n");
    move |policy| replaced(&policy, rule, &limited)
}

/// Contacts pass freely until so much is out; then `approval` is asked.
fn brake(limit: &str, approval: &str) -> impl FnOnce(String) -> String {
    let rule = "    match: {class: confidential}\n    action: monitor\n";
    let limited = format!("{rule}    limit: {limit}\n    approval: {approval}\n");
    move |policy| replaced(&policy, rule, &limited)
}

fn replaced(policy: &str, from: &str, to: &str) -> String {
    assert!(policy.contains(from), "the sample policy no longer has {from}");
    policy.replace(from, to)
}

fn verified(world: &World, psql: &mut Psql, dana: &mut Person) -> String {
    let request = held(psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    request
}

/// What psql shows of the same without the gate.
fn direct(world: &World, sql: &str) -> Vec<String> {
    let text = world.cluster.psql("shop", sql).unwrap();
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Rows of a reply, in the form of [`direct`]: unaligned, tuples only.
fn rows(lines: &[String]) -> Vec<String> {
    let messages = ["NOTICE:", "DETAIL:", "HINT:", "ERROR:"];
    let is_row = |line: &&String| !line.is_empty() && !messages.iter().any(|it| line.starts_with(it));
    lines.iter().filter(is_row).cloned().collect()
}

fn events(world: &World, kind: &str) -> Vec<Value> {
    world.records().into_iter().filter(|record| record["type"] == kind).collect()
}

fn bare(world: &World, person: &Person) -> Psql {
    let mut psql = world.psql(person);
    psql.run("\\pset format unaligned").unwrap();
    psql.run("\\pset tuples_only on").unwrap();
    psql
}

/// Contacts of so many customers.
fn contacts(rows: usize) -> String {
    format!("select email from customers order by id limit {rows};")
}

/// A statement that waits is called off: all that was shown of it.
fn called_off(world: &World, psql: &mut Psql, person: &Person, request: &str) -> String {
    world.gate.run(["request", "cancel", request, "--as", person.name()], "").unwrap().ok().unwrap();
    let reply = psql.finish(support::SOON).unwrap();
    // psql does not say how a COPY failed but in its messages.
    assert!(reply.text().contains("ERROR:  stepgate: "), "{}", reply.text());
    reply.text()
}
