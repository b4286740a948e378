//! What it takes of memory, of the command and of the gate, to verify, search and export a long log: as much as a short one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stepgate_store::{Log, LogOptions, Vault};
use stepgate_types::{Clock, Entropy, Timestamp};
use zeroize::Zeroizing;

use crate::support::World;

#[path = "../../../stepgate-store/benches/common/traffic.rs"]
mod traffic;

/// The most that a command takes, and the gate at work on it, in MB. A log of 200,000 records has 120.
const COMMAND: u64 = 48;
const GATE: u64 = 96;

/// The same where Parquet is made: a group of rows is 32 MiB, in memory as values and then as pages of them.
const PARQUET: u64 = 112;

/// How often a process is looked at: what it takes last, it takes for longer.
const LOOK: Duration = Duration::from_millis(2);

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

impl Entropy for System {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        use std::io::Read as _;
        std::fs::File::open("/dev/urandom")?.read_exact(buffer)
    }
}

/// Writes so many records as a gate would, into the log of one that does not serve yet.
fn fill(world: &World, records: u64) {
    let text = std::fs::read_to_string(world.gate.directory().join("secrets/master.key")).unwrap();
    let key = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).unwrap();
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: Arc::new(System),
        entropy: Arc::new(System),
        vault: Vault::new(&Zeroizing::new(key.try_into().unwrap()), Arc::new(System)),
    };
    let (log, _) = Log::open(&world.gate.data(), options).unwrap();
    for first in (0..records).step_by(1_000) {
        let events = (first..records.min(first + 1_000)).map(traffic::event).collect();
        log.append_blocking(events, Vec::new()).unwrap();
    }
    log.close().unwrap();
}

/// The most that a process has had of memory so far, in MB; `None` once it is gone.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.div_ceil(1024))
}

/// Runs a command of the program to its end, tells what it and the gate took, and holds that against the limits.
fn takes(world: &mut World, arguments: &[&str], wrong: &mut Vec<String>) {
    let gate = world.gate.serving().unwrap().pid();
    // Not everywhere allowed; then it is that of all that was before.
    let _ = std::fs::write(format!("/proc/{gate}/clear_refs"), "5");
    let began = Instant::now();
    let mut command = world.gate.command();
    let mut child = command.args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let mut its = 0;
    let status = loop {
        its = peak(child.id()).unwrap_or(0).max(its);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    assert!(status.success(), "{arguments:?}");
    let (took, of_gate) = (began.elapsed().as_secs_f64(), peak(gate).unwrap());
    let name: Vec<_> = arguments.iter().filter(|word| !word.contains('/')).copied().collect();
    println!("{:<60} {took:>7.2} s {its:>5} MB, the gate {of_gate:>5} MB", name.join(" "));
    let limit = if arguments.iter().any(|word| word.contains("parquet")) { PARQUET } else { COMMAND };
    if its > limit || of_gate > GATE {
        wrong.push(format!("{arguments:?}: {its} MB, the gate {of_gate} MB"));
    }
}

#[test]
#[ignore = "takes minutes in a debug build; make evidence"]
fn a_long_log_is_verified_searched_and_exported_in_bounded_memory() {
    let records = std::env::var("STEPGATE_RECORDS").map_or(200_000, |text| text.parse().unwrap());
    let mut world = World::not_serving(|text| text);
    fill(&world, records);
    let held = Command::new("du").arg("-sm").arg(world.gate.data().join("records")).output().unwrap();
    let held = String::from_utf8(held.stdout).unwrap();
    println!("{records} records, {} MB with what is beside them", held.split_whitespace().next().unwrap());
    world.gate.serve().unwrap();
    let path = |world: &World, name: &str| world.tree.path().join(name).to_str().unwrap().to_owned();
    let mut wrong = Vec::new();
    takes(&mut world, &["audit", "verify"], &mut wrong);
    for search in [
        // The first makes the indexes.
        &["--person", "nobody"][..],
        &["--person", "person-7", "--label", "email"],
        &["--table", "public.table_3", "--limit", "100000", "-o", "json"],
        &["--label", "ssn", "--scan"],
    ] {
        takes(&mut world, &[&["audit", "search"], search].concat(), &mut wrong);
    }
    let out = path(&world, "lines.jsonl");
    takes(&mut world, &["audit", "export", "--out", &out], &mut wrong);
    takes(&mut world, &["audit", "verify", &out, "--offline"], &mut wrong);
    for format in ["jsonl", "csv", "parquet", "ocsf", "cef"] {
        for (name, more) in [("all", &["--sign"][..]), ("some", &["--person", "person-7"])] {
            let out = path(&world, &format!("{format}-{name}.tar"));
            let export = [&["audit", "export", "--format", format, "--out", &out], more].concat();
            takes(&mut world, &export, &mut wrong);
            takes(&mut world, &["audit", "verify", &out, "--offline"], &mut wrong);
            std::fs::remove_file(Path::new(&out)).unwrap();
        }
    }
    for report in [&["activity", "--person", "person-7"][..], &["approvals"]] {
        takes(&mut world, &[&["audit", "report"], report, &["-o", "json"]].concat(), &mut wrong);
    }
    if cfg!(debug_assertions) {
        println!("a debug build: not held against the limits");
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
