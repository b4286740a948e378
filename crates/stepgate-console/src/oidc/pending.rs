//! Logins at the provider that have been begun: bounded, each used once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openidconnect::{Nonce, PkceCodeVerifier};
use sha2::{Digest as _, Sha256};
use stepgate_types::{PersonName, RequestId, Timestamp};

use super::errand::Errand;

/// How long somebody has for it (NIST SP 800-63B-4 section 3.1.3.3 gives a code as long).
const LIFE: Duration = Duration::from_secs(10 * 60);

/// Begun logins of one person; the oldest goes first.
const MAX_OF_PERSON: usize = 4;

/// Begun logins in all; each is some 300 bytes.
const MAX: usize = 4096;

/// Of these, logins of whoever will turn out to be it, which anybody can begin: they leave room for who is known.
const MAX_OF_NOBODY: usize = MAX / 2;

/// What came before a callback.
pub(super) struct Pending {
    /// For whom; nobody else may finish it.
    pub(super) person: Option<PersonName>,
    /// In which login of theirs. A link that another one has begun is worth nothing: whoever has only a password could
    /// send it to its owner.
    pub(super) session: String,
    /// What for.
    pub(super) errand: Errand,
    pub(super) nonce: Nonce,
    pub(super) verifier: PkceCodeVerifier,
    /// Whoever logged in before this moment has not done so for this.
    pub(super) begun: Timestamp,
}

/// All of them, by the SHA-256 of their `state`: looking one up tells nothing of it by how long that takes.
#[derive(Default)]
pub(super) struct All(Mutex<HashMap<[u8; 32], Pending>>);

impl All {
    pub(super) fn insert(&self, state: &str, pending: Pending) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut all, &pending);
        all.insert(hash(state), pending);
    }

    /// Takes one out, whatever comes of it then; `None`: there is none, or its time is over.
    pub(super) fn take(&self, state: &str, now: Timestamp) -> Option<Pending> {
        let pending = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(state))?;
        (now < pending.begun.plus(LIFE)).then_some(pending)
    }
}

impl All {
    /// Whether this one is somebody's way in. It stays.
    pub(super) fn is_login(&self, state: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&hash(state)).is_some_and(|pending| pending.errand.is_login())
    }
}

impl All {
    /// The request that this one answers, if it is of that login of theirs. It stays.
    pub(super) fn about(&self, person: &PersonName, session: &str, state: &str) -> Option<RequestId> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = all.get(&hash(state))?;
        let is_theirs = pending.person.as_ref() == Some(person) && pending.session == session;
        match &pending.errand {
            Errand::Answer { request, .. } if is_theirs => Some(*request),
            _ => None,
        }
    }
}

fn hash(state: &str) -> [u8; 32] {
    Sha256::digest(state.as_bytes()).into()
}

fn make_room(all: &mut HashMap<[u8; 32], Pending>, new: &Pending) {
    all.retain(|_, other| new.begun < other.begun.plus(LIFE));
    let oldest = |all: &HashMap<[u8; 32], Pending>, of: Option<&PersonName>| {
        let some = all.iter().filter(|(_, other)| other.person.as_ref() == of);
        some.min_by_key(|(_, other)| other.begun).map(|(key, _)| *key)
    };
    let of = new.person.as_ref();
    let most = if of.is_some() { MAX_OF_PERSON } else { MAX_OF_NOBODY };
    if all.values().filter(|other| other.person.as_ref() == of).count() >= most {
        oldest(all, of).map(|key| all.remove(&key));
    }
    if all.len() >= MAX {
        // Of nobody first, as these cost nothing to begin.
        let any = |all: &HashMap<[u8; 32], Pending>| {
            all.iter().min_by_key(|(_, other)| other.begun).map(|(key, _)| *key)
        };
        oldest(all, None).or_else(|| any(all)).map(|key| all.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(person: Option<&str>, begun: i64) -> Pending {
        Pending {
            person: person.map(|name| name.parse().unwrap()),
            session: "s".to_owned(),
            errand: Errand::Link,
            nonce: Nonce::new("n".to_owned()),
            verifier: PkceCodeVerifier::new("v".repeat(43)),
            begun: Timestamp::from_micros(begun),
        }
    }

    #[test]
    fn a_state_is_good_once_for_ten_minutes_and_for_one_login() {
        let all = All::default();
        all.insert("a", pending(Some("dana"), 0));
        assert!(all.take("b", Timestamp::from_micros(1)).is_none());
        assert!(all.take("a", Timestamp::from_micros(1)).is_some());
        assert!(all.take("a", Timestamp::from_micros(1)).is_none());
        all.insert("a", pending(Some("dana"), 0));
        assert!(all.take("a", Timestamp::from_micros(0).plus(LIFE)).is_none());
    }

    #[test]
    fn a_flood_of_begun_logins_stays_bounded_and_pushes_out_no_other_persons() {
        let all = All::default();
        all.insert("omar", pending(Some("omar"), 0));
        for n in 0..100 {
            all.insert(&format!("dana-{n}"), pending(Some("dana"), 1 + n));
        }
        assert_eq!(all.0.lock().unwrap().len(), 1 + MAX_OF_PERSON);
        assert!(all.take("omar", Timestamp::from_micros(200)).is_some());
        for n in 0..5000 {
            all.insert(&format!("nobody-{n}"), pending(None, 200 + n));
        }
        assert!(all.0.lock().unwrap().len() <= MAX);
        // Nor does a flood of who is nobody yet.
        all.insert("omar", pending(Some("omar"), 0));
        for n in 0..5000 {
            all.insert(&format!("nobody-again-{n}"), pending(None, 6000 + n));
        }
        assert!(all.0.lock().unwrap().len() <= MAX);
        assert!(all.take("omar", Timestamp::from_micros(12_000)).is_some());
        // Where there is no room at all, these give way first, though they are younger.
        for n in 0..3000 {
            all.insert(&format!("person-{n}"), pending(Some(&format!("person-{n}")), 1 + n));
        }
        assert!(all.0.lock().unwrap().len() <= MAX);
        assert!(all.take("person-0", Timestamp::from_micros(12_000)).is_some());
    }
}
