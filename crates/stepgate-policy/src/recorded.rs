//! Deciding once more about what was decided, by what the log's record of it says.
//!
//! A record holds names, uses and numbers, never the statement; so a candidate policy may ask what no record tells: of
//! a column that had no label then, of a value between two thresholds, of somebody whose name was erased. Whatever hangs
//! on such a thing is [`Replayed::Undecidable`], with what is missing. Nothing is guessed: each rule is held against
//! everything that the record leaves open (`range`), and only where all of it comes to the same is that the outcome.
//! The outcome itself is made by the one procedure that decides live (`decide`).

mod moment;
mod open;
mod outcome;
mod predicate;
mod range;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use stepgate_sql::Comparison;
use stepgate_types::{
    Action, BulkShape, Certainty, ColumnName, Estimator, GroupName, Kind, Label, Per, PersonName,
    RelationName, Timestamp, Use,
};

use crate::signal::Signals;
use crate::{Budget, Decision, Map, Ruleset, key};

/// What a record tells of a message and of who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Who and from where, as far as that is still known.
    pub by: RecordedBy,
    /// Kinds of the message's statements, in order.
    pub kinds: Vec<Kind>,
    /// Kinds of what runs within them; `None`: nothing is said of that.
    pub runs: Option<BTreeSet<Kind>>,
    /// How far the facts can be trusted.
    pub certainty: Certainty,
    /// Which doubts there were, by the rules of the map's `unknown:` that matched.
    pub doubts: RecordedDoubts,
    /// Base relations reached.
    pub relations: BTreeSet<RelationName>,
    /// Base columns that were classified by the map of that time.
    pub columns: Vec<RecordedColumn>,
    /// Kinds of the places where it stores what it reads, in the words of records.
    pub sinks: BTreeSet<String>,
    /// Whether it counts as bulk.
    pub bulk: BulkShape,
    /// Upper bound of its rows.
    pub estimate: Option<u64>,
    /// Whose that is; the planner's is the next power of ten.
    pub estimated_by: Estimator,
    /// How many bind values it had.
    pub parameters: u64,
    /// On which side of thresholds the values lie that it compares columns with.
    pub buckets: Vec<RecordedBucket>,
    /// Functions called, as `schema.name`.
    pub functions: BTreeSet<String>,
    /// What the client said it wanted the data for, where the rules of that time named that.
    pub purpose: Option<String>,
    /// What was seen of the signals that somebody looked for.
    pub signals: Signals,
    /// Lists of the record lost their end: what it says is not all.
    pub shortened: bool,
    /// When.
    pub at: Timestamp,
}

/// Who sent a message. `None`: the record's commitment can be opened no more, or was never recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedBy {
    /// The person.
    pub person: Option<PersonName>,
    /// Their groups at the time.
    pub groups: BTreeSet<GroupName>,
    /// Whether they are a service.
    pub service: bool,
    /// Name of the database in the gate's configuration.
    pub database: String,
    /// The role used upstream.
    pub db_user: String,
    /// Peer address.
    pub address: Option<IpAddr>,
    /// `application_name`.
    pub client: Option<String>,
}

/// Which entries of the map's `unknown:` applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordedDoubts {
    /// `unknown.functions`.
    pub functions: bool,
    /// `unknown.dynamic_sql`.
    pub dynamic_sql: bool,
    /// `unknown.statements`.
    pub statements: bool,
    /// An entry of the map of that time named nothing: another map may do better.
    pub by_map: bool,
}

/// A column that was classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedColumn {
    /// The base column.
    pub column: ColumnName,
    /// Its label then.
    pub label: Option<Label>,
    /// The name of its class then.
    pub class: String,
    /// Its uses.
    pub uses: BTreeSet<Use>,
}

/// A comparison of a column that had thresholds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedBucket {
    /// The column.
    pub column: ColumnName,
    /// How it is compared.
    pub op: Comparison,
    /// How many of the column's thresholds the value is at or above; -1 where that could not be told.
    pub bucket: i64,
}

/// The most buckets that a record holds: with so many, there may have been more.
const MAX_BUCKETS: usize = 16;

/// What is known of the rules that were in force when a record was made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Then<'r> {
    /// The map; `None` where only its hash is known.
    pub map: Option<&'r Map>,
    /// Whether it is the same text as the candidate's.
    pub is_same_map: bool,
    /// The rules; `None` where only their hash is known.
    pub rules: Option<&'r Ruleset>,
    /// Whether the planner's estimate would stand in the record if the planner had been worth asking: it was asked, or
    /// never is in this database.
    pub is_planned: bool,
}

/// What a candidate would decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// This.
    Decided(Box<Decision>),
    /// The record does not tell. For which lack of it.
    Undecidable(BTreeSet<Gap>),
}

/// What a record does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// Whether it touched a column that the map of that time did not classify.
    Label,
    /// How it compared a column, or with what.
    Value,
    /// How many rows the planner would have estimated, or how many exactly.
    Estimate,
    /// Who it was: erased.
    Person,
    /// From which address: erased, or the session's first record is gone.
    Network,
    /// By which client: erased, or the session's first record is gone.
    Client,
    /// Which of the message's several statements did what.
    Several,
    /// The record was too long and lost a part.
    Shortened,
    /// Whether the candidate's map fits the catalog of that time.
    Catalog,
    /// Whether a window of time had begun or ended: it was decided just before or after.
    Time,
    /// What a signal would have been: nobody looked for it, or by other settings.
    Signal,
    /// What a client said it wanted the data for: a word that the rules of that time did not know.
    Purpose,
    /// How much it delivered, or what was before it in a session or window that a limit counts over.
    Delivered,
    /// Something of which records have no word.
    Unrecorded,
    /// More is open than is tried.
    TooMuch,
}

impl Gap {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Value => "value",
            Self::Estimate => "estimate",
            Self::Person => "person",
            Self::Network => "network",
            Self::Client => "client",
            Self::Several => "several",
            Self::Shortened => "shortened",
            Self::Catalog => "catalog",
            Self::Time => "time",
            Self::Signal => "signal",
            Self::Purpose => "purpose",
            Self::Delivered => "delivered",
            Self::Unrecorded => "unrecorded",
            Self::TooMuch => "too-much",
        }
    }

    /// What it means, in a sentence without a full stop.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Label => "whether it touched a column that the map of that time did not label",
            Self::Value => {
                "how it compared a column, or on which side of the rule's value (no `threshold:` there then)"
            }
            Self::Estimate => "how many rows the planner would have estimated",
            Self::Person => "who it was: the name was erased",
            Self::Network => "the address: erased, or the session began before the log does",
            Self::Client => "the client: erased, or the session began before the log does",
            Self::Several => "which of the message's statements did what",
            Self::Shortened => "all of it: the record was too long",
            Self::Catalog => "whether the candidate's map fitted the catalog of that time",
            Self::Time => "the time of the decision: within seconds of a window's end",
            Self::Signal => "a signal: it had no weight then, or other settings",
            Self::Purpose => "the purpose: a word that the rules of that time did not name",
            Self::Delivered => "how much it, or what was before it in the session or window, delivered",
            Self::Unrecorded => "something that was not recorded then",
            Self::TooMuch => "too many things at once",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Ruleset {
    /// What these rules would have decided about a recorded message, as far as its record tells. Pure.
    #[must_use]
    pub fn replay(&self, recorded: &Recorded, then: Then<'_>) -> Replayed {
        outcome::replay(self.map(), self.policy(), recorded, then)
    }

    /// The action of the rule of that name.
    #[must_use]
    pub fn rule_action(&self, name: &str) -> Option<Action> {
        self.policy().rules.iter().find(|rule| rule.name == name).map(|rule| rule.action)
    }

    /// Whether the rule of that name limits nothing.
    #[must_use]
    pub fn rule_is_unlimited(&self, name: &str) -> bool {
        self.policy().rules.iter().any(|rule| rule.name == name && rule.limits.is_none())
    }

    /// Whether any rule is about the time of day.
    #[must_use]
    pub fn asks_for_time(&self) -> bool {
        self.policy().rules.iter().any(|rule| moment::asks_for_time(&rule.condition))
    }

    /// Over how long limits count what people are delivered, at most; of a session, a day is enough. `None`: none does.
    #[must_use]
    pub fn counts_over(&self) -> Option<Duration> {
        let meters = self.policy().rules.iter().flat_map(|rule| &rule.limits.meters);
        meters
            .map(|(per, _)| match per {
                Per::Window(window) => *window,
                Per::Session | Per::Statement => Duration::from_secs(86_400),
            })
            .max()
    }

    /// How often people are to be asked at most (`budget`).
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.policy().budget
    }
}

/// Reads a relation as records write it.
#[must_use]
pub fn recorded_relation(text: &str) -> Option<RelationName> {
    key::relation(text).ok()
}

/// Reads a column as records write it.
#[must_use]
pub fn recorded_column(text: &str) -> Option<ColumnName> {
    key::column(text).ok()
}

/// Reads an operator as records write it.
#[must_use]
pub fn recorded_comparison(text: &str) -> Option<Comparison> {
    use Comparison::{Eq, Ge, Gt, In, IsNull, Le, Like, Lt, Ne, Other};
    [Eq, Ne, Lt, Le, Gt, Ge, In, Like, IsNull, Other].into_iter().find(|it| it.as_str() == text)
}
