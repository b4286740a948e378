//! When the writer goes: at once where few wait for it; where many do, a moment later, so that one sync serves more of
//! them. A sync costs as much for one record as for a hundred, and so does waking those who wait.

use std::time::{Duration, Instant};

use stepgate_types::SessionId;

/// Where fewer sessions wait at about the same time, none is kept waiting for the others.
const MANY: u32 = 6;

/// How many batches back it is looked who waited.
const BATCHES: usize = 4;

/// Nobody is kept waiting for longer …
const LONGEST: Duration = Duration::from_micros(500);

/// … nor for more than so many times what it takes to write a batch.
const TIMES: u32 = 4;

/// After so many batches in a row that needed no more, memory is given back …
const SMALL: u8 = 20;

/// … or once nothing has come for so long.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// The sessions that have waited of late: a bit for each, which some may share. It is a guess, and decides nothing but
/// when.
#[derive(Debug, Default)]
pub(crate) struct Company {
    now: u64,
    before: [u64; BATCHES],
}

impl Company {
    /// A session waits.
    pub(crate) fn joins(&mut self, session: SessionId) {
        let [.., last] = session.bytes();
        self.now |= 1 << (last % 64);
    }

    /// A batch is taken.
    pub(crate) fn goes(&mut self) {
        self.before.rotate_right(1);
        self.before[0] = std::mem::take(&mut self.now);
    }

    /// About how many there are.
    pub(crate) fn many(&self) -> u32 {
        self.before.iter().fold(self.now, |all, batch| all | batch).count_ones()
    }
}

/// How long the writer takes.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// For a batch, about.
    takes: Duration,
    /// More memory than is kept may be taken.
    grown: bool,
    small: u8,
}

impl Pace {
    /// A batch was written in that time.
    pub(crate) fn wrote(&mut self, took: Duration) {
        self.takes = (self.takes * 7 + took) / 8;
    }

    /// For how many the writer waits, of about so many sessions that are there, and until when, if it has written the
    /// last batch at `begun`. Not for all: the last may have nothing more to say.
    pub(crate) fn gathers(&self, many: u32, begun: Instant) -> (usize, Instant) {
        if many < MANY {
            return (0, begun);
        }
        let many = usize::try_from(many).unwrap_or(0);
        (many - (many / 8).max(1), begun + (self.takes * TIMES).min(LONGEST))
    }

    /// A batch has taken `used` bytes, of which `kept` are not given back.
    pub(crate) fn used(&mut self, used: usize, kept: usize) {
        self.grown |= used > kept;
        self.small = if used > kept { 0 } else { self.small.saturating_add(1) };
    }

    /// Whether more memory is taken than is kept.
    pub(crate) const fn has_grown(&self) -> bool {
        self.grown
    }

    /// Whether it is to be given back. Not at once: to ask for it again costs more than to hash what is put in it.
    pub(crate) const fn gives_back(&self) -> bool {
        self.grown && self.small >= SMALL
    }

    /// It was.
    pub(crate) const fn gave_back(&mut self) {
        self.grown = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(last: u8) -> SessionId {
        let mut bytes = [7; 16];
        bytes[15] = last;
        SessionId::from_bytes(bytes)
    }

    #[test]
    fn few_are_not_kept_waiting_and_many_not_for_long() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for _ in 0..100 {
            pace.wrote(Duration::from_micros(100));
        }
        let mut company = Company::default();
        for last in 0..5 {
            company.joins(session(last));
        }
        assert_eq!(pace.gathers(company.many(), begun), (0, begun));
        company.goes();
        for last in 0..16 {
            company.joins(session(last));
        }
        let (many, until) = pace.gathers(company.many(), begun);
        assert_eq!(many, 14);
        let longest = until - begun;
        assert!((Duration::from_micros(390)..=Duration::from_micros(400)).contains(&longest), "{longest:?}");
        for _ in 0..100 {
            pace.wrote(Duration::from_millis(2));
        }
        assert_eq!(pace.gathers(company.many(), begun).1 - begun, LONGEST);
        // Those who have gone are forgotten.
        for _ in 0..=BATCHES {
            company.goes();
        }
        assert_eq!(company.many(), 0);
    }

    #[test]
    fn memory_is_given_back_only_once_it_was_not_needed_for_a_while() {
        let mut pace = Pace::default();
        for _ in 0..2 * SMALL {
            pace.used(10, 100);
            assert!(!pace.gives_back(), "nothing was taken");
        }
        for _ in 0..2 {
            pace.used(101, 100);
            for _ in 1..SMALL {
                pace.used(10, 100);
                assert!(pace.has_grown() && !pace.gives_back());
            }
        }
        pace.used(10, 100);
        assert!(pace.gives_back());
        pace.gave_back();
        assert!(!pace.gives_back() && !pace.has_grown());
    }
}
