//! Approvals of one statement, to be sent again.

use serde::{Deserialize, Serialize};
use stepgate_types::{Action, GrantId, Kind, RequestId, Use, Who};

/// A deferred request was approved: the same statement, sent again, passes once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassIssued {
    /// The pass.
    pub pass: GrantId,
    /// The request that was approved.
    pub request: RequestId,
    /// For whom.
    pub person: Who,
    /// The role used upstream.
    pub db_user: String,
    /// In which database.
    pub database: String,
    /// HMAC-SHA-256 (hex) of person, role, database, SQL and bind values, under a key of the vault.
    pub key_hmac: String,
    /// Kinds of the message's statements.
    pub kinds: Vec<Kind>,
    /// Uses of classified columns.
    pub uses: Vec<Use>,
    /// Base relations reached, as `schema.name`.
    pub relations: Vec<String>,
    /// Labels touched.
    pub labels: Vec<String>,
    /// Rank of the most sensitive class touched.
    pub class_rank: u32,
    /// Rank of the most sensitive class whose values it lets out.
    pub output_rank: u32,
    /// Whether what it reaches was known exactly.
    pub exactly_known: bool,
    /// Whether it stores what it reads.
    pub has_sink: bool,
    /// What the policy asked for.
    pub action: Action,
    /// The approval it answers.
    pub approval: String,
    /// SHA-256 (hex) of the policy and map it was issued under.
    pub policy_sha256: String,
    /// When it lapses.
    pub expires_us: i64,
    /// How many rows it lets out before people are asked again, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// How many bytes of rows and COPY data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many distinct subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// The highest risk at which it lets through; records from before there was any have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<u32>,
    /// The client it is bound to, if it is; a keyed hash where its name is not made of harmless characters only. Records from
    /// before passes were bound have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Who>,
    /// The address it is bound to, if it is; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Who>,
}
