//! One client's session, without I/O: frames, verdicts, tokens and ticks go in, actions come out.
//!
//! ```text
//!            client ──frames──▶ inbox ─▶ park ─▶ decide ─▶ ToServer ──▶ server
//!                                               (hold)
//!            client ◀─────── ToClient ◀── expect ◀──────── frames ─── server
//! ```
//!
//! What always holds here:
//!
//! * Bytes of a Query, Bind or Execute reach [`ToServer`](outlet) only by spending a
//!   [`Permit`](stepgate_record::Permit) or [`Ticket`](stepgate_record::Ticket) made out for that very
//!   statement; an Execute of a portal that was let through goes on under the same one.
//! * While a statement that went ahead on a ticket is not released, no byte of the server's reaches
//!   the client.
//! * Client frames are judged strictly one after another, by what the *server* will make of them: names
//!   are registered when the server confirms them, and a name that is in doubt is waited for.
//! * A refusal is a message that must fail in that very place, so that PostgreSQL itself produces order,
//!   skip-until-Sync and transaction status; only the text of the error is the gate's.

mod advance;
mod allowance;
mod alone;
mod amid;
mod asking;
mod behind;
mod cache;
mod copy;
mod cut;
mod described;
mod dropped;
mod expect;
mod facts;
mod fastpath;
mod interrupt;
mod isolation;
mod kept;
mod keys;
mod limits;
mod made;
mod meter;
mod outlet;
mod own_names;
mod park;
mod portals;
mod probe;
mod registry;
mod replies;
mod room;
mod rows;
mod session;
mod settings;
mod shown;
mod subject;
mod subjects;
mod tally;
mod text;
mod verdict;

pub use advance::MAX_OWED;
pub use allowance::{Allowance, Hashes, MAX_HASHES, Takes};
pub use described::Unflagged;
pub use facts::GoesOn;
pub use keys::{canonical_key, key_spellings};
pub use meter::{Meter, Stores};
pub use outlet::{Pass, WrongToken};
pub use room::Room;
pub use session::{Action, Ending, Session, Setup};
pub use shown::{HashSubject, Tells};
pub use subject::{Pending, Protocol, TransactionSoFar};
pub use subjects::{TrackedKeys, is_one_text, text_of};
pub use text::{Reading, Text};
