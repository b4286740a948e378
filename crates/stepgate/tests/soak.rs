//! Many sessions at once, that ask, wait, are answered, cancel, vanish, and whose server processes are killed: at the
//! end nothing is left of them but their records, and those are whole. `make soak SECONDS=600` runs 200 of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use stepgate_proxy::Upstream;
use stepgate_testkit::{Cluster, Person, until};
use support::raw::{How, config, runtime, session};
use support::{SOON, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long nothing may come before a session is stuck: longer than a hold.
const PATIENCE: Duration = Duration::from_secs(45);

/// A fixed sequence (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % count.max(1) as u64).unwrap()
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(otherwise)
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], &u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()
}

fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', format!("{sql}\0").as_bytes())
}

fn extended(sql: &str) -> Vec<u8> {
    [
        frame(b'P', format!("\0{sql}\0\0\0").as_bytes()),
        frame(b'B', &[0; 8]),
        frame(b'E', &[0; 5]),
        frame(b'S', b""),
    ]
    .concat()
}

const HARMLESS: [&str; 10] = [
    "select 1",
    "select count(*) from products",
    "select city from customers order by id limit 5",
    "insert into products select 1000000 + (random() * 1e8)::int, 'soak', 'soak', 1 on conflict do nothing",
    "update products set price = price where id = 5",
    "create temp table if not exists mine (a int)",
    "drop table if exists pg_temp.mine",
    "select 1 / 0",
    "copy products to stdout",
    "begin; select count(*) from products; commit",
];
const HELD: [&str; 3] = [
    "select ssn from customers limit 1",
    "select salary from hr.employees limit 1",
    "update customers set city = city where ssn = '901-00-0001'",
];

/// What was seen, so that a soak in which nothing happens does not pass.
#[derive(Default)]
struct Seen {
    statements: Cell<usize>,
    errors: Cell<usize>,
    held: Cell<usize>,
    cancelled: Cell<usize>,
    vanished: Cell<usize>,
    lost: Cell<usize>,
}

fn one_more(of: &Cell<usize>) {
    of.set(of.get() + 1);
}

/// Reads up to ReadyForQuery; `false` if the connection has ended. `held` once the gate says that it waits.
async fn read(upstream: &mut Upstream, seen: &Seen, held: &mut bool) -> bool {
    let mut unread = Vec::new();
    loop {
        let length = unread.get(1..5).map(|it: &[u8]| u32::from_be_bytes(it.try_into().unwrap()));
        if let Some(length) =
            length.map(|it| usize::try_from(it).unwrap() + 1).filter(|it| *it <= unread.len())
        {
            let frame: Vec<u8> = unread.drain(..length).collect();
            match frame[0] {
                b'Z' => return true,
                b'E' => one_more(&seen.errors),
                b'N' if frame.windows(10).any(|text| text == b"Mstepgate:") => {
                    *held = true;
                    one_more(&seen.held);
                    return true;
                }
                _ => {}
            }
            continue;
        }
        let came = tokio::time::timeout(PATIENCE, upstream.stream.read_buf(&mut unread)).await;
        match came.expect("a session is stuck") {
            Ok(1..) => {}
            _ => return false,
        }
    }
}

/// Sends a cancel request for this session, as any driver does.
async fn cancel(how: &How, upstream: &Upstream) {
    let Ok(mut stream) = tokio::net::TcpStream::connect((how.0.host.as_str(), how.0.port)).await else {
        return;
    };
    let length = u32::try_from(12 + upstream.secret.len()).unwrap();
    let request = [
        &length.to_be_bytes()[..],
        &80_877_102_u32.to_be_bytes(),
        &upstream.pid.to_be_bytes(),
        &upstream.secret,
    ]
    .concat();
    let _ = stream.write_all(&request).await;
    let _ = stream.read(&mut [0; 16]).await;
}

/// One person's client, that connects again whenever it has lost its connection.
async fn client(how: How, seed: u64, until: Instant, seen: Rc<Seen>) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    while Instant::now() < until {
        let Ok(mut upstream) = session(&how).await else {
            one_more(&seen.lost);
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        while Instant::now() < until {
            let what = random.below(40);
            let (sql, bytes) = match what {
                0..=2 => ("held", query(HELD[random.below(HELD.len())])),
                3 => ("held", extended(HELD[random.below(HELD.len())])),
                4 => ("sleep", query("select pg_sleep(3)")),
                5 => (
                    "copy",
                    [query("copy products from stdin"), frame(b'd', b"nonsense\n"), frame(b'c', b"")]
                        .concat(),
                ),
                6..=20 => ("", extended(HARMLESS[random.below(8)])),
                _ => ("", query(HARMLESS[random.below(HARMLESS.len())])),
            };
            let vanishes = random.below(60) == 0;
            if upstream.stream.write_all(&bytes).await.is_err() || upstream.stream.flush().await.is_err() {
                one_more(&seen.lost);
                break;
            }
            one_more(&seen.statements);
            if vanishes {
                one_more(&seen.vanished);
                break;
            }
            if sql == "sleep" && random.below(2) == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                cancel(&how, &upstream).await;
                one_more(&seen.cancelled);
            }
            let mut held = false;
            let mut lives = read(&mut upstream, &seen, &mut held).await;
            if lives && held {
                match random.below(4) {
                    0 => {
                        cancel(&how, &upstream).await;
                        one_more(&seen.cancelled);
                    }
                    1 => {
                        one_more(&seen.vanished);
                        break;
                    }
                    _ => {}
                }
                lives = read(&mut upstream, &seen, &mut false).await;
            }
            if !lives {
                one_more(&seen.lost);
                break;
            }
            tokio::time::sleep(Duration::from_millis(random.below(40) as u64)).await;
        }
    }
}

/// Answers what it may as long as it has codes, and kills processes of the server's.
fn meddle(world: &mut World, owners: &mut [Person], ends: &AtomicBool) -> (usize, usize) {
    let (mut answered, mut killed) = (0, 0);
    let mut random = Random(77);
    while !ends.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(500));
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity \
                   where usename = 'stepgate_analyst' order by random() limit 1";
        if random.below(2) == 0 && world.cluster.psql("shop", sql).is_ok() {
            killed += 1;
        }
        if answered < owners.len() * 2 {
            let who = answered % owners.len();
            let list =
                world.gate.run(["request", "ls", "--as", owners[who].name(), "-o", "json"], "").unwrap();
            let Ok(rows) = serde_json::from_str::<Value>(&list.stdout) else { continue };
            if let Some(request) = rows.get(0).and_then(|row| row["request"].as_str()) {
                let verb = if answered % 2 == 0 { "approve" } else { "deny" };
                owners[who].answer(&world.gate, verb, request, "soaked").unwrap();
                answered += 1;
            }
        }
    }
    (answered, killed)
}

/// Statements that were let through and requests that were opened, and have no end.
fn without_end(records: &[Value]) -> (BTreeSet<String>, BTreeSet<String>, BTreeMap<String, usize>) {
    let (mut running, mut open, mut outcomes) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for record in records {
        let statement = || format!("{} {}", record["session"], record["statement"]);
        match record["type"].as_str().unwrap_or_default() {
            "statement.decided" if matches!(record["verdict"].as_str(), Some("forward" | "monitor")) => {
                running.insert(statement());
            }
            "statement.completed" | "statement.outcome_unknown" => {
                running.remove(&statement());
            }
            "stepup.requested" => {
                open.insert(record["request"].to_string());
            }
            "stepup.ended" => {
                open.remove(&record["request"].to_string());
                *outcomes.entry(record["outcome"].to_string()).or_default() += 1;
            }
            _ => {}
        }
    }
    (running, open, outcomes)
}

#[test]
fn after_all_that_sessions_can_do_nothing_is_left_but_their_records() {
    let sessions = number("STEPGATE_SOAK_SESSIONS", 24);
    let seconds = number("STEPGATE_SOAK_SECONDS", 8);
    let cluster = Cluster::builder().cached(true).setting("max_connections", "400").start().unwrap();
    let mut world = World::before(cluster, |policy| {
        let policy = support::waiting(policy).replace("hold: 5m", "hold: 3s");
        let policy = policy.replace("on_client_gone: defer", "on_client_gone: withdraw");
        let (before, rule) = policy.split_once("- name: restricted-read").unwrap();
        let rule =
            rule.replacen("action: step-up\n    approval: self", "action: approve\n    approval: quick", 1);
        let before = before.replacen(
            "approvals:\n",
            "approvals:\n  quick: {groups: [data-owners], count: 1, strength: standard, reason: optional}\n",
            1,
        );
        format!("{before}- name: restricted-read{rule}")
    });
    world.configure("limits: {per_person: 1000}");
    world.cluster.load("shop", "grant temp on database shop to public").unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut owners: Vec<_> =
        (0..3).map(|number| world.person(&format!("owner{number}"), "data-owners")).collect();
    let how = config(&world, &dana);
    let runtime = runtime();
    let local = tokio::task::LocalSet::new();
    let seen = Rc::new(Seen::default());
    let seed = number("STEPGATE_SOAK_SEED", 1);
    let all = |seed: u64, long: u64| {
        let end = Instant::now() + Duration::from_secs(long);
        local.block_on(&runtime, async {
            let one = |number| client(how.clone(), seed * 1_000 + number, end, Rc::clone(&seen));
            let all: Vec<_> = (0..sessions).map(|number| tokio::task::spawn_local(one(number))).collect();
            for one in all {
                one.await.unwrap();
            }
        });
    };
    // Once around: memory and files that are kept are had by then.
    all(seed, seconds / 3);
    let backends = |world: &World| -> usize {
        let sql = "select count(*) from pg_stat_activity where usename = 'stepgate_analyst'";
        world.cluster.psql("shop", sql).unwrap().parse().unwrap()
    };
    until("the first sessions to be gone", SOON, || backends(&world) <= 4).unwrap();
    let (rss, files) = (world.status("VmRSS"), world.files());

    let ends = AtomicBool::new(false);
    let (answered, killed) = std::thread::scope(|scope| {
        let meddling = scope.spawn(|| meddle(&mut world, &mut owners, &ends));
        all(seed + 1, seconds);
        ends.store(true, Ordering::Relaxed);
        meddling.join().unwrap()
    });
    println!(
        "{sessions} sessions, {seconds} s: {} statements, {} errors, {} held, {} cancelled, {} vanished, {} lost; \
         {answered} answered, {killed} processes killed",
        seen.statements.get(),
        seen.errors.get(),
        seen.held.get(),
        seen.cancelled.get(),
        seen.vanished.get(),
        seen.lost.get(),
    );
    for happened in [&seen.statements, &seen.errors, &seen.held, &seen.cancelled, &seen.vanished, &seen.lost]
    {
        assert!(happened.get() > 0);
    }
    assert!(answered > 0 && killed > 0);

    until("all sessions to be gone", SOON, || {
        let list = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
        serde_json::from_str::<Value>(&list).unwrap().as_array().unwrap().is_empty()
    })
    .unwrap();
    until("all of the server's processes to be gone", SOON, || backends(&world) <= 4).unwrap();
    until("all files to be closed", SOON, || world.files() <= files + 8).unwrap();
    let grown = world.status("VmRSS").saturating_sub(rss);
    println!("{grown} kB more than after the first round");
    assert!(grown < 48 << 10, "{grown} kB more than after the first round");
    until("every request to have an end", SOON, || without_end(&world.records()).1.is_empty()).unwrap();
    let (running, _, outcomes) = without_end(&world.records());
    println!("{outcomes:?}");
    assert!(running.is_empty(), "{} statements without an end: {running:?}", running.len());
    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    let log = world.gate.log();
    assert!(!log.contains("panicked") && !log.contains("does not fit"), "{log}");
    assert_eq!(world.gate.terminate().unwrap(), 0);
}
