//! A clock that stands still until it is told otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stepgate_types::{Clock, Timestamp};

/// Stands at a given instant and moves only by [`FakeClock::advance`].
#[derive(Debug)]
pub struct FakeClock {
    start: Timestamp,
    elapsed_us: AtomicU64,
    /// By how much somebody has set the wall clock back.
    back_us: AtomicU64,
}

impl FakeClock {
    /// Stands at `start`; its monotonic time starts at zero.
    #[must_use]
    pub const fn at(start: Timestamp) -> Self {
        Self { start, elapsed_us: AtomicU64::new(0), back_us: AtomicU64::new(0) }
    }

    /// Moves wall-clock and monotonic time on by `by`.
    pub fn advance(&self, by: Duration) {
        self.elapsed_us.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock back by `by`; monotonic time goes on.
    pub fn set_back(&self, by: Duration) {
        self.back_us.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Default for FakeClock {
    /// Stands at 2026-11-22T03:32:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_micros(1_795_318_320_000_000))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let back = i64::try_from(self.back_us.load(Ordering::SeqCst)).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.start.plus(self.monotonic()).micros().saturating_sub(back))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.elapsed_us.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fake_clock_moves_only_when_told() {
        let clock = FakeClock::default();
        let before = clock.now();
        assert_eq!(clock.now(), before);
        clock.advance(Duration::from_secs(30));
        assert_eq!(clock.now().since(before), Duration::from_secs(30));
        assert_eq!(clock.monotonic(), Duration::from_secs(30));
    }
}
