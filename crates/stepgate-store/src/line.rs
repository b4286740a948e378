//! Those who wait for records to be on disk.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Who waits for which record, in the order of records: at most one for each record, and none that has stopped waiting.
#[derive(Default)]
pub(crate) struct Line(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: VecDeque<(u64, Waker)>,
    /// Who wakes them; else whoever gets so far does.
    bell: Option<Waker>,
}

impl Inner {
    /// Takes out those who wait for a smaller number than `end`.
    fn take_to(&mut self, end: u64) -> VecDeque<(u64, Waker)> {
        let count = self.waiting.partition_point(|(seq, _)| *seq < end);
        let rest = self.waiting.split_off(count);
        std::mem::replace(&mut self.waiting, rest)
    }
}

fn wake(woken: VecDeque<(u64, Waker)>) {
    woken.into_iter().for_each(|(_, waker)| waker.wake());
}

impl Line {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for record `seq`, unless `done` says that nothing is to be waited for: it is asked once nobody looks through
    /// the line.
    pub(crate) fn join<R>(
        &self,
        seq: u64,
        context: &Context<'_>,
        done: impl FnOnce() -> Option<R>,
    ) -> Poll<R> {
        let mut inner = self.inner();
        if let Some(done) = done() {
            return Poll::Ready(done);
        }
        let at = inner.waiting.partition_point(|(other, _)| *other < seq);
        match inner.waiting.get_mut(at) {
            Some((other, waker)) if *other == seq => waker.clone_from(context.waker()),
            _ => inner.waiting.insert(at, (seq, context.waker().clone())),
        }
        Poll::Pending
    }

    /// Nobody waits for this record any more.
    pub(crate) fn leave(&self, seq: u64) {
        let mut inner = self.inner();
        let at = inner.waiting.partition_point(|(other, _)| *other < seq);
        if inner.waiting.get(at).is_some_and(|(other, _)| *other == seq) {
            inner.waiting.remove(at);
        }
    }

    /// Those who wait for a smaller number than `end` are woken, or who wakes them is.
    pub(crate) fn reached(&self, end: u64) {
        let mut inner = self.inner();
        if inner.waiting.front().is_none_or(|(seq, _)| *seq >= end) {
            return;
        }
        match inner.bell.clone() {
            Some(bell) => {
                drop(inner);
                bell.wake();
            }
            None => {
                let woken = inner.take_to(end);
                drop(inner);
                wake(woken);
            }
        }
    }

    /// Everybody is woken: what they wait for may never come.
    pub(crate) fn all(&self) {
        let woken = std::mem::take(&mut self.inner().waiting);
        wake(woken);
    }

    /// Whoever asks is woken from now on in place of those who wait, and wakes those that have waited long enough: for a
    /// smaller number than `end` says, which is asked once nobody looks through the line.
    pub(crate) fn answer(&self, context: &Context<'_>, end: impl FnOnce() -> u64) {
        let woken = {
            let mut inner = self.inner();
            match &mut inner.bell {
                Some(bell) => bell.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            inner.take_to(end())
        };
        wake(woken);
    }

    /// Nobody answers any more.
    pub(crate) fn unanswered(&self) {
        self.inner().bell = None;
        self.all();
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.inner().waiting.len()
    }
}
