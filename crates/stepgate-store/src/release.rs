//! Waiting for a record to be on disk, and for what that releases.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use stepgate_record::{Release, Seal as _};
use stepgate_types::StatementId;

use crate::line::Line;
use crate::seal::Watermarks;
use crate::writer::Shared;
use crate::{Bell, LogError};

/// Waits until a record is on disk.
pub(crate) struct Durable<'a> {
    marks: &'a Watermarks,
    seq: u64,
    hurries: bool,
    waits: bool,
}

impl<'a> Durable<'a> {
    /// Of record `seq`; who hurries does not wait for a disk without space.
    pub(crate) const fn new(marks: &'a Watermarks, seq: u64, hurries: bool) -> Self {
        Self { marks, seq, hurries, waits: false }
    }
}

impl Future for Durable<'_> {
    type Output = Result<(), LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.marks.poll_durable(self.marks.line(), self.seq, self.hurries, context);
        self.waits = polled.is_pending();
        polled
    }
}

impl Drop for Durable<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.marks.line().leave(self.seq);
        }
    }
}

/// The right to release a reply, once the record behind it has come far enough.
#[must_use = "nothing is released until it is awaited"]
pub struct PendingRelease {
    log: Arc<Shared>,
    statement: StatementId,
    seq: u64,
    /// In which line, if not in that of all.
    line: Option<Arc<Line>>,
    /// Somebody is to be woken.
    waits: bool,
    /// It was given out: there is one release for each statement.
    done: bool,
}

impl PendingRelease {
    /// Of a statement that was let through by record `seq`.
    pub(crate) const fn new(log: Arc<Shared>, statement: StatementId, seq: u64) -> Self {
        Self { log, statement, seq, line: None, waits: false, done: false }
    }

    /// To be awaited where that bell is answered.
    pub fn wait_for(mut self, bell: &Bell) -> Self {
        self.line = Some(Arc::clone(bell.line()));
        self
    }

    /// The release, if the record has come far enough by now; an error if it never will, or if the release was
    /// given out before.
    pub fn try_release(&mut self) -> Option<Result<Release, LogError>> {
        if self.done {
            return Some(Err(LogError::Closed));
        }
        if let Err(error) = self.log.marks.check() {
            return Some(Err(error));
        }
        let release = self.log.marks.release(self.statement, self.seq).ok()?;
        self.done = true;
        Some(Ok(release))
    }
}

impl Future for PendingRelease {
    type Output = Result<Release, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(done) = self.try_release() {
            return Poll::Ready(done);
        }
        let line = self.line.as_deref().unwrap_or_else(|| self.log.marks.line());
        let polled = self.log.marks.poll_durable(line, self.seq, true, context);
        self.waits = polled.is_pending();
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let sealed = self.try_release();
                let unsealed = || Err(LogError::Poisoned(format!("record {} is not sealed", self.seq)));
                Poll::Ready(sealed.unwrap_or_else(unsealed))
            }
        }
    }
}

impl Drop for PendingRelease {
    fn drop(&mut self) {
        if self.waits {
            self.line.as_deref().unwrap_or_else(|| self.log.marks.line()).leave(self.seq);
        }
    }
}

impl std::fmt::Debug for PendingRelease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingRelease").field("seq", &self.seq).finish_non_exhaustive()
    }
}
