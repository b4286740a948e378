//! Requests, factors, grants and passes: pure state machines and checks.
//!
//! Nothing here reads a clock, a file or a random number; the store's desk hands them in and makes every
//! step durable before it counts (DESIGN §4.4).

mod ask;
mod canonical;
mod display;
#[cfg(test)]
mod fixture;
mod grant;
mod guard;
mod pass;
mod request;
mod rights;
mod totp;

pub use ask::{Ahead, Ask, Because, Dialect, Escalate, Held, Mode, Scope, Terms};
pub use canonical::{Canonical, Salts, WrongSalts, canonical};
pub use display::{Page, Reason, TooLong, escape_for_display, page_for_display};
pub use grant::{Grant, NotCovered, Wanted};
pub use guard::{Guard, Throttled};
pub use pass::{Pass, pass_input};
pub use request::{Ballot, Counted, Ended, Next, Open, Refusal};
pub use rights::Rights;
pub use totp::{BadCode, Secret};
