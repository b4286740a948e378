//! Many sessions at once, of several people, in the clear and over TLS, that ask, wait, are answered, cancel, send
//! pipelines, fetch in parts, vanish, and whose server processes are killed: at the end nothing is left of them but
//! what they have stored and their records, and those are whole. `make soak SECONDS=600` runs 200 of them.

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
use support::raw::{How, config, over_tls, runtime, session};
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
    pipelines: Cell<usize>,
    fetched: Cell<usize>,
}

fn one_more(of: &Cell<usize>) {
    of.set(of.get() + 1);
}

/// What one client has inserted: numbers that it sent, each once, and those of them that it was told are there.
#[derive(Default)]
struct Mine {
    sent: u64,
    told: BTreeSet<u64>,
}

impl Mine {
    fn next(&mut self, client: u64) -> (u64, String) {
        self.sent += 1;
        (self.sent, format!("insert into soaked_{client:04} values ({})", self.sent))
    }
}

/// What came before the server was ready again.
#[derive(Default)]
struct Replied {
    held: bool,
    failed: bool,
    inserted: bool,
}

/// A session, and what was read of it and not looked at.
struct Line {
    upstream: Upstream,
    unread: Vec<u8>,
}

impl Line {
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.upstream.stream.write_all(bytes).await.is_ok() && self.upstream.stream.flush().await.is_ok()
    }

    /// Reads up to ReadyForQuery, or to the gate's word that a statement waits; `None` if the connection has ended.
    async fn read(&mut self, seen: &Seen) -> Option<Replied> {
        let mut replied = Replied::default();
        loop {
            let length = self.unread.get(1..5).map(|it: &[u8]| u32::from_be_bytes(it.try_into().unwrap()));
            if let Some(length) =
                length.map(|it| usize::try_from(it).unwrap() + 1).filter(|it| *it <= self.unread.len())
            {
                let frame: Vec<u8> = self.unread.drain(..length).collect();
                match frame[0] {
                    b'Z' => return Some(replied),
                    b'E' => {
                        replied.failed = true;
                        one_more(&seen.errors);
                    }
                    b'C' => {
                        replied.inserted |= frame[5..].starts_with(b"INSERT 0 1");
                        if frame[5..].starts_with(b"FETCH") {
                            one_more(&seen.fetched);
                        }
                    }
                    b's' => one_more(&seen.fetched),
                    b'N' if frame.windows(10).any(|text| text == b"Mstepgate:") => {
                        replied.held = true;
                        one_more(&seen.held);
                        return Some(replied);
                    }
                    _ => {}
                }
                continue;
            }
            let came = tokio::time::timeout(PATIENCE, self.upstream.stream.read_buf(&mut self.unread)).await;
            match came.expect("a session is stuck") {
                Ok(1..) => {}
                _ => return None,
            }
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

/// What is sent at once, how often the server will be ready for it, and which of those times a number is inserted.
struct Sends {
    bytes: Vec<u8>,
    replies: usize,
    inserts: Option<(usize, u64)>,
    sleeps: bool,
}

fn sends(bytes: Vec<u8>) -> Sends {
    Sends { bytes, replies: 1, inserts: None, sleeps: false }
}

/// A named statement, made anew, described and run.
fn named(name: &str, sql: &str) -> Vec<u8> {
    [
        frame(b'C', format!("S{name}\0").as_bytes()),
        frame(b'P', format!("{name}\0{sql}\0\0\0").as_bytes()),
        frame(b'D', format!("S{name}\0").as_bytes()),
        frame(b'B', format!("\0{name}\0\0\0\0\0\0\0").as_bytes()),
        frame(b'E', &[0; 5]),
        frame(b'S', b""),
    ]
    .concat()
}

/// A portal that is read in parts.
fn in_parts(sql: &str) -> Vec<u8> {
    let execute = || frame(b'E', b"part\0\0\0\0\x07");
    [
        frame(b'P', format!("\0{sql}\0\0\0").as_bytes()),
        frame(b'B', b"part\0\0\0\0\0\0\0\0"),
        execute(),
        execute(),
        frame(b'S', b""),
    ]
    .concat()
}

fn something(random: &mut Random, client: u64, mine: &mut Mine, seen: &Seen) -> Sends {
    match random.below(60) {
        0..=2 => sends(query(HELD[random.below(HELD.len())])),
        3 => sends(extended(HELD[random.below(HELD.len())])),
        4 => Sends { sleeps: true, ..sends(query("select pg_sleep(3)")) },
        5 => {
            sends([query("copy products from stdin"), frame(b'd', b"nonsense\n"), frame(b'c', b"")].concat())
        }
        6..=20 => sends(extended(HARMLESS[random.below(8)])),
        21..=39 => sends(query(HARMLESS[random.below(HARMLESS.len())])),
        40..=46 => {
            let (number, sql) = mine.next(client);
            let bytes = if number % 2 == 0 { query(&sql) } else { extended(&sql) };
            Sends { inserts: Some((0, number)), ..sends(bytes) }
        }
        47..=50 => {
            // Three before the first reply, of which the first fails, or not.
            one_more(&seen.pipelines);
            let (number, sql) = mine.next(client);
            let first = if number % 3 == 0 { "select 1 / 0" } else { "select 1" };
            let bytes = [extended(first), extended(&sql), named("counts", HARMLESS[1])].concat();
            Sends { replies: 3, inserts: Some((1, number)), ..sends(bytes) }
        }
        51..=54 => sends(named("cities", HARMLESS[2])),
        55..=57 => {
            let sql = ["begin", "declare c cursor for select id from products", "fetch 7 from c", "commit"];
            Sends { replies: 4, ..sends(sql.map(query).concat()) }
        }
        _ => sends(in_parts("select id from products order by id")),
    }
}

/// One person's client, that connects again whenever it has lost its connection. Gives what it has inserted.
async fn client(how: How, number: u64, seed: u64, mine: Mine, until: Instant, seen: Rc<Seen>) -> Mine {
    let mut random = Random((seed * 1_000 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut mine = mine;
    while Instant::now() < until {
        let Ok(upstream) = session(&how).await else {
            one_more(&seen.lost);
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let mut line = Line { upstream, unread: Vec::new() };
        while Instant::now() < until
            && one_round(&how, number, &mut line, &mut random, &mut mine, &seen).await
        {}
    }
    mine
}

/// Sends something and reads what comes of it; `false` if the connection is not used any more.
async fn one_round(
    how: &How,
    client: u64,
    line: &mut Line,
    random: &mut Random,
    mine: &mut Mine,
    seen: &Seen,
) -> bool {
    let sends = something(random, client, mine, seen);
    let vanishes = random.below(60) == 0;
    if !line.send(&sends.bytes).await {
        one_more(&seen.lost);
        return false;
    }
    one_more(&seen.statements);
    if vanishes {
        one_more(&seen.vanished);
        return false;
    }
    if sends.sleeps && random.below(2) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel(how, &line.upstream).await;
        one_more(&seen.cancelled);
    }
    for at in 0..sends.replies {
        let mut replied = line.read(seen).await;
        if replied.as_ref().is_some_and(|replied| replied.held) {
            match random.below(4) {
                0 => {
                    cancel(how, &line.upstream).await;
                    one_more(&seen.cancelled);
                }
                1 => {
                    one_more(&seen.vanished);
                    return false;
                }
                _ => {}
            }
            replied = line.read(seen).await;
        }
        let Some(replied) = replied else {
            one_more(&seen.lost);
            return false;
        };
        if let Some((_, number)) = sends.inserts.filter(|(which, _)| *which == at)
            && replied.inserted
            && !replied.failed
        {
            mine.told.insert(number);
        }
    }
    tokio::time::sleep(Duration::from_millis(random.below(40) as u64)).await;
    true
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

/// All records: an export of the whole log.
fn all_records(world: &World) -> Vec<Value> {
    let path = world.tree.path().join(format!("records-{}.jsonl", world.gate.log().len()));
    let _ = std::fs::remove_file(&path);
    world.gate.run(["audit", "export", "--out", path.to_str().unwrap()], "").unwrap().ok().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the server has of each client's numbers is what that client was told, at least, and what the records say that
/// it was let through for, at most; and whatever it was told has its end in the records.
fn compare(world: &World, records: &[Value], all: &[Mine]) -> usize {
    let mut decided: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    let of = |record: &Value| format!("{} {}", record["session"], record["statement"]);
    for record in records.iter().filter(|record| record["type"] == "statement.decided") {
        let text = record["normalised"].as_str().unwrap_or_default();
        if let Some(table) = text.split_whitespace().find(|word| word.starts_with("soaked_")) {
            decided.entry(table.to_owned()).or_default().insert(of(record), false);
        }
    }
    let fine = |record: &&Value| record["type"] == "statement.completed" && record["sqlstate"].is_null();
    let done: BTreeSet<String> = records.iter().filter(fine).map(of).collect();
    let mut rows = 0;
    for (number, mine) in all.iter().enumerate() {
        let table = format!("soaked_{number:04}");
        let text = world.cluster.psql("shop", &format!("select n from {table} order by n")).unwrap();
        let there: BTreeSet<u64> = text.split_whitespace().map(|it| it.parse().unwrap()).collect();
        let decided = decided.remove(&table).unwrap_or_default();
        let completed = decided.keys().filter(|statement| done.contains(*statement)).count();
        let lost: Vec<_> = mine.told.difference(&there).collect();
        assert!(lost.is_empty(), "{table}: told and not there: {lost:?}");
        assert!(there.last().is_none_or(|last| *last <= mine.sent), "{table}: nobody has sent that");
        let (told, there, decided) = (mine.told.len(), there.len(), decided.len());
        // One whose server is killed between its end and its commit is completed, and not there.
        assert!(
            told <= completed && there <= decided,
            "{table}: {told} told, {completed} completed by the records, {there} there, {decided} decided"
        );
        assert!(
            decided <= usize::try_from(mine.sent).unwrap(),
            "{table}: {decided} decided of {}",
            mine.sent
        );
        rows += there;
    }
    assert!(decided.is_empty(), "{:?}", decided.keys());
    rows
}

/// How much a gate may grow by so many statements, in kB: what allocator and kernel keep of what was used for a moment,
/// and 64 bytes a statement.
const fn may_grow(statements: usize) -> u64 {
    (16 << 10) + statements as u64 / 16
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
    // Whoever is not answered is asked again all the same.
    world.configure("limits: {per_person: 1000, open_requests: 1000, cool_down: 0s}");
    let tables: String = (0..sessions)
        .map(|number| {
            let table = format!("soaked_{number:04}");
            format!("create table {table} (n bigint primary key); grant all on {table} to public; ")
        })
        .collect();
    world.cluster.load("shop", &format!("grant temp on database shop to public; {tables}")).unwrap();
    world.gate.serve().unwrap();
    // Four people, each of them in the clear and over TLS.
    let people: Vec<_> = ["dana", "dora", "dirk", "dina"].map(|name| world.person(name, "analysts")).into();
    let hows: Vec<How> =
        people.iter().flat_map(|person| [config(&world, person), over_tls(&world, person)]).collect();
    let mut owners: Vec<_> =
        (0..3).map(|number| world.person(&format!("owner{number}"), "data-owners")).collect();
    let runtime = runtime();
    let local = tokio::task::LocalSet::new();
    let seen = Rc::new(Seen::default());
    let seed = number("STEPGATE_SOAK_SEED", 1);
    let mut inserted: Vec<Mine> = (0..sessions).map(|_| Mine::default()).collect();
    let mut all = |seed: u64, long: u64| {
        let end = Instant::now() + Duration::from_secs(long);
        local.block_on(&runtime, async {
            let of = hows.iter().cycle().zip(inserted.drain(..)).zip(0..);
            let all: Vec<_> = of
                .map(|((how, mine), number)| {
                    tokio::task::spawn_local(client(how.clone(), number, seed, mine, end, Rc::clone(&seen)))
                })
                .collect();
            for one in all {
                inserted.push(one.await.unwrap());
            }
        });
    };
    // Once around, and for no shorter time where that is short: memory and files that are kept are had by then.
    all(seed, (seconds / 3).max(seconds.min(10)));
    let backends = |world: &World| -> usize {
        let sql = "select count(*) from pg_stat_activity where usename = 'stepgate_analyst'";
        world.cluster.psql("shop", sql).unwrap().parse().unwrap()
    };
    until("the first sessions to be gone", SOON, || backends(&world) <= 4).unwrap();
    let (rss, files, before) = (world.status("VmRSS"), world.files(), seen.statements.get());

    let ends = AtomicBool::new(false);
    let (answered, killed) = std::thread::scope(|scope| {
        let meddling = scope.spawn(|| meddle(&mut world, &mut owners, &ends));
        all(seed + 1, seconds);
        ends.store(true, Ordering::Relaxed);
        meddling.join().unwrap()
    });
    println!(
        "{sessions} sessions, {seconds} s: {} statements, {} errors, {} held, {} cancelled, {} vanished, {} lost; \
         {} pipelines, {} parts fetched; {answered} answered, {killed} processes killed",
        seen.statements.get(),
        seen.errors.get(),
        seen.held.get(),
        seen.cancelled.get(),
        seen.vanished.get(),
        seen.lost.get(),
        seen.pipelines.get(),
        seen.fetched.get(),
    );
    let Seen { statements, errors, held, cancelled, vanished, lost, pipelines, fetched } = &*seen;
    for happened in [statements, errors, held, cancelled, vanished, lost, pipelines, fetched] {
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
    let statements = seen.statements.get() - before;
    println!("{grown} kB more than after the first round, by {statements} statements");
    assert!(grown < may_grow(statements), "{grown} kB more than after the first round");
    until("every request to have an end", SOON, || without_end(&all_records(&world)).1.is_empty()).unwrap();
    let records = all_records(&world);
    let (running, _, outcomes) = without_end(&records);
    println!("{outcomes:?}");
    assert!(running.is_empty(), "{} statements without an end: {running:?}", running.len());
    let rows = compare(&world, &records, &inserted);
    println!("{} records; {rows} numbers are where their clients put them", records.len());
    assert!(rows > 0);
    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    let log = world.gate.log();
    assert!(!log.contains("panicked") && !log.contains("does not fit"), "{log}");
    assert_eq!(world.gate.terminate().unwrap(), 0);
}
