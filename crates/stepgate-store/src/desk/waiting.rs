//! What waits for a person's device: it is not told anything by itself, it asks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use stepgate_approval::{Bound, Challenge, ChallengeId, Method, Purpose};
use stepgate_types::{GrantId, PersonName, RequestId};

use super::Desk;
use super::inner::Inner;

/// A challenge that waits for a device. The code is not in it: that is shown where the challenge was begun alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingChallenge {
    /// Its id, to be sent back with the answer.
    pub challenge: String,
    /// What is answered: one of these three.
    #[serde(flatten)]
    pub about: Awaited,
    /// Whether the answer is yes.
    pub approve: bool,
    /// What is signed, with the code: 64 hexadecimal digits.
    pub binding: String,
    /// When it lapses, RFC 3339.
    pub expires: String,
}

/// What a device answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Awaited {
    /// A request.
    #[serde(rename = "request")]
    Request(RequestId),
    /// The policy of that hash, which waits to be approved.
    #[serde(rename = "policy_sha256")]
    Policy(String),
    /// Somebody else's break-glass, which waits to be reviewed.
    #[serde(rename = "glass")]
    Review(GrantId),
}

/// A device that asked so long ago at most may be about to answer: the reference device asks every two seconds, a
/// telephone that sleeps less often.
const LATELY: Duration = Duration::from_secs(60);

/// People of whose devices it is remembered that they asked; some 100 bytes each.
const MAX_SEEN: usize = 10_000;

/// When somebody's devices last asked what waits, on the monotonic clock. In memory alone: they soon ask again.
#[derive(Default)]
pub(super) struct Devices(BTreeMap<PersonName, Duration>);

impl Devices {
    /// One of this person's has asked.
    pub(super) fn asked(&mut self, person: &PersonName, now: Duration) {
        if self.0.len() >= MAX_SEEN {
            self.0.retain(|_, at| now < at.saturating_add(LATELY));
        }
        if self.0.len() < MAX_SEEN || self.0.contains_key(person) {
            self.0.insert(person.clone(), now);
        }
    }

    /// What people are told where none of this person's has asked lately. It may still: nobody is kept from waiting.
    pub(super) fn why_not(&self, person: &PersonName, now: Duration) -> Option<String> {
        let is_there = self.0.get(person).is_some_and(|at| now < at.saturating_add(LATELY));
        (!is_there).then(|| "no device has asked lately".to_owned())
    }
}

impl Inner {
    fn waiting_for_devices(&self, person: &PersonName) -> Vec<WaitingChallenge> {
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        let waiting: Vec<_> = {
            let state = self.state();
            let of = state.challenges.of(person, Method::Push, elapsed);
            of.filter_map(|(id, challenge)| Some((id, about(challenge)?, challenge.clone()))).collect()
        };
        let shown = |(id, (about, approve), challenge): (ChallengeId, (Awaited, bool), Challenge)| {
            // What is over, or not theirs any more, is not worth anybody's look.
            self.still_waits(&about, person).then(|| WaitingChallenge {
                challenge: id.to_string(),
                about,
                approve,
                binding: challenge.binding.iter().map(|byte| format!("{byte:02x}")).collect(),
                expires: now.plus(challenge.until.saturating_sub(elapsed)).to_string(),
            })
        };
        waiting.into_iter().filter_map(shown).collect()
    }

    fn still_waits(&self, about: &Awaited, person: &PersonName) -> bool {
        match about {
            Awaited::Request(request) => self.state().open.contains_key(request),
            Awaited::Policy(sha256) => self.policy_needs(sha256, person).is_ok(),
            Awaited::Review(glass) => self.review_needs(*glass, person).is_ok(),
        }
    }
}

/// What it is about, and whether the answer is yes; `None` where devices are not asked.
fn about(challenge: &Challenge) -> Option<(Awaited, bool)> {
    match &challenge.bound {
        Bound::Request { request, approve, .. } => Some((Awaited::Request(*request), *approve)),
        Bound::Purpose(Purpose::Policy(sha256)) => Some((Awaited::Policy(sha256.clone()), true)),
        Bound::Purpose(Purpose::Review(glass)) => Some((Awaited::Review(*glass), true)),
        Bound::Glass { .. }
        | Bound::Purpose(Purpose::Enrol | Purpose::Login | Purpose::Manage | Purpose::Reset(_)) => None,
    }
}

impl Desk {
    /// A device of this person's asks what waits.
    pub fn device_asks(&self, person: &PersonName) {
        let elapsed = self.0.clock.monotonic();
        self.0.state().devices.asked(person, elapsed);
    }

    /// The challenges that wait for a device of this person's.
    #[must_use]
    pub fn waiting_for_devices(&self, person: &PersonName) -> Vec<WaitingChallenge> {
        self.0.waiting_for_devices(person)
    }
}
