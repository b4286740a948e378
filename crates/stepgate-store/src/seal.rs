//! How far the log has come; the one source of permits, tickets and releases.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use stepgate_record::Seal;
use tokio::sync::watch;

use crate::LogError;

/// The log's watermarks. Private to the store: whoever could reach it could make permits for any record.
pub(crate) struct Watermarks {
    durable: AtomicU64,
    queued: AtomicU64,
    ordinary_durable: bool,
    poison: OnceLock<String>,
    watch: watch::Sender<u64>,
}

impl Seal for Watermarks {
    fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    fn queued(&self) -> u64 {
        self.queued.load(Ordering::Acquire)
    }

    fn ordinary_is_durable(&self) -> bool {
        self.ordinary_durable
    }
}

impl Watermarks {
    /// Of a log that has `records` on disk.
    pub(crate) fn new(records: u64, ordinary_durable: bool) -> Self {
        Self {
            durable: AtomicU64::new(records),
            queued: AtomicU64::new(records),
            ordinary_durable,
            poison: OnceLock::new(),
            watch: watch::Sender::new(records),
        }
    }

    /// Every record with a smaller number than `end` is in the writer's queue.
    pub(crate) fn queued_to(&self, end: u64) {
        self.queued.store(end, Ordering::Release);
    }

    /// Every record with a smaller number than `end` is on disk.
    pub(crate) fn durable_to(&self, end: u64) {
        self.durable.store(end, Ordering::Release);
        self.watch.send_replace(end);
    }

    /// Nothing is accepted any more. The first reason stays.
    pub(crate) fn poison(&self, why: String) {
        if self.poison.set(why).is_ok() {
            tracing::error!(why = self.poison.get(), "the audit log cannot be written: nothing passes");
            // Wakes those who follow the log.
            self.watch.send_modify(|_| {});
        }
    }

    /// Whether something is accepted.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        self.poison.get().map_or(Ok(()), |why| Err(LogError::Poisoned(why.clone())))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.watch.subscribe()
    }
}
