//! What waits for a person's device: it is not told anything by itself, it asks.

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
    /// The challenges about requests that wait for a device of this person's.
    #[must_use]
    pub fn waiting_for_devices(&self, person: &PersonName) -> Vec<WaitingChallenge> {
        self.0.waiting_for_devices(person)
    }
}
