//! TOTP as a factor. A code is bound to the request it is handed in for, and spent with the answer.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    BadCode, Begun, Ceremony, Credential, Enrolled, Factor, FactorError, Method, Proof, Secret, Verified,
};

/// Codes of authenticator apps.
#[derive(Debug, Clone, Copy, Default)]
pub struct TotpFactor;

impl TotpFactor {
    /// The state of an authenticator whose last spent step is this.
    #[must_use]
    pub fn state(step: u64) -> Vec<u8> {
        step.to_be_bytes().to_vec()
    }

    /// The last step that was spent, if one was.
    #[must_use]
    pub fn last_step(credential: &Credential) -> Option<u64> {
        Some(u64::from_be_bytes(credential.state.as_slice().try_into().ok()?))
    }
}

fn code(proof: &Proof) -> Result<&str, FactorError> {
    match proof {
        Proof::Code(code) => Ok(code),
        Proof::Passkey(_) | Proof::Push { .. } | Proof::Oidc(_) => Err(FactorError::Malformed),
    }
}

impl From<BadCode> for FactorError {
    fn from(bad: BadCode) -> Self {
        match bad {
            BadCode::Wrong => Self::Wrong,
            BadCode::Replayed => Self::Replayed,
        }
    }
}

impl Factor for TotpFactor {
    fn method(&self) -> Method {
        Method::Totp
    }

    fn begin(&self, _: &Ceremony<'_>) -> Result<Begun, FactorError> {
        Ok(Begun { shown: json!({}), kept: Zeroizing::new(Vec::new()), message: None })
    }

    fn check(&self, ceremony: &Ceremony<'_>, _: &[u8], proof: &Proof) -> Result<Verified, FactorError> {
        let code = code(proof)?;
        if ceremony.credentials.is_empty() {
            return Err(FactorError::NotEnrolled);
        }
        // All are looked at, whichever it is; a code that one of them has spent may be good for none.
        let mut outcome = Err(FactorError::Wrong);
        for credential in ceremony.credentials {
            let Some(secret) = Secret::from_bytes(&credential.secret) else { continue };
            let checked = secret.check(code, ceremony.now, Self::last_step(credential));
            outcome = match (outcome, checked) {
                (Ok(verified), _) => Ok(verified),
                (Err(_), Ok(step)) => Ok(Verified {
                    id: credential.id.clone(),
                    strength: credential.strength,
                    state: Self::state(step),
                    counter: step,
                }),
                (Err(_), Err(BadCode::Replayed)) => Err(FactorError::Replayed),
                (failed, Err(BadCode::Wrong)) => failed,
            };
        }
        outcome
    }

    fn enrol(&self, ceremony: &Ceremony<'_>, _: &Value) -> Result<Begun, FactorError> {
        let secret = Secret::generate(ceremony.entropy).map_err(|_| FactorError::NoEntropy)?;
        let uri = secret.otpauth_uri(ceremony.person);
        let kept = Zeroizing::new(secret.as_bytes().to_vec());
        Ok(Begun { shown: json!({"otpauth_uri": *uri}), kept, message: None })
    }

    fn confirm(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Enrolled, FactorError> {
        let secret = Secret::from_bytes(kept).ok_or(FactorError::Malformed)?;
        let step = secret.check(code(proof)?, ceremony.now, None)?;
        Ok(Enrolled {
            secret: Zeroizing::new(kept.to_vec()),
            state: Self::state(step),
            strength: Method::Totp.strength(),
            counter: step,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stepgate_testkit::FakeEntropy;
    use stepgate_types::Timestamp;

    use super::*;
    use crate::AuthenticatorId;
    use crate::fixture::person;

    /// RFC 6238 appendix B.
    const SECRET: &[u8; 20] = b"12345678901234567890";

    fn credential(number: u8, secret: &[u8; 20], last: Option<u64>) -> Arc<Credential> {
        Arc::new(Credential {
            id: AuthenticatorId::new(Method::Totp, [number; 4]),
            name: "phone".to_owned(),
            enrolled: Timestamp::from_micros(0),
            counts_from: Timestamp::from_micros(0),
            strength: Method::Totp.strength(),
            state: last.map(TotpFactor::state).unwrap_or_default(),
            secret: Zeroizing::new(secret.to_vec()),
        })
    }

    fn check(credentials: &[Arc<Credential>], proof: &Proof) -> Result<Verified, FactorError> {
        let (dana, entropy) = (person("dana"), FakeEntropy::seeded(1));
        let ceremony = Ceremony {
            person: &dana,
            credentials,
            binding: [0; 32],
            request: None,
            now: Timestamp::from_micros(59_000_000),
            entropy: &entropy,
        };
        TotpFactor.check(&ceremony, &[], proof)
    }

    fn right() -> Proof {
        Proof::Code(Zeroizing::new("287082".to_owned()))
    }

    #[test]
    fn a_code_is_of_one_of_several_authenticators() {
        let (one, other) = (credential(1, &[1; 20], None), credential(2, SECRET, None));
        let verified = check(&[one.clone(), other.clone()], &right()).unwrap();
        assert_eq!((verified.id.clone(), verified.counter), (other.id.clone(), 1));
        assert_eq!(verified.state, TotpFactor::state(1));
        assert_eq!(check(&[one], &right()), Err(FactorError::Wrong));
        assert_eq!(check(&[], &right()), Err(FactorError::NotEnrolled));
    }

    #[test]
    fn each_authenticator_has_a_last_step_of_its_own() {
        let (spent, fresh) = (credential(1, &[1; 20], Some(9)), credential(2, SECRET, Some(0)));
        assert!(check(&[spent, fresh], &right()).is_ok());
        let (other, spent) = (credential(1, &[1; 20], None), credential(2, SECRET, Some(1)));
        assert_eq!(check(&[spent.clone(), other.clone()], &right()), Err(FactorError::Replayed));
        assert_eq!(check(&[other, spent], &right()), Err(FactorError::Replayed));
    }

    #[test]
    fn what_is_no_code_is_no_proof() {
        let proof = Proof::Oidc(json!({"sub": "dana"}));
        assert_eq!(check(&[credential(1, SECRET, None)], &proof), Err(FactorError::Malformed));
    }
}
