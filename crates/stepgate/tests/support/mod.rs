//! A whole gate for each test: throwaway PostgreSQL with a small shop, the real program, people.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod approver;
pub(crate) mod frames;
pub(crate) mod provider;
pub(crate) mod raw;
pub(crate) mod relay;

use std::path::{Path, PathBuf};
use std::time::Duration;

use stepgate_testkit::{Cluster, Gate, Person, Psql, TempTree};

/// How long anything may take that needs no person.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The demo's shop at a hundredth of its size.
const SMALLER: [(&str, &str); 5] = [
    ("generate_series(1, 50000)", "generate_series(1, 500)"),
    ("% 50000,", "% 500,"),
    ("generate_series(1, 120000)", "generate_series(1, 1200)"),
    ("generate_series(1, 240000)", "generate_series(1, 2400)"),
    ("generate_series(1, 2000)", "generate_series(1, 200)"),
];

/// A policy that allows everything.
pub(crate) const EVERYTHING: &str = "\
version: 1
mode: enforce
defaults: {action: allow, on_error: deny, hold: 1m, in_transaction: auto, on_client_gone: withdraw}
rules:
  - {name: everything, match: {kind: [control]}, action: allow}
";
/// A map for it.
pub(crate) const NOTHING_LABELLED: &str = "\
version: 1
classes: {internal: 1}
labels: {}
databases: {}
unknown: {tables: allow, functions: allow, dynamic_sql: allow, statements: allow}
";

/// Everything that runs; gone when dropped.
pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) cluster: Cluster,
    pub(crate) tree: TempTree,
}

impl World {
    /// A gate that serves, with the sample map and policy.
    pub(crate) fn new() -> Self {
        Self::with_policy(|text| text)
    }

    /// The same, where statements wait whatever their transaction keeps locked.
    pub(crate) fn waiting() -> Self {
        Self::with_policy(waiting)
    }

    /// The same with a changed policy.
    pub(crate) fn with_policy(change: impl FnOnce(String) -> String) -> Self {
        let mut world = Self::not_serving(change);
        world.gate.serve().unwrap();
        world
    }

    /// Configured only.
    pub(crate) fn not_serving(change: impl FnOnce(String) -> String) -> Self {
        Self::before(Cluster::start().unwrap(), change)
    }

    /// The same before that cluster.
    pub(crate) fn before(cluster: Cluster, change: impl FnOnce(String) -> String) -> Self {
        let tree = TempTree::new("stepgate-test").unwrap();
        cluster.create_database("shop").unwrap();
        cluster.load("shop", &small_shop()).unwrap();
        let gate = Gate::init(Path::new(env!("CARGO_BIN_EXE_stepgate")), tree.path(), &cluster).unwrap();
        let read = |name: &str| std::fs::read_to_string(repository().join("policies").join(name)).unwrap();
        gate.policies(&read("pii-map.yaml"), &change(read("policy.yaml"))).unwrap();
        Self { gate, cluster, tree }
    }

    /// Adds lines to the gate's configuration.
    pub(crate) fn configure(&self, lines: &str) {
        let text = std::fs::read_to_string(self.gate.config()).unwrap();
        std::fs::write(self.gate.config(), format!("{text}\n{lines}\n")).unwrap();
    }

    /// Changes the gate's configuration; a gate that serves takes it up at [`Self::reload`].
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.gate.config()).unwrap();
        assert!(text.contains(from), "no {from} in:\n{text}");
        std::fs::write(self.gate.config(), text.replacen(from, to, 1)).unwrap();
    }

    /// Has the gate read its configuration again, and waits until it has said so often that it did.
    pub(crate) fn reload(&mut self) {
        let before = self.loads();
        self.gate.serving().unwrap().signal("HUP").unwrap();
        stepgate_testkit::until("the reload", SOON, || self.loads() > before).unwrap();
    }

    /// How often a configuration was loaded or rejected while the gate ran.
    fn loads(&self) -> usize {
        let log = self.gate.log();
        let said =
            ["configuration, certificates and passwords loaded", "THE OLD CONFIGURATION STAYS IN FORCE"];
        said.iter().map(|said| log.matches(said).count()).sum()
    }

    /// What psql says when that person runs `select 1` in a database, and whether it could.
    pub(crate) fn connects(&self, person: &Person, database: &str) -> (bool, String) {
        let mut command = self.gate.psql_command(person);
        command.args(["-X", "-At", "-d", &self.gate.conninfo(person.name(), database), "-c", "select 1"]);
        said(&mut command)
    }

    /// psql as that person in a database.
    pub(crate) fn psql_in(&self, person: &Person, database: &str) -> Psql {
        let mut command = self.gate.psql_command(person);
        command.args(["-d", &self.gate.conninfo(person.name(), database)]);
        Psql::start(command).unwrap()
    }

    /// The sample gate with more lines in its configuration, serving.
    pub(crate) fn configured(lines: &str) -> Self {
        let mut world = Self::not_serving(|text| text);
        world.configure(lines);
        world.gate.serve().unwrap();
        world
    }

    /// Somebody with a password, an authenticator and a login.
    pub(crate) fn person(&self, name: &str, groups: &str) -> Person {
        let mut person = Person::add(&self.gate, name, groups).unwrap();
        person.login(&self.gate).unwrap();
        person
    }

    pub(crate) fn dana(&self) -> Person {
        self.person("dana", "analysts")
    }

    pub(crate) fn olga(&self) -> Person {
        self.person("olga", "data-owners")
    }

    pub(crate) fn psql(&self, person: &Person) -> Psql {
        self.gate.psql(person).unwrap()
    }

    /// The request that somebody has open, once there is one, as their command line lists it.
    pub(crate) fn open_request(&self, person: &Person) -> String {
        stepgate_testkit::until_some("an open request", SOON, || {
            let list = self.gate.run(["request", "ls", "--as", person.name(), "-o", "json"], "").unwrap();
            let rows: serde_json::Value = serde_json::from_str(&list.ok().unwrap()).unwrap();
            Some(rows.as_array().unwrap().first()?["request"].as_str().unwrap().to_owned())
        })
        .unwrap()
    }

    /// A number that `/proc/PID/status` tells of the gate, such as its resident kilobytes.
    pub(crate) fn status(&mut self, key: &str) -> u64 {
        let pid = self.gate.serving().unwrap().pid();
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many files the gate has open.
    pub(crate) fn files(&mut self) -> usize {
        let pid = self.gate.serving().unwrap().pid();
        std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    /// All records so far, with names in the place of their commitments.
    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        let text = self.gate.run(["audit", "tail", "-n", "10000", "-o", "json"], "").unwrap().ok().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Whether a record holds both texts.
    pub(crate) fn recorded(&self, what: &str, about: &str) -> bool {
        self.records().iter().map(ToString::to_string).any(|text| text.contains(what) && text.contains(about))
    }
}

/// Has a client of libpq's manners connect to the gate as that person, and be heard.
pub(crate) fn connects_as<'c>(
    command: &'c mut std::process::Command,
    world: &World,
    person: &Person,
) -> &'c mut std::process::Command {
    command
        .env("PGHOST", world.gate.listen().ip().to_string())
        .env("PGPORT", world.gate.listen().port().to_string())
        .env("PGUSER", person.name())
        .env("PGPASSWORD", person.password())
        .env("PGDATABASE", "shop")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", world.gate.ca())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
}

/// Whether a command succeeds, and all that it prints.
pub(crate) fn said(command: &mut std::process::Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// A policy by which statements wait whatever their transaction keeps locked.
pub(crate) fn waiting(policy: String) -> String {
    let waits = policy.replace("in_transaction: auto", "in_transaction: hold");
    assert_ne!(waits, policy);
    waits
}

/// The statement is held: its request.
pub(crate) fn held(psql: &mut Psql) -> String {
    psql.line("the gate's NOTICE", SOON, |line| {
        let id = line.strip_prefix("NOTICE:  stepgate: ")?.rsplit_once('(')?.1.strip_suffix(')')?;
        Some(id.to_owned())
    })
    .unwrap()
}

/// The statement waits, and runs once `olga` has approved it.
pub(crate) fn approved(world: &World, psql: &mut Psql, olga: &mut Person, sql: &str) {
    psql.send(sql).unwrap();
    let request = held(psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{sql}: {}", reply.text());
}

/// The statement waits; nothing of it is shown, and it is called off.
pub(crate) fn waits(world: &World, psql: &mut Psql, person: &Person, sql: &str) {
    psql.send(sql).unwrap();
    let request = held(psql);
    let cancelled = world.gate.run(["request", "cancel", &request, "--as", person.name()], "").unwrap();
    cancelled.ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "57014", "{sql}: {}", reply.text());
    assert!(!reply.text().contains("901-00-"), "{sql}: {}", reply.text());
}

/// Nobody is asked.
pub(crate) fn passes(psql: &mut Psql, sql: &str) {
    let reply = psql.run(sql).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{sql}: {}", reply.text());
}

/// Something of that kind is under way at the server.
pub(crate) fn is_active(world: &World, what: &str) {
    stepgate_testkit::until_some("a statement under way", SOON, || {
        let active = format!("select count(*) from pg_stat_activity where {what}");
        (world.cluster.psql("shop", &active).unwrap() != "0").then_some(())
    })
    .unwrap();
}

/// A statement of psql's waits for a lock, for longer than what the gate takes for a wait.
pub(crate) fn waits_for_lock(world: &World) {
    is_active(world, "wait_event_type = 'Lock' and application_name = 'psql'");
    std::thread::sleep(Duration::from_millis(150));
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn small_shop() -> String {
    let text = std::fs::read_to_string(repository().join("crates/stepgate/demo/shop.sql")).unwrap();
    SMALLER.iter().fold(text, |text, (large, small)| {
        assert!(text.contains(large), "shop.sql no longer has {large}");
        text.replace(large, small)
    })
}
