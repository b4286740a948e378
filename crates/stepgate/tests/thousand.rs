//! A thousand statements wait at once, of a thousand sessions, and people answer them one after another: the gate's
//! memory is bounded, and each client has its own row soon after its approval. `make thousand`; the figures are in
//! docs/PERFORMANCE.md.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use stepgate_proxy::Upstream;
use stepgate_testkit::Cluster;
use support::World;
use support::approver::Approver;
use support::raw::{How, config, how, runtime, session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

/// Statements that wait at once: as many as a gate has open.
const STATEMENTS: usize = 1000;
/// Who sends them: this many people, each in as many sessions.
const ASKERS: usize = 10;
/// Who answers them, in turn, or as many at once as `STEPGATE_AT_ONCE` says: 1, 2, 4 or 8. They are so many since the
/// rate of calls is limited by person: 600, then 50 a second.
const APPROVERS: usize = 8;
/// Logins under way at once.
const LOGINS: usize = 16;
/// How long nothing may come before a session is stuck.
const PATIENCE: Duration = Duration::from_secs(300);
/// From an answer to the first row, above the statement's own time: of 99 in a hundred.
const SOON_ENOUGH: Duration = Duration::from_millis(50);
/// Resident memory of a gate with that many sessions whose statements wait, in kB.
const MEMORY: u64 = 256 << 10;

/// Another text for each, with its number in the row.
fn statement(number: usize) -> String {
    format!("select ssn, 'row {number} of them' from customers where id = {}", number % 500 + 1)
}

/// A session, and what was read of it and is not used up.
struct Session {
    upstream: Upstream,
    unread: Vec<u8>,
}

impl Session {
    async fn send(how: &How, sql: &str) -> Self {
        let mut upstream = session(how).await.unwrap();
        let length = u32::try_from(sql.len() + 5).unwrap();
        let query = [b"Q", &length.to_be_bytes()[..], sql.as_bytes(), b"\0"].concat();
        upstream.stream.write_all(&query).await.unwrap();
        upstream.stream.flush().await.unwrap();
        Self { upstream, unread: Vec::new() }
    }

    /// The body of the next message of this type; what comes before it is passed over.
    async fn next(&mut self, tag: u8) -> Vec<u8> {
        loop {
            let length = self.unread.get(1..5).map(|it| u32::from_be_bytes(it.try_into().unwrap()));
            let whole = length.map(|it| usize::try_from(it).unwrap() + 1);
            if let Some(whole) = whole.filter(|it| *it <= self.unread.len()) {
                let frame: Vec<u8> = self.unread.drain(..whole).collect();
                assert!(frame[0] != b'E', "{}", String::from_utf8_lossy(&frame));
                if frame[0] == tag {
                    return frame[5..].to_vec();
                }
                continue;
            }
            let came = tokio::time::timeout(PATIENCE, self.upstream.stream.read_buf(&mut self.unread)).await;
            assert!(came.unwrap().unwrap() > 0, "the session has ended");
        }
    }

    /// The request that its statement waits for.
    async fn request(&mut self) -> String {
        let notice = String::from_utf8(self.next(b'N').await).unwrap();
        let said = notice.split('\0').find_map(|field| field.strip_prefix("Mstepgate: ")).unwrap();
        said.rsplit_once('(').unwrap().1.strip_suffix(')').unwrap().to_owned()
    }
}

/// When the approval was sent, and when the gate had said that it is one.
fn approve(approver: &mut Approver, request: &str) -> (Instant, Instant) {
    let signed = approver.signed(request);
    let sent = Instant::now();
    let answer = approver.caller.post(&format!("requests/{request}/approve"), &signed);
    let answered = Instant::now();
    assert_eq!(answer["state"], "approved");
    (sent, answered)
}

/// Of sorted times: half of them, 99 in a hundred, and all are within these.
fn within(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    [at(50), at(99), at(100)]
}

fn policy(policy: String) -> String {
    let policy = support::waiting(policy).replace("hold: 5m", "hold: 30m");
    let (before, rule) = policy.split_once("- name: restricted-read").unwrap();
    let rule =
        rule.replacen("action: step-up\n    approval: self", "action: approve\n    approval: quick", 1);
    let quick =
        "approvals:\n  quick: {groups: [data-owners], count: 1, strength: standard, reason: required}\n";
    format!("{}- name: restricted-read{rule}", before.replacen("approvals:\n", quick, 1))
}

/// From sending it to the first row, straight at the server.
async fn own_times(port: u16) -> Vec<Duration> {
    let how = how(port, "straight", "straight-to-the-server", "shop");
    let mut times = Vec::new();
    for number in 0..200 {
        // Connecting is no part of it: what is sent first is.
        let mut session = Session::send(&how, "select 1").await;
        session.next(b'Z').await;
        let sql = statement(number);
        let length = u32::try_from(sql.len() + 5).unwrap();
        let query = [b"Q", &length.to_be_bytes()[..], sql.as_bytes(), b"\0"].concat();
        let sent = Instant::now();
        session.upstream.stream.write_all(&query).await.unwrap();
        session.next(b'D').await;
        times.push(sent.elapsed());
    }
    times
}

#[test]
#[ignore = "a thousand server processes; `make thousand`"]
fn a_thousand_statements_wait_at_once_and_each_has_its_row_soon_after_its_approval() {
    let cluster = Cluster::builder().cached(true).setting("max_connections", "1100").start().unwrap();
    let mut world = World::before(cluster, policy);
    world.configure("limits: {sessions: 2000, per_person: 200, open_requests: 200}");
    world.configure("factors: {new_factor_delay: 0s}");
    let origin = world.gate.url();
    let straight = "create role straight superuser login password 'straight-to-the-server'";
    world.cluster.load("shop", straight).unwrap();
    world.gate.serve().unwrap();
    let people: Vec<_> =
        (0..ASKERS).map(|number| world.person(&format!("asker{number}"), "analysts")).collect();
    let mut approvers: Vec<_> =
        (0..APPROVERS).map(|number| Approver::enrolled(&world, number, &origin)).collect();
    let owner = world.person("owner", "data-owners");
    let hows: Vec<_> = people.iter().map(|person| config(&world, person)).collect();
    let before = world.status("VmRSS");

    let runtime = runtime();
    let local = tokio::task::LocalSet::new();
    let logins = Arc::new(Semaphore::new(LOGINS));
    let begun = Instant::now();
    let open = |number: usize| {
        let (how, logins) = (hows[number % ASKERS].clone(), Arc::clone(&logins));
        async move {
            let _permit = logins.acquire().await.unwrap();
            let mut session = Session::send(&how, &statement(number)).await;
            (session.request().await, number, session)
        }
    };
    let waiting: Vec<_> = local.block_on(&runtime, async {
        let all: Vec<_> = (0..STATEMENTS).map(|number| tokio::task::spawn_local(open(number))).collect();
        let mut waiting = Vec::new();
        for one in all {
            waiting.push(one.await.unwrap());
        }
        waiting
    });
    let took = begun.elapsed();
    let requests: BTreeSet<_> = waiting.iter().map(|(request, ..)| request.clone()).collect();
    assert_eq!(requests.len(), STATEMENTS, "each has a request of its own");
    let list =
        world.gate.run(["request", "ls", "--as", owner.name(), "-o", "json"], "").unwrap().ok().unwrap();
    let rows: Value = serde_json::from_str(&list).unwrap();
    let listed: BTreeSet<_> =
        rows.as_array().unwrap().iter().map(|row| row["request"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, requests, "all of them are open, and no others");
    let held = world.status("VmRSS");
    println!("{STATEMENTS} statements wait after {took:.1?}; resident: {before} kB before, {held} kB");
    assert!(held < MEMORY, "{held} kB");
    let own = within(local.block_on(&runtime, own_times(world.cluster.port())));

    // All of them are answered; meanwhile each client waits for its row.
    let queue = Mutex::new(waiting.iter().map(|(request, ..)| request.clone()).collect::<VecDeque<_>>());
    let at_once = std::env::var("STEPGATE_AT_ONCE").map_or(1, |it| it.parse().unwrap());
    let begun = Instant::now();
    let (answers, shown) = std::thread::scope(|scope| {
        let answering: Vec<_> = approvers
            .chunks_mut(APPROVERS / at_once)
            .map(|people| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    let mut turn = 0;
                    loop {
                        let Some(request) = queue.lock().unwrap().pop_front() else { return answers };
                        turn = (turn + 1) % people.len();
                        let (sent, answered) = approve(&mut people[turn], &request);
                        answers.push((request, sent, answered));
                    }
                })
            })
            .collect();
        let shown: BTreeMap<_, _> = local.block_on(&runtime, async {
            let all = waiting.into_iter().map(|(request, number, mut session)| {
                tokio::task::spawn_local(async move {
                    let row = session.next(b'D').await;
                    let at = Instant::now();
                    let row = String::from_utf8_lossy(&row).into_owned();
                    assert!(row.contains(&format!("row {number} of them")), "{number}: {row}");
                    session.next(b'Z').await;
                    (request, at)
                })
            });
            let mut shown = BTreeMap::new();
            for one in all.collect::<Vec<_>>() {
                let (request, at) = one.await.unwrap();
                shown.insert(request, at);
            }
            shown
        });
        let answers: Vec<_> = answering.into_iter().flat_map(|it| it.join().unwrap()).collect();
        (answers, shown)
    });
    let took = begun.elapsed();
    assert_eq!((answers.len(), shown.len()), (STATEMENTS, STATEMENTS));
    let after = |of: fn(&(String, Instant, Instant)) -> Instant| {
        within(answers.iter().map(|it| shown[&it.0].saturating_duration_since(of(it))).collect())
    };
    let (from_sent, from_answered) = (after(|it| it.1), after(|it| it.2));
    let calls = within(answers.iter().map(|(_, sent, answered)| *answered - *sent).collect());
    println!("all answered, {at_once} at once, after {took:.1?}, and resident: {} kB", world.status("VmRSS"));
    println!("p50, p99, longest:");
    println!("  the statement's own time, straight at the server  {own:.2?}");
    println!("  from sending the approval to the first row        {from_sent:.2?}");
    println!("  from the gate's answer to it to the first row     {from_answered:.2?}");
    println!("  the approval itself (signature, records on disk)  {calls:.2?}");
    assert!(from_answered[1] <= own[1] + SOON_ENOUGH, "{from_answered:?}");

    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    let log = world.gate.log();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(world.gate.terminate().unwrap(), 0);
}
