//! How long ago a catalog was last known to be the server's, and from when on nobody relies on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old a catalog may get that cannot be read again: what is changed beside the gate is not seen meanwhile, and statements
/// that name anything are refused afterwards. Some polls, each of which may take half a minute (`statement_timeout`).
const MAX_AGE: Duration = Duration::from_secs(60);

/// Of the catalog in use.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    current: Mutex<Option<Instant>>,
    outdated: AtomicBool,
}

impl Freshness {
    /// It is the server's at that moment. Whether nobody relied on it until now.
    pub(super) fn is_current(&self, now: Instant) -> bool {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.outdated.swap(false, Ordering::SeqCst)
    }

    /// It cannot be read at that moment. Whether nobody relies on it from now on.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let current = *self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = current.is_some_and(|current| now.saturating_duration_since(current) > MAX_AGE);
        is_old && !self.outdated.swap(true, Ordering::SeqCst)
    }

    /// Whether nobody relies on it.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::SeqCst)
    }

    /// How long ago it was last known to be the server's; `None` until it was read once.
    pub(super) fn age(&self) -> Option<Duration> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).map(|current| current.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_that_cannot_be_read_for_a_minute_is_not_relied_on_until_it_is_read_again() {
        let (freshness, begin) = (Freshness::default(), Instant::now());
        assert!(!freshness.failed(begin), "it was never read: nobody has it");
        assert!(!freshness.is_current(begin));
        assert!(!freshness.failed(begin + MAX_AGE) && !freshness.is_outdated());
        assert!(freshness.failed(begin + MAX_AGE + Duration::from_millis(1)) && freshness.is_outdated());
        assert!(!freshness.failed(begin + 2 * MAX_AGE), "that is told once");
        assert!(freshness.is_current(begin + 2 * MAX_AGE) && !freshness.is_outdated());
        assert!(!freshness.failed(begin + 3 * MAX_AGE));
    }
}
