//! A statement that has delivered what it may: it gets more, waits for people with its next row unread, or is ended.
//!
//! Ending is a race with the server, which may be done by then. So the cancel request is sent first, and nothing is read
//! until the server has dealt with it; then the session takes what is left (`session/cut.rs`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use stepgate_record::{Event, LimitEnforced, Outcome};
use stepgate_session::Meter;
use stepgate_store::End;
use stepgate_types::Amount;
use stepgate_wire::Problem;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::{Drive, State};
use crate::judge::{Hold, Limited, More};
use crate::metrics::count;
use crate::{forward_cancel, refusal};

/// The most bytes of texts that are kept for asking again; of what is sent beyond, nothing more can be asked.
const MAX_KEPT: usize = 16 << 20;

/// A reply that is being ended, once the server has dealt with the cancel request.
pub(super) struct Cutting {
    problem: Problem,
    cancelled: oneshot::Receiver<bool>,
}

impl Cutting {
    /// Whether the server has dealt with the cancel request.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        Pin::new(&mut self.cancelled).poll(context).map(|cancelled| cancelled.unwrap_or(false))
    }
}

impl Drive {
    /// A statement that is about to be sent has this meter.
    pub(super) fn limit(&mut self, state: &mut State, mut limited: Limited) {
        self.settle_limited(state);
        let kept: usize = state.limited.values().map(Limited::kept).sum();
        if kept.saturating_add(limited.kept()) > MAX_KEPT {
            limited.forget_text();
        }
        self.session.limit(Arc::clone(&limited.meter));
        state.limited.insert(limited.meter.number(), limited);
    }

    /// Closes the accounts of statements of which nothing more can come.
    pub(super) fn settle_limited(&self, state: &mut State) {
        state.limited.retain(|_, limited| {
            let in_use = limited.is_in_use();
            if !in_use {
                limited.meter.settled();
                self.judge.give_back(limited);
            }
            in_use
        });
    }

    /// What a meter lets through is out.
    pub(super) async fn threshold(&mut self, state: &mut State, meter: &Meter, next: u64) {
        let Some(limited) = state.limited.get_mut(&meter.number()) else { return self.defect(state) };
        limited.waits(next);
        // What runs is in a transaction, be it its own.
        let timeout = self.session.transaction_timeout();
        self.judge.transaction_left = timeout.map(|timeout| timeout.saturating_sub(state.outside.elapsed()));
        let more = self.judge.more(limited).await;
        match more {
            Ok(more) => self.go_on_or_wait(state, meter.number(), None, more).await,
            Err(error) => self.log_failed(state, &error),
        }
    }

    /// People have answered whether more may be delivered.
    pub(super) async fn answered_midway(&mut self, state: &mut State, hold: &Hold, end: Option<End>) {
        let (request, Some(number)) = (hold.waiting.request, hold.midway) else { return };
        let more = match (&end, state.limited.get_mut(&number)) {
            (Some(end), Some(limited)) if end.outcome == Outcome::Approved => {
                self.judge.extended(limited, hold, end).await
            }
            (Some(end), _) => Ok(More::Ends(refusal::ended(request, end))),
            // The desk has stopped: nobody can answer any more.
            (None, _) => Ok(More::Ends(refusal::withdrawn(request))),
        };
        match more {
            Ok(more) => self.go_on_or_wait(state, number, Some(hold), more).await,
            Err(error) => self.log_failed(state, &error),
        }
    }

    async fn go_on_or_wait(&mut self, state: &mut State, number: u64, hold: Option<&Hold>, more: More) {
        match more {
            More::GoesOn => self.session.go_on(),
            // One thing waits at a time.
            More::Waits(_) if state.hold.is_some() => self.defect(state),
            More::Waits(hold) => {
                self.session.tell(&hold.notice);
                count(&self.judge.gate.metrics.held_midway);
                state.hold = Some((hold, self.judge.gate.metrics.hold()));
            }
            More::Ends(problem) => self.enforce(state, number, hold, problem).await,
        }
    }

    /// Ends the statement whose next row waits.
    pub(super) async fn enforce(
        &mut self,
        state: &mut State,
        number: u64,
        hold: Option<&Hold>,
        problem: Problem,
    ) {
        let Amount { rows, bytes, .. } =
            state.limited.get(&number).map_or(Amount::NOTHING, |limited| limited.meter.delivered());
        let enforced = Event::LimitEnforced(LimitEnforced {
            session: self.judge.session,
            statement: number,
            request: hold.map(|hold| hold.waiting.request),
            sqlstate: problem.state.as_str().to_owned(),
            rows,
            bytes,
        });
        if let Err(error) = self.judge.gate.log.append(vec![enforced], Vec::new()).await {
            return self.log_failed(state, &error);
        }
        count(&self.judge.gate.metrics.ended_midway);
        let (done, cancelled) = oneshot::channel();
        let database = Arc::clone(&self.judge.database);
        let key = self.server_key.clone();
        let cancels = async move {
            let cancelled = forward_cancel(&database.config, &key).await;
            if let Err(error) = &cancelled {
                tracing::warn!(%error, "cancelling a statement that has reached its limit");
            }
            // Nobody listens any more if the session has ended.
            let _ = done.send(cancelled.is_ok());
        };
        tokio::spawn(cancels.instrument(self.span.clone()));
        state.cutting = Some(Cutting { problem: refusal::midway(problem, rows), cancelled });
    }

    /// The server has dealt with the cancel request, or could not be reached for that.
    pub(super) fn cut(&mut self, state: &mut State, cancelled: bool) {
        match state.cutting.take() {
            Some(cutting) if cancelled => self.session.cut(&cutting.problem),
            Some(_) => self.end(state, &refusal::not_cancelled(), "limit"),
            None => {}
        }
    }
}
