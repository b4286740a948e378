//! A million records: how long writing, verifying, opening and exporting them takes, and what is resident
//! meanwhile. `cargo bench -p stepgate-store --bench evidence`; `STEPGATE_BENCH_RECORDS` says how many.

mod common;

use std::fs;
use std::io;
use std::time::Instant;

use common::{fail, open};
use stepgate_record::{Event, Fitted, Hash, Record};
use stepgate_store::{ExportRange, verify_dir};
use stepgate_types::SessionId;

/// Written together.
const BATCH: u64 = 1024;

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

/// `VmRSS` and `VmHWM`, in MB.
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) / 1024
    };
    format!("{} MB resident, {} at most", of("VmRSS:"), of("VmHWM:"))
}

/// The highest water mark begins anew.
fn forget_peak() {
    // Not everywhere allowed; then it is that of all that was before.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn timed<T>(what: &str, records: u64, work: impl FnOnce() -> T) -> T {
    forget_peak();
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    let each = took.as_secs_f64() * 1e6 / records.max(1) as f64;
    println!("{what}: {:.2} s, {each:.2} us a record; {}", took.as_secs_f64(), resident());
    done
}

fn main() {
    let records = std::env::var("STEPGATE_BENCH_RECORDS").ok().and_then(|records| records.parse().ok());
    let records: u64 = records.unwrap_or(1_000_000);
    // In the target directory, which is on a disk; the system's directory for temporary files may not be.
    let Ok(dir) = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")) else { return };
    println!("{records} records; {}", resident());

    let Ok(fitted) = Fitted::new(&event(1)) else { fail(&"no record") };
    let Ok(bytes) = fitted.record(&"0".repeat(32), 1, 0, &Hash::ZERO) else { fail(&"no record") };
    timed("decoding and encoding again, one thread", 100_000, || {
        (0..100_000).for_each(|_| drop(std::hint::black_box(Record::decode(&bytes))));
    });
    timed("hashing, one thread", 100_000, || {
        (0..100_000).for_each(|_| drop(std::hint::black_box(Box::new(Hash::leaf(&bytes)))));
    });

    let log = open(dir.path(), true);
    timed("appending, 1,024 at a time", records, || {
        for first in (0..records).step_by(BATCH as usize) {
            let events = (first..records.min(first + BATCH)).map(event).collect();
            if let Err(error) = log.append_blocking(events, Vec::new()) {
                fail(&error);
            }
        }
    });
    timed("verifying, by the gate", records, || log.verify(None).map_err(|failure| fail(&failure)).ok());
    timed("exporting all of them", records, || {
        log.export(&mut io::sink(), ExportRange::default(), None).unwrap_or_else(|error| fail(&error))
    });
    if let Err(error) = log.close() {
        fail(&error);
    }
    drop(log);
    timed("verifying the directory", records, || {
        verify_dir(dir.path(), None).map_err(|failure| fail(&failure)).ok()
    });
    drop(timed("opening", records, || open(dir.path(), true)));
}
