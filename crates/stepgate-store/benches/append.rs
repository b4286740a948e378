//! Durable appends a second, by number of concurrent clients: `cargo bench -p stepgate-store`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stepgate_record::Event;
use stepgate_store::{Log, LogOptions, Vault};
use stepgate_types::{Clock, Entropy, SessionId, Timestamp};
use zeroize::Zeroizing;

/// How long each number of clients is measured.
const MEASURED: Duration = Duration::from_secs(3);

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for System {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        buffer.fill(7);
        Ok(())
    }
}

fn open(dir: &Path) -> Log {
    let options = LogOptions {
        ordinary_durable: true,
        version: "bench".to_owned(),
        clock: Arc::new(System),
        entropy: Arc::new(System),
        vault: Vault::new(&Zeroizing::new([1; 32]), Arc::new(System)),
    };
    Log::open(dir, options).map(|(log, _)| log).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    })
}

fn main() {
    // In the target directory, which is on a disk; the system's directory for temporary files may not be.
    let Ok(dir) = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")) else { return };
    let log = open(dir.path());
    for clients in [1, 16, 64] {
        let done = Arc::new(AtomicU64::new(0));
        let end = Instant::now() + MEASURED;
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                let (log, done) = (log.clone(), Arc::clone(&done));
                std::thread::spawn(move || {
                    while Instant::now() < end {
                        let event = Event::StatementCompleted {
                            session: SessionId::from_bytes([7; 16]),
                            statement: 1,
                            sqlstate: None,
                            rows: 1,
                            bytes: 1,
                            duration_us: 1,
                        };
                        if log.append_blocking(vec![event], Vec::new()).is_ok() {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            let _ = thread.join();
        }
        let done = done.load(Ordering::Relaxed);
        println!("{clients:>3} clients: {} records/s", done / MEASURED.as_secs());
    }
    let start = Instant::now();
    drop(log);
    let log = open(dir.path());
    println!("{} records opened again in {:?}", log.len(), start.elapsed());
}
