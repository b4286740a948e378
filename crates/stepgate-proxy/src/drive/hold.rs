//! A statement that is held, and how that ends: it is approved and judged again by what is known now, cancelled,
//! withdrawn, or held too long, and then deferred where that can be.

use std::sync::Arc;

use stepgate_record::{Deferral, Refusal};
use stepgate_session::Pending;
use stepgate_store::{DeskError, End, Left};
use stepgate_wire::Problem;

use super::{Drive, State};
use crate::database::Ddl;
use crate::judge::{Hold, Verdict, cause_of};
use crate::refusal;

impl Drive {
    /// The hold is over, one way or another.
    pub(super) async fn answered(&mut self, state: &mut State, end: Option<End>) {
        let Some((mut hold, _)) = state.hold.take() else { return };
        if let Some(end) = end.as_ref().filter(|end| end.outcome == stepgate_record::Outcome::Approved) {
            self.tell_approved(end);
        }
        if hold.midway.is_some() {
            return self.answered_midway(state, &hold, end).await;
        }
        hold.granted = end.as_ref().and_then(|end| end.grant);
        let request = hold.waiting.request;
        match end {
            Some(end) if end.outcome == stepgate_record::Outcome::Approved => {
                let Some(pending) = state.pending.take() else { return self.defect(state) };
                let ddl = self.judge.database.ddl();
                // While people thought about it, tables and views may have become something else.
                if let Err(error) = self.judge.database.refresh().await {
                    tracing::warn!(%error, "catalog cannot be read at a release");
                    let (why, problem) = (Refusal::CatalogUnknown, refusal::catalog_unknown());
                    return self.fail(state, &pending, why, problem).await;
                }
                if let Some(view) = self.judge.database.view() {
                    self.session.set_catalog(Arc::clone(&view.catalog));
                }
                state.pending = Some(pending);
                if self.session.probe_held() {
                    state.approved = Some((hold, ddl));
                } else {
                    self.release_held(state, &hold, ddl).await;
                }
            }
            Some(end) => {
                state.pending = None;
                self.session.refuse(&refusal::ended(request, &end));
            }
            // The desk has stopped: nobody can answer any more.
            None => {
                state.pending = None;
                self.session.refuse(&refusal::withdrawn(request));
            }
        }
    }

    /// What was approved is judged again by what is known now.
    async fn release_held(&mut self, state: &mut State, hold: &Hold, ddl: Ddl) {
        let Some(mut pending) = state.pending.take() else { return self.defect(state) };
        self.mind_timeout(state, pending.in_transaction);
        self.session.set_taints(self.judge.database.taints.now());
        if let Some(facts) = self.session.judge_again() {
            Arc::make_mut(&mut pending).facts = facts;
        }
        let otherwise = self.session.reads_otherwise(&pending);
        let (names, catalog) = self.session.resolves_by();
        let names = otherwise.as_ref().unwrap_or(names);
        let verdict = self.judge.decide_again(&mut pending, (names, catalog), hold).await;
        state.pending = Some(pending);
        self.obey_unless_called_off(state, verdict, ddl).await;
    }

    /// Goes on with what was approved, once the server has said what its names mean.
    pub(super) async fn go_on_with_approved(&mut self, state: &mut State) {
        // What is sent now would be hit by a cancel request that is under way for what runs.
        if self.session.is_probing() || state.cancelling.is_some() || state.ending.is_some() {
            return;
        }
        let Some((hold, ddl)) = state.approved.take() else { return };
        if self.session.probe_held() {
            state.approved = Some((hold, ddl));
        } else {
            self.release_held(state, &hold, ddl).await;
        }
    }

    pub(super) async fn tick(&mut self, state: &mut State) {
        // What ends it is sent, too.
        let over = state.cancelling.is_none()
            && state
                .hold
                .as_ref()
                .is_some_and(|(hold, since)| hold.limit.is_some_and(|limit| since.elapsed() >= limit));
        if !over {
            self.session.keep_alive();
            self.tell_news(state);
            return;
        }
        let Some((mut hold, since)) = state.hold.take() else { return };
        let (request, desk) = (hold.waiting.request, &self.judge.gate.desk);
        let left = desk.stop_waiting(request, hold.statement, Deferral::Lapsed).await;
        let mut failed = None;
        let problem = match left {
            Ok(Left::Open(_)) => hold.deferred.take(),
            Ok(Left::Ended(_)) => None,
            Err(DeskError::Ended(_)) => {
                // The answer is on its way: somebody was just in time.
                hold.limit = None;
                state.hold = Some((hold, since));
                return;
            }
            Err(error) => {
                failed = Some(cause_of(&error));
                Some(refusal::desk_failed(&error))
            }
        };
        let failed = failed.and_then(|why| Some((state.pending.take()?, why)));
        state.pending = None;
        let too_long = || refusal::held_too_long(request, hold.limit.unwrap_or_else(|| since.elapsed()));
        let problem = problem.unwrap_or_else(too_long);
        if let Some(number) = hold.midway {
            return self.enforce(state, number, Some(&hold), problem).await;
        }
        match failed {
            Some((pending, why)) => self.fail(state, &pending, why, problem).await,
            None => self.session.refuse(&problem),
        }
    }

    /// Refuses what waits, since the gate cannot do its own part or is not to.
    pub(super) async fn fail(
        &mut self,
        state: &mut State,
        pending: &Pending,
        why: Refusal,
        problem: Problem,
    ) {
        state.pending = None;
        if let Verdict::Refuse(problem) = self.judge.fail(pending, why, problem).await {
            self.session.refuse(&problem);
        }
    }

    /// What waits will not be shown to anybody any more. `gone`: since its client has left.
    pub(super) async fn withdraw(&mut self, state: &mut State, gone: bool) {
        state.pending = None;
        state.looking = None;
        state.approved = None;
        let Some((hold, _)) = state.hold.take() else { return };
        let (request, desk) = (hold.waiting.request, &self.judge.gate.desk);
        let left = if gone && hold.outlives_client {
            desk.stop_waiting(request, hold.statement, Deferral::ClientGone).await
        } else {
            desk.withdraw(request, hold.statement).await
        };
        if let Err(error) = left {
            tracing::warn!(%error, "withdrawing a request");
        }
    }
}
