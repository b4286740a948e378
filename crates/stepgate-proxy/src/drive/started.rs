//! When the statements under way were sent.

use std::collections::VecDeque;
use std::time::Instant;

/// From so many on, those that nothing more can come of are looked for: it is more than can be under way, but a portal that is
/// bound and never executed has no end of its own.
const MANY: usize = 4_096;

/// The most statements whose start is remembered, each of which still needs an end in the log.
const MAX_STARTED: usize = 4 * MANY;

#[derive(Default)]
pub(super) struct Started(VecDeque<(u64, Instant)>);

impl Started {
    /// Whether some of them may be gone.
    pub(super) fn has_many(&self) -> bool {
        self.0.len() >= MANY
    }

    /// Whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_STARTED
    }

    pub(super) fn insert(&mut self, number: u64, now: Instant) {
        self.0.push_back((number, now));
    }

    /// When it was, if it is still under way.
    pub(super) fn of(&self, number: u64) -> Option<Instant> {
        self.0.iter().find(|(of, _)| *of == number).map(|(_, since)| *since)
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
