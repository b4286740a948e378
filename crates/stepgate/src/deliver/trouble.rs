//! What goes wrong on the way, and when it is tried again.

use std::time::Duration;

/// The first wait, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The longest that a receiver may ask to be left alone for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Why something could not be sent. It is shown to operators: nothing of what was sent may be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// When the receiver wants to hear of it again.
    pub(super) retry_after: Option<Duration>,
    /// It was too much at once.
    pub(super) too_large: bool,
}

impl Trouble {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), retry_after: None, too_large: false }
    }

    pub(super) fn io(doing: &str, error: &std::io::Error) -> Self {
        let timeout = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        Self::new(if timeout { format!("{doing}: no progress in time") } else { format!("{doing}: {error}") })
    }
}

/// Longer and longer waits, none of them quite as long as another sink's: a receiver that comes back is not met by
/// all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after one more failure; `chance` is any number.
    pub(super) fn after(&mut self, trouble: &Trouble, chance: u32) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if let Some(asked) = trouble.retry_after {
            return asked.clamp(FIRST, MAX_RETRY_AFTER);
        }
        let doublings = self.failures.saturating_sub(1).min(6);
        let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        // From a half of it to all of it.
        (full / 2).saturating_add((full / 2).saturating_mul(chance % 1024) / 1024)
    }

    /// It has worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number that nobody can foretell; 0 where the system has none, which does no harm here.
pub(super) fn chance() -> u32 {
    getrandom::u32().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_minute_and_a_receiver_may_ask_for_up_to_an_hour() {
        let (mut backoff, trouble) = (Backoff::default(), Trouble::new("x"));
        for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let waits: Vec<_> = [0, 1023]
                .map(|chance| Backoff { failures: backoff.failures }.after(&trouble, chance).as_secs_f64())
                .into();
            backoff.after(&trouble, 0);
            let full = f64::from(full);
            assert!(waits[0] >= full / 2.0 && waits[1] <= full && waits[0] < waits[1], "{full}: {waits:?}");
        }
        for (asked, waits) in [(0, 1), (90, 90), (86_400, 3600)] {
            let asked = Trouble { retry_after: Some(Duration::from_secs(asked)), ..trouble.clone() };
            assert_eq!(backoff.after(&asked, 7).as_secs(), waits);
        }
        backoff.reset();
        assert!(backoff.after(&trouble, 0) < FIRST);
    }
}
