use std::time::{Duration, Instant};

/// How many wrong keys may come for one session from its own address, the only one from which any key counts, before its
/// right one is not looked at either. To send them all takes longer than to wait for most statements, and has found the
/// right one of 2^32 once in 65,536 times.
const MOST: u32 = 1 << 16;
/// One of them is forgiven after so long: to search all of 2^32 then takes a century.
const FORGIVEN: Duration = Duration::from_secs(1);

/// Wrong keys of four bytes that came for one session from its address. Protocol 3.0 has no others: it must be that nobody
/// who can reach the gate from there (through a load balancer, that is everybody) finds the right one by trying, nor keeps
/// its owner from using it.
#[derive(Debug)]
pub(super) struct Guesses {
    wrong: u32,
    since: Instant,
}

impl Guesses {
    pub(super) const fn none(now: Instant) -> Self {
        Self { wrong: 0, since: now }
    }

    /// Whether so many were made that no more keys are looked at for now.
    pub(super) fn are_spent(&self, now: Instant) -> bool {
        self.left(now) >= MOST
    }

    /// One more was made. `true`: with this one they are spent.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        self.wrong = self.left(now).saturating_add(1);
        self.since = now;
        self.wrong >= MOST
    }

    fn left(&self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.since).as_secs() / FORGIVEN.as_secs().max(1);
        self.wrong.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_spent_once_and_forgiven_one_a_second() {
        let now = Instant::now();
        let mut guesses = Guesses::none(now);
        for number in 1..=MOST {
            assert!(!guesses.are_spent(now));
            assert_eq!(guesses.count(now), number == MOST);
        }
        assert!(guesses.are_spent(now) && guesses.are_spent(now + FORGIVEN - Duration::from_nanos(1)));
        assert!(!guesses.are_spent(now + FORGIVEN));
        // Then one at a time.
        assert!(guesses.count(now + FORGIVEN));
        assert!(guesses.are_spent(now + FORGIVEN));
        assert!(!guesses.are_spent(now + FORGIVEN * MOST));
    }
}
