//! How far the log has come; the one source of permits, tickets and releases.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use stepgate_record::Seal;
use tokio::sync::watch;

use crate::LogError;

/// There is space, as far as is known.
const SPACE: u8 = 0;
/// There is none.
const FULL: u8 = 1;
/// There has been none for so long that nobody waits for it any more who need not.
const LONG_FULL: u8 = 2;

/// The log's watermarks. Private to the store: whoever could reach it could make permits for any record.
pub(crate) struct Watermarks {
    durable: AtomicU64,
    queued: AtomicU64,
    of_accounts: AtomicU64,
    ordinary_durable: bool,
    poison: OnceLock<String>,
    space: AtomicU8,
    watch: watch::Sender<u64>,
    /// Who waits for which record to be on disk, in the order of records: at most one for each record, and none
    /// that has stopped waiting.
    waiting: Mutex<VecDeque<(u64, Waker)>>,
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
            of_accounts: AtomicU64::new(records),
            ordinary_durable,
            poison: OnceLock::new(),
            space: AtomicU8::new(SPACE),
            watch: watch::Sender::new(records),
            waiting: Mutex::default(),
        }
    }

    /// Every record with a smaller number than `end` is in the writer's queue.
    pub(crate) fn queued_to(&self, end: u64) {
        self.queued.store(end, Ordering::Release);
    }

    /// No record from number `end` on that is in the writer's queue tells of somebody's account.
    pub(crate) fn of_accounts_to(&self, end: u64) {
        self.of_accounts.store(end, Ordering::Release);
    }

    /// The number up to which records may tell of somebody's account: of those that were on disk before this is asked.
    pub(crate) fn of_accounts(&self) -> u64 {
        self.of_accounts.load(Ordering::Acquire)
    }

    /// Every record with a smaller number than `end` is on disk.
    pub(crate) fn durable_to(&self, end: u64) {
        self.durable.store(end, Ordering::Release);
        self.watch.send_replace(end);
        let woken: Vec<(u64, Waker)> = {
            let mut waiting = self.waiting();
            let count = waiting.partition_point(|(seq, _)| *seq < end);
            waiting.drain(..count).collect()
        };
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Ready once record `seq` is on disk, or nothing will be any more. While it is not, whoever asks is woken
    /// then; who does not want to be any more says so by [`Watermarks::forget`]. `hurries`: does not wait for long
    /// where there is no space.
    pub(crate) fn poll_durable(
        &self,
        seq: u64,
        hurries: bool,
        context: &Context<'_>,
    ) -> Poll<Result<(), LogError>> {
        if let Some(done) = self.reached(seq, hurries) {
            return Poll::Ready(done);
        }
        let mut waiting = self.waiting();
        // The mark moves, and the log is poisoned, before those who wait are looked through.
        if let Some(done) = self.reached(seq, hurries) {
            return Poll::Ready(done);
        }
        let at = waiting.partition_point(|(other, _)| *other < seq);
        match waiting.get_mut(at) {
            Some((other, waker)) if *other == seq => waker.clone_from(context.waker()),
            _ => waiting.insert(at, (seq, context.waker().clone())),
        }
        Poll::Pending
    }

    /// Nobody waits for this record any more.
    pub(crate) fn forget(&self, seq: u64) {
        let mut waiting = self.waiting();
        let at = waiting.partition_point(|(other, _)| *other < seq);
        if waiting.get(at).is_some_and(|(other, _)| *other == seq) {
            waiting.remove(at);
        }
    }

    fn reached(&self, seq: u64, hurries: bool) -> Option<Result<(), LogError>> {
        if seq < self.durable() {
            return Some(Ok(()));
        }
        let late = || hurries && self.space.load(Ordering::Acquire) == LONG_FULL;
        self.check().err().or_else(|| late().then_some(LogError::Late)).map(Err)
    }

    /// There is no space, and for `long`: whoever hurries is told.
    pub(crate) fn full(&self, long: bool) {
        let space = if long { LONG_FULL } else { FULL };
        let before = self.space.swap(space, Ordering::AcqRel);
        if before == SPACE {
            tracing::error!("the audit log has no space: nothing passes until there is");
        }
        if long && before != LONG_FULL {
            let woken = std::mem::take(&mut *self.waiting());
            woken.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    /// There is space.
    pub(crate) fn has_space(&self) {
        if self.is_full() && self.space.swap(SPACE, Ordering::AcqRel) != SPACE {
            tracing::warn!("the audit log has space again");
        }
    }

    /// Whether there is no space.
    pub(crate) fn is_full(&self) -> bool {
        self.space.load(Ordering::Acquire) != SPACE
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(u64, Waker)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        self.waiting().len()
    }

    /// Nothing is accepted any more. The first reason stays.
    pub(crate) fn poison(&self, why: String) {
        if self.poison.set(why).is_ok() {
            tracing::error!(why = self.poison.get(), "the audit log cannot be written: nothing passes");
            // Wakes those who follow the log, and those who wait for it.
            self.watch.send_modify(|_| {});
            let woken = std::mem::take(&mut *self.waiting());
            woken.into_iter().for_each(|(_, waker)| waker.wake());
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
