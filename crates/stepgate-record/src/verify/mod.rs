//! Verification of the log, offline and without secrets: of an export, or of records read from a store.
//!
//! What a verified log proves, and what not: no record covered by the checkpoint was altered, inserted,
//! removed or reordered since it was signed. Whoever holds the gate's own key can sign another history, and
//! whoever can replace the newest checkpoints together with the newest records can cut them off; both are
//! found only against a checkpoint (or verifier key) kept elsewhere, the [`Anchor`].

mod anchor;
mod chain;
mod export;
mod outcome;
mod policies;

pub use anchor::{Anchor, Given};
pub use chain::{Chain, GIVEN, KEYS_GIVEN, Known};
pub(crate) use export::read_line;
pub use export::{Header, HeaderKeys, NEW_KEY, checkpoint_line, cuts, verify_export};
pub use outcome::{Failure, Outcome, Place, Verified, report};
pub use policies::{InForce, Policies};
