//! What waits for a person's device: it is not told anything by itself, it asks.

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
        Bound::Glass { .. } | Bound::Purpose(Purpose::Enrol | Purpose::Manage | Purpose::Reset(_)) => None,
    }
}

impl Desk {
    /// The challenges that wait for a device of this person's.
    #[must_use]
    pub fn waiting_for_devices(&self, person: &PersonName) -> Vec<WaitingChallenge> {
        self.0.waiting_for_devices(person)
    }
}
