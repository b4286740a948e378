//! How much people are delivered, and what happens at a limit.

use serde::{Deserialize, Serialize};
use stepgate_types::{GrantId, RequestId, SessionId, Who};

/// A person is about to be delivered more of what a limit counts over a session or window: at most so much in this
/// part of it. Of several records of one part the last counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitCounted {
    /// Whom.
    pub person: Who,
    /// The rule that limits it.
    pub rule: String,
    /// Over what it counts, as the policy writes it: `session`, `1h`.
    pub per: String,
    /// When the part began, or the session.
    pub since_us: i64,
    /// Rows.
    pub rows: u64,
    /// Bytes of rows and COPY data.
    pub bytes: u64,
    /// Subjects, last seen in this part.
    pub subjects: u64,
}

/// A statement has delivered as much as it may before people are asked; its next row waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitReached {
    /// The session.
    pub session: SessionId,
    /// The statement's number in it; of what a cursor returns, that of its DECLARE.
    pub statement: u64,
    /// Whose statement.
    pub person: Who,
    /// Rows that it has delivered.
    pub rows: u64,
    /// Bytes of rows and COPY data.
    pub bytes: u64,
    /// Size of the row that waits, with its header.
    pub next: u64,
    /// The limit in rows.
    pub limit_rows: Option<u64>,
    /// The limit in bytes.
    pub limit_bytes: Option<u64>,
    /// The limit in subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_subjects: Option<u64>,
    /// Of which rule, where it counts over a session or window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_rule: Option<String>,
    /// Over what, as the policy writes it: `session`, `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_per: Option<String>,
    /// Every rule that matched.
    pub rules: Vec<String>,
    /// What happens: `hold`, `deny` where nobody can be asked, `monitor` where rules are not enforced.
    pub verdict: String,
}

/// A statement at its limit goes on: people have approved that, or a grant covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitExtended {
    /// The session.
    pub session: SessionId,
    /// The statement's number in it.
    pub statement: u64,
    /// The request that was approved, if one was.
    pub request: Option<RequestId>,
    /// The grant it draws on, if on one.
    pub grant: Option<GrantId>,
}

/// A statement at its limit does not go on: the client gets an error in place of the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitEnforced {
    /// The session.
    pub session: SessionId,
    /// The statement's number in it.
    pub statement: u64,
    /// The request that people were asked by, if they were.
    pub request: Option<RequestId>,
    /// SQLSTATE of the error.
    pub sqlstate: String,
    /// Rows that it has delivered.
    pub rows: u64,
    /// Bytes of rows and COPY data.
    pub bytes: u64,
}
