//! A whole gate for each test: throwaway PostgreSQL with a small shop, the real program, people.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod raw;

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

    /// All records so far, as an export has them.
    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        let out = self.tree.path().join("records.jsonl");
        let _ = std::fs::remove_file(&out);
        let arguments = ["audit", "export", "--format", "jsonl", "--out", out.to_str().unwrap()];
        self.gate.run(arguments, "").unwrap().ok().unwrap();
        let text = std::fs::read_to_string(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Whether a record holds both texts.
    pub(crate) fn recorded(&self, what: &str, about: &str) -> bool {
        self.records().iter().map(ToString::to_string).any(|text| text.contains(what) && text.contains(about))
    }
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
