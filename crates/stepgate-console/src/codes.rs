//! Codes by which a program on somebody's own machine is let in, once they have logged in in a browser there (RFC 8252):
//! each good once, for two minutes, for the program that knows what it was asked with (RFC 7636), in memory alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use stepgate_store::Person;
use stepgate_types::{PersonName, Timestamp};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::api::{Api, json_body};
use crate::caller::is_linked_since;
use crate::login;
use crate::problem::Problem;
use crate::tokens::Came;

/// How long one is good: the program is waiting for it.
const LIFE: Duration = Duration::from_secs(120);

/// Codes at a time; the oldest goes first.
const MAX: usize = 1024;

struct Issued {
    person: PersonName,
    /// SCRAM's stored key at the time, as logins have it.
    stored_key: [u8; 32],
    challenge: [u8; 32],
    /// When they logged in at the provider, as far as that is known.
    proven: Option<Timestamp>,
    at: Timestamp,
}

/// All codes, by their SHA-256.
#[derive(Default)]
pub(crate) struct Codes(Mutex<HashMap<[u8; 32], Issued>>);

impl Codes {
    /// This one lets the program in that knows what `challenge` is the SHA-256 of; `proven`: when the person logged in at
    /// the provider.
    pub(crate) fn issue(
        &self,
        code: &str,
        person: &Person,
        (challenge, proven): ([u8; 32], Option<Timestamp>),
        now: Timestamp,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, issued| now < issued.at.plus(LIFE));
        if all.len() >= MAX {
            let oldest = all.iter().min_by_key(|(_, issued)| issued.at).map(|(key, _)| *key);
            oldest.map(|key| all.remove(&key));
        }
        let (stored_key, person) = (person.scram.stored_key, person.name.clone());
        all.insert(hash(code), Issued { person, stored_key, challenge, proven, at: now });
    }

    /// Takes one, whatever comes of it then.
    fn take(&self, code: &str, verifier: &str, now: Timestamp) -> Option<Issued> {
        let issued = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(code))?;
        let fits = bool::from(hash(verifier).ct_eq(&issued.challenge));
        (fits && now < issued.at.plus(LIFE)).then_some(issued)
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// What program and page both show, so that people see that they belong together.
pub(crate) fn check_letters(challenge: &[u8; 32]) -> String {
    let letters: String = challenge.iter().take(4).map(|byte| format!("{byte:02X}")).collect();
    let (first, second) = letters.split_at_checked(4).unwrap_or((&letters, ""));
    format!("{first}-{second}")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    code: Zeroizing<String>,
    verifier: Zeroizing<String>,
}

/// Lets a program in.
pub(crate) async fn redeem(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let given: Given = json_body(&headers, &body)?;
    let no =
        || Problem::new(StatusCode::UNAUTHORIZED, "wrong_code", "this code lets nobody in, or not any more");
    let taken = api.codes.take(&given.code, &given.verifier, api.parts.clock.now());
    let Issued { person: name, stored_key, proven, at, .. } = taken.ok_or_else(no)?;
    let person = api.parts.people.get(&name).filter(|person| person.scram.stored_key == stored_key);
    let person = person.filter(|person| is_linked_since(&api, &person.name, at)).ok_or_else(no)?;
    login::bearer(&api, &person, Came::FromProvider { proven })
}

#[cfg(test)]
mod tests {
    use stepgate_store::ScramSecret;

    use super::*;

    fn dana() -> Person {
        Person {
            name: "dana".parse().unwrap(),
            groups: Vec::new(),
            joined: Default::default(),
            service: false,
            certificates: Vec::new(),
            loans: Vec::new(),
            scram: ScramSecret::new("x", &[7; 16]),
            added: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_code_is_good_once_for_two_minutes_for_who_asked_for_it() {
        let (codes, at) = (Codes::default(), Timestamp::from_micros(0));
        let dana = dana();
        let issue = |code: &str| codes.issue(code, &dana, (hash("verifier"), None), at);
        issue("one");
        assert!(codes.take("one", "verifier", at).is_some());
        assert!(codes.take("one", "verifier", at).is_none());
        issue("two");
        assert!(codes.take("two", "another's", at).is_none());
        assert!(codes.take("two", "verifier", at).is_none(), "who guesses has used it up");
        issue("three");
        assert!(codes.take("three", "verifier", at.plus(LIFE)).is_none());
        for number in 0..2 * MAX {
            issue(&number.to_string());
        }
        assert!(codes.0.lock().unwrap().len() <= MAX);
    }
}
