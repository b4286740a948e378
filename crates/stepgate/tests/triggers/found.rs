//! What has fired is found in the log by each flag of `audit search`, and nothing else is.

use std::collections::BTreeSet;

use serde_json::Value;
use stepgate_record::{AuthFailed, Event};
use stepgate_testkit::Cluster;

use crate::history::{DANA, plant, plant_events};
use crate::support::World;
use crate::{fires, from_network, policy, rule, silent};

const ORDERS: &str = "select status from orders where id = 1;";

fn search(world: &World, flags: &[&str]) -> Vec<Value> {
    let arguments = [&["audit", "search", "-o", "json"], flags].concat();
    let printed = world.gate.run(arguments, "").unwrap().ok().unwrap();
    serde_json::from_str::<Value>(&printed).unwrap().as_array().unwrap().clone()
}

fn numbers<'r>(rows: impl IntoIterator<Item = &'r Value>) -> BTreeSet<u64> {
    rows.into_iter().map(|row| row["seq"].as_u64().unwrap()).collect()
}

/// Before two databases; whoever comes from a network that they have never used is asked.
fn two_databases() -> World {
    let mut world = World::before(Cluster::start().unwrap(), |_| {
        policy("risk:\n  signals: {new_network: 40}\n", &rule("{risk: \">=40\", kind: [select]}"))
    });
    world.cluster.create_database("annex").unwrap();
    let port = world.cluster.port();
    world.edit(
        "databases:\n",
        &format!(
            "databases:\n  annex: {{host: 127.0.0.1, port: {port}, sslmode: disable, user: stepgate_analyst, \
             password_file: secrets/shop}}\n"
        ),
    );
    plant(&world, &[DANA]);
    world.gate.serve().unwrap();
    world
}

#[test]
fn a_search_by_risk_rule_session_address_or_database_finds_that_and_not_the_rest() {
    let world = two_databases();
    let dana = world.dana();
    let (mut usual, mut far) = (world.psql(&dana), from_network(&world, &dana, 9));
    silent(&world, &mut usual, ORDERS);
    fires(&world, &mut far, &dana, "new_network", ORDERS);
    let mut annex = world.psql_in(&dana, "annex");
    assert!(annex.run("select 1;").unwrap().is_ok());
    drop((usual, far, annex));

    // Everything there is, looked through here: searches by the index and without find the same of it.
    let all = world.records();
    let expect = |flags: &[&str], is: &dyn Fn(&Value) -> bool| {
        let expected = numbers(all.iter().filter(|record: &&Value| is(record)));
        let rest = all.len() - expected.len();
        assert!(!expected.is_empty() && rest > 0, "{flags:?}");
        let until = all.last().unwrap()["seq"].as_u64().unwrap();
        for more in [None, Some("--scan")] {
            let flags: Vec<&str> = flags.iter().copied().chain(more).collect();
            let mut found = numbers(&search(&world, &flags));
            found.retain(|seq| *seq <= until);
            assert_eq!(found, expected, "{flags:?}");
        }
    };
    let risk = |record: &Value| record["risk"].as_u64();
    expect(&["--risk", ">=40"], &|record| risk(record) >= Some(40));
    expect(&["--risk", ">=1"], &|record| risk(record) >= Some(1));
    let lower = |record: &Value| record["type"] == "statement.decided" && risk(record) < Some(40);
    assert!(all.iter().any(lower) && search(&world, &["--risk", ">=41"]).is_empty());
    let has_rule =
        |record: &Value| record["rules"].as_array().is_some_and(|rules| rules.contains(&"trigger".into()));
    expect(&["--rule", "trigger"], &has_rule);
    assert!(search(&world, &["--rule", "trig"]).is_empty());

    let opened = |address: &str| {
        let is = |it: &&Value| {
            it["type"] == "session.opened" && it["address"] == address && it["database"] == "shop"
        };
        all.iter().rev().find(is).unwrap()["session"].as_str().unwrap().to_owned()
    };
    let (near, far) = (opened("127.0.0.1"), opened("127.0.9.7"));
    for session in [&near, &far] {
        expect(&["--session", session], &|record| record["session"] == session.as_str());
    }
    // Of several values of one flag one must hold, of several flags all.
    expect(&["--session", &near, "--session", &far], &|record| {
        [near.as_str(), &far].iter().any(|session| record["session"] == *session)
    });
    expect(&["--session", &far, "--rule", "trigger"], &|record| {
        record["session"] == far.as_str() && has_rule(record)
    });
    assert!(search(&world, &["--session", &near, "--rule", "trigger"]).is_empty());
    assert!(search(&world, &["--session", &"f".repeat(32)]).is_empty());

    let from = |record: &Value, address: &str| record["address"] == address || record["network"] == address;
    expect(&["--address", "127.0.9.7"], &|record| from(record, "127.0.9.7"));
    expect(&["--address", "127.0.0.1"], &|record| from(record, "127.0.0.1"));
    // The same address, as a socket for both families has it.
    expect(&["--address", "::ffff:127.0.9.7"], &|record| from(record, "127.0.9.7"));
    assert!(search(&world, &["--address", "127.0.9.8"]).is_empty());

    let of = |record: &Value, name: &str| record["database"] == name;
    expect(&["--database", "annex"], &|record| of(record, "annex"));
    expect(&["--database", "shop"], &|record| of(record, "shop"));
    assert!(search(&world, &["--database", "annex", "--session", &near]).is_empty());
}

#[test]
fn strangers_beyond_those_that_are_kept_are_found_by_network_and_as_others() {
    let mut world = World::not_serving(|text| text);
    let stranger = |n: u64| {
        let address = format!("10.{}.{}.{}", n / 250, n % 250, 1 + n % 200);
        Event::SessionAuthFailed(Box::new(AuthFailed::of(None, address.as_str().into())))
    };
    plant_events(&world, &(0..300).map(stranger).collect::<Vec<_>>());
    world.gate.serve().unwrap();
    let failed: Vec<Value> =
        world.records().into_iter().filter(|it| it["type"] == "session.auth_failed").collect();
    assert_eq!(failed.len(), 300);
    // As docs/OPERATING.md says: 120 addresses, as many networks, and what is left.
    let as_recorded = |is: &dyn Fn(&str) -> bool| {
        let is = |it: &&Value| is(it["address"].as_str().unwrap());
        failed.iter().filter(is).cloned().collect::<Vec<_>>()
    };
    let (networks, others) = (as_recorded(&|it| it.ends_with(".0/24")), as_recorded(&|it| it == "others"));
    assert_eq!((networks.len(), others.len()), (120, 60));
    let found =
        |address: &str| numbers(&search(&world, &["--address", address, "--type", "session.auth_failed"]));
    assert_eq!(found("others"), numbers(&others));
    let network = networks[7]["address"].as_str().unwrap();
    assert_eq!(found(network), numbers([&networks[7]]));
    // By any address in it, too, where its length is said.
    assert_eq!(found(&network.replace(".0/24", ".77/24")), numbers([&networks[7]]));
    let single = failed[0]["address"].as_str().unwrap();
    assert_eq!(found(single), numbers([&failed[0]]));
    assert!(found("192.0.2.0/24").is_empty());
}
