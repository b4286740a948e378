//! What waits for a person's device: it is not told anything by itself, it asks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use stepgate_approval::{Bound, Method};
use stepgate_types::{PersonName, RequestId};

use super::Desk;
use super::inner::Inner;

/// A challenge that waits for a device. The code is not in it: that is shown where the challenge was begun alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingChallenge {
    /// Its id, to be sent back with the answer.
    pub challenge: String,
    /// What is answered.
    pub request: RequestId,
    /// Whether the answer is yes.
    pub approve: bool,
    /// What is signed, with the code: 64 hexadecimal digits.
    pub binding: String,
    /// When it lapses, RFC 3339.
    pub expires: String,
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
        let state = self.state();
        let waiting = state.challenges.of(person, Method::Push, elapsed);
        let shown = waiting.filter_map(|(id, challenge)| {
            let Bound::Request { request, approve, .. } = challenge.bound else { return None };
            // What has ended is not worth anybody's look.
            state.open.contains_key(&request).then(|| WaitingChallenge {
                challenge: id.to_string(),
                request,
                approve,
                binding: challenge.binding.iter().map(|byte| format!("{byte:02x}")).collect(),
                expires: now.plus(challenge.until.saturating_sub(elapsed)).to_string(),
            })
        });
        shown.collect()
    }
}

impl Desk {
    /// A device of this person's asks what waits.
    pub fn device_asks(&self, person: &PersonName) {
        let elapsed = self.0.clock.monotonic();
        self.0.state().devices.asked(person, elapsed);
    }

    /// The challenges about requests that wait for a device of this person's.
    #[must_use]
    pub fn waiting_for_devices(&self, person: &PersonName) -> Vec<WaitingChallenge> {
        self.0.waiting_for_devices(person)
    }
}
