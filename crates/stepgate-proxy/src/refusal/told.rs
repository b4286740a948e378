//! What a held client is told while it waits. The id leads, so that a line tells which of several it is about.

use stepgate_types::{PersonName, RequestId};
use stepgate_wire::Problem;

/// One of several has approved.
pub(crate) fn vote(request: RequestId, by: &PersonName, approvals: usize, needed: u32) -> Problem {
    Problem::notice(format!("{request}: {by} has approved, {approvals} of {needed}"))
}

/// Nobody has answered for long.
pub(crate) fn escalated(request: RequestId, groups: &[String]) -> Problem {
    Problem::notice(format!("{request}: nobody has answered for long; it goes to {} too", groups.join(", ")))
}

/// There is a comment; what it says is for people's eyes, not for a program's log.
pub(crate) fn comment(request: RequestId) -> Problem {
    Problem::notice(format!("{request}: something was said about it"))
        .with_hint(format!("Read it: stepgate request show {request}"))
}

/// People have approved it.
pub(crate) fn approved(request: RequestId, by: &[PersonName]) -> Problem {
    let by: Vec<_> = by.iter().map(ToString::to_string).collect();
    Problem::notice(format!("{request}: approved by {}, resuming", by.join(", ")))
}
