//! That something has not worked for long is itself recorded, once, and that it does again.

use std::time::Duration;

use stepgate_record::{Event, Trouble};
use stepgate_store::Log;

/// What is recorded of one sink or way.
pub(super) struct Degraded {
    what: &'static str,
    /// How long it must not have worked.
    after: Duration,
    told: bool,
}

impl Degraded {
    pub(super) fn new(what: &'static str, after: Duration) -> Self {
        Self { what, after, told: false }
    }

    /// It has not worked for so long.
    pub(super) fn failing(&mut self, log: &Log, name: &str, failing: Duration) {
        if !self.told && failing >= self.after {
            self.told = true;
            tracing::error!(what = self.what, name, "has not worked for {} seconds", failing.as_secs());
            note(log, Event::StoreDegraded(self.of(name)));
        }
    }

    /// It works.
    pub(super) fn works(&mut self, log: &Log, name: &str) {
        if std::mem::take(&mut self.told) {
            tracing::info!(what = self.what, name, "works again");
            note(log, Event::StoreRecovered(self.of(name)));
        }
    }

    fn of(&self, name: &str) -> Trouble {
        Trouble { what: self.what.to_owned(), name: name.to_owned() }
    }
}

fn note(log: &Log, event: Event) {
    if let Err(error) = log.note(event) {
        tracing::warn!(%error, "that could not be recorded");
    }
}
