//! Audit records: what is recorded, its canonical bytes, the Merkle tree over them, and the tokens that
//! only a sealed record can make.

mod event;
mod record;
mod token;

pub use event::{Event, LabelledColumn, Outcome, Statement};
pub use record::Record;
pub use token::{NotSealed, Permit, Release, Seal, Ticket};
