//! kill -9, and power cuts, of a process that lives as a gate does: it appends, seals, replaces keys, erases names,
//! deletes what is old and backs up. What was acknowledged is there, in its order, and nothing is half done.
//!
//! Kills prove the order of writing, not what reaches the disk: the kernel survives kill -9 with all it has in memory.
//! Power cuts are for that: `power-cut.sh` uses the children of here on a block device.

mod child;
mod told;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use self::child::open;
use self::told::Told;
use crate::{Log, Side, verify_dir};

/// So many processes are killed in all, in as many directories at a time; `STEPGATE_KILLS`.
const KILLS: u64 = 1000;
const AT_A_TIME: u64 = 4;

/// A directory is used for so many rounds: what it holds is read again after each.
const ROUNDS: u64 = 20;

/// So many power cuts, where this machine can have any; `STEPGATE_POWER_CUTS`.
const POWER_CUTS: u64 = 20;

/// So many disks are cut off at a time: most of the time goes in waiting for a child to be at work.
const DISKS: u64 = 2;

/// After every so many kills the backup is restored, too.
const RESTORES: u64 = 5;

const DIR: &str = "STEPGATE_TEST_CRASH_DIR";
const ROUND: &str = "STEPGATE_TEST_CRASH_ROUND";
const TOLD: &str = "STEPGATE_TEST_CRASH_TOLD";

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

/// Kills a child that works in `dir` once it has acknowledged so many records, or, if none, soon after it was started:
/// while it opens the log.
fn kill_one(dir: &Path, round: u64, after: usize, soon: Duration, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["tests::crash::child::child_lives", "--exact", "--ignored", "--nocapture"])
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
    let before = told.acked.len();
    let mut killed = after == 0;
    for line in lines.map_while(Result::ok) {
        told.take(&line);
        // What was acknowledged before it died is still in the pipe.
        if !killed && told.acked.len() - before >= after {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "round {round}: the child died by itself after {} records", told.acked.len() - before);
}

fn kills(seed: u64) {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
    let mut left = number("STEPGATE_KILLS", KILLS).div_ceil(AT_A_TIME);
    let (mut total, mut killed, mut erased) = (0, 0, 0);
    while left > 0 {
        let dir = memory();
        let mut told = Told::default();
        for round in 0..ROUNDS.min(left) {
            let chance = next(&mut state);
            // At another moment each time; one in six while the log is opened.
            let after = if round > 0 && chance.is_multiple_of(6) { 0 } else { 1 + chance / 6 % 60 };
            let soon = Duration::from_micros(chance / 1000 % 80_000);
            kill_one(dir.path(), round, usize::try_from(after).unwrap(), soon, &mut told);
            let when = format!("seed {seed}, {killed} kills before, round {round}");
            check(dir.path(), &told, round % RESTORES == RESTORES - 1, &when);
            killed += 1;
        }
        total += told.acked.len();
        erased += told.shredded.len();
        left -= ROUNDS.min(left);
    }
    println!("{killed} kills, {total} records acknowledged, all there; {erased} names erased, all gone");
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
    let cuts = number("STEPGATE_POWER_CUTS", POWER_CUTS).div_ceil(DISKS);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/crash/power-cut.sh");
    let start = |disk: u64| -> Child {
        let mut command = Command::new("sh");
        command.arg(&script).arg(std::env::current_exe().unwrap()).args([cuts, disk].map(|n| n.to_string()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let disks: Vec<Child> = (0..DISKS).map(start).collect();
    let outputs: Vec<Output> = disks.into_iter().map(|disk| disk.wait_with_output().unwrap()).collect();
    for Output { status, stdout, stderr } in outputs {
        let said = String::from_utf8_lossy(&stdout);
        match status.code() {
            Some(0) => println!("{}", said.lines().last().unwrap_or_default()),
            // Where there are no loop devices, or not for us.
            Some(77) => stepgate_testkit::skip("loop-devices", said.lines().last().unwrap_or_default()),
            _ => panic!("{said}{}", String::from_utf8_lossy(&stderr)),
        }
    }
}

/// Not a test of its own: checks what a power cut has left against the lines of the child.
#[test]
#[ignore = "is started by power-cut.sh"]
fn child_checks() {
    let (Ok(dir), Ok(told)) = (std::env::var(DIR), std::env::var(TOLD)) else { return };
    let mut all = Told::default();
    std::fs::read_to_string(told).unwrap().split_inclusive('\n').for_each(|line| all.take(line));
    check(dir.as_ref(), &all, true, "after the power cut");
}

/// What lies in `dir` is whole, and holds everything that was told of it.
fn check(dir: &Path, told: &Told, restores: bool, when: &str) {
    let data = dir.join("data");
    let verified = verify_dir(&data, None).unwrap_or_else(|failure| panic!("{when}: {failure}"));
    let log = open(&data);
    assert!(verified.records < log.len(), "{when}");
    told.check(&log, when);
    println!("{when}: {} acknowledged, records {} to {} there", told.acked.len(), log.floor(), log.len());
    drop(log);
    if restores && told.backed > 0 {
        let to = memory();
        let restored = to.path().join("data");
        Log::restore(&dir.join("backup"), &restored, child::options())
            .unwrap_or_else(|error| panic!("{when}: the backup of {}: {error}", told.backed));
        verify_dir(&restored, None).unwrap_or_else(|failure| panic!("{when}: of the backup: {failure}"));
        let log = open(&restored);
        assert!(log.len() > told.backed, "{when}: a backup of {} is gone", told.backed);
        assert!(!log.load(Side::Taints).unwrap().is_empty(), "{when}: of the backup");
        told.check_records(&log, told.backed, &format!("{when}, in the backup"));
    }
}
