//! How long opening a large log takes, and what is resident meanwhile: `cargo bench -p stepgate-store --bench opening`.
//!
//! `STEPGATE_BENCH_RECORDS` (ten million, 4 GB) and `STEPGATE_BENCH_SUBJECTS` (a hundred thousand) make it fewer;
//! `STEPGATE_BENCH_DIR` is where it is made, and deleted afterwards. Each opening is a process of its own.

mod common;

use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use common::{fail, open};
use stepgate_record::Event;
use stepgate_store::Log;
use stepgate_types::SessionId;

/// Written together.
const BATCH: u64 = 1_024;

/// Names the directory that a child is to open.
const CHILD: &str = "STEPGATE_BENCH_OPEN";

fn event(n: u64) -> Event {
    Event::StatementCompleted {
        session: SessionId::from_bytes([7; 16]),
        statement: n,
        sqlstate: None,
        rows: n % 100,
        bytes: 23 * (n % 100),
        duration_us: 77,
        suspended: false,
    }
}

fn login(n: u64) -> Event {
    Event::AdminLogin { person: "dana".into(), address: Ipv6Addr::from_bits(n.into()).to_string().into() }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn append(log: &Log, count: u64, at_once: u64, event: fn(u64) -> Event) {
    for first in (0..count).step_by(usize::try_from(at_once).unwrap_or(1)) {
        let events = (first..count.min(first + at_once)).map(event).collect();
        log.append_blocking(events, Vec::new()).map(drop).unwrap_or_else(|error| fail(&error));
    }
}

/// In MB: `VmRSS` or `VmHWM`.
fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// Opens it, says how that went, and closes it.
fn child(dir: &Path) {
    let began = Instant::now();
    let log = open(dir, true);
    let took = began.elapsed().as_secs_f64();
    let (now, most) = (resident("VmRSS:"), resident("VmHWM:"));
    println!("{} records opened in {took:.2} s; {now} MB resident, {most} at most", log.len());
    log.close().unwrap_or_else(|error| fail(&error));
}

fn main() {
    if let Some(dir) = env::var_os(CHILD) {
        return child(Path::new(&dir));
    }
    let (records, subjects) =
        (number("STEPGATE_BENCH_RECORDS", 10_000_000), number("STEPGATE_BENCH_SUBJECTS", 100_000));
    let within = env::var("STEPGATE_BENCH_DIR").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    let dir = tempfile::tempdir_in(within).unwrap_or_else(|error| fail(&error));
    let began = Instant::now();
    let log = open(dir.path(), true);
    append(&log, subjects, 100, login);
    println!("{subjects} values beside the log in {:.0} s", began.elapsed().as_secs_f64());
    append(&log, records, BATCH, event);
    println!("{} records in {:.0} s", log.len(), began.elapsed().as_secs_f64());
    while log.segments().iter().filter(|segment| !segment.sealed).count() > 1 {
        thread::sleep(Duration::from_millis(100));
    }
    println!("sealed after {:.0} s; {} MB at most", began.elapsed().as_secs_f64(), resident("VmHWM:"));
    log.close().unwrap_or_else(|error| fail(&error));
    drop(log);
    for _ in 0..3 {
        let me = env::current_exe().unwrap_or_else(|error| fail(&error));
        let ended = Command::new(me).env(CHILD, dir.path()).status();
        if let Err(error) = ended {
            fail(&error);
        }
    }
}
