//! How many rows a statement gives, where a rule hangs on it: as the planner knows, if it may be asked.

use std::sync::Arc;

use stepgate_policy::Circumstances;
use stepgate_session::Pending;
use stepgate_sql::{Facts, Question};
use stepgate_types::Estimator;

use super::{Judge, Resolved};
use crate::database::View;

impl Judge {
    /// Has the server's planner estimate the rows of a statement, if it is one that a rule hangs on; whether it is.
    pub(super) async fn estimate(
        &self,
        pending: &mut Arc<Pending>,
        by: Resolved<'_>,
        view: &View,
        who: &Circumstances,
    ) -> bool {
        let config = &self.database.config;
        let [facts] = &*pending.facts else { return false };
        if !config.ask_planner || !view.rules.hangs_on_estimate(who, &view.bound, facts, &pending.compared())
        {
            return false;
        }
        // In a failed transaction it is refused unseen; and utility statements, EXPLAIN among them, take no parameters.
        if pending.aborted || !pending.values.is_empty() {
            return true;
        }
        let (state, catalog) = by;
        let question = Question::about(&pending.sql, facts, catalog, state);
        let (Some(question), Some(path)) = (question, &state.search_path) else { return true };
        let Ok(sql) = std::str::from_utf8(&pending.sql) else { return true };
        if let Some(rows) = self.database.planner.ask(config, &self.role, question, path, sql).await {
            let planned = Arc::from([facts.planned(rows)]);
            Arc::make_mut(pending).facts = planned;
        }
        true
    }
}

/// The facts of what runs, with the planner's estimate by which it was let through, if they are the same otherwise.
pub(super) fn with_estimate_of(before: &[Facts], now: Arc<[Facts]>) -> Arc<[Facts]> {
    let ([was], [is]) = (before, &*now) else { return now };
    let same = || Facts { estimate: is.estimate, estimated_by: is.estimated_by, ..was.clone() } == *is;
    if was.estimated_by == Estimator::Planner && same() { Arc::from([was.clone()]) } else { now }
}
