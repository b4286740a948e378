//! Audit records: what is recorded, its canonical bytes, the Merkle tree over them, and the tokens that
//! only a sealed record can make.

pub mod bundle;
mod canonical;
mod checkpoint;
mod commitment;
mod encode;
mod event;
mod facet;
mod filter;
mod fit;
mod fitted;
mod frontier;
mod group;
mod hash;
mod keys;
mod note;
mod outcome;
mod proof;
mod record;
pub mod render;
mod tiles;
mod token;
mod tree;
pub mod verify;
mod whole;
mod witness;

pub use checkpoint::Checkpoint;
pub use commitment::commitment;
pub use event::{
    Account, AuditRead, AuthFailed, AuthFailure, Bucket, CheckpointSigned, Continued, Delegated, Door, Drift,
    Event, Export, ExportSealed, GlassEnded, GlassOpened, GlassReminded, GlassReviewed, GlassUsed,
    GrantIssued, GrantShare, IntegrityFailed, KeySource, LabelledColumn, LimitCounted, LimitEnforced,
    LimitExtended, LimitReached, Membership, MintedPassword, Names, NoEntry, PassIssued, ProviderLogin,
    Pruned, Reader, Refusal, Renewed, Restored, RiskSignal, Sealed, SeenSubjects, SessionOpened,
    SessionRefused, Shredded, Sink, Started, Statement, StepupRequested, Trouble, Why, is_plain,
};
pub use facet::{Facet, facets, members};
pub use filter::{Filter, Missing, Sieve, Wanted};
pub use fitted::{Completed, Cuts, Envelope, Fitted, Template};
pub use frontier::Frontier;
pub use group::{Group, Groups, MAX_PARTS, part_of};
pub use hash::{Hash, ParseHashError};
pub use keys::{Handover, KeysError, MAX_KEYS, VerifierKeys};
pub use note::{NoteError, NoteSigner, SignedNote, VerifierKey};
pub use outcome::{Deferral, Outcome};
pub use proof::{consistency_holds, inclusion_holds};
pub use record::{MAX_RECORD_BYTES, RECORD_VERSION, Record, RecordError, is_log_id};
pub use tiles::{TILE_WIDTH, Tile, Tiles};
pub use token::{NotSealed, Permit, Release, Seal, Ticket};
pub use tree::Tree;
pub use whole::Joiner;
pub use witness::{Cosigner, WitnessKey};
