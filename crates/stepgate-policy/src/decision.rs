//! A decision and everything that led to it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use stepgate_types::{
    Action, Class, ColumnName, Estimator, GroupName, Label, Limit, Per, PersonName, Strength, Timestamp, Use,
};

use crate::read::show_duration;
use crate::signal::{Signals, Weighed};

/// Who asks, from where, when, and what is unusual about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The person, as authenticated by the gate.
    pub person: PersonName,
    /// Their groups at this moment.
    pub groups: BTreeSet<GroupName>,
    /// Whether the person is a service: it never gets a `self` step-up.
    pub service: bool,
    /// Name of the database in the gate's configuration.
    pub database: String,
    /// The role used upstream.
    pub db_user: String,
    /// Peer address.
    pub address: IpAddr,
    /// `application_name`.
    pub client: String,
    /// When.
    pub now: Timestamp,
    /// What was seen of the signals that the policy gives a weight.
    pub signals: Signals,
    /// What the person says that they do it for: `stepgate.purpose`, or the statement's comment tag.
    pub purpose: Option<String>,
    /// What of the statement has been delivered: nothing, until a limit is reached.
    pub delivered: Delivered,
}

impl Circumstances {
    /// A person who connects to this database from there, in no group, with nothing else known: at the epoch.
    #[must_use]
    pub fn of(person: PersonName, database: &str, address: IpAddr) -> Self {
        Self {
            person,
            groups: BTreeSet::new(),
            service: false,
            database: database.to_owned(),
            db_user: String::new(),
            address,
            client: String::new(),
            now: Timestamp::from_micros(0),
            signals: Signals::none(),
            purpose: None,
            delivered: Delivered::default(),
        }
    }
}

/// What of a statement has been delivered, and the row that waits to be: nothing at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered {
    /// Rows.
    pub rows: u64,
    /// Bytes of rows and COPY data, headers included.
    pub bytes: u64,
}

/// The outcome for one message (the most severe of its statements), with all that led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The most severe action of all that matched.
    pub action: Action,
    /// Whether the policy enforces it; `false` under `mode: monitor`, where everything is forwarded.
    pub enforced: bool,
    /// Names of the rules that matched, most severe first. The map's `unknown:` entries appear as
    /// `unknown.functions` and so on, `control` as `control`.
    pub rules: Vec<String>,
    /// How the statement can be approved, where the action is `step-up` or `approve`.
    pub approval: Option<Approval>,
    /// Classified columns it touches (other than unlabelled ones), most sensitive first.
    pub touched: Vec<Touched>,
    /// The most sensitive class touched other than by `write` alone; for facts of certainty `unknown`
    /// the most sensitive class there is.
    pub class: Option<Class>,
    /// Whether the statement must be treated as flagged: it touches a label other than by `write`
    /// alone, its certainty is unknown, or its kind is `control`.
    pub risky: bool,
    /// Codes of what could not be known of it; empty where its certainty is not `unknown`.
    pub doubts: BTreeSet<&'static str>,
    /// An upper bound of the rows it returns or copies, summed over the message; `None` is unknown.
    /// The planner's is shown as the next power of ten: what its statistics know of values is nobody's to read who
    /// is still being asked.
    pub estimate: Option<u64>,
    /// Whose that is.
    pub estimated_by: Estimator,
    /// What the HINT says in addition, where the action became `deny` for a reason of its own: a service
    /// met a `step-up`, or no group is asked by all rules that ask for approval.
    pub hint: Option<&'static str>,
    /// What it may deliver before people are asked, or asked again: the least of all rules that matched.
    pub limit: Limit,
    /// What the person may be delivered in a session or window before: those of all rules that matched.
    pub meters: Vec<Metered>,
    /// By which approval a service's statement passes that was asked for ahead of time: that of `approve`, or where it
    /// was denied for meeting a `step-up`, `defaults.services`. `None` for people, and where nothing but denial matched.
    pub ahead: Option<Approval>,
    /// Who is asked then, and as what: `step-up` or `approve`. `None` where nothing is limited, or nobody can be asked.
    pub beyond: Option<(Action, Approval)>,
    /// Whether a rule that asks people or denies matched since so much has been delivered: then the statement has come to
    /// the end of a limit, also where nothing limits what is left of it.
    #[serde(skip)]
    pub reached: bool,
    /// The sum of the weights of the signals that fire, at most 100; `None` where the policy has no `risk:`.
    pub risk: Option<u32>,
    /// What was seen of each signal that the policy gives a weight.
    pub signals: Vec<Weighed>,
}

/// A limit on what a person is delivered by all statements that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metered {
    /// The rule.
    pub rule: String,
    /// Never [`Per::Statement`].
    #[serde(serialize_with = "shown")]
    pub per: Per,
    /// How much.
    pub limit: Limit,
}

impl Decision {
    /// Whether it limits what is delivered.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.limit.is_none() || !self.meters.is_empty()
    }

    /// How much more one approval lets out once a limit is reached: the least of all of them.
    #[must_use]
    pub fn more_at_once(&self) -> Limit {
        self.meters.iter().fold(self.limit, |least, meter| least.least(meter.limit))
    }
}

/// A classified column and what the statement does with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// The base column.
    pub column: ColumnName,
    /// Its label, where it has one.
    pub label: Option<Label>,
    /// Its class.
    pub class: Class,
    /// Its uses.
    pub uses: BTreeSet<Use>,
}

/// An entry of the policy's `approvals:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// Its name.
    pub name: String,
    /// Whether the person verifies themselves (`self: true`) rather than others approving.
    #[serde(rename = "self")]
    pub itself: bool,
    /// Groups whose members may approve.
    pub groups: BTreeSet<GroupName>,
    /// How many distinct people must approve; 1 where `itself`.
    pub count: u32,
    /// The least strength of the factor used.
    pub strength: Strength,
    /// Whether the approver must give a reason.
    pub reason_required: bool,
    /// How long the request stays open.
    #[serde(serialize_with = "in_words")]
    pub expires: Duration,
    /// Whether, and how long, an approval is remembered as a grant.
    pub remember: Option<Remember>,
    /// Who else may answer it, once nobody has for so long.
    pub escalate: Option<Escalation>,
}

/// Whom a request goes to besides when it is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Escalation {
    /// How long after it was opened.
    #[serde(serialize_with = "in_words")]
    pub after: Duration,
    /// Groups whose members may answer it then, besides those who could before.
    pub to: BTreeSet<GroupName>,
}

/// How an approval is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remember {
    /// For how long, from the approval on.
    #[serde(rename = "for", serialize_with = "in_words")]
    pub for_: Duration,
    /// What must be the same for the grant to cover a later statement. `person` always is.
    pub scope: BTreeSet<ScopePart>,
    /// Whether that of a statement which stores what it reads is remembered, too.
    pub sink: bool,
}

/// A part of a grant's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopePart {
    /// The person; always part.
    Person,
    /// `application_name`.
    Client,
    /// The peer's address.
    Network,
    /// The session.
    Session,
    /// The base relations. Always checked, named or not.
    Relations,
    /// The labels.
    Labels,
}

/// As policies write it: `15m`.
fn in_words<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&show_duration(*duration))
}

/// As policies write it.
fn shown<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
