//! How it goes, as commands and figures show it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stepgate_types::Timestamp;
use tokio::sync::Notify;

/// What is told of one sink.
pub(super) struct Status {
    pub(super) name: String,
    /// `syslog`, `webhook`, `file`.
    pub(super) kind: &'static str,
    /// Where to, without anything secret.
    pub(super) to: String,
    state: Mutex<State>,
    /// Held by whoever writes the cursor's file: its courier, or an operator who has it send again. A disk that hangs
    /// must not keep anybody from the state.
    writing: Mutex<()>,
    /// Woken when something was asked of it.
    pub(super) asked: Notify,
}

#[derive(Default)]
pub(super) struct State {
    /// The first record that it is not known to have.
    pub(super) next: u64,
    pub(super) failures: u64,
    /// Since when nothing has got through.
    pub(super) failing: Option<Instant>,
    /// Why.
    pub(super) error: Option<String>,
    /// Send again from here on; the cursor's file says so already.
    pub(super) reset: Option<u64>,
}

impl Status {
    pub(super) fn new(name: &str, kind: &'static str, to: String) -> Arc<Self> {
        let (state, writing) = (Mutex::default(), Mutex::default());
        Arc::new(Self { name: name.to_owned(), kind, to, state, writing, asked: Notify::new() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more try has failed; how long nothing has worked by now, if this was not the first.
    pub(super) fn failed(&self, why: &str) -> Option<Duration> {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.error = Some(why.to_owned());
        let failing = state.failing.map(|since| since.elapsed());
        state.failing.get_or_insert_with(Instant::now);
        failing
    }

    /// Something has got through; whether nothing had before.
    pub(super) fn works(&self) -> bool {
        let mut state = self.state();
        state.error = None;
        state.failing.take().is_some()
    }

    /// A row of `audit sink ls`; the log has `records`.
    pub(super) fn row(&self, records: u64) -> Value {
        let state = self.state();
        row(self, state.next, records.saturating_sub(state.next), &state)
    }
}

/// What is told of one way of checkpoints.
pub(super) struct WayStatus {
    pub(super) status: Arc<Status>,
    sent: Mutex<Sent>,
}

/// The last checkpoint that has left.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    /// How many records it covers.
    pub(super) size: u64,
    /// When it left; when the gate started, where none has.
    pub(super) at: Timestamp,
}

impl WayStatus {
    pub(super) fn new(status: Arc<Status>, sent: Sent) -> Arc<Self> {
        Arc::new(Self { status, sent: Mutex::new(sent) })
    }

    pub(super) fn sent(&self) -> Sent {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_sent(&self, sent: Sent) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    /// For how many seconds there have been records that no checkpoint elsewhere covers.
    pub(super) fn age(&self, records: u64, now: Timestamp) -> u64 {
        let Sent { size, at } = self.sent();
        let micros = now.micros().saturating_sub(at.micros());
        if size >= records { 0 } else { u64::try_from(micros / 1_000_000).unwrap_or(0) }
    }

    pub(super) fn row(&self, records: u64) -> Value {
        let size = self.sent().size;
        row(&self.status, size, records.saturating_sub(size), &self.status.state())
    }
}

fn row(status: &Status, next: u64, lag: u64, state: &State) -> Value {
    json!({
        "sink": status.name,
        "kind": status.kind,
        "to": status.to,
        "next": next,
        "lag": lag,
        "state": if state.failing.is_some() { "failing" } else { "ok" },
        "failing_seconds": state.failing.map(|since| since.elapsed().as_secs()),
        "failures": state.failures,
        "error": state.error,
    })
}
