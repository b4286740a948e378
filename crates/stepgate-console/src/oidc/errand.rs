//! What a login at the provider is for.

use stepgate_approval::{ChallengeId, Reason};
use stepgate_types::{GrantId, RequestId};

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
    /// A policy is approved.
    Policy {
        /// By its hash.
        sha256: String,
        /// The challenge that the login answers.
        challenge: ChallengeId,
    },
    /// A break-glass is reviewed.
    Review {
        /// Which.
        glass: GrantId,
        /// The challenge that the login answers.
        challenge: ChallengeId,
        /// What was found.
        comment: Reason,
    },
    /// The account there is linked to the person here, as what verifies them.
    Link,
    /// Whose account it is logs in, in the browser that has begun this.
    Login {
        /// Where they go on to.
        request: Option<RequestId>,
    },
    /// Whose account it is logs in in a program on the machine of that browser.
    Program(Program),
}

/// A program that waits at its own machine's loopback interface (RFC 8252 section 7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// At which port.
    pub port: u16,
    /// SHA-256 of what it will have to know (RFC 7636).
    pub challenge: [u8; 32],
    /// By which it knows its own call back.
    pub state: String,
}

impl Errand {
    /// Whether it is to find out who somebody is, rather than to have somebody who is known prove it anew.
    pub(crate) const fn is_login(&self) -> bool {
        matches!(self, Self::Login { .. } | Self::Program(_))
    }
}
