//! What an ID token says, once its signature, issuer, audience, nonce and times were found right.

use std::collections::BTreeMap;
use std::time::Duration;

use openidconnect::core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm};
use openidconnect::{AdditionalClaims, IdTokenClaims};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stepgate_approval::Proof;
use stepgate_types::{PersonName, Strength, Timestamp};

use super::flow::Bad;
use super::groups::{Groups, Rules};
use super::provider::Settings;

/// The claims that the standard does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Extra {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

impl AdditionalClaims for Extra {}

/// All claims of a token.
pub(super) type Claims = IdTokenClaims<Extra, CoreGenderClaim>;

/// A token as it comes.
pub(super) type IdToken = openidconnect::IdToken<
    Extra,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What a token calls somebody, by the claim that the configuration takes. Not to be trusted to be theirs for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// This.
    Name(PersonName),
    /// Nothing, or nothing that anybody could be called here.
    Nothing,
    /// By an e-mail address of which the provider does not say that it is theirs.
    Unverified,
}

/// Who has just logged in at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// What the token was made for, as [`super::Oidc::begin`] was given it, in hexadecimal.
    pub nonce: String,
    /// Whose word it is.
    pub issuer: String,
    /// The provider's own, unchanging name of them (`sub`): what a person is linked by.
    pub subject: String,
    /// When they last logged in there (`auth_time`), where it says so.
    pub at: Option<Timestamp>,
    /// In which way (`acr`), where it says so.
    pub acr: Option<String>,
    /// What that is worth by the configuration; one that it does not name, or none, is worth least.
    pub strength: Strength,
    /// What they are called there.
    pub called: Called,
    /// The groups that the claim of the configuration names, as they are called here.
    pub groups: Groups,
}

impl Authenticated {
    /// What proves it to the desk.
    #[must_use]
    pub fn proof(&self) -> Proof {
        let Self { issuer, subject, nonce, strength, .. } = self;
        Proof::Oidc(json!({"iss": issuer, "sub": subject, "nonce": nonce, "strength": strength}))
    }
}

/// What they are called, by the claim that the configuration takes. Those of the standard are not among the others.
pub(super) fn called(claims: &Claims, settings: &Settings) -> Called {
    let name = match settings.person_claim.as_str() {
        "preferred_username" => claims.preferred_username().map(|name| name.to_string()),
        "sub" => Some(claims.subject().to_string()),
        "email" if claims.email_verified() != Some(true) => {
            return if claims.email().is_some() { Called::Unverified } else { Called::Nothing };
        }
        "email" => claims.email().map(|email| email.to_string()),
        claim => claims.additional_claims().at(claim).and_then(Value::as_str).map(str::to_owned),
    };
    name.and_then(|name| name.parse().ok()).map_or(Called::Nothing, Called::Name)
}

/// From when on it counts, where it says so: in seconds, and parts of them where it likes.
pub(super) fn not_before(claims: &Claims) -> Result<Option<Timestamp>, Bad> {
    let Some(from) = claims.additional_claims().all.get("nbf") else { return Ok(None) };
    let from = from.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let from = from.ok_or(Bad::Token("nbf is no time"))?;
    Ok(Some(Timestamp::from_micros(0).plus(from)))
}

/// The groups, by the claim and the rules that the configuration has.
pub(super) fn groups(claims: &Claims, settings: &Settings) -> Groups {
    let extra = claims.additional_claims();
    let Some(Rules { claim, .. }) = &settings.groups else { return Groups::None };
    // Too many for the token: they are somewhere else (OpenID Connect Core 1.0 section 5.6.2, and Entra's own word).
    let elsewhere = extra.all.get("_claim_names").is_some_and(|names| names.get(claim).is_some());
    if elsewhere || extra.all.contains_key("hasgroups") {
        return Groups::Unreadable;
    }
    settings.groups.as_ref().map_or(Groups::None, |rules| rules.read(extra.at(claim)))
}

impl Extra {
    /// The claim of that name, or the one that is found by it step for step (`realm_access.roles`).
    fn at(&self, claim: &str) -> Option<&Value> {
        self.all.get(claim).or_else(|| {
            let mut steps = claim.split('.');
            let first = self.all.get(steps.next()?)?;
            steps.try_fold(first, |value, step| value.get(step))
        })
    }
}
