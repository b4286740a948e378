//! `Permit`, `Ticket` and `Release`: the only things that move bytes (DESIGN §2, §4.1).
//!
//! None of them can be made, copied or used twice outside this module: fields are private, there is no
//! `Clone`, and whoever uses one takes it by value. They come from [`Seal`] alone, which the audit log's
//! writer implements, and `Seal` checks each against how far the log has come.
//!
//! ```compile_fail
//! // A permit cannot be made by hand …
//! let permit = stepgate_record::Permit { statement: todo!(), seq: 0 };
//! ```
//!
//! ```compile_fail
//! // … nor copied …
//! fn twice(permit: stepgate_record::Permit) -> (stepgate_record::Permit, stepgate_record::Permit) {
//!     (permit.clone(), permit)
//! }
//! ```
//!
//! ```compile_fail
//! // … nor used twice.
//! fn spend(_: stepgate_record::Permit) {}
//! fn twice(permit: stepgate_record::Permit) {
//!     spend(permit);
//!     spend(permit);
//! }
//! ```

use stepgate_types::StatementId;

/// Forwards a flagged statement (and, in `durable` mode, any not proven read-only): the record of its
/// decision is on disk.
#[derive(Debug)]
#[must_use = "a permit that is dropped forwards nothing"]
pub struct Permit {
    statement: StatementId,
    seq: u64,
}

/// Forwards a proven read-only, unflagged statement: the record of its decision is queued.
#[derive(Debug)]
#[must_use = "a ticket that is dropped forwards nothing"]
pub struct Ticket {
    statement: StatementId,
    seq: u64,
}

/// Lets the reply of a statement go to the client: its record is on disk (in `buffered` mode: queued).
#[derive(Debug)]
#[must_use = "a release that is dropped releases nothing"]
pub struct Release {
    statement: StatementId,
    seq: u64,
}

macro_rules! token {
    ($name:ident) => {
        impl $name {
            /// The statement it was made out for; using it for another is an error of the gate's.
            #[must_use]
            pub const fn statement(&self) -> StatementId {
                self.statement
            }

            /// The number of the record that stands behind it.
            #[must_use]
            pub const fn seq(&self) -> u64 {
                self.seq
            }
        }
    };
}

token!(Permit);
token!(Ticket);
token!(Release);

/// The log has not come far enough for this token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} is not sealed yet")]
pub struct NotSealed {
    /// The record asked for.
    pub seq: u64,
}

/// What the writer of the audit log implements, and nothing else: the source of tokens. Its provided
/// methods are the only constructors there are.
pub trait Seal {
    /// How many records are on disk: every record with a smaller number is durable.
    fn durable(&self) -> u64;

    /// How many records are queued: every record with a smaller number will be written, or the log is
    /// poisoned and nothing passes any more.
    fn queued(&self) -> u64;

    /// Whether ordinary replies wait for the disk (`audit: {ordinary: durable}`) or not (`buffered`).
    fn ordinary_is_durable(&self) -> bool;

    /// A permit for the statement whose decision is record `seq`.
    ///
    /// # Errors
    /// The record is not on disk yet.
    fn permit(&self, statement: StatementId, seq: u64) -> Result<Permit, NotSealed> {
        if seq < self.durable() { Ok(Permit { statement, seq }) } else { Err(NotSealed { seq }) }
    }

    /// A ticket for the statement whose decision is record `seq`. That the statement is read-only and
    /// unflagged is for the caller to have proven.
    ///
    /// # Errors
    /// The record is not queued yet.
    fn ticket(&self, statement: StatementId, seq: u64) -> Result<Ticket, NotSealed> {
        if seq < self.queued() { Ok(Ticket { statement, seq }) } else { Err(NotSealed { seq }) }
    }

    /// A release for the reply of the statement whose decision is record `seq`.
    ///
    /// # Errors
    /// The record has not come far enough for the mode of the log.
    fn release(&self, statement: StatementId, seq: u64) -> Result<Release, NotSealed> {
        let sealed = if self.ordinary_is_durable() { self.durable() } else { self.queued() };
        if seq < sealed { Ok(Release { statement, seq }) } else { Err(NotSealed { seq }) }
    }
}
