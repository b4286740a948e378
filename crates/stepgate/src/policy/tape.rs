//! What of the log another policy is tried on: the statements of a period, most of which are alike in all that a policy
//! can ask, and what became of them.
//!
//! The gate, or whoever has the data directory open, boils records down to it (`make`), and the command line puts it
//! together again (`take`) and does the deciding: a gate that serves has better things to do.

mod make;
mod members;
mod take;

pub(crate) use make::make;
#[cfg(test)]
pub(crate) use take::Taking;
pub(crate) use take::{After, Tape, take};

use serde::{Deserialize, Serialize};
use stepgate_record::{Bucket, LabelledColumn, Outcome, RiskSignal};
use stepgate_types::{Action, BulkShape, Certainty, Estimator, GroupName, Kind};

/// One line on its way from log to command line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// Map and policy that came into force, by their hashes.
    Loaded { policy: String, map: String },
    /// Statements alike in all that follows; numbered from 0 in the order in which they come.
    Shape(Box<Shape>),
    /// The next session, likewise.
    Session,
    /// Who the session of that number is. Comes at some time after it.
    Of(u32, Person),
    /// When it began, in microseconds since the Unix epoch. Comes at some time after it, where that is known.
    Opened(u32, i64),
    /// When the log begins, where nothing of it has been deleted.
    Begins(i64),
    /// Statements, in order; numbered likewise.
    Runs(Vec<Run>),
    /// What became of them later.
    News(Vec<(u32, News)>),
    /// Remembered approvals that were issued in the period, and how often each was used.
    Grants { approval: String, uses: Vec<u64> },
    /// Records that were read.
    Read(u64),
}

/// What a policy can ask of a statement: a part of `stepgate_record::Statement`, by the same names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) action: Action,
    #[serde(default)]
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) bulk: BulkShape,
    pub(crate) certainty: Certainty,
    pub(crate) columns: Vec<LabelledColumn>,
    pub(crate) database: String,
    #[serde(default)]
    pub(crate) db_user: String,
    pub(crate) estimate: Option<u64>,
    #[serde(default)]
    pub(crate) estimated_by: Option<Estimator>,
    #[serde(default)]
    pub(crate) functions: Vec<String>,
    pub(crate) groups: Vec<GroupName>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) parameters: u64,
    pub(crate) policy_sha256: String,
    #[serde(default)]
    pub(crate) purpose: Option<String>,
    pub(crate) reasons: Vec<String>,
    pub(crate) relations: Vec<String>,
    pub(crate) rules: Vec<String>,
    #[serde(default)]
    pub(crate) runs: Option<Vec<Kind>>,
    #[serde(default)]
    pub(crate) service: bool,
    #[serde(default)]
    pub(crate) signals: Vec<RiskSignal>,
    pub(crate) sinks: Vec<String>,
    #[serde(default)]
    pub(crate) unenforced: bool,
    /// Of one of these lists the record lost the end.
    #[serde(default)]
    pub(crate) cut: bool,
}

/// The members of a record that a [`Shape`] is made of.
const SHAPE: [&str; 23] = [
    "action",
    "buckets",
    "bulk",
    "certainty",
    "columns",
    "database",
    "db_user",
    "estimate",
    "estimated_by",
    "functions",
    "groups",
    "kinds",
    "parameters",
    "policy_sha256",
    "purpose",
    "reasons",
    "relations",
    "rules",
    "runs",
    "service",
    "signals",
    "sinks",
    "unenforced",
];

/// Who a session is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub(crate) struct Person {
    /// The name, or what stands for it where that was erased.
    pub(crate) key: String,
    /// Whether `key` is the name.
    pub(crate) known: bool,
    /// Peer address.
    pub(crate) address: Option<String>,
    /// `application_name`.
    pub(crate) client: Option<String>,
}

/// One statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// When, in microseconds since the Unix epoch.
    #[serde(rename = "t")]
    pub(crate) at_us: i64,
    #[serde(rename = "s")]
    pub(crate) shape: u32,
    #[serde(rename = "c")]
    pub(crate) session: u32,
    #[serde(rename = "v")]
    pub(crate) verdict: Verdict,
    /// It passed by what was approved before: a grant, or a pass.
    #[serde(rename = "p", default, skip_serializing_if = "Passed::is_no")]
    pub(crate) passed: Passed,
}

/// What the gate did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// It ran at once.
    #[serde(rename = "f")]
    Forward,
    /// It waited for people, or was to be sent again.
    #[serde(rename = "h")]
    Hold,
    /// It was refused by rules.
    #[serde(rename = "d")]
    Deny,
    /// The gate could not do its part, or refuses it whatever the rules say.
    #[serde(rename = "x")]
    Fail,
}

/// By which approval of before a statement ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Passed {
    #[default]
    #[serde(rename = "n")]
    No,
    /// By a grant.
    #[serde(rename = "g")]
    Grant,
    /// It is one that was deferred, sent again.
    #[serde(rename = "r")]
    Rerun,
}

impl Passed {
    fn is_no(&self) -> bool {
        *self == Self::No
    }
}

/// Between which others, and when, a statement delivered what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// So many statements had been decided on when it was let through for the last time …
    #[serde(rename = "b")]
    pub(crate) begun: u32,
    /// … and so many when it had ended.
    #[serde(rename = "d")]
    pub(crate) done: u32,
    /// Microseconds since the Unix epoch, by the records of both.
    #[serde(rename = "f")]
    pub(crate) from_us: i64,
    #[serde(rename = "t")]
    pub(crate) to_us: i64,
}

/// What a later record says of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum News {
    /// A request was opened for it.
    #[serde(rename = "a")]
    Asked,
    /// That ended so.
    #[serde(rename = "e")]
    Ended(Outcome),
    /// It delivered so many rows and bytes.
    #[serde(rename = "d")]
    Delivered(u64, u64),
    /// It was refused by the server for its transaction had failed (25P02): nothing could be asked about it.
    #[serde(rename = "x")]
    Aborted,
    /// It ran, in fact, after it had waited.
    #[serde(rename = "b")]
    Began,
    /// When it delivered, where that is asked for.
    #[serde(rename = "s")]
    Span(Span),
    /// It reached a limit: rows and bytes that were out, and the bytes of the row that waited.
    #[serde(rename = "r")]
    Reached(u64, u64, u64),
    /// A limit ended it before all of it was delivered.
    #[serde(rename = "l")]
    Cut,
    /// People were asked about it once more, at a limit.
    #[serde(rename = "m")]
    AskedMidway,
}
