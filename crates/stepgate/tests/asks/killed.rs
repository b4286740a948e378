//! The gate is killed at any moment of an approval, and what counts is what PostgreSQL has then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use stepgate_testkit::{Person, Psql, until};

use crate::support::approver::Approver;
use crate::support::{SOON, World, held};

/// Kills at moments that are spread over an approval, from sending it to the row, and a little beyond.
const SPREAD: u32 = 18;

/// When the gate is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Before anybody has answered.
    Before,
    /// So long after the answer was sent. Nothing is waited for by this: it is the moment.
    After(Duration),
    /// Once the log's file says that the request has ended.
    Recorded,
    /// While PostgreSQL is at it.
    Running,
    /// Once the client was told that the row is there.
    Told,
}

/// A kill, and what was seen of it from outside.
#[derive(Debug)]
struct Kill {
    moment: Moment,
    request: String,
    /// How the gate answered the approval, if it did.
    answer: Option<u16>,
    /// Whether the client was told that the row is there.
    told: bool,
    /// Whether the request was there once more after the restart, and was approved anew.
    again: bool,
}

/// A gate that is killed again and again.
struct Killing {
    world: World,
    dana: Person,
    approver: Approver,
    kills: Vec<Kill>,
}

/// Somebody else approves what is inserted.
fn policy(policy: String) -> String {
    let rule =
        "\nrules:\n  - {name: writes, match: {kind: [insert]}, action: approve, approval: data-owners}\n";
    let changed = policy.replace("\nrules:\n", rule);
    assert_ne!(changed, policy);
    changed
}

/// Another text for each, so that each has a request of its own.
fn insert(number: usize) -> String {
    format!("insert into kept values ({number});")
}

impl Killing {
    fn new(configuration: &str) -> Self {
        let mut world = World::not_serving(policy);
        // Nothing in it keeps a row from being there twice.
        let table = "create table kept (n int not null); grant select, insert on kept to stepgate_analyst";
        world.cluster.load("shop", table).unwrap();
        world.configure(&format!("factors: {{new_factor_delay: 0s}}\n{configuration}"));
        world.gate.serve().unwrap();
        let (dana, origin) = (world.dana(), world.gate.url());
        let approver = Approver::enrolled(&world, 0, &origin);
        Self { world, dana, approver, kills: Vec::new() }
    }

    /// Another row that waits for an approval, and its request.
    fn waits(&self) -> (Psql, String) {
        let mut psql = self.world.psql(&self.dana);
        psql.send(&insert(self.kills.len())).unwrap();
        let request = held(&mut psql);
        (psql, request)
    }

    /// How long it takes from an approval that is sent to the client's being told.
    fn undisturbed(&mut self) -> Duration {
        let mut psql = self.world.psql(&self.dana);
        psql.send("insert into kept values (-1);").unwrap();
        let request = held(&mut psql);
        let signed = self.approver.signed(&request);
        let sent = Instant::now();
        self.approver.caller.post(&format!("requests/{request}/approve"), &signed);
        assert!(psql.finish(SOON).unwrap().is_ok());
        sent.elapsed()
    }

    /// Kills the gate at that moment, and starts it again.
    fn kill(&mut self, moment: Moment) {
        let (mut psql, request) = self.waits();
        // Who holds this keeps PostgreSQL at it.
        let lock = matches!(moment, Moment::Running).then(|| {
            let mut dba = Psql::start(self.world.cluster.psql_command("shop")).unwrap();
            assert!(dba.run("begin; lock table kept in share row exclusive mode;").unwrap().is_ok());
            dba
        });
        let (signed, path) = (self.approver.signed(&request), format!("requests/{request}/approve"));
        let caller = self.approver.caller.clone();
        let mut told = false;
        let answer = std::thread::scope(|scope| {
            let answer = match moment {
                Moment::Before => None,
                _ => Some(scope.spawn(|| Some(caller.try_post(&path, &signed)?.0))),
            };
            match moment {
                Moment::Before => {}
                Moment::After(time) => std::thread::sleep(time),
                Moment::Recorded => self.spins_until("the record", || self.is_recorded(&request)),
                Moment::Running => self.spins_until("the lock to be in the way", || self.is_locked()),
                Moment::Told => told = psql.finish(SOON).unwrap().is_ok(),
            }
            self.world.gate.kill();
            answer.and_then(|answer| answer.join().unwrap())
        });
        drop(lock);
        // Its connection is lost, or it has heard before.
        told = told || psql.finish(SOON).is_ok_and(|reply| reply.is_ok());
        drop(psql);
        self.world.gate.serve().unwrap();
        self.approver.comes_back(&self.world);
        // What approved it approves nothing more, whatever has become of it.
        let late = self.approver.caller.try_post(&path, &signed).unwrap();
        assert_ne!(late.0, 200, "{moment:?}: {late:?}");
        self.kills.push(Kill { moment, request, answer, told, again: false });
    }

    /// What was kept over the restart is approved anew and run again, as its requester would.
    fn again(&mut self) {
        let Some(kill) = self.kills.last() else { return };
        let request = kill.request.clone();
        let state = self.request(&request);
        if state != "open" && state != "deferred" {
            return;
        }
        let signed = self.approver.signed(&request);
        self.approver.caller.post(&format!("requests/{request}/approve"), &signed);
        let mut psql = self.world.psql(&self.dana);
        let reply = psql.run(&insert(self.kills.len() - 1)).unwrap();
        assert!(reply.is_ok(), "{}", reply.text());
        if let Some(kill) = self.kills.last_mut() {
            kill.again = true;
        }
    }

    /// How a request stands.
    fn request(&self, request: &str) -> String {
        self.approver.caller.get(&format!("requests/{request}"))["state"].as_str().unwrap().to_owned()
    }

    /// Looks again at once: moments are what this is about.
    fn spins_until(&self, what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < SOON, "no {what}:\n{}", self.world.gate.log());
        }
    }

    /// Whether the file of records has the end of that request.
    fn is_recorded(&self, request: &str) -> bool {
        let files = std::fs::read_dir(self.world.gate.data().join("records")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).any(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            text.lines().any(|line| line.contains("\"stepup.ended\"") && line.contains(request))
        })
    }

    /// What PostgreSQL says of the gate's sessions.
    fn sessions(&self, of: &str) -> bool {
        let sql = format!(
            "select count(*) from pg_stat_activity where usename = 'stepgate_analyst' and query like 'insert %' {of}"
        );
        self.world.cluster.psql("shop", &sql).unwrap().trim() != "0"
    }

    fn is_locked(&self) -> bool {
        self.sessions("and wait_event_type = 'Lock'")
    }

    /// How often each row is there, once PostgreSQL has done all that it was sent.
    fn rows(&self) -> BTreeMap<usize, usize> {
        until("PostgreSQL to be done", SOON, || !self.sessions("")).unwrap();
        let counted = self.world.cluster.psql("shop", "select n, count(*) from kept where n >= 0 group by n");
        let number = |text: &str| text.parse().unwrap();
        let row = |line: &str| line.split_once('|').map(|(n, count)| (number(n), number(count)));
        counted.unwrap().lines().filter_map(row).collect()
    }

    /// What the log says of each is what PostgreSQL has.
    fn tells_the_truth(&self) {
        let (rows, records) = (self.rows(), self.world.records());
        let of = |kind: &str, field: &str, value: &Value| -> Vec<&Value> {
            records.iter().filter(|it| it["type"] == kind && it[field] == *value).collect()
        };
        let mut ways: BTreeMap<String, u32> = BTreeMap::new();
        for (number, kill) in self.kills.iter().enumerate() {
            let there = rows.get(&number).copied().unwrap_or_default();
            assert!(there <= 1, "{there} rows: {kill:?}");
            let request = Value::from(kill.request.clone());
            let ended = of("stepup.ended", "request", &request);
            assert_eq!(ended.len(), 1, "{kill:?}: {ended:?}");
            let outcome = ended[0]["outcome"].as_str().unwrap();
            let mut forwarded = of("statement.decided", "request", &request);
            forwarded.retain(|it| it["verdict"] == "forward");
            let mut ends = Vec::new();
            for decided in &forwarded {
                for kind in ["statement.completed", "statement.outcome_unknown"] {
                    let mut these = of(kind, "session", &decided["session"]);
                    these.retain(|it| it["statement"] == decided["statement"]);
                    ends.extend(these);
                }
            }
            let story =
                format!("{:?}: {kill:?}: {there} rows, {outcome}, {forwarded:?}, {ends:?}", kill.moment);
            assert!(forwarded.len() <= 1 && ends.len() == forwarded.len(), "{story}");
            // Whoever was told has been told the truth.
            assert!(kill.answer != Some(200) || outcome == "approved", "{story}");
            assert!(!(kill.told || kill.again) || there == 1, "{story}");
            // A row has an approval, a decision and an end that does not deny it; and what was done was done.
            let done = |end: &&Value| end["type"] == "statement.completed" && end["sqlstate"].is_null();
            let may_be = |end: &&Value| end["type"] == "statement.outcome_unknown" || done(end);
            assert!(there == 0 || outcome == "approved" && ends.iter().any(may_be), "{story}");
            assert!(there == 1 || !ends.iter().any(done), "{story}");
            // Where it was not approved, nothing was sent to PostgreSQL.
            let ended_otherwise = outcome != "approved";
            assert!(!ended_otherwise || outcome == "withdrawn" && there + forwarded.len() == 0, "{story}");
            let end = ends.first().map_or("never sent", |end| end["type"].as_str().unwrap());
            *ways.entry(format!("{outcome}, {end}, rows: {there}, again: {}", kill.again)).or_default() += 1;
        }
        println!("{ways:#?}");
        // Moments on both sides of it, or nothing was tried.
        let is = |outcome: &str, row: &str| {
            ways.keys()
                .any(|way| way.starts_with(outcome) && way.contains(&format!("rows: {row}, again: false")))
        };
        assert!(is("approved, statement.outcome_unknown", "1"), "{ways:?}");
        assert!(is("withdrawn", "0") || ways.keys().any(|way| way.ends_with("again: true")), "{ways:?}");
        let verified = self.world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
        assert!(verified.contains("ok: "), "{verified}");
    }
}

#[test]
fn a_gate_killed_at_any_moment_of_an_approval_has_written_a_row_once_at_most_and_its_log_does_not_deny_it() {
    let mut killing = Killing::new("");
    let span = killing.undisturbed();
    for moment in [Moment::Before, Moment::Recorded, Moment::Running, Moment::Recorded, Moment::Told] {
        killing.kill(moment);
    }
    for part in 0..SPREAD {
        killing.kill(Moment::After(span * part * 11 / SPREAD / 10));
    }
    killing.tells_the_truth();
}

#[test]
fn what_is_kept_over_a_kill_and_approved_again_has_written_its_row_once_all_the_same() {
    let mut killing = Killing::new("sealed_requests: true");
    let span = killing.undisturbed();
    let spread = (0..6).map(|part| Moment::After(span * part / 5));
    let moments = [Moment::Before, Moment::Recorded, Moment::Running, Moment::Told].into_iter().chain(spread);
    for moment in moments {
        killing.kill(moment);
        killing.again();
    }
    killing.tells_the_truth();
}
