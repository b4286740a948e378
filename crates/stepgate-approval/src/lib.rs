//! Requests, factors, grants and passes: pure state machines and checks.
//!
//! Nothing here reads a clock, a file or a random number; the store's desk hands them in and makes every
//! step durable before it counts (DESIGN §4.4).

mod ask;
mod canonical;
mod challenge;
mod change;
mod display;
mod factor;
#[cfg(test)]
mod fixture;
mod glass;
mod grant;
mod guard;
mod oidc_factor;
mod pass;
mod push_factor;
mod recovery;
mod request;
mod rights;
mod sent_code;
mod totp;
mod totp_factor;

pub use ask::{Ahead, Ask, Because, Dialect, Escalate, Held, Mode, Scope, Terms};
pub use canonical::{Canonical, Salts, WrongSalts, canonical};
pub use challenge::{Bound, CHALLENGE_LIFE, Challenge, ChallengeId, Challenges, NoChallenge, Purpose};
pub use change::{Changed, unified};
pub use display::{Page, Reason, TooLong, escape_for_display, page_for_display};
pub use factor::{
    AuthenticatorId, Begun, Ceremony, Channel, Credential, Enrolled, Factor, FactorError, Message, Method,
    Proof, UnknownMethod, Verified,
};
pub use glass::{Glass, GlassRules, Lifts, MAX_GLASS, Reach};
pub use grant::{Grant, NotCovered, Wanted};
pub use guard::{Blocked, CEILING, Guard, Source, Throttled, Trusted};
pub use oidc_factor::OidcFactor;
pub use pass::{Pass, pass_input};
pub use push_factor::{PushFactor, push_answer, push_enrolment};
pub use recovery::Recovery;
pub use request::{Ballot, Counted, Ended, Next, Open, Refusal, Votes};
pub use rights::Rights;
pub use sent_code::SentCode;
pub use totp::{BadCode, Secret};
pub use totp_factor::TotpFactor;
