//! kill -9 of a process that appends: what was acknowledged is there, and nothing half done.
//!
//! Kills prove the order of writing, not what reaches the disk: the kernel survives kill -9 with all it has in memory.
//! Power cuts are for that: `power-cut.sh` uses the children below on a block device.

#![expect(clippy::unwrap_used, reason = "helpers of the tests are tests, too")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use stepgate_record::{Event, MAX_KEYS};
use stepgate_store::{Change, Log, LogOptions, Side, Vault, verify_dir};
use stepgate_types::{Clock, Entropy, SessionId, Timestamp};
use zeroize::Zeroizing;

/// So many processes are killed in all, in as many directories at a time; `STEPGATE_KILLS`.
const KILLS: u64 = 1000;
const AT_A_TIME: u64 = 4;

/// A directory is used for so many rounds: what it holds is read again after each.
const ROUNDS: u64 = 20;

/// So many power cuts, where this machine can have any; `STEPGATE_POWER_CUTS`.
const POWER_CUTS: u64 = 20;

/// A key is replaced so often by the child, until the log has as many as it may.
const ROTATES: u64 = 40;

const DIR: &str = "STEPGATE_TEST_CRASH_DIR";
const ROUND: &str = "STEPGATE_TEST_CRASH_ROUND";
const ACKED: &str = "STEPGATE_TEST_CRASH_ACKED";

struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        for byte in buffer {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn open(dir: &Path) -> Log {
    let entropy = Arc::new(Counting(AtomicU8::new(0)));
    let options = LogOptions {
        ordinary_durable: true,
        version: "crash".to_owned(),
        clock: Arc::new(Ticking(AtomicI64::new(0))),
        entropy: entropy.clone(),
        vault: Vault::new(&Zeroizing::new([1; 32]), entropy),
    };
    Log::open(dir, options).unwrap().0
}

fn event(n: u64) -> Event {
    Event::StatementCompleted {
        session: SessionId::from_bytes([7; 16]),
        statement: n,
        sqlstate: None,
        rows: n,
        bytes: 0,
        duration_us: 0,
    }
}

/// Not a test of its own: what is killed.
#[test]
#[ignore = "is started, and killed, by the test below"]
fn child_appends() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let log = open(dir.as_ref());
    let threads: Vec<_> = (0..4_u64)
        .map(|writer| {
            let log = log.clone();
            std::thread::spawn(move || {
                for n in 0.. {
                    if writer == 0 && n % ROTATES == ROTATES / 2 && log.keys().count() < MAX_KEYS {
                        log.rotate_key().unwrap();
                    }
                    let id = (round * 10 + writer) * 1_000_000 + n;
                    // Each third makes a change beside the log as well.
                    let change = (n % 3 == 0).then(|| Change::Put {
                        side: Side::Taints,
                        key: id.to_be_bytes().to_vec(),
                        value: b"x".to_vec(),
                    });
                    let seq = log.append_blocking(vec![event(id)], change.into_iter().collect()).unwrap();
                    // One write, so that lines of several threads do not mix.
                    let line = format!("\nacked {seq} {id}.\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}

/// A directory in memory, where there is one: what kill -9 leaves does not hang on the disk, and waiting for one takes
/// most of the time.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// xorshift64.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Kills a child that appends to `dir` once it has acknowledged so many records, or, if none, soon after it was
/// started: while it opens the log.
fn kill_one(dir: &Path, round: u64, after: usize, soon: Duration, acked: &mut BTreeMap<u64, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_appends", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    if after == 0 {
        std::thread::sleep(soon);
        child.kill().unwrap();
    }
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    for line in lines.map_while(Result::ok) {
        let Some((seq, id)) = acknowledged(&line) else { continue };
        acked.insert(seq, id);
        seen += 1;
        // What was acknowledged before it died is still in the pipe.
        if seen == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= after, "round {round}: the child died by itself after {seen}");
}

fn kills(seed: u64) {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
    let mut left = number("STEPGATE_KILLS", KILLS).div_ceil(AT_A_TIME);
    let (mut total, mut killed) = (0, 0);
    while left > 0 {
        let dir = memory();
        let mut acked: BTreeMap<u64, u64> = BTreeMap::new();
        for round in 0..ROUNDS.min(left) {
            let chance = next(&mut state);
            // At another moment each time; one in six while the log is opened.
            let after = if round > 0 && chance.is_multiple_of(6) { 0 } else { 1 + chance / 6 % 60 };
            let soon = Duration::from_micros(chance / 1000 % 80_000);
            kill_one(dir.path(), round, usize::try_from(after).unwrap(), soon, &mut acked);
            check(dir.path(), &acked, &format!("seed {seed}, {killed} kills before, round {round}"));
            killed += 1;
        }
        total += acked.len();
        left -= ROUNDS.min(left);
    }
    println!("{killed} kills, {total} records acknowledged, all there");
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9_and_nothing_is_half_done_a() {
    kills(1);
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9_and_nothing_is_half_done_b() {
    kills(2);
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9_and_nothing_is_half_done_c() {
    kills(3);
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9_and_nothing_is_half_done_d() {
    kills(4);
}

#[test]
fn nothing_acknowledged_is_lost_to_a_power_cut() {
    let cuts = number("STEPGATE_POWER_CUTS", POWER_CUTS);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power-cut.sh");
    let mut command = Command::new("sh");
    command.arg(script).arg(std::env::current_exe().unwrap()).arg(cuts.to_string());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => println!("{}", said.lines().last().unwrap_or_default()),
        // Where there are no loop devices, or not for us.
        Some(77) => stepgate_testkit::skip("loop-devices", said.lines().last().unwrap_or_default()),
        _ => panic!("{said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Not a test of its own: checks what a power cut has left against the lines of [`child_appends`].
#[test]
#[ignore = "is started by power-cut.sh"]
fn child_checks() {
    let (Ok(dir), Ok(acked)) = (std::env::var(DIR), std::env::var(ACKED)) else { return };
    let lines = std::fs::read_to_string(acked).unwrap();
    let acked = lines.lines().filter_map(acknowledged).collect();
    check(dir.as_ref(), &acked, "after the power cut");
}

/// Number of the record and of the statement in a whole line of [`child_appends`].
fn acknowledged(line: &str) -> Option<(u64, u64)> {
    let (seq, id) = line.strip_prefix("acked ")?.strip_suffix('.')?.split_once(' ')?;
    Some((seq.parse().ok()?, id.parse().ok()?))
}

/// The log in `dir` is whole and has every acknowledged record, and all that was written beside it.
fn check(dir: &Path, acked: &BTreeMap<u64, u64>, when: &str) {
    let verified = verify_dir(dir, None).unwrap();
    let log = open(dir);
    assert!(verified.records < log.len());
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    log.replay(0, &mut |seq, record| {
        if let Event::StatementCompleted { statement, .. } = record.event {
            found.insert(seq, statement);
        }
    })
    .unwrap();
    for (seq, id) in acked {
        assert_eq!(found.get(seq), Some(id), "{when}: acknowledged record {seq}");
    }
    let beside: Vec<u64> = log
        .load(Side::Taints)
        .unwrap()
        .into_iter()
        .map(|(key, _)| u64::from_be_bytes(key.try_into().unwrap()))
        .collect();
    let mut expected: Vec<u64> = found.values().copied().filter(|id| id % 1_000_000 % 3 == 0).collect();
    expected.sort_unstable();
    assert_eq!(beside, expected, "{when}: records and changes beside them");
    println!("{when}: {} acknowledged, {} there", acked.len(), found.len());
}
