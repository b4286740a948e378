//! Remembered approvals, and what they let out.

use serde::{Deserialize, Serialize};
use stepgate_types::{Action, GrantId, Kind, RequestId, SessionId, Use, Who};

/// An approval is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantIssued {
    /// The grant.
    pub grant: GrantId,
    /// The request that was approved.
    pub request: RequestId,
    /// For whom.
    pub person: Who,
    /// In which database.
    pub database: String,
    /// The role used upstream; records from before there were several have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_user: Option<String>,
    /// Covered kinds.
    pub kinds: Vec<Kind>,
    /// Covered uses.
    pub uses: Vec<Use>,
    /// Covered base relations, as `schema.name`.
    pub relations: Vec<String>,
    /// What their names stood for: of each a digest of its OID and columns. Records from before that was told have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<String>>,
    /// Labels it was approved for.
    pub labels: Vec<String>,
    /// Whether it covers those labels only.
    pub labels_bound: bool,
    /// Rank of the most sensitive class covered.
    pub class_rank: u32,
    /// Rank of the most sensitive class whose values it lets out.
    pub output_rank: u32,
    /// The most severe action covered.
    pub action: Action,
    /// The approval it answers.
    pub approval: String,
    /// The client it is bound to, if it is; a keyed hash where its name is not made of harmless
    /// characters only.
    pub client: Option<Who>,
    /// The address it is bound to, if it is.
    pub network: Option<Who>,
    /// The session it is bound to, if it is.
    pub session: Option<SessionId>,
    /// SHA-256 (hex) of the policy and map it was issued under.
    pub policy_sha256: String,
    /// When it ends, whatever happens.
    pub expires_us: i64,
    /// How many rows it lets out in all, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// How many bytes of rows and COPY data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many distinct subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// Whether it covers what stores what it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<bool>,
    /// The highest risk covered; records from before there was any have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<u32>,
    /// The only statements that it covers, where those were named beforehand: HMAC-SHA-256 (hex) of each under a
    /// key of the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<Vec<String>>,
}

/// A part of what a grant lets out: set aside for a statement, or back from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantShare {
    /// The grant.
    pub grant: GrantId,
    /// The session.
    pub session: SessionId,
    /// The statement's number in it.
    pub statement: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Subjects, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
}
