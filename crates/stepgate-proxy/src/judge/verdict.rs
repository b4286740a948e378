//! What becomes of a statement.

use stepgate_session::Pass;
use stepgate_sql::Flow;
use stepgate_store::PendingRelease;
use stepgate_types::RelationName;
use stepgate_wire::Problem;

use super::asking::Hold;
use super::metering::Limited;

/// What becomes of a statement.
pub(crate) enum Verdict {
    /// It runs. The reply of one that went on a ticket waits for its release. What it stores in relations of the
    /// session's own is for the session to remember.
    Pass(Pass, Option<PendingRelease>, Vec<(RelationName, Flow)>),
    /// It runs, and its rows are limited.
    Limited(Box<Limited>, Box<Verdict>),
    /// It waits for people.
    Hold(Box<Hold>),
    /// It does not run.
    Refuse(Problem),
}

impl Verdict {
    /// Whether it runs.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Pass(..) => true,
            Self::Limited(_, verdict) => verdict.passes(),
            Self::Hold(_) | Self::Refuse(_) => false,
        }
    }
}

/// What becomes of a statement that runs.
pub(crate) enum Standing {
    /// Its reply may be shown. What it stores in relations of the session's own is for the session to remember.
    Stands(Vec<(RelationName, Flow)>),
    /// Nothing more of it may be shown.
    Overtaken,
}
