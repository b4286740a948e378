//! What proves who somebody is, as it comes in JSON.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use stepgate_approval::{AuthenticatorId, ChallengeId, Method, Proof};
use stepgate_store::Presented;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// A typed code, a passkey's answer or a device's; and which challenge it answers, where one was made.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    #[serde(default)]
    pub(crate) code: Option<Zeroizing<String>>,
    /// What the browser made of the challenge: `PublicKeyCredential.toJSON()`.
    #[serde(default)]
    pub(crate) passkey: Option<Value>,
    /// A device's signature, and the code that was typed into it.
    #[serde(default)]
    pub(crate) push: Option<Push>,
    #[serde(default)]
    pub(crate) challenge: Option<String>,
}

/// What a device answers (`docs/DEVICE.md`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push {
    /// Which; not yet said when it is enrolled.
    #[serde(default)]
    device: Option<String>,
    /// 128 hexadecimal digits.
    signature: String,
    #[serde(default)]
    code: Option<Zeroizing<String>>,
}

impl Push {
    fn proof(self) -> Result<Proof, Problem> {
        let device = match self.device.as_deref() {
            Some(id) => id.parse().map_err(|_| unreadable())?,
            None => AuthenticatorId::only(Method::Push),
        };
        let signature = unhex(&self.signature).ok_or_else(unreadable)?;
        Ok(Proof::Push { device, signature, code: self.code.unwrap_or_default() })
    }
}

/// Bytes of a signature (RFC 8032 section 5.1.6).
const SIGNATURE: usize = 64;

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != SIGNATURE * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..SIGNATURE).map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()).collect()
}

impl Given {
    /// A code alone.
    pub(crate) fn code(code: Zeroizing<String>) -> Self {
        Self { code: Some(code), ..Self::default() }
    }

    /// A proof, or in its place a code alone.
    pub(crate) fn either(code: Option<Zeroizing<String>>, proof: Option<Self>) -> Result<Self, Problem> {
        match (code, proof) {
            // Which of the two is meant would be a guess.
            (Some(_), Some(_)) => Err(unreadable()),
            (Some(code), None) => Ok(Self::code(code)),
            (None, proof) => Ok(proof.unwrap_or_default()),
        }
    }

    /// What the desk is shown. Where there is nothing, a fresh proof is asked for.
    pub(crate) fn presented(self) -> Result<Presented, Problem> {
        let id = self.challenge.as_deref().map(str::parse::<ChallengeId>);
        let challenge = id.transpose().map_err(|_| unreadable())?;
        let proof = self.proof()?;
        let method = match proof {
            Proof::Passkey(_) => Some(Method::Passkey),
            Proof::Push { .. } => Some(Method::Push),
            Proof::Code(_) | Proof::Oidc(_) => None,
        };
        Ok(Presented { method, challenge, proof })
    }

    /// The proof alone.
    pub(crate) fn proof(self) -> Result<Proof, Problem> {
        let code = self.code.map(|code| Zeroizing::new(code.trim().to_owned()));
        match (code.filter(|code| !code.is_empty()), self.passkey, self.push) {
            (Some(code), None, None) => Ok(Proof::Code(code)),
            (None, Some(answer), None) => Ok(Proof::Passkey(answer)),
            (None, None, Some(push)) => push.proof(),
            (None, None, None) => Err(Problem::proof_needed()),
            // Which of them is meant would be a guess.
            _ => Err(unreadable()),
        }
    }
}

/// By which method somebody wants to prove themselves.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    method: String,
}

impl Wanted {
    pub(crate) fn method(&self) -> Result<Method, Problem> {
        method(&self.method)
    }
}

/// A method by its word; there is none of another.
pub(crate) fn method(word: &str) -> Result<Method, Problem> {
    word.parse().map_err(|_| unreadable())
}

pub(crate) fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body is not what this call takes")
}
