//! Challenges: what a proof answers. Each is for one person, one method and one thing, short-lived, and used once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use stepgate_types::{GrantId, PersonName, RequestId};
use zeroize::Zeroizing;

use crate::{Canonical, Method};

/// How long a challenge lives (NIST SP 800-63B-4 section 3.1.3.3: at most ten minutes).
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(600);

/// Wrong proofs that a challenge survives, those of the challenges it replaced included.
const MAX_ATTEMPTS: u32 = 5;

/// Challenges of one person at a time, apart for where they usually are and for elsewhere: who has stolen a password
/// does not push out those of its owner.
const MAX_OF_PERSON: usize = 16;

/// Challenges in all; each is some kilobytes at most.
const MAX_CHALLENGES: usize = 10_000;

/// Keeps these hashes apart from all others.
const DOMAIN: &[u8] = b"stepgate challenge v1";

/// A challenge's id. It carries no authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChallengeId([u8; 16]);

impl ChallengeId {
    /// From random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ChallengeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for ChallengeId {
    type Err = NoChallenge;

    fn from_str(text: &str) -> Result<Self, NoChallenge> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_id).ok_or(NoChallenge::Unknown)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// What a proof is for, other than a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To confirm a new authenticator.
    Enrol,
    /// To be allowed to enrol or remove an authenticator of one's own.
    Manage,
    /// To confirm that somebody else's authenticators are reset.
    Reset(PersonName),
    /// To say that somebody else's break-glass was looked at.
    Review(GrantId),
    /// To approve the policy of that hash.
    Policy(String),
    /// To log in.
    Login,
}

/// What a challenge is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// An answer to a request, as it was shown.
    Request {
        /// Which.
        request: RequestId,
        /// SHA-256 of the canonical request.
        canonical: Canonical,
        /// Whether it approves: what was signed to deny never approves.
        approve: bool,
    },
    /// To break the glass.
    Glass {
        /// Which.
        glass: GrantId,
        /// What for: [`crate::Glass::canonical`].
        canonical: Canonical,
    },
    /// Anything else.
    Purpose(Purpose),
}

impl Bound {
    /// What is signed, or what a code is kept with: SHA-256 of domain, nonce, and what is answered. All parts but the
    /// last have fixed lengths.
    #[must_use]
    pub fn binding(&self, person: &PersonName, nonce: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(nonce);
        match self {
            Self::Request { request, canonical, approve } => {
                hash.update([1, u8::from(*approve)]);
                hash.update(request.bytes());
                hash.update(canonical);
            }
            Self::Glass { glass, canonical } => {
                hash.update([5, 0]);
                hash.update(glass.bytes());
                hash.update(canonical);
            }
            Self::Purpose(purpose) => {
                let (tag, of) = match purpose {
                    Purpose::Enrol => (2, String::new()),
                    Purpose::Manage => (3, String::new()),
                    Purpose::Reset(of) => (4, of.as_str().to_owned()),
                    Purpose::Review(glass) => (6, glass.to_string()),
                    Purpose::Policy(sha256) => (7, sha256.clone()),
                    Purpose::Login => (8, String::new()),
                };
                hash.update([tag, 0]);
                hash.update(Sha256::digest(of.as_bytes()));
            }
        }
        hash.update(person.as_str().as_bytes());
        hash.finalize().into()
    }

    /// The request, if it is one.
    #[must_use]
    pub const fn request(&self) -> Option<RequestId> {
        match self {
            Self::Request { request, .. } => Some(*request),
            Self::Glass { .. } | Self::Purpose(_) => None,
        }
    }
}

/// A challenge that was not answered yet.
#[derive(Clone)]
pub struct Challenge {
    /// Whose.
    pub person: PersonName,
    /// By which method it is to be answered.
    pub method: Method,
    /// What it is for.
    pub bound: Bound,
    /// [`Bound::binding`], with a nonce of its own.
    pub binding: [u8; 32],
    /// What the factor keeps.
    pub kept: Zeroizing<Vec<u8>>,
    /// When it lapses, on the monotonic clock.
    pub until: Duration,
    /// Whether it was asked for from where the person usually is.
    pub trusted: bool,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Why there is no challenge that a proof could answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoChallenge {
    /// It was answered, has lapsed, was replaced, or is for somebody or something else.
    #[error("this was asked too long ago, or was answered already; begin again")]
    Unknown,
    /// Too many wrong answers to it and to those before it.
    #[error("too many wrong answers; use another method, or begin again later")]
    Exhausted,
    /// There are as many as the gate keeps.
    #[error("too much is waiting for verification at this gate; try again later")]
    Full,
}

/// Where they usually are, and elsewhere, apart: who has stolen a password neither uses up nor replaces theirs.
type Same = (PersonName, Method, Bound, bool);

/// All challenges that wait, in memory alone: a restart ends them.
#[derive(Debug, Default)]
pub struct Challenges {
    waiting: BTreeMap<ChallengeId, Challenge>,
    /// Wrong answers, for all challenges about the same, and until when they are remembered.
    failures: BTreeMap<Same, (u32, Duration)>,
}

impl Challenges {
    /// Adds one. It replaces an earlier one about the same; failures go on being counted, so that asking again never
    /// gives more tries (NIST SP 800-63B-4 section 3.1.3.3). `now` is monotonic time.
    ///
    /// # Errors
    /// See [`NoChallenge`].
    pub fn add(&mut self, id: ChallengeId, challenge: Challenge, now: Duration) -> Result<(), NoChallenge> {
        self.forget_lapsed(now);
        let same = same(&challenge);
        if self.failures.get(&same).is_some_and(|(count, _)| *count >= MAX_ATTEMPTS) {
            return Err(NoChallenge::Exhausted);
        }
        self.waiting.retain(|_, other| {
            (&other.person, other.method, &other.bound, other.trusted) != (&same.0, same.1, &same.2, same.3)
        });
        let quota =
            |other: &Challenge| other.person == challenge.person && other.trusted == challenge.trusted;
        if self.waiting.values().filter(|other| quota(other)).count() >= MAX_OF_PERSON {
            let oldest =
                self.waiting.iter().filter(|(_, other)| quota(other)).min_by_key(|(_, other)| other.until);
            oldest.map(|(id, _)| *id).map(|id| self.waiting.remove(&id));
        }
        if self.waiting.len() >= MAX_CHALLENGES || self.waiting.contains_key(&id) {
            return Err(NoChallenge::Full);
        }
        self.waiting.insert(id, challenge);
        Ok(())
    }

    /// The challenge of that id, if it is this person's and for this.
    ///
    /// # Errors
    /// [`NoChallenge::Unknown`], whatever the reason.
    pub fn get(
        &self,
        id: ChallengeId,
        person: &PersonName,
        bound: &Bound,
        now: Duration,
    ) -> Result<&Challenge, NoChallenge> {
        let challenge = self.waiting.get(&id).ok_or(NoChallenge::Unknown)?;
        let fits = challenge.person == *person && challenge.bound == *bound && now < challenge.until;
        fits.then_some(challenge).ok_or(NoChallenge::Unknown)
    }

    /// Those of a person that wait for this method. `now` is monotonic time.
    pub fn of<'a>(
        &'a self,
        person: &'a PersonName,
        method: Method,
        now: Duration,
    ) -> impl Iterator<Item = (ChallengeId, &'a Challenge)> + 'a {
        let of = move |challenge: &Challenge| {
            challenge.person == *person && challenge.method == method && now < challenge.until
        };
        self.waiting
            .iter()
            .filter(move |(_, challenge)| of(challenge))
            .map(|(id, challenge)| (*id, challenge))
    }

    /// It was answered rightly: nobody answers it again.
    pub fn used(&mut self, id: ChallengeId) {
        if let Some(challenge) = self.waiting.remove(&id) {
            self.failures.remove(&same(&challenge));
        }
    }

    /// It was answered wrongly.
    pub fn failed(&mut self, id: ChallengeId, now: Duration) {
        let Some(challenge) = self.waiting.get(&id) else { return };
        let until = now.saturating_add(CHALLENGE_LIFE);
        let failures = self.failures.entry(same(challenge)).or_insert((0, until));
        *failures = (failures.0.saturating_add(1), until);
        if failures.0 >= MAX_ATTEMPTS {
            self.waiting.remove(&id);
        }
    }

    /// Ends all of a person's.
    pub fn end_of(&mut self, person: &PersonName) {
        self.waiting.retain(|_, challenge| challenge.person != *person);
    }

    /// Forgets what has lapsed. `now` is monotonic time.
    pub fn forget_lapsed(&mut self, now: Duration) {
        self.waiting.retain(|_, challenge| now < challenge.until);
        self.failures.retain(|_, (_, until)| now < *until);
        while self.failures.len() > MAX_CHALLENGES {
            self.failures.pop_first();
        }
    }
}

fn same(challenge: &Challenge) -> Same {
    (challenge.person.clone(), challenge.method, challenge.bound.clone(), challenge.trusted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::person;

    const NOW: Duration = Duration::from_secs(1000);

    fn request(number: u8, approve: bool) -> Bound {
        Bound::Request { request: RequestId::from_bytes([number; 5]), canonical: [number; 32], approve }
    }

    fn challenge(of: &str, bound: Bound, trusted: bool) -> Challenge {
        Challenge {
            person: person(of),
            method: Method::Email,
            binding: bound.binding(&person(of), &[9; 32]),
            bound,
            kept: Zeroizing::new(Vec::new()),
            until: NOW + CHALLENGE_LIFE,
            trusted,
        }
    }

    fn id(number: u128) -> ChallengeId {
        ChallengeId::from_bytes(number.to_be_bytes())
    }

    #[test]
    fn a_binding_differs_by_everything_it_is_bound_to() {
        let dana = person("dana");
        let bounds = [
            request(1, true),
            request(1, false),
            request(2, true),
            Bound::Request { request: RequestId::from_bytes([1; 5]), canonical: [2; 32], approve: true },
            Bound::Purpose(Purpose::Enrol),
            Bound::Purpose(Purpose::Manage),
            Bound::Purpose(Purpose::Reset(person("omar"))),
            Bound::Purpose(Purpose::Reset(person("amir"))),
            Bound::Purpose(Purpose::Review(GrantId::from_bytes([1; 8]))),
            Bound::Purpose(Purpose::Review(GrantId::from_bytes([2; 8]))),
            Bound::Purpose(Purpose::Policy("ab".repeat(32))),
            Bound::Purpose(Purpose::Policy("cd".repeat(32))),
            Bound::Purpose(Purpose::Login),
            Bound::Glass { glass: GrantId::from_bytes([1; 8]), canonical: [1; 32] },
            Bound::Glass { glass: GrantId::from_bytes([2; 8]), canonical: [1; 32] },
            Bound::Glass { glass: GrantId::from_bytes([1; 8]), canonical: [2; 32] },
        ];
        let mut all: Vec<_> = bounds.iter().map(|bound| bound.binding(&dana, &[0; 32])).collect();
        all.push(bounds[0].binding(&dana, &[1; 32]));
        all.push(bounds[0].binding(&person("omar"), &[0; 32]));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_challenge_is_for_one_person_one_thing_one_time_and_ten_minutes() {
        let mut challenges = Challenges::default();
        challenges.add(id(1), challenge("dana", request(1, true), false), NOW).unwrap();
        let get = |challenges: &Challenges, of: &str, bound: Bound, now| {
            challenges.get(id(1), &person(of), &bound, now).map(drop)
        };
        assert_eq!(get(&challenges, "dana", request(1, true), NOW), Ok(()));
        for (of, bound, now) in [
            ("omar", request(1, true), NOW),
            ("dana", request(2, true), NOW),
            ("dana", request(1, false), NOW),
            ("dana", request(1, true), NOW + CHALLENGE_LIFE),
        ] {
            assert_eq!(get(&challenges, of, bound, now), Err(NoChallenge::Unknown));
        }
        challenges.used(id(1));
        assert_eq!(get(&challenges, "dana", request(1, true), NOW), Err(NoChallenge::Unknown));
    }

    #[test]
    fn asking_again_never_resets_the_failures() {
        let mut challenges = Challenges::default();
        for number in 0..5 {
            challenges.add(id(number), challenge("dana", request(1, true), false), NOW).unwrap();
            challenges.failed(id(number), NOW);
        }
        let again = |challenges: &mut Challenges, now| {
            challenges.add(id(9), challenge("dana", request(1, true), false), now)
        };
        assert_eq!(again(&mut challenges, NOW), Err(NoChallenge::Exhausted));
        // Another request is another matter, for which the guard counts on.
        challenges.add(id(10), challenge("dana", request(2, true), false), NOW).unwrap();
    }

    #[test]
    fn who_fails_or_asks_from_elsewhere_does_not_use_up_what_the_person_asked_for() {
        let mut challenges = Challenges::default();
        challenges.add(id(9), challenge("dana", request(1, true), true), NOW).unwrap();
        for number in 0..5 {
            challenges.add(id(number), challenge("dana", request(1, true), false), NOW).unwrap();
            challenges.failed(id(number), NOW);
        }
        let elsewhere = challenges.add(id(10), challenge("dana", request(1, true), false), NOW);
        assert_eq!(elsewhere, Err(NoChallenge::Exhausted));
        assert!(challenges.get(id(9), &person("dana"), &request(1, true), NOW).is_ok());
        challenges.add(id(11), challenge("dana", request(1, true), true), NOW).unwrap();
    }

    #[test]
    fn a_challenge_asked_for_again_replaces_the_earlier_one() {
        let mut challenges = Challenges::default();
        challenges.add(id(1), challenge("dana", request(1, true), false), NOW).unwrap();
        challenges.add(id(2), challenge("dana", request(1, true), false), NOW).unwrap();
        assert!(challenges.get(id(1), &person("dana"), &request(1, true), NOW).is_err());
        assert!(challenges.get(id(2), &person("dana"), &request(1, true), NOW).is_ok());
    }

    #[test]
    fn who_floods_from_elsewhere_does_not_push_out_those_of_the_person() {
        let mut challenges = Challenges::default();
        challenges.add(id(1), challenge("dana", request(1, true), true), NOW).unwrap();
        for number in 2..100 {
            let bound = request(u8::try_from(number).unwrap(), true);
            challenges.add(id(number), challenge("dana", bound, false), NOW).unwrap();
        }
        assert!(challenges.get(id(1), &person("dana"), &request(1, true), NOW).is_ok());
        assert_eq!(challenges.waiting.len(), MAX_OF_PERSON + 1);
    }
}
