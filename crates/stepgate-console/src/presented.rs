//! What proves who somebody is, as it comes in JSON.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use stepgate_approval::{ChallengeId, Method, Proof};
use stepgate_store::Presented;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// A typed code, or a passkey's answer; and which challenge it answers, where one was made.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    #[serde(default)]
    pub(crate) code: Option<Zeroizing<String>>,
    /// What the browser made of the challenge: `PublicKeyCredential.toJSON()`.
    #[serde(default)]
    pub(crate) passkey: Option<Value>,
    #[serde(default)]
    pub(crate) challenge: Option<String>,
}

impl Given {
    /// A code alone.
    pub(crate) fn code(code: Zeroizing<String>) -> Self {
        Self { code: Some(code), ..Self::default() }
    }

    /// What the desk is shown. Where there is nothing, a fresh proof is asked for.
    pub(crate) fn presented(self) -> Result<Presented, Problem> {
        let id = self.challenge.as_deref().map(str::parse::<ChallengeId>);
        let challenge = id.transpose().map_err(|_| unreadable())?;
        let proof = self.proof()?;
        let method = matches!(proof, Proof::Passkey(_)).then_some(Method::Passkey);
        Ok(Presented { method, challenge, proof })
    }

    /// The proof alone.
    pub(crate) fn proof(self) -> Result<Proof, Problem> {
        let code = self.code.map(|code| Zeroizing::new(code.trim().to_owned()));
        match (code.filter(|code| !code.is_empty()), self.passkey) {
            (Some(code), None) => Ok(Proof::Code(code)),
            (None, Some(answer)) => Ok(Proof::Passkey(answer)),
            (None, None) => Err(Problem::proof_needed()),
            // Which of the two is meant would be a guess.
            (Some(_), Some(_)) => Err(unreadable()),
        }
    }
}

/// A method by its word; there is none of another.
pub(crate) fn method(word: &str) -> Result<Method, Problem> {
    word.parse().map_err(|_| unreadable())
}

pub(crate) fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body is not what this call takes")
}
