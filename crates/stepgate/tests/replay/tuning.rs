//! `policy tune` as whoever runs it sees it: what it proposes is a diff that applies, and what it says that comes to is what
//! a replay of the changed policy says.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use stepgate_policy::Ruleset;
use stepgate_record::{
    Event, GrantIssued, LabelledColumn, Outcome, SessionOpened, Statement, StepupRequested,
};
use stepgate_store::{Log, LogOptions, Vault};
use stepgate_testkit::FakeClock;
use stepgate_types::{
    Action, Certainty, Clock as _, Entropy, GrantId, Kind, PersonName, RequestId, SessionId, Timestamp, Use,
};
use zeroize::Zeroizing;

use crate::support::World;

const MAP: &str = "\
version: 1
labels:
  email: {class: confidential}
  ssn: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email, ssn: ssn}}
";

/// The comments are somebody's, and stay where they are.
const POLICY: &str = "\
version: 1
approvals:
  self: {self: true, remember: {for: 15m, scope: [person, client, network]}}   # verify once
  owners:
    groups: [data-owners]
    remember: {for: 1h}
rules:
  # who somebody is
  - {name: numbers, match: {labels: [ssn]}, action: step-up, approval: self}
  - name: many
    match: {labels: [email], estimate_rows: \">1000\"}   # a guess
    action: approve
    approval: owners
  - {name: contacts, match: {labels: [email]}, action: monitor, approval: self, limit: {rows: 100000}}
  # nobody does that
  - {name: files, match: {kind: [copy-out]}, action: monitor}
  - {name: guard, match: {sink: true}, action: deny}
";

const DAY: Duration = Duration::from_secs(86_400);

struct Random;

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(buffer).map_err(std::io::Error::other)
    }
}

/// A log that is written by hand, by a clock of those days.
struct Scribe {
    log: Log,
    clock: Arc<FakeClock>,
    runtime: tokio::runtime::Runtime,
    policy_sha256: String,
    session: SessionId,
    statements: u64,
    requests: u64,
}

impl Scribe {
    fn open(world: &World, before: Duration) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let begin = i64::try_from(now.checked_sub(before).unwrap().as_micros()).unwrap();
        let clock = Arc::new(FakeClock::at(Timestamp::from_micros(begin)));
        let hex = std::fs::read_to_string(world.gate.directory().join("secrets/master.key")).unwrap();
        let key: [u8; 32] =
            data_encoding::HEXLOWER.decode(hex.trim().as_bytes()).unwrap().try_into().unwrap();
        let options = LogOptions {
            ordinary_durable: true,
            version: "test".to_owned(),
            clock: clock.clone(),
            entropy: Arc::new(Random),
            vault: Vault::new(&Zeroizing::new(key), Arc::new(Random)),
        };
        let rules = Ruleset::load(("map", MAP), ("policy", POLICY)).unwrap();
        Self {
            log: Log::open(&world.gate.data(), options).unwrap().0,
            clock,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            policy_sha256: rules.sha256().to_owned(),
            session: SessionId::from_bytes([0; 16]),
            statements: 0,
            requests: 0,
        }
    }

    fn write(&self, events: Vec<Event>) {
        self.runtime.block_on(self.log.append(events, Vec::new())).unwrap();
    }

    fn opens(&mut self, day: u32) {
        let mut session = [0; 16];
        session[..4].copy_from_slice(&day.to_be_bytes());
        (self.session, self.statements) = (SessionId::from_bytes(session), 0);
        self.write(vec![Event::SessionOpened(Box::new(SessionOpened {
            session: self.session,
            person: (&dana()).into(),
            database: "shop".to_owned(),
            db_user: "stepgate_analyst".to_owned(),
            address: "127.0.0.1".into(),
            client: "psql".into(),
            tls: true,
            method: None,
            certificate_sha256: None,
            startup: None,
            hello: None,
            password: None,
        }))]);
    }

    fn decided(&self, label: &str, estimate: u64, rules: &[&str], action: Action) -> Statement {
        let class = if label == "ssn" { "restricted" } else { "confidential" };
        Statement {
            database: "shop".to_owned(),
            protocol: "simple".to_owned(),
            kinds: vec![Kind::Select],
            runs: None,
            certainty: Certainty::Exact,
            relations: vec!["public.customers".to_owned()],
            columns: vec![LabelledColumn {
                column: format!("public.customers.{label}"),
                label: label.to_owned(),
                class: class.to_owned(),
                uses: vec![Use::Output],
            }],
            estimate: Some(estimate),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            action,
            verdict: "forward".to_owned(),
            db_user: "stepgate_analyst".to_owned(),
            policy_sha256: self.policy_sha256.clone(),
            ..Statement::blank(self.session, self.statements, (&dana()).into())
        }
    }

    fn completed(&self, rows: u64) -> Event {
        let (session, statement) = (self.session, self.statements);
        Event::StatementCompleted {
            session,
            statement,
            sqlstate: None,
            rows,
            bytes: rows * 40,
            duration_us: 900,
            suspended: false,
        }
    }

    fn passes(&mut self, label: &str, rules: &[&str], rows: u64) {
        self.statements += 1;
        let decided = self.decided(label, 50, rules, Action::Monitor);
        self.write(vec![Event::StatementDecided(Box::new(decided)), self.completed(rows)]);
    }

    /// One that waits for people, who say yes and are to be remembered, or no.
    fn asks(&mut self, decided: Statement, approval: &str, approved: bool, rows: u64) {
        self.requests += 1;
        let (session, statement) = (self.session, self.statements);
        let request = RequestId::from_bytes(self.requests.to_be_bytes()[3..].try_into().unwrap());
        let held = Statement { verdict: "hold".to_owned(), ..decided.clone() };
        let outcome = if approved { Outcome::Approved } else { Outcome::Denied };
        let mut events = vec![
            Event::StatementDecided(Box::new(held)),
            Event::StepupRequested(Box::new(StepupRequested {
                request,
                session,
                statement,
                person: (&dana()).into(),
                database: "shop".to_owned(),
                approval: approval.to_owned(),
                itself: approval == "self",
                groups: Vec::new(),
                count: 1,
                canonical_sha256: "ab".repeat(32),
                expires_us: 0,
                address: None,
                opened_by: None,
                until_us: None,
            })),
            Event::StepupEnded { request, outcome, by: None, reason_hmac: None, reason: None },
        ];
        if approved {
            events.push(self.grant(request, approval, decided.action));
            let runs = Statement { request: Some(request), ..decided };
            events.extend([Event::StatementDecided(Box::new(runs)), self.completed(rows)]);
        }
        self.write(events);
    }

    /// One that passes by what was approved last.
    fn is_covered(&mut self, label: &str, rules: &[&str]) {
        self.statements += 1;
        let decided = self.decided(label, 1, rules, Action::StepUp);
        let decided = Statement { grant: Some(self.grant_id()), ..decided };
        self.write(vec![Event::StatementDecided(Box::new(decided)), self.completed(1)]);
    }

    /// Of the last request.
    fn grant_id(&self) -> GrantId {
        GrantId::from_bytes(self.requests.to_be_bytes())
    }

    fn grant(&self, request: RequestId, approval: &str, action: Action) -> Event {
        Event::GrantIssued(Box::new(GrantIssued {
            grant: self.grant_id(),
            request,
            person: (&dana()).into(),
            database: "shop".to_owned(),
            db_user: None,
            kinds: vec![Kind::Select],
            uses: vec![Use::Output],
            relations: vec!["public.customers".to_owned()],
            objects: None,
            labels: Vec::new(),
            labels_bound: false,
            class_rank: 3,
            output_rank: 3,
            action,
            approval: approval.to_owned(),
            client: None,
            network: None,
            session: None,
            policy_sha256: self.policy_sha256.clone(),
            expires_us: self.clock.now().micros() + 900_000_000,
            rows: None,
            bytes: None,
            subjects: None,
            sink: None,
            risk: None,
            statements: None,
        }))
    }

    fn waits(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn dana() -> PersonName {
    "dana".parse().unwrap()
}

/// Thirty days of work: each day one large read that others approve, contacts in small numbers, and numbers every twenty
/// minutes, each verified; the last of them twice. `refused`: the last of each day is not.
fn plant(world: &World, refused: bool) {
    let mut scribe = Scribe::open(world, 31 * DAY);
    for day in 0..30 {
        let begun = scribe.clock.now().micros();
        scribe.opens(day);
        scribe.statements += 1;
        let many = scribe.decided("email", 4_000, &["many", "contacts"], Action::Approve);
        scribe.asks(many, "owners", true, 40);
        for _ in 0..3 {
            scribe.waits(60);
            scribe.passes("email", &["contacts"], 12);
        }
        for number in 0..10 {
            scribe.waits(20 * 60);
            scribe.statements += 1;
            let one = scribe.decided("ssn", 1, &["numbers"], Action::StepUp);
            scribe.asks(one, "self", !(refused && number == 9), 1);
        }
        scribe.waits(5 * 60);
        scribe.is_covered("ssn", &["numbers"]);
        scribe.write(vec![Event::SessionClosed { session: scribe.session, reason: "terminate".to_owned() }]);
        let done = u64::try_from(scribe.clock.now().micros() - begun).unwrap();
        scribe.clock.advance(DAY.checked_sub(Duration::from_micros(done)).unwrap());
    }
    scribe.log.close().unwrap();
}

fn world(refused: bool) -> World {
    let world = World::not_serving(|_| POLICY.to_owned());
    world.gate.policies(MAP, POLICY).unwrap();
    plant(&world, refused);
    world
}

/// What the command says, in the gate's directory.
fn said(world: &World, args: &[&str]) -> String {
    let mut command = world.gate.command();
    let output = command.current_dir(world.gate.directory()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn tune(world: &World) -> Value {
    serde_json::from_str(&said(world, &["policy", "tune", "--since", "90d", "-o", "json"])).unwrap()
}

fn proposal<'v>(all: &'v Value, kind: &str, of: &str) -> &'v Value {
    let all = all["proposals"].as_array().unwrap();
    let is = |it: &&Value| it["kind"] == kind && it["title"].as_str().unwrap().contains(of);
    let found = all.iter().find(is);
    assert!(found.is_some(), "no {kind} of {of}: {all:#?}");
    found.unwrap()
}

/// The policy with a diff applied by that program, in a directory like the gate's own.
fn applied(diff: &str, program: &str, args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policies/policy.yaml");
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    std::fs::write(&file, POLICY).unwrap();
    std::fs::write(dir.path().join("proposal.diff"), diff).unwrap();
    let output =
        Command::new(program).current_dir(dir.path()).args(args).arg("proposal.diff").output().unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    assert!(output.status.success(), "{program}: {}\n{diff}", String::from_utf8_lossy(&said));
    std::fs::read_to_string(&file).unwrap()
}

/// What `policy replay` says of a policy, beside the one in force.
fn replay(world: &World, policy: &str) -> Value {
    let file = world.tree.path().join("changed.yaml");
    std::fs::write(&file, policy).unwrap();
    let in_force = world.gate.directory().join("policies/policy.yaml");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (file, in_force) = (path(&file), path(&in_force));
    let args =
        ["policy", "replay", "--since", "90d", "-o", "json", "--policy", &file, "--against", &in_force];
    serde_json::from_str(&said(world, &args)).unwrap()
}

#[test]
fn each_proposal_is_a_diff_that_applies_and_comes_to_what_a_replay_of_it_says() {
    let world = world(false);
    let all = tune(&world);
    assert_eq!(
        (&all["statements"], &all["undecidable"], &all["prompts"]),
        (&450.into(), &0.into(), &330.into())
    );
    for (kind, of, line) in [
        ("scope", "remember `self` for 1h", "{for: 1h, scope: [person, client, network]}}   # verify once"),
        ("threshold", "ask by `many` from 4,000 rows on", "estimate_rows: \">4000\"}   # a guess"),
        ("limit", "limit `contacts` to 40 rows in place of 100,000", "limit: {rows: 40}}"),
        ("unused-grants", "remember `owners` no more", "    groups: [data-owners]\nrules:"),
        ("never-fires", "remove `files`", "  # nobody does that\n  - {name: guard"),
    ] {
        let proposal = proposal(&all, kind, of);
        let diff = proposal["diff"].as_str().unwrap();
        assert!(diff.starts_with("--- a/policies/policy.yaml\n+++ b/policies/policy.yaml\n@@ "), "{diff}");
        let patched = applied(diff, "patch", &["-p1", "-F0", "-i"]);
        assert!(patched.contains(line), "{kind}: {patched}");
        assert_eq!(applied(diff, "git", &["apply"]), patched);
        let replayed = replay(&world, &patched);
        assert_eq!(proposal["prompts_before"], replayed["before"]["total"], "{kind}: {replayed:#}");
        assert_eq!(proposal["prompts_after"], replayed["after"]["total"], "{kind}: {replayed:#}");
        assert_eq!(proposal["changed"], replayed["changed"], "{kind}: {replayed:#}");
        assert_eq!(replayed["undecidable"], 0, "{kind}: {replayed:#}");
    }
    let prompts = |kind: &str, of: &str| proposal(&all, kind, of)["prompts_after"].as_u64().unwrap();
    // Of ten every twenty minutes, one an hour asks, four a day beside the large read; of the large reads, none.
    assert_eq!(prompts("scope", "self"), 150);
    assert_eq!(prompts("threshold", "many"), 300);
    let guard = proposal(&all, "never-fires", "`guard` never fired");
    assert_eq!((&guard["diff"], &guard["prompts_after"]), (&"".into(), &330.into()));
    assert!(
        guard["why"].as_str().unwrap().contains("never fired in 450 decided statements; kept"),
        "{guard}"
    );
    assert_eq!(all["proposals"].as_array().unwrap().len(), 6, "{all:#}");
}

#[test]
fn the_table_tells_the_same_and_what_stands_in_it_applies_as_it_is() {
    let world = world(false);
    let (all, table) = (tune(&world), said(&world, &["policy", "tune", "--since", "90d"]));
    assert!(table.contains("on 450 statements from "), "{table}");
    assert!(table.contains(": 330 requests, 0 statements undecidable\n"), "{table}");
    for (number, proposal) in (1..).zip(all["proposals"].as_array().unwrap()) {
        let text = |name: &str| proposal[name].as_str().unwrap();
        let head = format!(
            "\n{number}. {} ({})\n   {}\n   requests 330 -> {}, decisions that change {}\n{}",
            text("title"),
            text("kind"),
            text("why"),
            proposal["prompts_after"],
            proposal["changed"],
            text("diff"),
        );
        assert!(table.contains(&head), "{head}\n{table}");
    }
    // Whoever takes all of it gets all of it.
    let first = table.split("\n2. ").next().unwrap();
    assert!(applied(first, "patch", &["-p1", "-i"]).contains("{for: 1h, scope"), "{first}");
}

#[test]
fn nothing_is_loosened_that_would_let_through_what_was_refused() {
    let world = world(true);
    let all = tune(&world);
    let kinds: Vec<_> = all["proposals"].as_array().unwrap().iter().map(|it| it["kind"].clone()).collect();
    // The last of each day, 200 minutes after the first, was refused: for an hour it is still asked about, and by 20
    // minutes it is not.
    for scope in all["proposals"].as_array().unwrap().iter().filter(|it| it["kind"] == "scope") {
        let patched = applied(scope["diff"].as_str().unwrap(), "patch", &["-p1", "-i"]);
        let replayed = replay(&world, &patched);
        assert!(replayed["after"]["total"].as_u64().unwrap() >= 60, "{replayed:#}");
    }
    assert!(kinds.contains(&"threshold".into()), "{all:#}");
    let nothing = said(&world, &["policy", "tune", "--since", "1h"]);
    assert!(nothing.ends_with("nothing to propose\n"), "{nothing}");
}
