//! What is asked of people: the immutable part of a request.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepgate_types::{
    Action, GroupName, Kind, Label, Limit, PersonName, RelationName, RequestId, StatementId, Strength,
    Timestamp, Use,
};

/// Everything an approval is bound to, besides the held bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The request's id.
    pub id: RequestId,
    /// The statement that waits.
    pub statement: StatementId,
    /// Who asks.
    pub person: PersonName,
    /// Database role used upstream.
    pub db_user: String,
    /// Peer address.
    pub address: IpAddr,
    /// `application_name`.
    pub client: String,
    /// Name of the database in the gate's configuration.
    pub database: String,
    /// Kinds of the message's statements.
    pub kinds: BTreeSet<Kind>,
    /// All uses of classified columns.
    pub uses: BTreeSet<Use>,
    /// All base relations reached.
    pub relations: BTreeSet<RelationName>,
    /// What the names of those that last stand for, each as a digest of OID and columns: what is renamed in their place is
    /// something else.
    #[serde(default)]
    pub objects: BTreeSet<String>,
    /// Labels touched.
    pub labels: BTreeSet<Label>,
    /// Rank of the most sensitive class touched other than by `write` alone; 0 where none is.
    pub class_rank: u32,
    /// Rank of the most sensitive class among the columns with the use `output`; 0 where none is. An
    /// approval to compare by a restricted column is none to show it.
    pub output_rank: u32,
    /// Facts of certainty `unknown` are never covered by, and never make, a grant.
    pub exactly_known: bool,
    /// Whether the statement stores what it reads: it makes a grant only where the terms say so.
    pub has_sink: bool,
    /// `step-up` or `approve`.
    pub action: Action,
    /// Whether the statement waits, and what becomes of the request when it does not any more.
    pub mode: Mode,
    /// What it may deliver by this approval, and by the grant or pass that this makes.
    pub limit: Limit,
    /// Rules that asked for it.
    pub rules: Vec<String>,
    /// One line for people: what it reads, of which class, about how many rows, by which rule. Catalog
    /// names only.
    pub summary: String,
    /// SHA-256 (hex) of map and policy.
    pub policy_sha256: String,
    /// Who may answer, how, until when.
    pub terms: Terms,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it lapses.
    pub expires: Timestamp,
    /// It is asked ahead of time, for a service: by whom, and for which statements.
    pub ahead: Option<Ahead>,
    /// What led to it, for those who answer.
    pub because: Because,
}

/// A request for statements that a service will send later, opened by a person (DESIGN §3 *services*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Who opened it: the requester, besides the service.
    pub by: PersonName,
    /// When what comes of it ends.
    pub until: Timestamp,
    /// HMAC-SHA-256 of each statement under a key of the vault, by which it is known again.
    pub statements: BTreeSet<[u8; 32]>,
}

/// What led to a request: names of the policy and figures, nothing of the statement's text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Because {
    /// An upper bound of the rows that it returns: a power of ten, unless the catalog counted them; `None` is unknown.
    pub estimate: Option<u64>,
    /// Each rule that matched, with the clause by which it did.
    pub why: Vec<String>,
    /// Each signal that raised the risk, with its weight.
    pub risk: Vec<(String, u32)>,
}

impl Because {
    /// The sum of all signals that raised the risk, at most 100.
    #[must_use]
    pub fn risk(&self) -> u32 {
        self.risk.iter().fold(0_u32, |sum, (_, weight)| sum.saturating_add(*weight)).min(100)
    }
}

impl Ask {
    /// Who opened it.
    #[must_use]
    pub fn asker(&self) -> &PersonName {
        self.ahead.as_ref().map_or(&self.person, |ahead| &ahead.by)
    }

    /// Whether this person is, or stands behind, who asks: then the request is not theirs to approve.
    #[must_use]
    pub fn is_of(&self, person: &PersonName) -> bool {
        self.person == *person || self.asker() == person
    }
}

/// How a statement comes to run once it is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It waits on the open connection, and its request ends with the wait.
    Hold,
    /// It waits; when it cannot wait any more, its request stays open, and after approval it passes once when it
    /// is sent again.
    HoldThenDefer,
    /// It does not wait: after approval it passes once when it is sent again.
    Defer,
    /// It has not been sent yet: after approval it passes whenever it is, for as long as that was approved for.
    Ahead,
}

impl Mode {
    /// The word in the canonical request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::HoldThenDefer => "hold-then-defer",
            Self::Defer => "defer",
            Self::Ahead => "ahead",
        }
    }

    /// Whether its request may outlive the statement's wait.
    #[must_use]
    pub const fn may_defer(self) -> bool {
        !matches!(self, Self::Hold | Self::Ahead)
    }
}

/// Who may answer a request, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Name of the approval in the policy.
    pub approval: String,
    /// The person answers it themselves.
    pub itself: bool,
    /// Groups whose members may answer it.
    pub groups: BTreeSet<GroupName>,
    /// How many distinct people must approve.
    pub count: u32,
    /// The least strength of the factor.
    pub strength: Strength,
    /// Whether a reason must be given.
    pub reason_required: bool,
    /// How long an approval is remembered as a grant; `None`: once.
    pub remember: Option<Duration>,
    /// Whether the grant is bound to `client`, to `address`, to the session, to the labels.
    pub scope: Scope,
    /// Whether it is remembered though its statement stores what it reads: the policy says so, and all of it goes into
    /// relations that the statement is known to reach.
    pub sink: bool,
    /// Who else may answer it, once nobody has for so long.
    pub escalate: Option<Escalate>,
}

impl Terms {
    /// What one execution that is approved is bound to, besides person, database and statement: the client and the address of
    /// who asked, but for what the policy says that need not be the same. Not the session: whoever was told to come again
    /// may come in another, and where it would be, client and address are in its stead.
    #[must_use]
    pub const fn once(&self) -> Scope {
        let Scope { client, network, session, labels } = self.scope;
        let strict = session || self.remember.is_none();
        Scope { client: client || strict, network: network || strict, session: false, labels }
    }
}

/// Whom a request goes to besides when it is not answered (policy: `escalate`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalate {
    /// How long after it was opened.
    pub after: Duration,
    /// Groups whose members may answer it then, besides those who could before.
    pub to: BTreeSet<GroupName>,
}

/// What, besides person, database and relations, a grant is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches of the policy's scope list")]
pub struct Scope {
    /// `application_name` must be the same.
    pub client: bool,
    /// The peer's address must be the same.
    pub network: bool,
    /// The session must be the same.
    pub session: bool,
    /// Labels must be among those approved.
    pub labels: bool,
}

/// The held statement itself: in memory only, shown to approvers from here, wiped when the request ends.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The exact SQL bytes.
    pub sql: Vec<u8>,
    /// The texts that it goes on with by their names (EXECUTE, FETCH), as they were sent when they were given those: part of
    /// what runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<Vec<u8>>,
    /// Bind values as they came, `None` is NULL.
    pub parameters: Vec<Option<Vec<u8>>>,
    /// Format codes of the values, one for each: 0 text, 1 binary.
    pub formats: Vec<i16>,
    /// Type OIDs that Parse gave, 0 where it gave none.
    pub types: Vec<u32>,
    /// How the session read the bytes.
    pub dialect: Dialect,
}

/// What the same bytes mean differently by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// `standard_conforming_strings`: a backslash in a literal is a backslash.
    pub standard_strings: bool,
    /// `client_encoding` is UTF8.
    pub utf8: bool,
    /// The effective search path, where that is certain.
    pub path: Option<Vec<String>>,
    /// `DateStyle`, `IntervalStyle` and `TimeZone`.
    pub times: [String; 3],
    /// What changes whenever a name that the statement hangs on comes to stand for another, or what it stands for changes; and
    /// with what else its session began.
    pub definitions: Option<String>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { standard_strings: true, utf8: true, path: None, times: Default::default(), definitions: None }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("sql_bytes", &self.sql.len())
            .field("parameters", &self.parameters.len())
            .finish()
    }
}

impl Held {
    /// How much memory it takes: a bind value costs its vector, type and format besides its bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let values = self.parameters.iter().map(|value| 32 + value.as_ref().map_or(0, Vec::len));
        let values = values.chain(self.behind.iter().map(|text| 32 + text.len()));
        values.fold(self.sql.len(), usize::saturating_add)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.sql.zeroize();
        for value in self.parameters.iter_mut().flatten().chain(&mut self.behind) {
            value.zeroize();
        }
    }
}
