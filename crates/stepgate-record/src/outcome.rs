//! How requests end, and why some stay open: the words of records.

use serde::{Deserialize, Serialize};

/// Why a request stays open although nobody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deferral {
    /// The hold lasted as long as it may.
    Lapsed,
    /// The client left.
    ClientGone,
    /// The open transaction must not wait.
    InTransaction,
}

impl Deferral {
    /// The word used in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::ClientGone => "client-gone",
            Self::InTransaction => "in-transaction",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Verified or approved.
    Approved,
    /// Denied by a person.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Cancelled by the person who asked (Ctrl-C, or `request cancel`).
    Cancelled,
    /// The client or the gate went away, or what was asked is no longer what would run.
    Withdrawn,
}

impl Outcome {
    /// The word used in records and listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Withdrawn => "withdrawn",
        }
    }
}
