//! Time and randomness for tests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use stepgate_types::{Clock, Entropy, Timestamp};
use zeroize::Zeroizing;

use crate::{Log, LogOptions, OpenError, Vault};

/// Counts up, so that no two values are the same for a while.
#[derive(Default)]
pub(crate) struct CountingEntropy(AtomicU8);

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        buffer.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

/// A second passes with each look, whoever looks: a log that is opened again is older.
pub(crate) struct TickingClock;

static SECONDS: AtomicU32 = AtomicU32::new(0);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000 * i64::from(SECONDS.fetch_add(1, Ordering::Relaxed)))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(SECONDS.load(Ordering::Relaxed).into())
    }
}

pub(crate) fn vault(master: u8) -> Vault {
    Vault::new(&Zeroizing::new([master; 32]), Arc::new(CountingEntropy::default()))
}

pub(crate) fn options() -> LogOptions {
    LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: Arc::new(TickingClock),
        entropy: Arc::new(CountingEntropy::default()),
        vault: vault(1),
    }
}

pub(crate) fn open(dir: &Path) -> Result<Log, OpenError> {
    Log::open(dir, options()).map(|(log, _)| log)
}

/// With segments of so many records, which are sealed.
pub(crate) fn open_sealing(dir: &Path, segment: u64) -> Result<Log, OpenError> {
    let (log, _) = Log::open_with_segments(dir, options(), segment)?;
    log.shared().seals.store(true, Ordering::Release);
    Ok(log)
}

/// Waits until it is so, for as long as nothing takes that works.
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    stepgate_testkit::until(what, Duration::from_secs(20), is_so).unwrap();
}

/// Waits until all full files but the one that is written to are sealed.
pub(crate) fn wait_for_seals(log: &Log) {
    until("the seals", || log.segments().iter().filter(|segment| !segment.sealed).count() == 1);
}
