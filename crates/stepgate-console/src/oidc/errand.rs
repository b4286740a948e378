//! What a login at the provider is for.

use stepgate_approval::{ChallengeId, Reason};
use stepgate_types::RequestId;

/// What is done once somebody has come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// A request is answered.
    Answer {
        /// Which.
        request: RequestId,
        /// The challenge that the login answers.
        challenge: ChallengeId,
        /// With yes or no.
        approve: bool,
        /// Why.
        reason: Option<Reason>,
        /// Whether it is their own.
        own: bool,
    },
    /// The account there is linked to the person here.
    Link,
}
