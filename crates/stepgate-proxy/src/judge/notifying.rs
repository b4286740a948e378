//! What a limit cannot hold back is asked about before it runs, by whom the rest would be asked about once the limit is
//! reached: an approval of so many rows is none of it.
//!
//! What a statement sends to whoever listens (`pg_notify`, in its text or in a trigger that it fires) is no row of its
//! result, and leaves when its transaction ends. What it stores elsewhere (a new table, rows of another one, a large
//! object, a file of the server's) never passes by the gate, which learns how much it was when it is done. And of rows
//! that put together what is several people's, nobody can say how many are in them (`telling.rs`).

use stepgate_policy::{Circumstances, Decision};
use stepgate_session::Pending;
use stepgate_sql::{Facts, SinkKind};
use stepgate_types::{Action, Limit};

use super::telling::{self, Telling};
use crate::database::View;

/// What the HINT says where nobody could be asked for more than the limit.
const HINT: &str = "A limit cannot hold back what it sends as notifications, stores elsewhere, or puts together of many \
                    people: have the policy's owner name an approval in the rule that limits it.";

/// Whether any of these sends what it reads as notifications.
pub(super) fn notifies(message: &[Facts]) -> bool {
    let sends = |facts: &Facts| facts.sinks.iter().any(|sink| sink.kind == SinkKind::Notification);
    message.iter().any(sends)
}

/// Whether any of these stores what it reads.
fn stores(message: &[Facts]) -> bool {
    let stores = |facts: &Facts| facts.sinks.iter().any(|sink| sink.kind != SinkKind::Notification);
    message.iter().any(stores)
}

/// Decides about a message of these facts, with the values of `pending`.
pub(super) fn decide(view: &View, who: &Circumstances, message: &[Facts], pending: &Pending) -> Decision {
    let decision = view.rules.decide_by(who, &view.bound, message, &pending.compared());
    before_it_runs(decision, message)
}

/// The decision on a message as that is.
fn before_it_runs(decision: Decision, message: &[Facts]) -> Decision {
    if !decision.enforced || !decision.is_limited() || decision.action >= Action::Deny {
        return decision;
    }
    if notifies(message) {
        return asked(Decision { limit: Limit::NONE, meters: Vec::new(), ..decision });
    }
    let mut decision = decision;
    let mut asks = false;
    if matches!(telling::of(&decision, message), Telling::Unknown) {
        // Of rows and bytes it is limited as ever.
        decision.limit.subjects = None;
        decision.meters.iter_mut().for_each(|meter| meter.limit.subjects = None);
        decision.meters.retain(|meter| !meter.limit.is_none());
        asks = true;
    }
    // Counted when it is done; nothing of it waits.
    asks |= decision.action < Action::StepUp && decision.class.is_some() && stores(message);
    if asks { asked(decision) } else { decision }
}

/// All of it is asked about.
fn asked(decision: Decision) -> Decision {
    let own = || decision.approval.clone().map(|approval| (decision.action, approval));
    match decision.beyond.clone().or_else(own) {
        Some((action, approval)) => {
            let beyond = decision.beyond.clone().filter(|_| decision.is_limited());
            Decision { action: action.max(decision.action), approval: Some(approval), beyond, ..decision }
        }
        None => Decision {
            action: Action::Deny,
            approval: None,
            limit: Limit::NONE,
            meters: Vec::new(),
            hint: Some(HINT),
            ..decision
        },
    }
}
