//! SQL and catalog to facts: which columns a statement really reads.
//!
//! Sound before exact: what cannot be read, resolved or classified is [`Certainty::Unknown`]
//! (`stepgate_types`), and unknown is risky by definition. The only user of sqlparser.

mod facts;
mod session;

pub use facts::{Doubt, Effect, Facts, Reason, Sink, SinkKind};
pub use session::SessionState;
