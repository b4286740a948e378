//! Logins: of programs by bearer token, of browsers by cookie. Either is 256 random bits, of which only a SHA-256 is
//! kept, in memory; a restart ends them all. The hash says which of the two it is: a bearer token in a cookie, or a
//! cookie's value in `Authorization`, is nobody's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use stepgate_approval::AuthenticatorId;
use stepgate_types::{Entropy, PersonName, Timestamp};

use crate::rates::network;

/// How long a login lasts, whatever happens: a working day with its evening.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// How long a browser's login lasts without a page being asked for (OWASP ASVS 7.3.1): what the page's script asks for by
/// itself does not count.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// Logins of one person at a time. Of those by a password alone the ones go first that came last, or of which one network
/// has many: whoever has only stolen it cannot log its owner out, or end what they have begun, by logging in again and
/// again, be it from everywhere.
const MAX_OF_PERSON: usize = 16;

/// So many of a person's, by a password alone, from one network are many.
const MANY_OF_NETWORK: usize = 4;

/// Logins in all; each is some 200 bytes.
const MAX_TOKENS: usize = 10_000;

/// How a login is shown to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By `Authorization: Bearer`, which no browser sends by itself.
    Bearer,
    /// By a cookie, which browsers do send by themselves: what it does wants a proof of where it comes from as well.
    Cookie,
}

/// How somebody has just shown who they are.
#[derive(Debug, Clone)]
pub(crate) enum Came {
    /// By their password here alone, from this address.
    ByPassword(IpAddr),
    /// By that and a code of theirs.
    ByPasswordAndCode,
    /// By this passkey of theirs alone.
    ByPasskey(AuthenticatorId),
    /// From the identity provider.
    FromProvider {
        /// When they last logged in there, where the login was asked to be a recent one and its token says when it was.
        /// Longer ago than the login here where they have a session there.
        proven: Option<Timestamp>,
    },
}

/// Who is logged in.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) person: PersonName,
    /// SCRAM's stored key at the time: a changed password ends the login.
    pub(crate) stored_key: [u8; 32],
    pub(crate) expires: Timestamp,
    /// When they came, where from an identity provider rather than by a password.
    pub(crate) from_provider: Option<Timestamp>,
    /// When they logged in there, as far as that is known.
    pub(crate) proven: Option<Timestamp>,
    /// The passkey that they came by, where no password and no provider was asked.
    pub(crate) passkey: Option<AuthenticatorId>,
    /// They came by their password here, which somebody else may know, and nothing besides: from which network.
    pub(crate) password_alone: Option<IpAddr>,
    by: By,
    /// When a person last asked for something by it.
    used: Timestamp,
}

impl Login {
    fn is_good(&self, now: Timestamp) -> bool {
        now < self.expires && (self.by == By::Bearer || now < self.used.plus(IDLE))
    }
}

/// All logins.
#[derive(Default)]
pub(crate) struct Tokens {
    logins: Mutex<HashMap<[u8; 32], Login>>,
}

impl Tokens {
    /// Makes a token for somebody who has just proven who they are, here or at a provider.
    pub(crate) fn issue(
        &self,
        by: By,
        person: PersonName,
        stored_key: [u8; 32],
        (now, came): (Timestamp, Came),
        entropy: &dyn Entropy,
    ) -> std::io::Result<(String, Timestamp)> {
        let token = fresh(entropy)?;
        let expires = now.plus(LIFE);
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut logins, &person, now);
        let password_alone = match came {
            Came::ByPassword(address) => Some(network(address)),
            _ => None,
        };
        let (from_provider, proven, passkey) = match came {
            Came::ByPassword(_) | Came::ByPasswordAndCode => (None, None, None),
            Came::ByPasskey(passkey) => (None, None, Some(passkey)),
            Came::FromProvider { proven } => (Some(now), proven, None),
        };
        let used = now;
        let login =
            Login { person, stored_key, expires, from_provider, proven, passkey, password_alone, by, used };
        logins.insert(hash(by, &token), login);
        Ok((token, expires))
    }

    /// Who has this token; `used`: a person asked by it just now. Looking up its hash tells nothing of it by how long it
    /// takes.
    pub(crate) fn get(&self, by: By, token: &str, used: bool, now: Timestamp) -> Option<Login> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let login = logins.get_mut(&hash(by, token)).filter(|login| login.is_good(now))?;
        if used {
            login.used = login.used.max(now);
        }
        Some(login.clone())
    }

    /// How many logins of a person there are.
    pub(crate) fn count(&self, person: &PersonName, now: Timestamp) -> usize {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.values().filter(|login| login.person == *person && login.is_good(now)).count()
    }

    /// Ends all logins of a person.
    pub(crate) fn end_all(&self, person: &PersonName) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| login.person != *person);
    }

    /// Ends the login of this token.
    pub(crate) fn end(&self, by: By, token: &str) {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(by, token));
    }
}

/// By what a login is known.
pub(crate) fn hash(by: By, token: &str) -> [u8; 32] {
    let kind: &[u8] = match by {
        By::Bearer => b"bearer\0",
        By::Cookie => b"cookie\0",
    };
    Sha256::new().chain_update(kind).chain_update(token.as_bytes()).finalize().into()
}

/// 256 random bits, in hexadecimal.
pub(crate) fn fresh(entropy: &dyn Entropy) -> std::io::Result<String> {
    let mut secret = [0_u8; 32];
    entropy.fill(&mut secret)?;
    Ok(secret.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// By what a device is known, if this could be the value of a cookie that a gate gave it.
pub(crate) fn device(cookie: &str) -> Option<[u8; 32]> {
    let is_ours = cookie.len() == 64 && cookie.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| Sha256::new().chain_update(b"device\0").chain_update(cookie.as_bytes()).finalize().into())
}

/// What a form or script of a page proves to be the page's, by knowing it: made of the cookie's value, which scripts of
/// no site can read, and telling nothing of it.
pub(crate) fn page_proof(cookie: &str) -> String {
    let hash = Sha256::new().chain_update(b"page\0").chain_update(cookie.as_bytes()).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whose go first of a person's: by a password alone, from a network that has many of these, and of such the one that came
/// last; whoever knows the password and comes from many networks was not here first. None, if all prove more.
fn crowded(logins: &HashMap<[u8; 32], Login>, person: &PersonName) -> Option<IpAddr> {
    let mut networks: HashMap<IpAddr, (usize, Timestamp)> = HashMap::new();
    for login in logins.values().filter(|login| login.person == *person) {
        let Some(network) = login.password_alone else { continue };
        let (count, first) = networks.entry(network).or_insert((0, login.expires));
        *count = count.saturating_add(1);
        *first = (*first).min(login.expires);
    }
    let many = |(count, first): (usize, Timestamp)| (count > MANY_OF_NETWORK, first);
    networks.into_iter().max_by_key(|(_, of)| many(*of)).map(|(network, _)| network)
}

/// Forgets what has expired; then the oldest of a person who has too many; then the oldest of all.
fn make_room(logins: &mut HashMap<[u8; 32], Login>, person: &PersonName, now: Timestamp) {
    logins.retain(|_, login| login.is_good(now));
    let oldest = |logins: &HashMap<[u8; 32], Login>, of: Option<(&PersonName, Option<IpAddr>)>| {
        let is_of = |login: &Login, (person, network): (&PersonName, Option<IpAddr>)| {
            login.person == *person && (network.is_none() || login.password_alone == network)
        };
        logins
            .iter()
            .filter(|(_, login)| of.is_none_or(|of| is_of(login, of)))
            .min_by_key(|(_, login)| login.expires)
            .map(|(key, _)| *key)
    };
    while logins.values().filter(|login| login.person == *person).count() >= MAX_OF_PERSON {
        let Some(key) = oldest(logins, Some((person, crowded(logins, person)))) else { break };
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

    fn dana(tokens: &Tokens, by: By, at: Timestamp) -> (String, Timestamp) {
        dana_from(tokens, by, at, 7)
    }

    fn dana_from(tokens: &Tokens, by: By, at: Timestamp, last: u8) -> (String, Timestamp) {
        let from = IpAddr::from([192, 0, 2, last]);
        static COUNTING: Counting = Counting(std::sync::atomic::AtomicU8::new(0));
        tokens.issue(by, "dana".parse().unwrap(), [1; 32], (at, Came::ByPassword(from)), &COUNTING).unwrap()
    }

    #[test]
    fn a_login_ends_by_itself_and_when_told_and_each_person_has_few() {
        let (tokens, start) = (Tokens::default(), Timestamp::from_micros(0));
        for by in [By::Bearer, By::Cookie] {
            let (first, expires) = dana(&tokens, by, start);
            assert_eq!(first.len(), 64);
            assert!(tokens.get(by, &first, true, start).is_some());
            assert!(tokens.get(by, &first, true, expires).is_none());
            tokens.end(by, &first);
            assert!(tokens.get(by, &first, true, start).is_none());
        }
        let all: Vec<_> = (0..17).map(|n| dana(&tokens, By::Bearer, Timestamp::from_micros(n)).0).collect();
        assert!(tokens.get(By::Bearer, &all[0], true, start).is_none());
        assert!(all[1..].iter().all(|token| tokens.get(By::Bearer, token, true, start).is_some()));
    }

    #[test]
    fn who_logs_in_again_and_again_by_a_password_logs_out_nobody_elsewhere() {
        let (tokens, at) = (Tokens::default(), |n| Timestamp::from_micros(n));
        let (first, _) = dana_from(&tokens, By::Bearer, at(0), 1);
        let entropy = Counting(200.into());
        let came = (at(1), Came::ByPasswordAndCode);
        let proven = tokens.issue(By::Bearer, "dana".parse().unwrap(), [1; 32], came, &entropy).unwrap();
        let thiefs: Vec<_> = (2..40).map(|n| dana_from(&tokens, By::Cookie, at(n), 2).0).collect();
        assert!(tokens.get(By::Bearer, &first, true, at(50)).is_some());
        assert!(tokens.get(By::Bearer, &proven.0, true, at(50)).is_some());
        let kept =
            thiefs.iter().filter(|token| tokens.get(By::Cookie, token, true, at(50)).is_some()).count();
        assert_eq!(kept, MAX_OF_PERSON - 2);
    }

    #[test]
    fn who_logs_in_by_a_password_from_one_network_after_another_does_not_log_out_who_was_there_before() {
        let (tokens, at) = (Tokens::default(), |n| Timestamp::from_micros(n));
        let owners = [0, 1].map(|n| dana_from(&tokens, By::Bearer, at(n), 1).0);
        for network in 2..100 {
            dana_from(&tokens, By::Cookie, at(network.into()), network);
        }
        assert!(owners.iter().all(|owner| tokens.get(By::Bearer, owner, true, at(100)).is_some()));
    }

    #[test]
    fn a_cookie_is_no_bearer_token_and_a_bearer_token_no_cookie() {
        let (tokens, start) = (Tokens::default(), Timestamp::from_micros(0));
        let (bearer, cookie) = (dana(&tokens, By::Bearer, start).0, dana(&tokens, By::Cookie, start).0);
        assert!(tokens.get(By::Cookie, &bearer, true, start).is_none());
        assert!(tokens.get(By::Bearer, &cookie, true, start).is_none());
        assert!(tokens.get(By::Cookie, &page_proof(&cookie), true, start).is_none());
    }

    #[test]
    fn a_browser_left_alone_is_logged_out_though_its_page_goes_on_asking() {
        let (tokens, start) = (Tokens::default(), Timestamp::from_micros(0));
        let (cookie, expires) = dana(&tokens, By::Cookie, start);
        let (bearer, _) = dana(&tokens, By::Bearer, start);
        let nearly = start.plus(IDLE - Duration::from_secs(1));
        assert!(tokens.get(By::Cookie, &cookie, false, nearly).is_some());
        assert!(tokens.get(By::Cookie, &cookie, true, start.plus(IDLE)).is_none());
        assert!(tokens.get(By::Bearer, &bearer, false, start.plus(IDLE)).is_some());
        // Used, it goes on, but not for ever.
        let mut at = start;
        while at < expires {
            assert!(tokens.get(By::Cookie, &cookie, true, at).is_some());
            at = at.plus(IDLE - Duration::from_secs(1));
        }
        assert!(tokens.get(By::Cookie, &cookie, true, at).is_none());
    }
}
