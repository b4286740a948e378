//! Notifications and limits: what a statement sends to whoever listens (`pg_notify`, in its text or in a trigger that it
//! fires) is no row of its result, and leaves when its transaction ends. No limit on rows or bytes can hold it, so that
//! an approval of so many rows is none of it.

use stepgate_policy::{Circumstances, Decision};
use stepgate_session::Pending;
use stepgate_sql::{Facts, SinkKind};
use stepgate_types::{Action, Limit};

use crate::database::View;

/// What the HINT says where nobody could be asked for more than the limit.
const HINT: &str = "It sends what it reads as notifications, which a limit cannot hold back: have the policy's owner name \
                    an approval in the rule that limits it.";

/// Whether any of these sends what it reads as notifications.
pub(super) fn notifies(message: &[Facts]) -> bool {
    let sends = |facts: &Facts| facts.sinks.iter().any(|sink| sink.kind == SinkKind::Notification);
    message.iter().any(sends)
}

/// Decides about a message of these facts, with the values of `pending`.
pub(super) fn decide(view: &View, who: &Circumstances, message: &[Facts], pending: &Pending) -> Decision {
    let decision = view.rules.decide_by(who, &view.bound, message, &pending.compared());
    without_limit(decision, message)
}

/// The decision on a message as that is: where rows are limited and it notifies, all of it is asked about before it runs,
/// by whom the rest of it would be asked about once the limit is reached.
fn without_limit(decision: Decision, message: &[Facts]) -> Decision {
    let limited = decision.enforced && !decision.limit.is_none() && decision.action < Action::Deny;
    if !limited || !notifies(message) {
        return decision;
    }
    let own = || decision.approval.clone().map(|approval| (decision.action, approval));
    match decision.beyond.clone().or_else(own) {
        Some((action, approval)) => Decision {
            action: action.max(decision.action),
            approval: Some(approval),
            limit: Limit::NONE,
            beyond: None,
            ..decision
        },
        None => Decision {
            action: Action::Deny,
            approval: None,
            limit: Limit::NONE,
            hint: Some(HINT),
            ..decision
        },
    }
}
