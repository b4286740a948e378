//! Another login at the identity provider as a factor. Whoever hands in the claims has checked signature, issuer,
//! audience and times; here it is checked that they are about this person and this request.

use serde::Deserialize;
use serde_json::{Value, json};
use stepgate_types::Strength;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{Begun, Ceremony, Enrolled, Factor, FactorError, Method, Proof, Verified};

/// The longest `sub` (OpenID Connect Core 1.0 section 2), in bytes.
const MAX_SUBJECT: usize = 255;

/// Logging in again at the identity provider.
#[derive(Debug, Clone, Copy, Default)]
pub struct OidcFactor;

/// Of a token, what counts here.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    nonce: String,
    strength: Strength,
}

impl Claims {
    /// Those of a token for this ceremony: its nonce is the binding, in hexadecimal.
    fn of(ceremony: &Ceremony<'_>, proof: &Proof) -> Result<Self, FactorError> {
        let Proof::Oidc(claims) = proof else { return Err(FactorError::Malformed) };
        let claims = Self::deserialize(claims).map_err(|_| FactorError::Malformed)?;
        if !bool::from(claims.nonce.as_bytes().ct_eq(nonce(ceremony).as_bytes())) {
            return Err(FactorError::Mismatched);
        }
        if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT {
            return Err(FactorError::Malformed);
        }
        Ok(claims)
    }

    /// Who it is: a subject means something with its issuer alone.
    fn who(&self) -> Vec<u8> {
        json!([self.iss, self.sub]).to_string().into_bytes()
    }
}

fn nonce(ceremony: &Ceremony<'_>) -> String {
    ceremony.binding.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Factor for OidcFactor {
    fn method(&self) -> Method {
        Method::Oidc
    }

    /// Shows the nonce that the token must have.
    fn begin(&self, ceremony: &Ceremony<'_>) -> Result<Begun, FactorError> {
        if ceremony.credentials.is_empty() {
            return Err(FactorError::NotEnrolled);
        }
        Ok(Begun { shown: json!({"nonce": nonce(ceremony)}), kept: Zeroizing::default(), message: None })
    }

    /// As strong as this login was.
    fn check(&self, ceremony: &Ceremony<'_>, _: &[u8], proof: &Proof) -> Result<Verified, FactorError> {
        let claims = Claims::of(ceremony, proof)?;
        let who = claims.who();
        let linked = ceremony.credentials.iter().find(|credential| *credential.secret == who);
        let credential = linked.ok_or(FactorError::UnknownAuthenticator)?;
        let state = credential.state.clone();
        Ok(Verified { id: credential.id.clone(), strength: claims.strength, state, counter: 0 })
    }

    fn enrol(&self, ceremony: &Ceremony<'_>, _: &Value) -> Result<Begun, FactorError> {
        Ok(Begun { shown: json!({"nonce": nonce(ceremony)}), kept: Zeroizing::default(), message: None })
    }

    /// Links whoever logged in there.
    fn confirm(&self, ceremony: &Ceremony<'_>, _: &[u8], proof: &Proof) -> Result<Enrolled, FactorError> {
        let claims = Claims::of(ceremony, proof)?;
        let who = claims.who();
        if ceremony.credentials.iter().any(|credential| *credential.secret == who) {
            return Err(FactorError::Mismatched);
        }
        Ok(Enrolled { secret: Zeroizing::new(who), state: Vec::new(), strength: claims.strength, counter: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stepgate_testkit::FakeEntropy;
    use stepgate_types::Timestamp;

    use super::*;
    use crate::fixture::person;
    use crate::{AuthenticatorId, Credential};

    const BINDING: [u8; 32] = [0xab; 32];

    fn linked(iss: &str, sub: &str) -> Arc<Credential> {
        Arc::new(Credential {
            id: AuthenticatorId::new(Method::Oidc, [1; 4]),
            name: "work".to_owned(),
            enrolled: Timestamp::from_micros(0),
            counts_from: Timestamp::from_micros(0),
            strength: Strength::PhishingResistant,
            state: Vec::new(),
            secret: Zeroizing::new(json!([iss, sub]).to_string().into_bytes()),
        })
    }

    fn claims(iss: &str, sub: &str, binding: [u8; 32]) -> Value {
        let nonce: String = binding.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"iss": iss, "sub": sub, "nonce": nonce, "strength": "strong", "acr": "mfa"})
    }

    fn check(credentials: &[Arc<Credential>], proof: Proof) -> Result<Verified, FactorError> {
        let (dana, entropy) = (person("dana"), FakeEntropy::seeded(1));
        let ceremony = Ceremony {
            person: &dana,
            credentials,
            binding: BINDING,
            request: None,
            now: Timestamp::from_micros(0),
            entropy: &entropy,
        };
        OidcFactor.check(&ceremony, &[], &proof)
    }

    #[test]
    fn a_login_counts_for_the_linked_subject_and_as_much_as_it_was_worth_this_time() {
        let dana = linked("https://idp.example", "42");
        let verified =
            check(std::slice::from_ref(&dana), Proof::Oidc(claims("https://idp.example", "42", BINDING)))
                .unwrap();
        assert_eq!((verified.id.clone(), verified.strength), (dana.id.clone(), Strength::Strong));
    }

    #[test]
    fn another_subject_another_issuers_or_another_requests_login_is_refused() {
        let dana = [linked("https://idp.example", "42")];
        for (iss, sub, binding, why) in [
            ("https://idp.example", "43", BINDING, FactorError::UnknownAuthenticator),
            ("https://evil.example", "42", BINDING, FactorError::UnknownAuthenticator),
            ("https://idp.example", "42", [0; 32], FactorError::Mismatched),
            ("https://idp.example", "", BINDING, FactorError::Malformed),
        ] {
            assert_eq!(check(&dana, Proof::Oidc(claims(iss, sub, binding))), Err(why), "{iss} {sub}");
        }
        let incomplete = Proof::Oidc(json!({"sub": "42"}));
        assert_eq!(check(&dana, incomplete), Err(FactorError::Malformed));
        let none = check(&[], Proof::Oidc(claims("https://idp.example", "42", BINDING)));
        assert_eq!(none, Err(FactorError::UnknownAuthenticator));
    }
}
