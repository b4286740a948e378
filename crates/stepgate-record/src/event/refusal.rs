//! Why the gate itself refuses a statement, whatever the rules say of it.

use serde::{Deserialize, Serialize};

/// In a word, and no other than these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// It would cancel or end what somebody else does, or may.
    NotOwnSession,
    /// It would change a setting of the gate's own (`stepgate.person`).
    SettingOfTheGate,
    /// It chooses a `client_encoding` in which no statement could be read.
    ClientEncoding,
    /// The catalog of its database cannot be read.
    CatalogUnknown,
    /// Its person was removed, or has another role by now.
    NoLongerKnown,
    /// What it copies of labelled columns is more than is kept track of.
    TooManyLabels,
    /// Its person has too many open requests.
    TooManyRequests,
    /// Requests of its person went unanswered not long ago.
    CoolingDown,
    /// The gate has too many open requests, waiters or held bytes.
    DeskFull,
    /// Nobody could answer its request.
    Unanswerable,
    /// Its request could not be kept, opened, joined or left for another reason.
    RequestFailed,
    /// There is no randomness for the name of a request.
    NoRandomness,
    /// The gate is stopping.
    Stopping,
    /// Its client cancelled it before it was sent on.
    CalledOff,
    /// Its transaction has failed: PostgreSQL would have refused it unseen.
    FailedTransaction,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::NotOwnSession,
        Self::SettingOfTheGate,
        Self::ClientEncoding,
        Self::CatalogUnknown,
        Self::NoLongerKnown,
        Self::TooManyLabels,
        Self::TooManyRequests,
        Self::CoolingDown,
        Self::DeskFull,
        Self::Unanswerable,
        Self::RequestFailed,
        Self::NoRandomness,
        Self::Stopping,
        Self::CalledOff,
        Self::FailedTransaction,
    ];

    /// The word used in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOwnSession => "not-own-session",
            Self::SettingOfTheGate => "setting-of-the-gate",
            Self::ClientEncoding => "client-encoding",
            Self::CatalogUnknown => "catalog-unknown",
            Self::NoLongerKnown => "no-longer-known",
            Self::TooManyLabels => "too-many-labels",
            Self::TooManyRequests => "too-many-requests",
            Self::CoolingDown => "cooling-down",
            Self::DeskFull => "desk-full",
            Self::Unanswerable => "unanswerable",
            Self::RequestFailed => "request-failed",
            Self::NoRandomness => "no-randomness",
            Self::Stopping => "stopping",
            Self::CalledOff => "called-off",
            Self::FailedTransaction => "failed-transaction",
        }
    }
}
