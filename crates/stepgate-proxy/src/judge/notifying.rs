//! Notifications and limits: what a statement sends to whoever listens (`pg_notify`, in its text or in a trigger that it
//! fires) is no row of its result, and leaves when its transaction ends. No limit on rows or bytes can hold it, so that
//! an approval of so many rows is none of it.

use stepgate_policy::{Circumstances, Decision};
use stepgate_session::Pending;
use stepgate_sql::{Facts, SinkKind};

use crate::database::View;

/// Whether any of these sends what it reads as notifications.
pub(super) fn notifies(message: &[Facts]) -> bool {
    let sends = |facts: &Facts| facts.sinks.iter().any(|sink| sink.kind == SinkKind::Notification);
    message.iter().any(sends)
}

/// Decides about a message of these facts, with the values of `pending`.
pub(super) fn decide(view: &View, who: &Circumstances, message: &[Facts], pending: &Pending) -> Decision {
    let decision = view.rules.decide_by(who, &view.bound, message, &pending.compared());
    if notifies(message) { decision.before_notifying() } else { decision }
}
