//! Signed push: an enrolled device signs, with the code that was shown where the statement waits typed into it
//! (NIST SP 800-63B-4 section 3.1.3: neither a tap nor a comparison of numbers is enough).
//!
//! The device never learns the code from the gate, and the gate never takes one that was not signed: who answers holds
//! the device and sees the place that waits. The protocol is `docs/DEVICE.md`.

use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::sent_code::digits;
use crate::{Begun, Ceremony, Credential, Enrolled, Factor, FactorError, Method, Proof, Verified};

/// What is signed begins with this, so that no other signature of the device is taken for an answer.
const ANSWER: &[u8] = b"stepgate push answer v1\0";

/// The same, to enrol.
const ENROL: &[u8] = b"stepgate push enrol v1\0";

/// Digits of a code (NIST SP 800-63B-4 section 3.1.3.2: at least six).
const DIGITS: usize = 6;

/// Bytes of a public key (RFC 8032 section 5.1.5).
const KEY: usize = 32;

/// What a device signs to answer: 24 bytes of domain, 32 of binding, then the code's digits.
#[must_use]
pub fn push_answer(binding: &[u8; 32], code: &str) -> Vec<u8> {
    [ANSWER, binding, code.as_bytes()].concat()
}

/// What a device signs to be enrolled: domain, binding, and its own public key.
#[must_use]
pub fn push_enrolment(binding: &[u8; 32], key: &[u8; KEY]) -> Vec<u8> {
    [ENROL, binding, key.as_slice()].concat()
}

/// Devices that sign. A gate hashes codes under a key of its own.
pub struct PushFactor {
    key: Zeroizing<[u8; 32]>,
}

impl PushFactor {
    /// With the key under which codes are hashed while they wait.
    #[must_use]
    pub const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key }
    }

    fn hash(&self, binding: &[u8; 32], code: &str) -> [u8; 32] {
        // HMAC takes keys of any length (RFC 2104).
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key[..]) else { return [0; 32] };
        mac.update(binding);
        mac.update(code.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn public_key(bytes: &[u8]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
    // By one of small order, anybody could sign.
    (!key.is_weak()).then_some(key)
}

fn signed(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

fn parts(proof: &Proof) -> Result<(&crate::AuthenticatorId, &[u8], &str), FactorError> {
    match proof {
        Proof::Push { device, signature, code } => Ok((device, signature, code)),
        Proof::Code(_) | Proof::Passkey(_) | Proof::Oidc(_) => Err(FactorError::Malformed),
    }
}

impl Factor for PushFactor {
    fn method(&self) -> Method {
        Method::Push
    }

    /// Shows the code to where the ceremony was begun; a device is given the binding alone.
    fn begin(&self, ceremony: &Ceremony<'_>) -> Result<Begun, FactorError> {
        if ceremony.credentials.is_empty() {
            return Err(FactorError::NotEnrolled);
        }
        let code = digits(ceremony.entropy, DIGITS)?;
        let kept = Zeroizing::new(self.hash(&ceremony.binding, &code).to_vec());
        Ok(Begun { shown: json!({"code": *code}), kept, message: None })
    }

    fn check(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Verified, FactorError> {
        let (device, signature, code) = parts(proof)?;
        let credential = ceremony.credentials.iter().find(|credential| credential.id == *device);
        let credential = credential.ok_or(FactorError::UnknownAuthenticator)?;
        let key = public_key(&credential.secret).ok_or(FactorError::UnknownAuthenticator)?;
        if !signed(&key, &push_answer(&ceremony.binding, code), signature) {
            return Err(FactorError::Mismatched);
        }
        if code.len() != DIGITS || !bool::from(self.hash(&ceremony.binding, code).ct_eq(kept)) {
            return Err(FactorError::Wrong);
        }
        Ok(Verified {
            id: credential.id.clone(),
            strength: credential.strength,
            state: credential.state.clone(),
            counter: 0,
        })
    }

    /// `about`: `{"public_key": …}`, 64 hexadecimal digits.
    fn enrol(&self, ceremony: &Ceremony<'_>, about: &Value) -> Result<Begun, FactorError> {
        let key = about.get("public_key").and_then(Value::as_str).and_then(unhex);
        let key = key.filter(|key| public_key(key).is_some()).ok_or(FactorError::Malformed)?;
        let is_known = |credential: &Credential| credential.secret.as_slice() == key;
        if ceremony.credentials.iter().any(|credential| is_known(credential)) {
            return Err(FactorError::Mismatched);
        }
        let shown = json!({"binding": hex(&ceremony.binding)});
        Ok(Begun { shown, kept: Zeroizing::new(key.to_vec()), message: None })
    }

    /// The proof's device and code say nothing: the device has no name yet.
    fn confirm(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Enrolled, FactorError> {
        let (_, signature, _) = parts(proof)?;
        let bytes: &[u8; KEY] = kept.try_into().map_err(|_| FactorError::Malformed)?;
        let key = public_key(bytes).ok_or(FactorError::Malformed)?;
        if !signed(&key, &push_enrolment(&ceremony.binding, bytes), signature) {
            return Err(FactorError::Mismatched);
        }
        Ok(Enrolled {
            secret: Zeroizing::new(kept.to_vec()),
            state: Vec::new(),
            strength: Method::Push.strength(),
            counter: 0,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; KEY]> {
    if text.len() != KEY * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; KEY];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ed25519_dalek::{Signer as _, SigningKey};
    use stepgate_testkit::FakeEntropy;
    use stepgate_types::{RequestId, Timestamp};

    use super::*;
    use crate::fixture::person;
    use crate::{AuthenticatorId, Bound};

    fn factor() -> PushFactor {
        PushFactor::new(Zeroizing::new([1; 32]))
    }

    fn device(number: u8) -> (SigningKey, Arc<Credential>) {
        let key = SigningKey::from_bytes(&[number; 32]);
        let credential = Credential {
            id: AuthenticatorId::new(Method::Push, [number; 4]),
            name: "phone".to_owned(),
            enrolled: Timestamp::from_micros(0),
            counts_from: Timestamp::from_micros(0),
            strength: Method::Push.strength(),
            state: Vec::new(),
            secret: Zeroizing::new(key.verifying_key().to_bytes().to_vec()),
        };
        (key, Arc::new(credential))
    }

    fn binding(request: u8, approve: bool) -> [u8; 32] {
        let request = RequestId::from_bytes([request; 5]);
        Bound::Request { request, canonical: [1; 32], approve }.binding(&person("dana"), &[3; 32])
    }

    fn at<T>(credentials: &[Arc<Credential>], binding: [u8; 32], run: impl FnOnce(&Ceremony<'_>) -> T) -> T {
        let (dana, entropy) = (person("dana"), FakeEntropy::seeded(1));
        run(&Ceremony {
            person: &dana,
            credentials,
            binding,
            request: None,
            now: Timestamp::from_micros(0),
            entropy: &entropy,
        })
    }

    fn proof(key: &SigningKey, id: &AuthenticatorId, binding: &[u8; 32], code: &str) -> Proof {
        let signature = key.sign(&push_answer(binding, code)).to_bytes().to_vec();
        Proof::Push { device: id.clone(), signature, code: Zeroizing::new(code.to_owned()) }
    }

    /// What came of an answer to a challenge about request 1.
    fn answered(
        answer: impl FnOnce(&SigningKey, &AuthenticatorId, &str) -> Proof,
    ) -> Result<(), FactorError> {
        let (key, credential) = device(1);
        let credentials = [credential];
        at(&credentials, binding(1, true), |ceremony| {
            let begun = factor().begin(ceremony)?;
            let code = begun.shown["code"].as_str().unwrap().to_owned();
            assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
            factor().check(ceremony, &begun.kept, &answer(&key, &credentials[0].id, &code)).map(drop)
        })
    }

    #[test]
    fn the_device_signs_what_is_answered_with_the_code_that_was_typed_into_it() {
        assert_eq!(answered(|key, id, code| proof(key, id, &binding(1, true), code)), Ok(()));
    }

    #[test]
    fn a_tap_without_the_code_and_a_wrong_code_are_refused() {
        let wrong = |code: &str| if code == "000000" { "000001" } else { "000000" };
        for other in ["", "48291", "4829130"] {
            let outcome = answered(|key, id, _| proof(key, id, &binding(1, true), other));
            assert_eq!(outcome, Err(FactorError::Wrong), "{other}");
        }
        let outcome = answered(|key, id, code| proof(key, id, &binding(1, true), wrong(code)));
        assert_eq!(outcome, Err(FactorError::Wrong));
        // Signed over one code, handed in with the right one.
        let outcome = answered(|key, id, code| match proof(key, id, &binding(1, true), wrong(code)) {
            Proof::Push { device, signature, .. } => {
                Proof::Push { device, signature, code: Zeroizing::new(code.to_owned()) }
            }
            other => other,
        });
        assert_eq!(outcome, Err(FactorError::Mismatched));
    }

    #[test]
    fn a_signature_for_another_request_for_a_denial_or_by_another_device_is_refused() {
        let bound = |canonical, of: &str, nonce| {
            let request = RequestId::from_bytes([1; 5]);
            Bound::Request { request, canonical, approve: true }.binding(&person(of), &nonce)
        };
        // Of the same request as it was shown otherwise, to somebody else, and of an earlier challenge about it.
        let replayed = [
            bound([2; 32], "dana", [3; 32]),
            bound([1; 32], "eve", [3; 32]),
            bound([1; 32], "dana", [4; 32]),
        ];
        for other in [binding(2, true), binding(1, false)].into_iter().chain(replayed) {
            let outcome = answered(|key, id, code| proof(key, id, &other, code));
            assert_eq!(outcome, Err(FactorError::Mismatched));
        }
        let (stranger, unknown) = device(2);
        let outcome = answered(|_, id, code| proof(&stranger, id, &binding(1, true), code));
        assert_eq!(outcome, Err(FactorError::Mismatched));
        let outcome = answered(|_, _, code| proof(&stranger, &unknown.id, &binding(1, true), code));
        assert_eq!(outcome, Err(FactorError::UnknownAuthenticator));
        let code = answered(|_, _, code| Proof::Code(Zeroizing::new(code.to_owned())));
        assert_eq!(code, Err(FactorError::Malformed));
    }

    #[test]
    fn a_device_proves_that_it_has_the_key_it_is_enrolled_with() {
        let (key, credential) = device(1);
        let public = key.verifying_key().to_bytes();
        at(&[], binding(1, true), |ceremony| {
            let begun = factor().enrol(ceremony, &json!({"public_key": hex(&public)})).unwrap();
            let confirm = |signature: Vec<u8>| {
                let (device, code) = (AuthenticatorId::only(Method::Push), Zeroizing::default());
                factor().confirm(ceremony, &begun.kept, &Proof::Push { device, signature, code })
            };
            let right = key.sign(&push_enrolment(&ceremony.binding, &public)).to_bytes().to_vec();
            assert_eq!(confirm(right).unwrap().secret.as_slice(), public);
            // An answer that it signed once is no enrolment.
            let answer = key.sign(&push_answer(&ceremony.binding, "123456")).to_bytes().to_vec();
            assert_eq!(confirm(answer).err(), Some(FactorError::Mismatched));
        });
        let enrol = |credentials: &[Arc<Credential>], public: &str| {
            at(credentials, binding(1, true), |ceremony| {
                factor().enrol(ceremony, &json!({"public_key": public})).err()
            })
        };
        assert_eq!(enrol(&[credential], &hex(&public)), Some(FactorError::Mismatched), "enrolled already");
        // The point of order one, by which anybody could sign; and what is no key.
        let weak = format!("01{}", "00".repeat(31));
        for wrong in [weak.as_str(), "", "zz", &"ab".repeat(33)] {
            assert_eq!(enrol(&[], wrong), Some(FactorError::Malformed), "{wrong}");
        }
    }
}
