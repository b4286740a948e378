//! When the statements under way were sent.

use std::collections::VecDeque;
use std::time::Instant;

/// The most statements whose start is remembered. A portal that is bound and never executed has no end; beyond
/// this, durations of what is still under way are lost (recorded as 0), not memory.
const MAX_STARTED: usize = 8_192;

#[derive(Default)]
pub(super) struct Started(VecDeque<(u64, Instant)>);

impl Started {
    pub(super) fn insert(&mut self, number: u64, now: Instant) {
        if self.0.len() >= MAX_STARTED {
            self.0.clear();
        }
        self.0.push_back((number, now));
    }

    /// The statements that have no end yet.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|(number, _)| *number)
    }

    /// When it was, which is not asked again. Mostly it is the first of them.
    pub(super) fn take(&mut self, number: u64) -> Option<Instant> {
        let place = self.0.iter().position(|(of, _)| *of == number)?;
        self.0.remove(place).map(|(_, since)| since)
    }
}
