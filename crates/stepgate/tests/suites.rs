//! Drivers' own test suites, without a gate and through one whose policy allows everything. `make suites`; what differs,
//! and why, is in docs/DRIVERS.md.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use stepgate_testkit::Cluster;
use support::{EVERYTHING, NOTHING_LABELLED, World, repository};

/// Which, by the names of tests/tools/suites.sh, separated by commas.
const SUITES: &str = "STEPGATE_SUITES";
/// Those that need no checkout.
const PACKAGED: &str = "psycopg2,asyncpg,pg8000,pgx";
/// Which of their tests fail through the gate alone, by parts of their names; why, docs/DRIVERS.md says.
const DIFFERENT: [(&str, &[&str]); 4] = [("asyncpg", &[]), ("pg8000", &[]), ("pgx", &[]), ("psycopg2", &[])];
/// How many of those that come as checkouts alone, and are seldom played, do not pass through the gate.
const FEWER: [(&str, usize); 3] = [("node_pg", 5), ("postgres_js", 7), ("psycopg", 4)];
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

/// What is known of a suite.
fn known<T: Copy>(of: &[(&str, T)], suite: &str) -> Option<T> {
    of.iter().find(|(name, _)| *name == suite).map(|(_, known)| *known)
}

/// How many passed, by the last line that says so.
fn passed(text: &str) -> Option<usize> {
    let line = text.lines().rfind(|line| line.contains(" passed"))?;
    line.split(" passed").next()?.rsplit(' ').next()?.parse().ok()
}

/// The tests that failed, as the suite calls them.
fn failed(text: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let line = line.trim_start();
        let rest = ["FAILED ", "ERROR ", "--- FAIL: ", "⛔️"].iter().find_map(|it| line.strip_prefix(it))?;
        // What pytest says behind it, and how long Go took.
        let rest = rest.split(" - ").next().unwrap_or(rest);
        Some(rest.split(" (").next().unwrap_or(rest).trim().to_owned())
    };
    text.lines().filter_map(name).collect()
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
        let [direct, gated] = servers.map(|(how, server)| {
            let text = plays(suite, server, person.password());
            std::fs::write(logs.join(format!("{suite}.{how}.log")), &text).unwrap();
            let count = passed(&text);
            println!(
                "{suite} {how}: {} passed",
                count.map_or("nothing".to_owned(), |count| count.to_string())
            );
            let failed = failed(&text);
            failed.iter().for_each(|name| println!("  {name}"));
            (count.unwrap_or_else(|| panic!("{suite} was not played: {text}")), failed)
        });
        let more: Vec<_> = gated.1.difference(&direct.1).collect();
        match (known(&DIFFERENT, suite), known(&FEWER, suite)) {
            (Some(names), _) => {
                let unknown = more.iter().filter(|test| !names.iter().any(|name| test.contains(name)));
                fewer.extend(unknown.map(|test| format!("{suite}: {test}")));
                // Whatever is not played at all is no failure, and must not hide one.
                if gated.0 + more.len() < direct.0 {
                    fewer.push(format!("{suite}: {} passed, {} without the gate", gated.0, direct.0));
                }
            }
            (None, few) if gated.0 + few.unwrap_or_default() < direct.0 => {
                fewer.push(format!("{suite}: {} passed, {} without the gate", gated.0, direct.0));
            }
            _ => {}
        }
    }
    assert!(fewer.is_empty(), "{fewer:#?}");
}
