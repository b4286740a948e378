//! Drivers' own test suites, without a gate and through one whose policy allows everything. `make suites`; what differs,
//! and why, is in docs/DRIVERS.md.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use stepgate_testkit::Cluster;
use support::{EVERYTHING, NOTHING_LABELLED, World, repository};

/// Which, by the names of tests/tools/suites.sh, separated by commas.
const SUITES: &str = "STEPGATE_SUITES";
/// Those that need no checkout.
const PACKAGED: &str = "psycopg2,asyncpg,pg8000,pgx";
/// How many more of them do not pass through the gate, and why: docs/DRIVERS.md.
const FEWER: [(&str, usize); 7] = [
    ("asyncpg", 6),
    ("node_pg", 5),
    ("pg8000", 4),
    ("pgx", 0),
    ("postgres_js", 7),
    ("psycopg", 4),
    ("psycopg2", 46),
];
const DATABASES: [&str; 3] = ["suite_test", "postgres", "asyncpg_intro_test"];

fn plays(suite: &str, server: SocketAddr, password: &str) -> String {
    let output = Command::new(repository().join("tests/tools/suites.sh"))
        .arg(suite)
        .env("PGHOST", server.ip().to_string())
        .env("PGPORT", server.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGPASSWORD", password)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// How many passed, by the last line that says so.
fn passed(text: &str) -> Option<usize> {
    let line = text.lines().rfind(|line| line.contains(" passed"))?;
    line.split(" passed").next()?.rsplit(' ').next()?.parse().ok()
}

#[test]
#[ignore = "takes many minutes: make suites"]
fn drivers_own_suites_give_the_same_through_the_gate_as_without() {
    let suites = std::env::var(SUITES).unwrap_or_else(|_| PACKAGED.to_owned());
    let cluster = || {
        let settings =
            [("max_prepared_transactions", "10"), ("max_connections", "300"), ("wal_level", "logical")];
        settings
            .iter()
            .fold(Cluster::builder(), |builder, (name, value)| builder.setting(name, value))
            .start()
    };
    let (alone, behind) = (cluster().unwrap(), cluster().unwrap());
    let mut world = World::before(behind, |_| EVERYTHING.to_owned());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let entry = |name: &str| {
        let port = world.cluster.port();
        format!(
            "  {name}: {{host: 127.0.0.1, port: {port}, dbname: {name}, sslmode: disable, user: postgres, \
             password_file: secrets/shop}}\n"
        )
    };
    let text = std::fs::read_to_string(world.gate.config()).unwrap();
    let entries: String = DATABASES.iter().map(|name| entry(name)).collect();
    let text = text.replace("databases:\n", &format!("databases:\n{entries}"));
    let text = format!("{text}\nlimits: {{per_person: 300}}\n");
    std::fs::write(world.gate.config(), text).unwrap();
    let secret = std::fs::read_to_string(world.gate.directory().join("secrets/shop")).unwrap();
    for cluster in [&alone, &world.cluster] {
        cluster.create_database("suite_test").unwrap();
        for database in ["suite_test", "postgres"] {
            let needed = "create extension hstore; create domain uint64 as numeric(20, 0)";
            cluster.load(database, needed).unwrap();
        }
    }
    world.cluster.psql("postgres", &format!("alter role postgres password '{}'", secret.trim())).unwrap();
    world.gate.serve().unwrap();
    let person = world.person("postgres", "");
    alone.psql("postgres", &format!("alter role postgres password '{}'", person.password())).unwrap();

    let logs = repository().join(".work/suites");
    std::fs::create_dir_all(&logs).unwrap();
    let mut fewer = Vec::new();
    for suite in suites.split(',') {
        let servers =
            [("direct", SocketAddr::from(([127, 0, 0, 1], alone.port()))), ("gated", world.gate.listen())];
        let counts = servers.map(|(how, server)| {
            let text = plays(suite, server, person.password());
            std::fs::write(logs.join(format!("{suite}.{how}.log")), &text).unwrap();
            let count = passed(&text);
            println!(
                "{suite} {how}: {} passed",
                count.map_or("nothing".to_owned(), |count| count.to_string())
            );
            let is_failure = |line: &&str| ["FAILED", "ERROR ", "⛔️"].iter().any(|it| line.starts_with(it));
            text.lines().filter(is_failure).for_each(|line| println!("  {line}"));
            count.unwrap_or_else(|| panic!("{suite} was not played: {text}"))
        });
        let known = FEWER.iter().find(|(name, _)| *name == suite).map_or(0, |(_, known)| *known);
        if counts[1] + known < counts[0] {
            fewer.push((suite, counts));
        }
    }
    assert!(fewer.is_empty(), "{fewer:?}");
}
