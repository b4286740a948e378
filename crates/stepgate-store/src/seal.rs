//! How far the log has come; the one source of permits, tickets and releases.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};

use stepgate_record::Seal;
use tokio::sync::watch;

use crate::LogError;
use crate::line::Line;

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
    /// Who waits for records to be on disk.
    line: Line,
    /// Who else does, where they have a bell.
    lines: Mutex<Vec<Weak<Line>>>,
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
            line: Line::default(),
            lines: Mutex::default(),
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
        self.line.reached(end);
        self.lines().iter().filter_map(Weak::upgrade).for_each(|line| line.reached(end));
    }

    /// Those in that line are woken as well, for as long as there is one.
    pub(crate) fn also_wakes(&self, line: &Arc<Line>) {
        let mut lines = self.lines();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(line));
    }

    /// The number up to which nobody need wait any more.
    pub(crate) fn awaited_to(&self) -> u64 {
        let nothing_comes = self.check().is_err() || self.space.load(Ordering::Acquire) == LONG_FULL;
        if nothing_comes { u64::MAX } else { self.durable() }
    }

    /// Ready once record `seq` is on disk, or nothing will be any more. While it is not, whoever asks is woken
    /// then, in that line; who does not want to be any more leaves it. `hurries`: does not wait for long where there is no
    /// space.
    pub(crate) fn poll_durable(
        &self,
        line: &Line,
        seq: u64,
        hurries: bool,
        context: &Context<'_>,
    ) -> Poll<Result<(), LogError>> {
        match self.reached(seq, hurries) {
            Some(done) => Poll::Ready(done),
            // The mark moves, and the log is poisoned, before those who wait are looked through.
            None => line.join(seq, context, || self.reached(seq, hurries)),
        }
    }

    /// Where those wait who have no bell.
    pub(crate) const fn line(&self) -> &Line {
        &self.line
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
            self.wake_all();
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

    fn lines(&self) -> MutexGuard<'_, Vec<Weak<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.line.all();
        self.lines().iter().filter_map(Weak::upgrade).for_each(|line| line.all());
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        let more = self.lines().iter().filter_map(Weak::upgrade).map(|line| line.len()).sum::<usize>();
        self.line.len() + more
    }

    /// Nothing is accepted any more. The first reason stays.
    pub(crate) fn poison(&self, why: String) {
        if self.poison.set(why).is_ok() {
            tracing::error!(why = self.poison.get(), "the audit log cannot be written: nothing passes");
            // Wakes those who follow the log, and those who wait for it.
            self.watch.send_modify(|_| {});
            self.wake_all();
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
