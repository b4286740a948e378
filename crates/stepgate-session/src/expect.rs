//! What the server still owes: one entry a forwarded message that has a reply, in order.

use std::sync::Arc;

use bytes::Bytes;
use stepgate_types::Kind;

use crate::amid::Skips;
use crate::described::Origins;
use crate::outlet::{Opened, Traces};
use crate::registry::{Prepared, bytes_of};

/// A refusal on its way: a message that must fail, and the error the client gets in place of the server's.
#[derive(Debug)]
pub(crate) struct Poison {
    /// Appears in the server's error and shows that it is the one. `None`, of a FunctionCall of no function: its
    /// SQLSTATE does.
    pub(crate) nonce: Option<String>,
    /// The gate's ErrorResponse.
    pub(crate) error: Bytes,
}

/// A statement that the server is asked to parse before people are asked about it.
#[derive(Debug)]
pub(crate) struct Check {
    /// It came as a Query, which ends with ReadyForQuery.
    pub(crate) simple: bool,
    /// SQLSTATE, once the server has refused it.
    pub(crate) refused: Option<String>,
    /// The client has cancelled it meanwhile: what becomes of the question is nobody's concern.
    pub(crate) abandoned: bool,
    /// It is asked in the middle of a segment, without a Sync: then its error is the segment's end, as the statement's would
    /// be.
    pub(crate) within: bool,
    /// There the server has still to confirm that the unnamed statement is gone.
    pub(crate) drops: bool,
    /// What the server noticed, and its error: the client's if it was refused.
    pub(crate) said: Vec<Bytes>,
}

/// One reply that is owed.
#[derive(Debug)]
pub(crate) enum Owed {
    /// `1`
    Parse { name: Bytes, statement: Arc<Prepared> },
    /// `2`; the portal's entry once it comes.
    Bind { portal: Bytes, opened: Opened },
    /// `3`
    Close { portal: bool, name: Bytes },
    /// `T` or `n`, for a statement (by its name) after `t`; of a portal that was let through, what it is of.
    Describe { traces: Option<Arc<Traces>>, statement: Option<Bytes> },
    /// The gate's own Describe of a portal: `T` or `n`, swallowed.
    OwnDescribe { traces: Arc<Traces> },
    /// Rows, then `C`, `I` or `s`. `origins`: of its columns, as long as no row has come, where the portal is not described.
    Execute { number: u64, traces: Arc<Traces>, origins: Option<Origins>, declares: Option<Opened> },
    /// Anything, then `Z`. `declares`: the portal that it opens in turn.
    Query { number: u64, traces: Arc<Traces>, failed: bool, declares: Option<Opened> },
    /// `Z`
    Sync,
    /// An error, in place of a Bind or Execute.
    Refused(Poison),
    /// An error, then `Z`.
    RefusedQuery(Option<Poison>),
    /// The gate's own question: all of it is swallowed, up to and including `Z`.
    Probe,
    /// A Sync of the gate's own, whose `Z` is swallowed.
    OwnSync,
    /// A Close of the gate's own of a portal, whose `3` is swallowed.
    OwnClose { portal: Bytes },
    /// A Describe of the gate's own of something that it does not know: what is said of it is swallowed. That it does not
    /// exist is the client's error.
    Exists,
    /// The gate's own question whether a statement parses: swallowed up to and including `Z`, unless it
    /// does not; then its error is the statement's.
    Check(Check),
    /// The gate's own question whether the server skips up to Sync: `Z`, `3`, `Z`, swallowed, before which that of what it skips
    /// may come.
    Skips(Skips),
    /// Nothing: marks where the client's CopyDone or CopyFail stands among the messages.
    CopyEnd,
}

impl Owed {
    /// Whether `Z` ends it.
    pub(crate) const fn ends_with_ready(&self) -> bool {
        matches!(
            self,
            Self::Query { .. }
                | Self::Sync
                | Self::RefusedQuery(_)
                | Self::Probe
                | Self::OwnSync
                | Self::Skips(_)
                | Self::Check(Check { within: false, .. })
        )
    }

    /// Whether drivers send it along with a command other than a query, and the server is done with it at once, for it looks
    /// nothing up.
    pub(crate) fn goes_with_ddl(&self) -> bool {
        match self {
            Self::Parse { statement, .. } => {
                statement.facts.as_ref().is_some_and(|facts| facts.iter().all(|it| it.kind == Kind::Ddl))
            }
            Self::Describe { statement, .. } => statement.is_none(),
            Self::Close { .. } | Self::OwnClose { .. } | Self::OwnDescribe { .. } | Self::Sync => true,
            _ => false,
        }
    }

    /// Whether it executes nothing and leaves no portal behind: to end its implicit transaction then undoes nothing.
    pub(crate) const fn only_prepares(&self) -> bool {
        matches!(
            self,
            Self::Parse { .. }
                | Self::Close { .. }
                | Self::Describe { .. }
                | Self::OwnClose { .. }
                | Self::Exists
                | Self::Check(_)
        )
    }

    /// About as many bytes as what is known of it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Parse { statement, .. } => statement.facts.as_deref().map_or(0, bytes_of),
            Self::Bind { opened, .. } => bytes_of(&opened.traces().shows),
            Self::Query { traces, .. } | Self::Execute { traces, .. } => bytes_of(&traces.shows),
            _ => 0,
        }
    }

    /// Whether the client waits for it: what is the gate's own, or refused, nobody can cancel.
    pub(crate) const fn is_of_client(&self) -> bool {
        matches!(
            self,
            Self::Parse { .. }
                | Self::Bind { .. }
                | Self::Close { .. }
                | Self::Describe { .. }
                | Self::Execute { .. }
                | Self::Query { .. }
                | Self::Sync
        )
    }

    /// The statement whose execution it is.
    pub(crate) const fn number(&self) -> Option<u64> {
        match self {
            Self::Bind { opened, .. } => Some(opened.number()),
            Self::Execute { number, .. } | Self::Query { number, .. } => Some(*number),
            _ => None,
        }
    }

    /// Whether its rows are limited: then nothing is sent behind it, for it may yet have to be ended.
    pub(crate) fn is_limited(&self) -> bool {
        let (Self::Query { traces, .. } | Self::Execute { traces, .. }) = self else { return false };
        traces.meter.as_ref().is_some_and(|meter| meter.is_enforced())
    }

    /// How often it may read COPY data.
    pub(crate) fn copies_in(&self) -> usize {
        match self {
            Self::Execute { traces, .. } | Self::Query { traces, .. } => traces.copies_in,
            _ => 0,
        }
    }

    /// Whether SQL that is still running may make a prepared statement or cursor of this name.
    pub(crate) fn may_name(&self, name: &[u8]) -> bool {
        match self {
            Self::Execute { traces, .. } | Self::Query { traces, .. } => {
                traces.wild || traces.names.iter().any(|taken| taken.as_bytes() == name)
            }
            _ => false,
        }
    }

    /// Whether, once it has come, something may have a name that is a statement of another text than this, or a portal.
    pub(crate) fn names_besides(&self, sql: &Bytes) -> bool {
        match self {
            Self::Parse { name, statement } => !name.is_empty() && statement.text.sql != *sql,
            Self::Bind { portal, .. } => !portal.is_empty(),
            Self::Execute { traces, .. } | Self::Query { traces, .. } => {
                traces.wild || !traces.names.is_empty()
            }
            _ => false,
        }
    }
}

/// An entry and the segment (the stretch up to a Sync) that it belongs to.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) owed: Owed,
    pub(crate) segment: u64,
    /// How often DDL of the database's sessions had been committed when it was sent.
    pub(crate) ddl: u64,
}
