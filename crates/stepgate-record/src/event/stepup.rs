//! Requests that people step up for.

use serde::{Deserialize, Serialize};
use stepgate_types::{GroupName, RequestId, SessionId, Who};

/// A step-up was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepupRequested {
    /// The request.
    pub request: RequestId,
    /// The session that waits.
    pub session: SessionId,
    /// The statement's number in it.
    pub statement: u64,
    /// Who asks.
    pub person: Who,
    /// The database.
    pub database: String,
    /// Name of the approval in the policy.
    pub approval: String,
    /// Whether the person may answer it themselves.
    pub itself: bool,
    /// Who else may answer it.
    pub groups: Vec<GroupName>,
    /// How many must approve.
    pub count: u32,
    /// SHA-256 (hex) of the canonical request.
    pub canonical_sha256: String,
    /// When it lapses.
    pub expires_us: i64,
    /// From where; records from before this was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Who>,
    /// Who opened it, where it was asked ahead of time for a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<Who>,
    /// Until when what was asked ahead of time is to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<i64>,
}
