//! What a message does with what it reads, besides showing it: what no limit can hold back is asked about before it runs.

use stepgate_policy::{Circumstances, Decision, Ruleset, Unheld};
use stepgate_session::Pending;
use stepgate_sql::Facts;
use stepgate_types::{Certainty, Kind};

use super::telling::{self, Telling};
use crate::database::View;

/// Whether any of these puts what it reads where it can be seen without a read of any relation.
pub(super) fn shows(message: &[Facts]) -> bool {
    message.iter().any(|facts| facts.sinks.iter().any(|sink| sink.kind.is_open()))
}

/// Whether any of these stores what it reads.
fn stores(message: &[Facts]) -> bool {
    message.iter().any(|facts| facts.sinks.iter().any(|sink| !sink.kind.is_open()))
}

/// Decides about a message of these facts, with the values of `pending`.
pub(super) fn decide(view: &View, who: &Circumstances, message: &[Facts], pending: &Pending) -> Decision {
    let decision = view.rules.decide_by(who, &view.bound, message, &pending.compared());
    before_it_runs(decision, message, &view.rules, &who.database)
}

/// What a gate makes of its rules' decision on a message of these facts: what no limit can hold back is asked about now.
#[must_use]
pub fn before_it_runs(decision: Decision, message: &[Facts], rules: &Ruleset, database: &str) -> Decision {
    let mixes = matches!(telling::of(&decision, message, rules.map(), database), Telling::Unknown);
    decision.before_it_runs(Unheld { shows: shows(message), stores: stores(message), mixes })
}

/// Whether what it does hangs on the catalog.
pub(super) fn names_anything(facts: &Facts) -> bool {
    let is_plain = matches!(facts.kind, Kind::Empty | Kind::Transaction | Kind::Session);
    facts.certainty == Certainty::Unknown
        || !facts.relations.is_empty()
        || !facts.functions.is_empty()
        || facts.named > 0
        || !is_plain && !facts.effect.names.is_empty()
}
