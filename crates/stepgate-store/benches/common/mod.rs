//! A log to measure, and what to do where that cannot go on.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stepgate_store::{Log, LogOptions, Vault};
use stepgate_types::{Clock, Entropy, Timestamp};
use zeroize::Zeroizing;

/// Tells the time, and random numbers that are none.
pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

impl Entropy for System {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        buffer.fill(7);
        Ok(())
    }
}

/// Says why, and ends.
pub(crate) fn fail(error: &dyn std::fmt::Display) -> ! {
    eprintln!("{error}");
    std::process::exit(1)
}

/// Opens a log there, or makes one.
pub(crate) fn open(dir: &Path, ordinary_durable: bool) -> Log {
    let options = LogOptions {
        ordinary_durable,
        version: "bench".to_owned(),
        clock: Arc::new(System),
        entropy: Arc::new(System),
        vault: Vault::new(&Zeroizing::new([1; 32]), Arc::new(System)),
    };
    Log::open(dir, options).map(|(log, _)| log).unwrap_or_else(|error| fail(&error))
}
