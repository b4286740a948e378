//! Audit records: what is recorded, its canonical bytes, the Merkle tree over them, and the tokens that
//! only a sealed record can make.

mod canonical;
mod checkpoint;
mod encode;
mod event;
mod fit;
mod fitted;
mod frontier;
mod hash;
mod note;
mod outcome;
mod proof;
mod record;
mod token;
mod tree;
pub mod verify;

pub use checkpoint::Checkpoint;
pub use event::{Event, IntegrityFailed, LabelledColumn, Pruned, Restored, Sealed, Statement};
pub use fitted::{Cuts, Envelope, Fitted, Template};
pub use frontier::Frontier;
pub use hash::{Hash, ParseHashError};
pub use note::{NoteError, NoteSigner, SignedNote, VerifierKey};
pub use outcome::{Deferral, Outcome};
pub use proof::{consistency_holds, inclusion_holds};
pub use record::{MAX_RECORD_BYTES, RECORD_VERSION, Record, RecordError, is_log_id};
pub use token::{NotSealed, Permit, Release, Seal, Ticket};
pub use tree::Tree;
