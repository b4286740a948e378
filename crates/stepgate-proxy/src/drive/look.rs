//! Looking at the catalog again: for names that may have changed, and before a reply is taken that DDL may have
//! overtaken (`overtaken.rs` says when).

use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_record::Event;
use stepgate_session::{Pending, Unflagged};
use stepgate_types::SqlState;
use stepgate_wire::Problem;

use super::{Drive, State};
use crate::database::Ddl;
use crate::judge::Standing;
use crate::refusal;

/// How often, and after how long, the catalog is looked at again for a reply that must not be taken before.
const LOOKS: usize = 3;
/// The most columns that an alarm names.
const MAX_ALARMED: usize = 16;
const LOOK: Duration = Duration::from_millis(1_100);

impl Drive {
    /// Somebody may have made just now what is not known, or changed what is. Whether that could be seen.
    pub(super) async fn look_for_names(&mut self, pending: &mut Arc<Pending>) -> bool {
        let looked = self.judge.database.refresh().await;
        if let Err(error) = &looked {
            tracing::warn!(%error, "catalog cannot be read for names that may have changed");
        }
        if let Some(view) = self.judge.database.view() {
            self.session.set_catalog(Arc::clone(&view.catalog));
        }
        // With the catalog, since labels may have followed their columns to other names.
        self.session.set_taints(self.judge.database.taints.now());
        if let Some(facts) = self.session.judge_again() {
            Arc::make_mut(pending).facts = facts;
        }
        looked.is_ok()
    }

    /// The same for a while: whoever keeps the catalog from being read, as others of a restore in parallel do who make
    /// indexes, is most often about to be done.
    pub(super) async fn look_for_names_again(&mut self, pending: &mut Arc<Pending>) -> bool {
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK).await;
            if self.look_for_names(pending).await {
                return true;
            }
        }
        false
    }

    /// Judges what runs by the catalog as it is now, before anything of its reply is taken.
    pub(super) async fn look_again(&mut self, state: &mut State) {
        let database = Arc::clone(&self.judge.database);
        let ddl = database.ddl();
        let mut looked = database.refresh_since(Instant::now()).await;
        let Some(view) = database.view() else { return };
        // A reply that came at once waited for nobody's lock, and is judged by what is known.
        if looked.is_err() && state.under_way.has_waited() && state.under_way.may_be_overtaken(ddl) {
            // Whoever keeps the catalog from being read is about to be done, or the session is.
            for _ in 0..LOOKS {
                tokio::time::sleep(LOOK).await;
                looked = database.refresh_since(Instant::now()).await;
                if looked.is_ok() {
                    return self.judge_again(state, Some(ddl)).await;
                }
            }
            for watched in state.under_way.storing() {
                if let Err(error) = self.judge.stored_anything(&view, &watched.pending).await {
                    tracing::error!(%error, "what a statement stored is not recorded");
                }
            }
            return self.end(state, &refusal::overtaken(), "overtaken");
        }
        if let Err(error) = &looked {
            tracing::warn!(database = %database.config.name, %error, "catalog cannot be read while a statement runs");
        }
        self.judge_again(state, looked.is_ok().then_some(ddl)).await;
    }

    /// A result shows columns that its statement was not let through for. If any of them is classified, none of it goes
    /// to the client, and the session ends.
    pub(super) async fn shows_more(&mut self, state: &mut State, number: u64, unflagged: Unflagged) {
        let mut unflagged = unflagged;
        if unflagged.unknown {
            if let Err(error) = self.judge.database.refresh().await {
                tracing::warn!(%error, "catalog cannot be read for what a result shows");
            }
            if let Some(view) = self.judge.database.view() {
                self.session.set_catalog(Arc::clone(&view.catalog));
            }
            self.session.set_taints(self.judge.database.taints.now());
            unflagged = self.session.shows_more_now();
        }
        let classified = self.judge.classified(&unflagged.columns);
        let enforced = match (classified, unflagged.unknown) {
            (None, false) => return self.session.may_show(number),
            (enforced, _) => enforced.unwrap_or(true),
        };
        let session = self.judge.session;
        tracing::error!(%session, statement = number, "a result shows what its statement was not let through for");
        let columns = unflagged.columns.iter().take(MAX_ALARMED).map(ToString::to_string).collect();
        let alarm =
            Event::AlarmRaised { session, statement: number, what: "unflagged-column".to_owned(), columns };
        if let Err(error) = self.judge.gate.log.append(vec![alarm], Vec::new()).await {
            return self.log_failed(state, &error);
        }
        if !enforced {
            return self.session.may_show(number);
        }
        let problem = Problem::fatal(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "the result has columns that this statement was not let through for",
        );
        let hint = "Connect and send it again; tell the gate's operator, whose log has an alarm.";
        let problem = problem.with_detail("Nothing of it was shown.").with_hint(hint);
        self.end(state, &problem, "alarm");
    }

    /// Judges what runs by what is known now. `ddl`: as it was before the catalog was looked at, if it was.
    async fn judge_again(&mut self, state: &mut State, ddl: Option<Ddl>) {
        let Some(view) = self.judge.database.view() else { return };
        let taints = self.judge.database.taints.now();
        let mut overtaken = state.under_way.has_lost_sight(&view.catalog, &taints);
        let (mut stored, mut failed) = (Vec::new(), None);
        for watched in state.under_way.judged_otherwise(&view.catalog, &taints) {
            let Some(now) = watched.now(&view.catalog, &taints) else { continue };
            match self.judge.judge_running(&view, &watched.pending, now).await {
                Ok(Standing::Stands(own)) => stored.extend(own),
                Ok(Standing::Overtaken) => overtaken = true,
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return self.log_failed(state, &error);
        }
        if overtaken || self.session.stores(stored).is_err() {
            return self.end(state, &refusal::overtaken(), "overtaken");
        }
        if let Some(ddl) = ddl {
            state.under_way.pass(ddl, &view.catalog, &taints);
        }
    }
}
