//! What is kept of a person beside their authenticators.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Sealed like an authenticator, and gone with its person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keeping {
    /// They have had an authenticator.
    #[serde(default)]
    pub(crate) had: bool,
    /// From where they have succeeded: addresses, and hashes of devices' cookies.
    #[serde(default)]
    pub(crate) trusted: BTreeSet<String>,
    /// Wrong codes in a row from elsewhere, for each authenticator.
    #[serde(default)]
    pub(crate) failed: BTreeMap<String, u32>,
    /// A code by which they may enrol a first authenticator.
    #[serde(default)]
    pub(crate) enrol_code: Option<EnrolCode>,
    /// An operator wants all their authenticators removed, until then.
    #[serde(default)]
    pub(crate) reset_asked_until_us: Option<i64>,
    /// Two people have removed all their authenticators: until then a first one may be enrolled again.
    #[serde(default)]
    pub(crate) reset_until_us: Option<i64>,
}

/// An enrolment code that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolCode {
    /// Keyed hash of it.
    pub(crate) hash: [u8; 32],
    /// When it lapses.
    pub(crate) until_us: i64,
}
