//! What is recorded of a decided statement: enough to decide it again by the same rules.

use serde::{Deserialize, Serialize};
use stepgate_types::{
    Action, BulkShape, Certainty, Estimator, GrantId, GroupName, Kind, RequestId, SessionId, Use, Who,
};

use super::Refusal;

/// A decided statement: facts, circumstances, rules and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The session.
    pub session: SessionId,
    /// Its number in the session.
    pub statement: u64,
    /// Who.
    pub person: Who,
    /// Groups at the time.
    pub groups: Vec<GroupName>,
    /// Whether it is a service: nobody who could verify themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
    /// Name of the database in the gate's configuration.
    pub database: String,
    /// `simple` or `extended`.
    pub protocol: String,
    /// What each statement of the message is.
    pub kinds: Vec<Kind>,
    /// What runs with those that may run others: what EXECUTE goes on with, what EXPLAIN ANALYZE, a cursor, COPY or CREATE
    /// TABLE AS runs, what a WITH writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<Kind>>,
    /// How far the facts can be trusted.
    pub certainty: Certainty,
    /// Codes of the reasons for doubt.
    pub reasons: Vec<String>,
    /// Base relations, as `schema.name`.
    pub relations: Vec<String>,
    /// Labelled base columns.
    pub columns: Vec<LabelledColumn>,
    /// Kinds of the places it stores what it reads in.
    pub sinks: Vec<String>,
    /// Whether it counts as bulk.
    pub bulk: BulkShape,
    /// Upper bound of its rows, if known; the next power of ten, unless it is the catalog's.
    pub estimate: Option<u64>,
    /// `planner` where the server's planner estimated that, `statement` where a number in the statement bounds it (LIMIT,
    /// FETCH, rows of VALUES: literals), else it is from the catalog's row counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_by: Option<Estimator>,
    /// SHA-256 (hex) of the normalised statement.
    pub fingerprint: String,
    /// Keywords and catalog names only.
    pub normalised: String,
    /// How many bind values.
    pub parameters: u64,
    /// Every rule that matched.
    pub rules: Vec<String>,
    /// The most severe action among them, or the default.
    pub action: Action,
    /// What happens: `forward`, `hold`, `defer`, `deny`, or `monitor` where a policy in monitor mode would have
    /// held or denied; `overtaken` where what runs reads more since DDL overtook it, and its session was ended; `fail`
    /// where the gate cannot do its own part.
    pub verdict: String,
    /// Why, where it is the gate that refuses it, whatever its rules: of `fail`, and of a `deny` that no rule asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The request that was approved, where this record follows one.
    pub request: Option<RequestId>,
    /// The grant that covers it, where one does.
    pub grant: Option<GrantId>,
    /// SHA-256 (hex) of the policy and map it was decided under.
    pub policy_sha256: String,
    /// The role used upstream. Address and client are those of the session's first record.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub db_user: String,
    /// The role that it runs as, where that is another (SET ROLE): `other`; `other of another`, where the session has
    /// become another as well; `… or another`, where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_as: Option<String>,
    /// Whether rules are not enforced (`mode: monitor`): everything is forwarded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unenforced: bool,
    /// Functions it calls, as `schema.name`, as far as they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// Length of the text as it was sent, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_bytes: Option<u64>,
    /// HMAC-SHA-256 of database and text as it was sent, under a key of the vault: the first 16 bytes (hex).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raw_hmac: String,
    /// Why each rule matched that did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Why>,
    /// How unusual it is, from 0 to 100, where that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<u32>,
    /// What made it so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<RiskSignal>,
    /// What the client said it wanted the data for, where that is a word of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Of the values that columns with `threshold:` were compared with: each once, the highest first, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<Bucket>,
}

impl Statement {
    /// One of which nothing is known but whose it is, and that is denied: to be filled in.
    #[must_use]
    pub const fn blank(session: SessionId, statement: u64, person: Who) -> Self {
        Self {
            session,
            statement,
            person,
            groups: Vec::new(),
            service: false,
            database: String::new(),
            protocol: String::new(),
            kinds: Vec::new(),
            runs: None,
            certainty: Certainty::Unknown,
            reasons: Vec::new(),
            relations: Vec::new(),
            columns: Vec::new(),
            sinks: Vec::new(),
            bulk: BulkShape::None,
            estimate: None,
            estimated_by: None,
            fingerprint: String::new(),
            normalised: String::new(),
            parameters: 0,
            rules: Vec::new(),
            action: Action::Deny,
            verdict: String::new(),
            refusal: None,
            request: None,
            grant: None,
            policy_sha256: String::new(),
            db_user: String::new(),
            runs_as: None,
            unenforced: false,
            functions: Vec::new(),
            raw_bytes: None,
            raw_hmac: String::new(),
            why: Vec::new(),
            risk: None,
            signals: Vec::new(),
            purpose: None,
            buckets: Vec::new(),
        }
    }
}

/// A clause of a rule that matched, and what it matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// The rule.
    pub rule: String,
    /// The clause, as the policy writes it: `labels`, `estimate_rows`.
    pub clause: String,
    /// What it found: words of map and catalog, or a number rounded up to a power of ten. Never a value of a statement.
    pub bucket: String,
    /// What the policy compares that with, where it is a number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub threshold: String,
}

/// A signal that adds to a statement's risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskSignal {
    /// Its name.
    pub name: String,
    /// Its value, rounded.
    pub bucket: String,
    /// What it is compared with.
    pub threshold: String,
    /// What it adds.
    pub weight: u32,
}

/// In which interval a value lies that a column with `threshold:` was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// `schema.relation.column`.
    pub column: String,
    /// The operator.
    pub op: String,
    /// How many of the column's thresholds the value is at or above; -1 where that cannot be told.
    pub bucket: i64,
}

/// A labelled column and its uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledColumn {
    /// `schema.relation.column` of the base table.
    pub column: String,
    /// Its label, or empty where the class comes from `unlisted_columns` or `unknown.tables`.
    pub label: String,
    /// Its class.
    pub class: String,
    /// Its uses.
    pub uses: Vec<Use>,
}
