//! What the desk tells others: ends, listings, and the held statement for those who may see it.

use std::net::IpAddr;

use serde::Serialize;
use stepgate_approval::{Because, Page, Pass};
use stepgate_record::Outcome;
use stepgate_types::{GrantId, GroupName, Limit, PersonName, RequestId, StatementId, Timestamp};
use tokio::sync::oneshot;

use super::comment::Comment;
use super::history::History;
use super::state::Kept;

/// A statement waits for a request to end. Whoever holds it says so when they stop waiting
/// (`Desk::withdraw`, `Desk::cancel`); a request whose waiters are all gone is withdrawn at the next tick.
#[derive(Debug)]
pub struct Waiting {
    /// The request, which may be one that was open already.
    pub request: RequestId,
    /// Whether it was.
    pub joined: bool,
    /// From which address it was opened.
    pub opened_from: IpAddr,
    /// How many sessions wait for it, that of this statement among them.
    pub sessions: usize,
    /// When it lapses.
    pub expires: Timestamp,
    /// SHA-256 (hex) of the canonical request.
    pub canonical_sha256: String,
    /// How it ends. Closed without a word: the gate cannot go on, and nothing may pass.
    pub ended: oneshot::Receiver<End>,
}

/// How a request ended. Its record is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The request.
    pub request: RequestId,
    /// How.
    pub outcome: Outcome,
    /// By whom, where a person ended it.
    pub by: Option<PersonName>,
    /// The reason given, as one harmless line of ASCII. For the waiting client only, never for a log.
    pub reason: Option<String>,
    /// Who approved it.
    pub approvers: Vec<PersonName>,
    /// The grant that the approval is remembered as. A statement that joined runs by it alone.
    pub grant: Option<GrantId>,
    /// The pass that the approval of a deferred request is remembered as: the same statement, sent again, runs by it
    /// once.
    pub pass: Option<GrantId>,
}

/// A request that stays open though the statement does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferred {
    /// The request, which may be one that was open already.
    pub request: RequestId,
    /// When it lapses.
    pub expires: Timestamp,
}

/// What an answer has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How the request ended, if it did.
    pub ended: Option<End>,
    /// How many have approved.
    pub approvals: usize,
    /// How many must.
    pub needed: usize,
}

/// A request, as listed. Nothing of the statement's text is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestInfo {
    /// Its id.
    pub request: RequestId,
    /// `open`, `deferred` (open, and nobody need wait), `approved`, `denied`, `expired`, `cancelled` or `withdrawn`.
    pub state: &'static str,
    /// Who asks.
    pub person: PersonName,
    /// In which database.
    pub database: String,
    /// Name of the approval in the policy.
    pub approval: String,
    /// Whether the person answers it themselves.
    pub itself: bool,
    /// Groups whose members may answer.
    pub groups: Vec<GroupName>,
    /// How many must approve.
    pub count: u32,
    /// Who has approved so far.
    pub approvers: Vec<PersonName>,
    /// One line on what it reads, while it is open.
    pub summary: Option<String>,
    /// How many statements wait.
    pub waiting: usize,
    /// How many comments there are.
    pub comment_count: usize,
    /// When it was opened, if this is known.
    pub opened: Option<String>,
    /// When it lapses or would have.
    pub expires: String,
    /// Who ended it, where a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<PersonName>,
    /// The reason that they gave, as one harmless line: who asked learns of it here once nothing waits any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who opened it, where it was asked ahead of time for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<PersonName>,
    /// Until when what was asked ahead of time is to pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl RequestInfo {
    /// Whether this person asks, or has opened it for a service.
    #[must_use]
    pub fn is_of(&self, person: &PersonName) -> bool {
        self.person == *person || self.opened_by.as_ref() == Some(person)
    }

    /// Whether it can be answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, "open" | "deferred")
    }
}

/// A grant or pass, as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantInfo {
    /// Its id.
    pub grant: GrantId,
    /// The request that was approved.
    pub request: RequestId,
    /// For whom.
    pub person: PersonName,
    /// In which database.
    pub database: String,
    /// Covered kinds.
    pub kinds: Vec<&'static str>,
    /// Covered uses.
    pub uses: Vec<&'static str>,
    /// Covered base relations.
    pub relations: Vec<String>,
    /// Labels it was approved for.
    pub labels: Vec<String>,
    /// The approval it answers.
    pub approval: String,
    /// A pass: it covers one execution of the very statement that was approved.
    pub once: bool,
    /// When it ends.
    pub expires: String,
    /// How many rows it still lets out, and is set aside for no statement; `None`: as many as there are.
    pub rows_left: Option<u64>,
    /// How many bytes of rows and COPY data.
    pub bytes_left: Option<u64>,
    /// How many distinct people.
    pub subjects_left: Option<u64>,
    /// Whether it covers what stores what it reads.
    pub sink: bool,
    /// How many statements it covers, where those were named beforehand; `None`: any within its bounds.
    pub statements: Option<usize>,
}

impl From<&Kept> for GrantInfo {
    fn from(kept: &Kept) -> Self {
        let grant = &kept.grant;
        Self {
            grant: grant.id,
            request: grant.request,
            person: grant.person.clone(),
            database: grant.database.clone(),
            kinds: grant.kinds.iter().map(|kind| kind.as_str()).collect(),
            uses: grant.uses.iter().map(|use_| use_.as_str()).collect(),
            relations: grant.relations.iter().cloned().collect(),
            labels: grant.labels.iter().map(ToString::to_string).collect(),
            approval: grant.approval.clone(),
            once: false,
            expires: grant.expires.to_string(),
            rows_left: kept.left.rows,
            bytes_left: kept.left.bytes,
            subjects_left: kept.left.subjects,
            sink: grant.sink,
            statements: grant.statements.as_ref().map(std::collections::BTreeSet::len),
        }
    }
}

impl From<&Pass> for GrantInfo {
    fn from(pass: &Pass) -> Self {
        Self {
            grant: pass.id,
            request: pass.request,
            person: pass.person.clone(),
            database: pass.database.clone(),
            kinds: pass.kinds.iter().map(|kind| kind.as_str()).collect(),
            uses: pass.uses.iter().map(|use_| use_.as_str()).collect(),
            relations: pass.relations.iter().cloned().collect(),
            labels: pass.labels.iter().map(ToString::to_string).collect(),
            approval: pass.approval.clone(),
            once: true,
            expires: pass.expires.to_string(),
            rows_left: pass.limit.rows,
            bytes_left: pass.limit.bytes,
            subjects_left: pass.limit.subjects,
            sink: pass.has_sink,
            statements: Some(1),
        }
    }
}

/// A held statement, for the eyes of its approvers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The request.
    pub info: RequestInfo,
    /// The statement that waits.
    pub statement: StatementId,
    /// Peer address of who asks.
    pub address: String,
    /// `application_name`, made safe for display.
    pub client: String,
    /// From where statements wait for it now, the first few places.
    pub waits: Vec<WaitsFrom>,
    /// Role used upstream.
    pub db_user: String,
    /// Relations it reaches.
    pub relations: Vec<String>,
    /// Labels it touches.
    pub labels: Vec<String>,
    /// Rules that asked.
    pub rules: Vec<String>,
    /// What led to it.
    pub because: Because,
    /// What it may deliver.
    pub limit: Limit,
    /// What became of the requester's earlier requests.
    pub history: History,
    /// What was said about it.
    pub comments: Vec<Comment>,
    /// SHA-256 (hex) of the canonical request.
    pub canonical_sha256: String,
    /// The SQL, made safe for display.
    pub sql: Page,
    /// The texts that it goes on with by their names, made safe for display.
    pub behind: Vec<Page>,
    /// The bind values, the first thousand of them.
    pub parameters: Vec<ShownParameter>,
    /// How many bind values there are.
    pub parameters_total: usize,
    /// Whether something is not shown here. An approval is refused until all of it has been fetched
    /// with `Desk::show_more`.
    pub truncated: bool,
}

/// From where sessions wait for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitsFrom {
    /// Their peer address.
    pub address: String,
    /// Their `application_name`, made safe for display.
    pub client: String,
    /// How many there are.
    pub sessions: usize,
}

/// A bind value, for the eyes of approvers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownParameter {
    /// Type OID that Parse gave, 0 for none.
    pub type_oid: u32,
    /// 0 text, 1 binary.
    pub format: i16,
    /// The value; `None` is NULL.
    pub value: Option<Page>,
}

/// A part of a held statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The SQL.
    Sql,
    /// A text that it goes on with by its name, counted from 0.
    Behind(usize),
    /// A bind value, counted from 0.
    Parameter(usize),
}
