//! What an ID token says, once its signature, issuer, audience, nonce and times were found right.

use std::collections::{BTreeMap, BTreeSet};

use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stepgate_approval::Proof;
use stepgate_types::{GroupName, PersonName, Strength, Timestamp};

use super::provider::Settings;

/// Groups of a person that are read at most.
const MAX_GROUPS: usize = 64;

/// The claims that the standard does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Extra {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

impl AdditionalClaims for Extra {}

/// Who has just logged in at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// What the token was made for, as [`super::Oidc::begin`] was given it, in hexadecimal.
    pub nonce: String,
    /// Whose word it is.
    pub issuer: String,
    /// The provider's own, unchanging name of them (`sub`): what a person is linked by.
    pub subject: String,
    /// When they last logged in there (`auth_time`).
    pub at: Timestamp,
    /// In which way (`acr`), of those that the configuration accepts.
    pub acr: String,
    /// What that is worth.
    pub strength: Strength,
    /// What the claim of the configuration calls them; not to be trusted to be theirs for ever.
    pub name: Option<PersonName>,
    /// The groups that the claim of the configuration names, those that can be groups here.
    pub groups: BTreeSet<GroupName>,
}

impl Authenticated {
    /// What proves it to the desk.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let Self { issuer, subject, nonce, strength, .. } = self;
        Proof::Oidc(json!({"iss": issuer, "sub": subject, "nonce": nonce, "strength": strength}))
    }
}

impl Extra {
    /// The name by the claim that the configuration takes.
    pub(super) fn name(&self, settings: &Settings, standard: Option<&str>) -> Option<PersonName> {
        let named = self.all.get(&settings.person_claim).and_then(Value::as_str);
        named.or(standard).and_then(|name| name.parse().ok())
    }

    /// The groups by the claim that the configuration takes.
    pub(super) fn groups(&self, settings: &Settings) -> BTreeSet<GroupName> {
        let Some(claim) = &settings.groups_claim else { return BTreeSet::new() };
        let listed = self.all.get(claim).and_then(Value::as_array).into_iter().flatten();
        listed.filter_map(|group| group.as_str()?.parse().ok()).take(MAX_GROUPS).collect()
    }
}
