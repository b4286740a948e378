//! How often something may happen for a person: what an attacker with their password could repeat without end.

use std::collections::BTreeMap;
use std::time::Duration;

use stepgate_types::PersonName;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(600);

/// People of whom something is counted, at most.
const MAX: usize = 20_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Records of refused proofs that nobody could guess: they are refused all the same.
    Refused,
    /// Right codes that were used before; more of them are counted as guesses are.
    Replayed,
    /// Messages sent on other channels, asked for from where the person usually is …
    Sent,
    /// … and from elsewhere.
    SentElsewhere,
    /// Messages on what happens to their account.
    Told,
}

impl What {
    /// How many there are in a window.
    const fn most(self) -> u32 {
        match self {
            Self::Refused => 60,
            Self::Replayed => 30,
            Self::Sent | Self::SentElsewhere | Self::Told => 10,
        }
    }
}

/// The counters; in memory alone.
#[derive(Debug, Default)]
pub(super) struct Pace(BTreeMap<(PersonName, What), (Duration, u32)>);

impl Pace {
    /// Counts one more, if that is not too many; `now` is monotonic time.
    pub(super) fn allows(&mut self, person: &PersonName, what: What, now: Duration) -> bool {
        if self.0.len() >= MAX {
            self.0.retain(|_, (until, _)| now < *until);
        }
        let key = (person.clone(), what);
        if self.0.len() >= MAX && !self.0.contains_key(&key) {
            return false;
        }
        let entry = self.0.entry(key).or_insert((now.saturating_add(WINDOW), 0));
        if now >= entry.0 {
            *entry = (now.saturating_add(WINDOW), 0);
        }
        entry.1 = entry.1.saturating_add(1);
        entry.1 <= what.most()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_and_no_more_until_the_window_is_over() {
        let (mut pace, dana) = (Pace::default(), "dana".parse().unwrap());
        let allowed = |pace: &mut Pace, now| (0..100).filter(|_| pace.allows(&dana, What::Sent, now)).count();
        assert_eq!(allowed(&mut pace, Duration::ZERO), 10);
        assert_eq!(allowed(&mut pace, WINDOW), 10);
        assert!(pace.allows(&dana, What::Refused, Duration::ZERO));
    }
}
