//! Passkeys as a factor among others.

use std::sync::Arc;

use serde_json::Value;
use stepgate_approval::{
    Begun, Ceremony, Credential, Enrolled, Factor, FactorError, Method, Proof, Verified,
};
use zeroize::Zeroizing;

use crate::{Assertion, Enrolment, Passkey, Rejected, Roots, Site, UserHandle};

/// Passkeys and security keys of one console.
#[derive(Debug, Clone)]
pub struct PasskeyFactor {
    site: Site,
    roots: Option<Roots>,
}

impl PasskeyFactor {
    /// For the pages of this site. With `roots`, a key that cannot be copied and whose maker is one of them is
    /// `device-bound`.
    #[must_use]
    pub const fn new(site: Site, roots: Option<Roots>) -> Self {
        Self { site, roots }
    }

    fn enrolment<'a>(
        &'a self,
        ceremony: &'a Ceremony<'_>,
        person: &'a UserHandle,
        existing: &'a [Passkey],
    ) -> Enrolment<'a> {
        let roots = self.roots.as_ref();
        Enrolment { site: &self.site, challenge: &ceremony.binding, person, existing, roots }
    }
}

impl Factor for PasskeyFactor {
    fn method(&self) -> Method {
        Method::Passkey
    }

    fn begin(&self, ceremony: &Ceremony<'_>) -> Result<Begun, FactorError> {
        let passkeys = passkeys(ceremony);
        if passkeys.is_empty() {
            return Err(FactorError::NotEnrolled);
        }
        let assertion = Assertion { site: &self.site, challenge: &ceremony.binding, passkeys: &passkeys };
        Ok(Begun { shown: assertion.options()?, kept: Zeroizing::new(Vec::new()), message: None })
    }

    fn check(&self, ceremony: &Ceremony<'_>, _: &[u8], proof: &Proof) -> Result<Verified, FactorError> {
        let passkeys = passkeys(ceremony);
        let assertion = Assertion { site: &self.site, challenge: &ceremony.binding, passkeys: &passkeys };
        let passkey = assertion.finish(answer(proof)?)?;
        let credential = find(ceremony.credentials, &passkey).ok_or(FactorError::UnknownAuthenticator)?;
        Ok(Verified {
            id: credential.id.clone(),
            strength: passkey.strength(),
            state: passkey.state(),
            counter: u64::from(passkey.counter()),
        })
    }

    fn enrol(&self, ceremony: &Ceremony<'_>, _: &Value) -> Result<Begun, FactorError> {
        let existing = passkeys(ceremony);
        let person = match existing.first() {
            Some(passkey) => passkey.person().clone(),
            None => UserHandle::generate(ceremony.entropy).map_err(|_| FactorError::NoEntropy)?,
        };
        let shown = self.enrolment(ceremony, &person, &existing).options(ceremony.person)?;
        Ok(Begun { shown, kept: Zeroizing::new(person.as_bytes().to_vec()), message: None })
    }

    fn confirm(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Enrolled, FactorError> {
        let person = UserHandle::from_bytes(kept).ok_or(FactorError::Malformed)?;
        let existing = passkeys(ceremony);
        let enrolment = self.enrolment(ceremony, &person, &existing);
        let passkey = enrolment.finish(answer(proof)?, ceremony.now)?;
        Ok(Enrolled {
            secret: Zeroizing::new(passkey.secret()),
            state: passkey.state(),
            strength: passkey.strength(),
            counter: u64::from(passkey.counter()),
        })
    }
}

/// The person's passkeys. One that cannot be read is none: nobody answers with it.
fn passkeys(ceremony: &Ceremony<'_>) -> Vec<Passkey> {
    ceremony.credentials.iter().filter_map(|one| Passkey::read(&one.secret, &one.state)).collect()
}

fn find<'a>(credentials: &'a [Arc<Credential>], passkey: &Passkey) -> Option<&'a Arc<Credential>> {
    credentials
        .iter()
        .find(|one| Passkey::read(&one.secret, &one.state).is_some_and(|stored| stored.id() == passkey.id()))
}

fn answer(proof: &Proof) -> Result<&Value, FactorError> {
    match proof {
        Proof::Passkey(answer) => Ok(answer),
        Proof::Code(_) | Proof::Push { .. } | Proof::Oidc(_) => Err(FactorError::Malformed),
    }
}

impl From<Rejected> for FactorError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::TooLong | Rejected::Unreadable => Self::Malformed,
            Rejected::OtherKind
            | Rejected::OtherChallenge
            | Rejected::OtherOrigin
            | Rejected::CrossOrigin
            | Rejected::OtherSite => Self::Mismatched,
            Rejected::NotPresent | Rejected::NotVerified => Self::NotVerified,
            Rejected::Unknown => Self::UnknownAuthenticator,
            Rejected::BadSignature => Self::Wrong,
            Rejected::PossibleCompromise | Rejected::BackupChanged => Self::Compromised,
            Rejected::Enrolled => Self::NotTaken("this one is enrolled already"),
            Rejected::TooMany => Self::NotTaken("you have as many as can be; remove one first"),
            Rejected::BadKey => Self::NotTaken("it makes keys of a kind that is not supported"),
            Rejected::BadAttestation => Self::NotTaken("what it says of its maker is not valid"),
        }
    }
}
