//! Ctrl-C, or a driver's timeout: what is held, or has not been sent yet, ends here; what runs is the server's to cancel.
//!
//! Whatever the server works on when its signal comes is what it cancels. So nothing more is sent from the moment a
//! request is passed on until the server has dealt with it, and a request that came before a statement was sent is
//! never passed on for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use stepgate_record::{Event, Outcome, Refusal};
use stepgate_store::{DeskError, Left};
use stepgate_types::SqlState;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};
use tracing::Instrument as _;

use super::act::Waits;
use super::calls::Call;
use super::wait::Occurred;
use super::{Drive, State};
use crate::cancel::send_cancel;
use crate::database::{Database, Ddl};
use crate::judge::Verdict;
use crate::{CancelNotice, ServerKey, refusal};

/// The most connections that wait until one request has been dealt with. Those of more are closed at once, which their
/// clients take for the same.
const MAX_WAITING: usize = 8;

/// How long whoever sent a cancel request waits for the server to deal with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the session does: nothing of it is sent meanwhile, since the request might hit it.
const LONG: Duration = Duration::from_secs(30);

/// A cancel request on its way to the server.
pub(super) struct Cancelling {
    done: oneshot::Receiver<bool>,
    /// Their connections close when it has been dealt with, or after some time.
    notices: Vec<CancelNotice>,
    /// Until then.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Cancelling {
    /// Once that is known, whether the server has dealt with it, or will not; if not, it may still hit anything.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if self.patience.as_mut().is_some_and(|patience| patience.as_mut().poll(context).is_ready()) {
            self.patience = None;
            self.notices.clear();
        }
        // Closed: the task is gone, and nobody knows.
        Pin::new(&mut self.done).poll(context).map(|done| done.unwrap_or(false))
    }
}

/// Passes a cancel request on. Whether nothing of it is under way any more.
async fn forward(database: Arc<Database>, key: &ServerKey) -> bool {
    let sent = match send_cancel(&database.config, key).await {
        Ok(sent) => sent,
        Err(error) => {
            tracing::warn!(%error, "forwarding a cancel request");
            return true;
        }
    };
    timeout(LONG, sent.dealt_with()).await.is_ok()
}

impl Drive {
    pub(super) async fn cancelled(&mut self, state: &mut State, notice: CancelNotice) {
        if state.cancelled.is_some_and(|since| notice.at <= since) {
            // It meant the same as one that has been dealt with since.
            return;
        }
        if state.cutting.is_some() {
            // It means what is being ended.
            return;
        }
        if let Some(cancelling) = &mut state.cancelling {
            // Nothing was sent since the first of them.
            if cancelling.patience.is_some() && cancelling.notices.len() < MAX_WAITING {
                cancelling.notices.push(notice);
            }
            return;
        }
        // Where something runs, that is what it means: what is held stands behind it, or comes of its own rows.
        let runs = self.session.is_running();
        if let Some((hold, _)) = state.hold.take_if(|(hold, _)| hold.midway.is_some() || !runs) {
            let request = hold.waiting.request;
            let left = self.judge.gate.desk.cancel(request, hold.statement).await;
            if hold.midway.is_none() && matches!(left, Err(DeskError::Ended(Outcome::Approved))) {
                // Of a moment ago: the record says that it may run.
                return self.called_off(state).await;
            }
            state.pending = None;
            let problem = match left {
                Ok(Left::Open(_)) if hold.deferred.is_some() => refusal::cancelled_and_open(request),
                _ => refusal::cancelled(request),
            };
            if let Err(error) = left {
                tracing::warn!(%error, "cancelling a request");
            }
            if let Some(number) = hold.midway {
                return self.enforce(state, number, Some(&hold), problem).await;
            }
            self.session.refuse(&problem);
            return;
        }
        if !runs && state.approved.take().is_some() {
            return self.called_off(state).await;
        }
        if !runs && state.looking.is_some() {
            state.looking = None;
            let pending = state.pending.take().or_else(|| self.session.deciding());
            let Some(pending) = pending else { return self.defect(state) };
            return self.fail(state, &pending, Refusal::CalledOff, refusal::called_off()).await;
        }
        if self.session.cancel_unsent(&refusal::called_off()) {
            return;
        }
        let sent = self.session.running().and_then(|number| state.started.of(number));
        if !runs || sent.is_some_and(|sent| sent > notice.at) {
            // What it meant is over.
            return;
        }
        self.session.pause();
        let (delivered, done) = oneshot::channel();
        let database = Arc::clone(&self.judge.database);
        let key = self.server_key.clone();
        let forwards = async move {
            let done = forward(database, &key).await;
            // Nobody listens any more if the session has ended.
            let _ = delivered.send(done);
        };
        tokio::spawn(forwards.instrument(self.span.clone()));
        let patience = Some(Box::pin(sleep(PATIENCE)));
        state.cancelling = Some(Cancelling { done, notices: vec![notice], patience });
    }

    /// Goes on, if it is `done`. What has come meanwhile meant the same.
    pub(super) fn cancel_delivered(&mut self, state: &mut State, done: bool) {
        state.cancelling = None;
        state.cancelled = Some(Instant::now());
        if done {
            self.session.resume();
        } else {
            self.end(state, &refusal::cancel_unheard(), "server-lost");
        }
    }

    /// Obeys, unless the client has cancelled what is about to be sent while it was judged and written down.
    pub(super) async fn obey_unless_called_off(&mut self, state: &mut State, verdict: Verdict, ddl: Ddl) {
        // Where something runs, that is what it means.
        if verdict.passes() && !self.session.is_running() {
            let call = poll_fn(|context| Poll::Ready(self.calls.poll(context))).await;
            let cancelled = matches!(call, Poll::Ready(Call::Cancel(_)));
            if let Poll::Ready(call) = call
                && !cancelled
            {
                drop(self.react(state, Occurred::Called(call)));
            }
            if cancelled || state.ending.is_some() {
                if let Verdict::Limited(limited, _) = &verdict {
                    limited.meter.settled();
                    self.judge.give_back(limited);
                }
                if cancelled {
                    return self.called_off(state).await;
                }
                self.note_called_off(state).await;
                return;
            }
        }
        self.obey(state, verdict, ddl);
    }

    /// Refuses what was decided on.
    async fn called_off(&mut self, state: &mut State) {
        if self.note_called_off(state).await {
            self.session.refuse(&refusal::called_off());
        }
    }

    /// Of what was decided on, and is not sent, the record says that it may run: another says that it did not. Whether that
    /// is written.
    async fn note_called_off(&mut self, state: &mut State) -> bool {
        let Some(pending) = state.pending.take() else {
            self.defect(state);
            return false;
        };
        let event = Event::StatementCompleted {
            session: self.judge.session,
            statement: pending.number,
            sqlstate: Some(SqlState::QUERY_CANCELED.to_string()),
            rows: 0,
            bytes: 0,
            duration_us: 0,
            suspended: false,
        };
        if let Some(Waits::Note(event)) = self.note(state, event)
            && let Err(error) = self.judge.gate.log.note_with_room(*event).await
        {
            self.log_failed(state, &error);
            return false;
        }
        true
    }
}
