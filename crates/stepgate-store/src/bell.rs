//! One bell for all who wait for the log on a runtime. The writer rings it once where it would else wake one after the
//! other across threads: of those, the first would have the processor before the next is woken.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::line::Line;
use crate::writer::Shared;

/// A line of its own to wait in for what is released, and who is to be told once some of it is.
#[derive(Clone)]
pub struct Bell {
    log: Arc<Shared>,
    line: Arc<Line>,
}

impl Bell {
    /// Of that log.
    pub(crate) fn new(log: Arc<Shared>) -> Self {
        let line = Arc::new(Line::default());
        log.marks.also_wakes(&line);
        Self { log, line }
    }

    /// Where they wait.
    pub(crate) const fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Wakes those who wait for as long as this is polled, which is to be done where they are. Once it is dropped, the
    /// writer does so.
    pub async fn answer(self) -> Infallible {
        let answering = Answering(&self.line);
        poll_fn(|context| {
            let marks = &self.log.marks;
            answering.0.answer(context, || marks.awaited_to());
            Poll::Pending
        })
        .await
    }
}

struct Answering<'l>(&'l Line);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.unanswered();
    }
}
