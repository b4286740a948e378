//! Bearer tokens: 256 random bits, of which only the SHA-256 is kept, in memory; a restart ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use stepgate_types::{Entropy, PersonName, Timestamp};

/// How long a login lasts, whatever happens: a working day with its evening.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// Logins of one person at a time; the oldest goes first.
const MAX_OF_PERSON: usize = 16;

/// Logins in all; each is some 200 bytes.
const MAX_TOKENS: usize = 10_000;

/// Who is logged in.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) person: PersonName,
    /// SCRAM's stored key at the time: a changed password ends the login.
    pub(crate) stored_key: [u8; 32],
    pub(crate) expires: Timestamp,
}

/// All logins.
#[derive(Default)]
pub(crate) struct Tokens {
    logins: Mutex<HashMap<[u8; 32], Login>>,
}

impl Tokens {
    /// Makes a token for somebody who has just proven who they are.
    pub(crate) fn issue(
        &self,
        person: PersonName,
        stored_key: [u8; 32],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> std::io::Result<(String, Timestamp)> {
        let mut secret = [0_u8; 32];
        entropy.fill(&mut secret)?;
        let token: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let expires = now.plus(LIFE);
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut logins, &person, now);
        logins.insert(hash(&token), Login { person, stored_key, expires });
        Ok((token, expires))
    }

    /// Who has this token. Looking up its hash tells nothing of it by how long it takes.
    pub(crate) fn get(&self, token: &str, now: Timestamp) -> Option<Login> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.get(&hash(token)).filter(|login| now < login.expires).cloned()
    }

    /// Ends the login of this token.
    pub(crate) fn end(&self, token: &str) {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(token));
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Forgets what has expired; then the oldest of a person who has too many; then the oldest of all.
fn make_room(logins: &mut HashMap<[u8; 32], Login>, person: &PersonName, now: Timestamp) {
    logins.retain(|_, login| now < login.expires);
    let oldest = |logins: &HashMap<[u8; 32], Login>, of: Option<&PersonName>| {
        logins
            .iter()
            .filter(|(_, login)| of.is_none_or(|person| login.person == *person))
            .min_by_key(|(_, login)| login.expires)
            .map(|(key, _)| *key)
    };
    while logins.values().filter(|login| login.person == *person).count() >= MAX_OF_PERSON {
        let Some(key) = oldest(logins, Some(person)) else { break };
        logins.remove(&key);
    }
    if logins.len() >= MAX_TOKENS {
        oldest(logins, None).map(|key| logins.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
            buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            Ok(())
        }
    }

    #[test]
    fn a_login_ends_by_itself_and_when_told_and_each_person_has_few() {
        let (tokens, entropy) = (Tokens::default(), Counting(0.into()));
        let dana: PersonName = "dana".parse().unwrap();
        let start = Timestamp::from_micros(0);
        let issue = |at| tokens.issue(dana.clone(), [1; 32], at, &entropy).unwrap();
        let (first, expires) = issue(start);
        assert_eq!(first.len(), 64);
        assert!(tokens.get(&first, start).is_some());
        assert!(tokens.get(&first, expires).is_none());
        tokens.end(&first);
        assert!(tokens.get(&first, start).is_none());
        let all: Vec<_> = (0..17).map(|n| issue(Timestamp::from_micros(n)).0).collect();
        assert!(tokens.get(&all[0], start).is_none());
        assert!(all[1..].iter().all(|token| tokens.get(token, start).is_some()));
    }
}
