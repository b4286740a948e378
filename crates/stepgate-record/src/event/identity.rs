//! People as others know them: accounts at identity providers and directories, groups that these supply for a while, and
//! passwords for databases that a login mints.

use serde::{Deserialize, Serialize};
use stepgate_types::{GroupName, Who};

/// Somebody logged in at an identity provider, or tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderLogin {
    /// Who; `None`: nobody here.
    pub person: Option<Who>,
    /// Who it is there: its own, unchanging name of them.
    pub account: Who,
    /// Peer address, without port.
    pub address: Who,
    /// Why not, in a word: `unknown`, `taken` (the name here is somebody's who has another account or none), `service`,
    /// `name` (it names nobody that could be here), `unverified-name`, `groups` (not to be read, or more than a token
    /// holds). `None`: they are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// An account elsewhere is somebody's here, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Whose.
    pub person: Who,
    /// `oidc` or `ldap`.
    pub source: String,
    /// Who they are there.
    pub account: Who,
    /// By whom; `None` is the operator at the gate's own machine, or the source itself, which has made the person.
    pub by: Option<Who>,
    /// The operator, where one did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}

/// The groups that somebody is in by what a source says, in place of those that it said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// Who.
    pub person: Who,
    /// `oidc` or `ldap`.
    pub source: String,
    /// All of them; none: it says nothing of them any more.
    pub groups: Vec<GroupName>,
    /// Until when they count unless it says so again.
    pub until_us: i64,
    /// How many more it named that mean nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
}

/// A password for databases that a login has minted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintedPassword {
    /// Whose.
    pub person: Who,
    /// Which; tells nothing of it.
    pub password: String,
    /// Until when it lets them in, where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<i64>,
    /// How they had proven who they are (`oidc`, or the factor besides a password), where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Peer address, without port, where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Who>,
    /// Why it ended, where it did before its time: `logout`, `session-killed`, `password-set`, `unlinked`, `too-many`,
    /// `person-removed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Who>,
    /// The operator, where one did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}
