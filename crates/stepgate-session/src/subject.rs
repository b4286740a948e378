//! What waits for a decision.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use stepgate_sql::{Closes, Facts, Isolation, RunsAs, SessionState, Settings, StatementValues};
use stepgate_types::{Certainty, Kind};

use crate::described::Origins;
use crate::meter::Meter;
use crate::outlet::{Declared, Late, Made, Traces};
use crate::session::Session;
use crate::text::{Reading, Text};

/// Which protocol brought the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Query.
    Simple,
    /// Parse, Bind, Execute.
    Extended,
    /// FunctionCall, the fast path.
    Function,
}

impl Protocol {
    /// The word used in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Function => "function",
        }
    }
}

/// What the open transaction has done so far, and so what a hold would keep locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionSoFar {
    /// Nothing has run, or no transaction is open: a hold keeps nothing.
    Nothing,
    /// It has only read, and keeps others from nothing but changing tables.
    Read,
    /// It has only read, and keeps a snapshot (REPEATABLE READ, SERIALIZABLE, a cursor), or may.
    Snapshot,
    /// It has written, or may have.
    Wrote,
}

/// A message that needs a decision: all of it, since PostgreSQL runs all of it.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its number in the session; tokens must be made out for it.
    pub number: u64,
    /// How it came.
    pub protocol: Protocol,
    /// The facts of each of its statements; never empty.
    pub facts: Arc<[Facts]>,
    /// The exact SQL bytes; of a FunctionCall, those of a SELECT of the same function. Empty where the gate does not know
    /// them (a portal that SQL made).
    pub sql: Bytes,
    /// By what the server has read them, if it has.
    pub read: Option<Reading>,
    /// The texts that it goes on with by their names (EXECUTE, FETCH, a portal that SQL made), as far as they are known: part of
    /// what runs.
    pub behind: Vec<Bytes>,
    /// It is not understood, and the session has, or may have, prepared statements or cursors that code in it could go on with.
    pub unseen: bool,
    /// Bind values as they came.
    pub values: Vec<Option<Bytes>>,
    /// A format code for each value.
    pub formats: Vec<i16>,
    /// Type OIDs that Parse gave.
    pub types: Vec<u32>,
    /// What the open transaction has done.
    pub transaction: TransactionSoFar,
    /// Whether a transaction is open, or the rest of the message's implicit one.
    pub in_transaction: bool,
    /// Its literals were read when it was parsed, since when settings may have got other values.
    pub restated: bool,
    /// The transaction has failed and this does not end it: PostgreSQL will refuse it unseen.
    pub aborted: bool,
    /// As which role it runs, once somebody has decided on it.
    pub runs_as: RunsAs,
}

impl Pending {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> Text {
        Text { sql: self.sql.clone(), read: self.read }
    }

    /// Looks up what it compares with.
    #[must_use]
    pub fn compared(&self) -> StatementValues<'_, Bytes> {
        StatementValues::new(&self.sql, &self.values, &self.formats, &self.types)
    }
}

/// The frame that waits for its token.
#[derive(Debug)]
pub(crate) enum Frame {
    Query(Bytes),
    /// The first undecided Bind in the park.
    Bind,
    /// An Execute of a portal that the gate did not see being made.
    Execute(Bytes),
    /// A FunctionCall.
    Function(Bytes),
}

impl Frame {
    /// Its bytes, where it is no longer anywhere else.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Query(frame) | Self::Execute(frame) | Self::Function(frame) => frame.len(),
            Self::Bind => 0,
        }
    }
}

/// What waits: the frame, and what is needed to judge it again.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) frame: Frame,
    /// The gate does not know what the name stands for.
    pub(crate) opaque: bool,
    /// It executes what a PREPARE of this text prepared.
    pub(crate) executes: bool,
    /// The statement's facts when it was parsed, if that was before.
    pub(crate) parsed: Option<Arc<[Facts]>>,
    pub(crate) pending: Arc<Pending>,
    /// By what it was judged.
    pub(crate) known: Known,
}

/// By what a statement was judged, besides what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// How often the session had taken a newer catalog, and how many changes of its own it may have made to it.
    catalog: u64,
    changes: u64,
    /// How often the path by which names are found may have changed.
    paths: u64,
    /// What it was, and what tables were known to hold of labelled columns.
    state: Arc<SessionState>,
}

impl Known {
    pub(crate) fn of(session: &Session) -> Self {
        Self {
            catalog: session.catalogs,
            changes: session.catalog_changes,
            paths: session.path_changes,
            state: Arc::clone(&session.state),
        }
    }

    /// Whether names are found by the same path as then; `own_paths`: how often what was judged may have changed it itself.
    pub(crate) fn has_path_of(&self, session: &Session, own_paths: u64) -> bool {
        let path = &session.state.search_path;
        self.paths.saturating_add(own_paths) == session.path_changes
            || (path.is_some() && *path == self.state.search_path)
    }

    /// `own`: how many changes of the catalog, and of the path, what was judged may have made itself since.
    pub(crate) fn is_that_of(&self, session: &Session, own: usize, own_paths: u64) -> bool {
        let own = u64::try_from(own).unwrap_or(u64::MAX);
        self.has_path_of(session, own_paths)
            && self.catalog == session.catalogs
            && self.changes.saturating_add(own) >= session.catalog_changes
            && self.state.taints.is(&session.state.taints)
            && self.state.own_taints.is(&session.state.own_taints)
    }
}

impl Subject {
    pub(crate) fn traces(
        &self,
        shows: Arc<[Facts]>,
        of_statement: Option<Origins>,
        meter: Option<Arc<Meter>>,
        session: &Session,
    ) -> Arc<Traces> {
        let facts = &self.pending.facts;
        let sql = &self.pending.sql;
        let read = self.pending.read.unwrap_or_else(|| session.reading(sql));
        let made = self.makes(meter.as_ref(), session.rules, read);
        let is_named = matches!(self.frame, Frame::Bind) && session.park.names_portal();
        Arc::new(Traces {
            text: is_named.then(|| Text::kept(sql, read)),
            names: facts.iter().flat_map(|facts| facts.effect.names.iter().cloned()).collect(),
            wild: facts.iter().any(is_wild),
            copies_in: self.copies_in(),
            closes: facts.iter().map(|facts| facts.effect.closes.clone()).filter(closes).collect(),
            number: self.pending.number,
            shows,
            described: OnceLock::new(),
            keys: OnceLock::new(),
            counting: OnceLock::new(),
            of_statement,
            meter,
            made,
            changes: changes(facts),
            late: facts.iter().any(sees_late).then(|| Late {
                text: Text::kept(sql, read),
                facts: Arc::clone(facts),
                known: self.known.clone(),
            }),
        })
    }
}

impl Subject {
    /// The prepared statement or cursor that it leaves behind, where it is certain which: the one that it names. A cursor may
    /// stand among other statements (`begin; declare c …; fetch 100 in c`), if they close nothing and no code but the server's
    /// own is in it.
    fn makes(&self, meter: Option<&Arc<Meter>>, rules: u64, read: Reading) -> Option<Made> {
        let facts = &self.pending.facts;
        let text = || Text::kept(&self.pending.sql, read);
        let mut makers = facts.iter().filter(|facts| !facts.effect.names.is_empty());
        let (Some(maker), None) = (makers.next(), makers.next()) else { return None };
        let alone = facts.len() == 1;
        match maker.kind {
            _ if maker.effect.names.len() != 1 => None,
            Kind::Prepare if alone => Some(Made::Prepared(text(), Arc::clone(facts))),
            Kind::Cursor if alone || (maker.is_settled() && facts.iter().all(leaves_names)) => {
                Some(Made::Cursor(Declared {
                    text: text(),
                    facts: if alone { Arc::clone(facts) } else { Arc::from([maker.clone()]) },
                    effect: Box::new(maker.effect.clone()),
                    meter: meter.cloned(),
                    rules,
                }))
            }
            _ => None,
        }
    }

    /// How often it may read COPY data.
    fn copies_in(&self) -> usize {
        let simple = matches!(self.frame, Frame::Query(_));
        let each = |facts: &Facts| match facts.kind {
            Kind::CopyIn => 1,
            // Not to be read, it may be any number of statements.
            Kind::Unknown if simple => usize::MAX,
            Kind::Unknown => 1,
            _ => usize::from(self.opaque),
        };
        let all = self.pending.facts.iter().map(each).fold(0, usize::saturating_add);
        if simple { all } else { all.min(1) }
    }
}

/// Whether what others in its message have named is still there when it is done.
fn leaves_names(facts: &Facts) -> bool {
    facts.effect.closes == Closes::Nothing && !is_wild(facts)
}

pub(crate) fn closes(closes: &Closes) -> bool {
    *closes != Closes::Nothing
}

/// Whether the rows a portal reads are those of its Execute, and not of its Bind: all but a plain SELECT take their
/// snapshot then (`pquery.c`, `PortalStart`), and functions are compiled when they are first called.
fn sees_late(facts: &Facts) -> bool {
    // Which statement or cursor EXECUTE and FETCH go on with is looked up then, too.
    let goes_on =
        facts.kind == Kind::Execute || (facts.kind == Kind::Cursor && facts.effect.names.is_empty());
    let plain = facts.read_only && matches!(facts.kind, Kind::Select | Kind::Cursor) && facts.is_settled();
    goes_on || (!plain && (!facts.relations.is_empty() || !facts.is_settled()))
}

/// These, if running them may change what the session knows: what names, roles or texts mean, or its transaction.
pub(crate) fn changes(facts: &Arc<[Facts]>) -> Option<Arc<[Facts]>> {
    let changes = |facts: &Facts| {
        let effect = &facts.effect;
        let of_session = effect.session
            || effect.encoding.is_some()
            || effect.isolation != Isolation::AsBefore
            || effect.settings > Settings::Usual;
        of_session || effect.catalog || facts.kind == Kind::Transaction || is_wild(facts)
    };
    facts.iter().any(changes).then(|| Arc::clone(facts))
}

/// Whether a statement may do more than its facts say.
pub(crate) fn is_wild(facts: &Facts) -> bool {
    facts.certainty == Certainty::Unknown
}

/// The facts of something prepared earlier: what its names mean now, and what they meant when it was parsed,
/// for the server may go on with either.
pub(crate) fn now_and_then(now: Arc<[Facts]>, then: Option<&Arc<[Facts]>>) -> Arc<[Facts]> {
    let Some(then) = then.filter(|then| !Arc::ptr_eq(then, &now) && **then != now) else { return now };
    match (&*now, &**then) {
        ([now], [before]) => {
            let both = now.union(before);
            // The same ones go on being the same.
            if both == *before { Arc::clone(then) } else { Arc::from([both]) }
        }
        _ => opaque_facts(),
    }
}

/// The facts of executing what PREPARE has these.
pub(crate) fn executed(prepared: &Arc<[Facts]>) -> Arc<[Facts]> {
    match &**prepared {
        [only] => Arc::from([only.executed(only)]),
        _ => opaque_facts(),
    }
}

/// The facts of something that the gate did not see being made.
pub(crate) fn opaque_facts() -> Arc<[Facts]> {
    Arc::from([Facts::unseen()])
}

/// The facts of a message without a statement.
pub(crate) fn empty_facts() -> Arc<[Facts]> {
    Arc::from([Facts::empty()])
}
