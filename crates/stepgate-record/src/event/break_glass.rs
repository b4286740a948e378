//! Break-glass: who lets themselves through in an emergency, and who looked at it afterwards.

use serde::{Deserialize, Serialize};
use stepgate_types::{GrantId, SessionId, Who};

/// Somebody broke the glass: by a passkey, for a reason, until then at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassOpened {
    /// Its id, which statements that pass by it name as their grant.
    pub grant: GrantId,
    /// Who.
    pub person: Who,
    /// In which database; `None`: in all.
    pub database: Option<String>,
    /// The client it is bound to.
    pub client: Who,
    /// The address it is bound to.
    pub network: Who,
    /// Why.
    pub reason: Who,
    /// The authenticator by which.
    pub authenticator: String,
    /// SHA-256 (hex) of what was signed for.
    pub canonical_sha256: String,
    /// When it ends, whatever happens.
    pub expires_us: i64,
    /// What it lifts besides being asked: `denied`, `control`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifts: Vec<String>,
}

/// A statement passes by it, unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassUsed {
    /// Which.
    pub grant: GrantId,
    /// The session.
    pub session: SessionId,
    /// The statement's number in it.
    pub statement: u64,
}

/// It is over; nothing passes by it any more, and it waits to be reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassEnded {
    /// Which.
    pub grant: GrantId,
    /// Why, in a word: `expired`, `revoked`.
    pub why: String,
    /// How many statements have passed by it.
    pub uses: u64,
    /// By whom; `None` is the gate itself, or the operator.
    pub by: Option<Who>,
    /// The operator, where one did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}

/// It still waits to be reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassReminded {
    /// Which.
    pub grant: GrantId,
}

/// Somebody else has looked at what was done by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassReviewed {
    /// Which.
    pub grant: GrantId,
    /// Who.
    pub by: Who,
    /// What they say of it.
    pub comment: Who,
}
