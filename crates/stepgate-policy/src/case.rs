//! Cases of `tests:`: what a policy is to decide about a statement.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use stepgate_types::{Action, GroupName, PersonName, Timestamp};

use crate::signal::Signal;

/// One case: a statement, whose it is, and what is to become of it. What it does not say is for whoever runs it to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it shows, where it says.
    pub name: Option<String>,
    /// The line of its file at which it begins.
    pub line: u64,
    /// Who asks (`as`).
    pub person: PersonName,
    /// Their groups.
    pub groups: BTreeSet<GroupName>,
    /// Whether it is a service.
    pub service: bool,
    /// From which address.
    pub from: Option<IpAddr>,
    /// When.
    pub at: Option<Timestamp>,
    /// `application_name`.
    pub client: Option<String>,
    /// Through which database of the configuration.
    pub database: Option<String>,
    /// The role used upstream.
    pub db_user: Option<String>,
    /// `stepgate.purpose`.
    pub purpose: Option<String>,
    /// The signals that fire, where they are not to come of the history.
    pub signals: Option<BTreeSet<Signal>>,
    /// What came before, in the file's order.
    pub history: Vec<Past>,
    /// The statement.
    pub sql: String,
    /// The action of the decision.
    pub expect: Action,
    /// Rules that match, all of them; others may as well.
    pub rules: Vec<String>,
}

/// Something that the same person did, or that befell them, before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// How long before the case; the first time, where it came several times.
    pub ago: Duration,
    /// How often, at least once.
    pub times: u32,
    /// How long after each other. The last time is not after the case.
    pub every: Duration,
    /// From which address; that of the case, where it does not say.
    pub from: Option<IpAddr>,
    /// `application_name`; that of the case, where it does not say.
    pub client: Option<String>,
    /// What.
    pub what: PastEvent,
}

/// What came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastEvent {
    /// A statement was forwarded.
    Statement {
        /// Its text.
        sql: String,
        /// What it delivered.
        rows: u64,
        /// And in bytes.
        bytes: u64,
    },
    /// A statement was denied.
    Denied,
    /// A session was opened, and closed again.
    Login,
    /// A session was opened, and is open still.
    Open,
    /// A factor failed.
    FactorFailed,
    /// A factor was enrolled.
    FactorEnrolled,
}
