//! Every trigger of `docs/POLICY.md`, through real psql sessions: it fires where it should, and ordinary work hears
//! nothing of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod attacks;
mod audited;
mod brought;
mod clients;
mod counterparts;
mod found;
mod history;
mod hours;
mod money;
mod networks;
mod people;
mod places;
mod purposes;
mod rates;
mod sizes;
mod subjects;
mod sums;
#[path = "../support/mod.rs"]
mod support;
mod volumes;

use std::process::Command;

use serde_json::Value;
use stepgate_testkit::{Person, Psql, Reply, until};
use support::{SOON, World, held};

use crate::history::{DANA, Habit};

/// Nothing is asked of anybody, unless one of these rules does; people verify themselves.
pub(crate) fn policy(risk: &str, rules: &str) -> String {
    format!(
        "version: 1\nmode: enforce\n\
         defaults: {{action: allow, on_error: deny, hold: 2m, in_transaction: hold, on_client_gone: withdraw}}\n\
         approvals:\n  self: {{self: true, strength: standard, remember: {{for: 15m, scope: [person]}}}}\n  \
         owners: {{groups: [data-owners], count: 1, strength: standard}}\n{risk}rules:\n{rules}\n"
    )
}

/// A gate with one rule of that match, `trigger`, which has people verify themselves.
pub(crate) fn world(matches: &str) -> World {
    World::with_policy(|_| policy("", &rule(matches)))
}

pub(crate) fn rule(matches: &str) -> String {
    format!("  - {{name: trigger, match: {matches}, action: step-up, approval: self}}")
}

/// A gate that weighs one signal, with its settings, and asks before a SELECT where it fires; Dana is known there.
pub(crate) fn risky(signal: &str, settings: &str) -> World {
    risky_with(signal, settings, &[DANA], "")
}

/// The same with these habits, and more in the gate's configuration.
pub(crate) fn risky_with(signal: &str, settings: &str, habits: &[Habit], configuration: &str) -> World {
    let settings = if settings.is_empty() { String::new() } else { format!("  {settings}\n") };
    let risk = format!("risk:\n  signals: {{{signal}: 40}}\n{settings}");
    let mut world = World::not_serving(|_| policy(&risk, &rule("{risk: \">=40\", kind: [select]}")));
    world.configure(configuration);
    history::plant(&world, habits);
    world.gate.serve().unwrap();
    world
}

/// The statement is asked about, by the trigger and because of this signal, and is called off.
pub(crate) fn fires(world: &World, psql: &mut Psql, person: &Person, signal: &str, sql: &str) {
    let (request, reply) = asked(world, psql, person, sql);
    let detail = reply.lines.iter().find(|line| line.starts_with("DETAIL:")).unwrap();
    assert!(detail.contains("Rule: trigger."), "{sql}: {detail}");
    let decided = decided(world, "hold");
    assert_eq!(decided["rules"], serde_json::json!(["trigger"]), "{sql}");
    if signal.is_empty() {
        return;
    }
    assert!(detail.contains(&format!("Risk 40: {signal}.")), "{sql}: {detail}");
    assert_eq!(decided["risk"], 40, "{sql}: {decided}");
    let weighed = decided["signals"].as_array().unwrap();
    assert!(weighed.iter().any(|it| it["name"] == signal && it["weight"] == 40), "{sql}: {decided}");
    // The one who is asked is told as well.
    assert!(request.contains(signal), "{sql}: {request}");
}

/// The statement is asked about and called off: what its request shows, and how it ended.
pub(crate) fn asked(world: &World, psql: &mut Psql, person: &Person, sql: &str) -> (String, Reply) {
    psql.send(sql).unwrap();
    let request = held(psql);
    let shown = ["request", "show", &request, "--as", person.name()];
    let shown = world.gate.run(shown, "").unwrap().ok().unwrap();
    let cancelled = world.gate.run(["request", "cancel", &request, "--as", person.name()], "").unwrap();
    cancelled.ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "57014", "{sql}: {}", reply.text());
    (shown, reply)
}

/// The statement is asked about, and the person verifies themselves.
pub(crate) fn verified(world: &World, psql: &mut Psql, person: &mut Person, sql: &str) {
    psql.send(sql).unwrap();
    let request = held(psql);
    person.verify(&world.gate, &request).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{sql}: {}", reply.text());
}

/// The statement runs, nobody is asked, and the log names no rule; where risk is told, there is none.
pub(crate) fn silent(world: &World, psql: &mut Psql, sql: &str) {
    let reply = psql.run(sql).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{sql}: {}", reply.text());
    let decided = decided(world, "forward");
    assert_eq!(decided["rules"], serde_json::json!([]), "{sql}: {decided}");
    assert!(decided["risk"].is_null() || decided["risk"] == 0, "{sql}: {decided}");
}

/// What has just happened is known as soon as it is on disk: then the statement is asked about.
pub(crate) fn asks_soon(world: &World, person: &Person, sql: &str) {
    until("the signal", SOON, || {
        let mut psql = world.psql(person);
        psql.send(sql).unwrap();
        psql.line("a NOTICE", SOON, |line| line.contains("stepgate: held").then_some(())).is_ok()
    })
    .unwrap();
}

/// The last decision with this verdict.
pub(crate) fn decided(world: &World, verdict: &str) -> Value {
    let records = world.records();
    let is = |record: &&Value| record["type"] == "statement.decided" && record["verdict"] == verdict;
    records.iter().rev().find(is).unwrap_or_else(|| panic!("no statement has gone {verdict}")).clone()
}

/// psql by way of this machine's address in the network 127.0.N.0/24.
pub(crate) fn from_network(world: &World, person: &Person, network: u8) -> Psql {
    Psql::start(command_from(world, person, network)).unwrap()
}

/// The same, to be started.
pub(crate) fn command_from(world: &World, person: &Person, network: u8) -> Command {
    let (to, listener) = (world.gate.listen(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, network, 7], 0).into()).unwrap();
            let mut gate = socket.connect(to).await.unwrap();
            let mut client = tokio::net::TcpStream::from_std(client).unwrap();
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut gate).await;
        });
    });
    let mut command = world.gate.psql_command(person);
    let conninfo = world.gate.conninfo(person.name(), "shop");
    command.args(["-d", &conninfo.replace(&format!("port={}", to.port()), &format!("port={port}"))]);
    command
}

/// psql with this in its environment.
pub(crate) fn with_environment(world: &World, person: &Person, name: &str, value: &str) -> Psql {
    let mut command = world.gate.psql_command(person);
    command.env(name, value);
    Psql::start(command).unwrap()
}
