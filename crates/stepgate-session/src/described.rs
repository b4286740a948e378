//! The second line: a result may only show what its statement was let through for. PostgreSQL says of each column of a
//! result which column of which relation it is (RowDescription); that is held against the facts before the first row,
//! and before the description itself where it comes with the rows.
//!
//! Compared once for each result of a kind: the same description of a statement with the same facts is not read again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use stepgate_sql::Facts;
use stepgate_types::{Certainty, ColumnName, Kind, Use};
use stepgate_wire::Piece;
use stepgate_wire::read::{Describe, RowDescription, Target};

use crate::expect::Owed;
use crate::facts::owned;
use crate::outlet::Traces;
use crate::registry;
use crate::session::{Action, Session};
use crate::subject::Frame;

/// The columns of a result that come from relations, by OID and attribute number.
pub(crate) type Origins = Arc<[(u32, i16)]>;

/// A description that was found to fit.
#[derive(Debug)]
pub(crate) struct Fits {
    frame: Bytes,
    origins: Origins,
    shows: Arc<[Facts]>,
    generation: u64,
}

/// What is not relayed before somebody has said that it may be.
#[derive(Debug)]
pub(crate) struct Withheld {
    piece: Piece,
    origins: Origins,
    shows: Arc<[Facts]>,
    number: u64,
}

/// What a result shows and its facts do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unflagged {
    /// Base columns.
    pub columns: BTreeSet<ColumnName>,
    /// It shows columns of relations that the catalog does not have.
    pub unknown: bool,
}

/// Whether a statement may return rows that are worth describing: facts that are not certain say nothing, and whoever
/// let them through knew.
pub(crate) fn returns_rows(shows: &[Facts]) -> bool {
    let kinds =
        [Kind::Select, Kind::Insert, Kind::Update, Kind::Delete, Kind::Merge, Kind::Cursor, Kind::Execute];
    shows.iter().all(|facts| facts.certainty != Certainty::Unknown)
        && shows.iter().any(|facts| kinds.contains(&facts.kind))
}

fn origins(frame: &[u8]) -> Option<Origins> {
    let described = RowDescription::read(frame).ok()?;
    let of_relation = described.fields.iter().filter(|field| field.table != 0 && field.attribute > 0);
    Some(of_relation.map(|field| (field.table, field.attribute)).collect())
}

impl Session {
    /// Takes a piece of the server's unless it must not be relayed yet.
    pub(crate) fn hold_against_facts(&mut self, piece: &Piece) -> bool {
        let (tag, frame) = match piece {
            Piece::Whole { tag: b'T', bytes } => {
                self.look_for_keys(bytes);
                self.look_for_subjects(bytes);
                (b'T', bytes)
            }
            Piece::Whole { tag: b'n', bytes } => (b'n', bytes),
            Piece::Part { tag: b'D', bytes, first: true, .. } => (b'D', bytes),
            _ => return true,
        };
        let (traces, statement) = match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { traces, .. }) if tag == b'T' => (Some(traces), None),
            Some(Owed::OwnDescribe { traces }) if tag != b'D' => (Some(traces), None),
            Some(Owed::Describe { traces, statement }) if tag != b'D' => (traces.as_ref(), statement.clone()),
            Some(Owed::Execute { traces, origins, .. }) if tag == b'D' => {
                let looked_at = origins.is_none() && traces.described.get().is_some();
                return looked_at || self.rows_begin(&Arc::clone(traces), piece);
            }
            _ => return true,
        };
        let traces = traces.cloned();
        let known = self.fits.as_ref().filter(|fits| tag == b'T' && fits.frame == *frame);
        let origins = match known {
            Some(fits) => Arc::clone(&fits.origins),
            None if tag == b'T' => match origins(frame) {
                Some(origins) => origins,
                None => {
                    self.lost_track();
                    return false;
                }
            },
            None => Origins::default(),
        };
        if let Some(statement) = statement {
            self.registry.described(statement, (self.generation, Arc::clone(&origins)));
        }
        let Some(traces) = traces else { return true };
        let shows = &traces.shows;
        let same = |fits: &&Fits| Arc::ptr_eq(&fits.shows, shows) && fits.generation == self.generation;
        if known.filter(same).is_some() {
            let _ = traces.described.set(origins);
            return true;
        }
        self.fits = Some(Fits {
            // Not the bytes themselves: they would keep the buffer for as long as the session does nothing else.
            frame: owned(frame),
            origins: Arc::clone(&origins),
            shows: Arc::clone(shows),
            generation: self.generation,
        });
        // Rows that follow have been looked at with it.
        let _ = traces.described.set(Arc::clone(&origins));
        self.ask_about(piece, origins, &traces)
    }

    /// The first row of a portal that the client did not have described.
    fn rows_begin(&mut self, traces: &Arc<Traces>, piece: &Piece) -> bool {
        let Some(entry) = self.expect.front_mut() else { return true };
        let Owed::Execute { origins, .. } = &mut entry.owed else { return true };
        match origins.take() {
            Some(origins) => {
                let _ = traces.described.set(Arc::clone(&origins));
                let fits = |(of, shows, generation): &(Origins, Arc<[Facts]>, u64)| {
                    Arc::ptr_eq(of, &origins)
                        && Arc::ptr_eq(shows, &traces.shows)
                        && *generation == self.generation
                };
                if self.fits_unsaid.as_ref().is_some_and(fits) {
                    return true;
                }
                self.fits_unsaid = Some((Arc::clone(&origins), Arc::clone(&traces.shows), self.generation));
                self.ask_about(piece, origins, traces)
            }
            None if !returns_rows(&traces.shows) => true,
            None => {
                self.lost_track();
                false
            }
        }
    }

    fn ask_about(&mut self, piece: &Piece, origins: Origins, traces: &Traces) -> bool {
        let unflagged = self.unflagged(&origins, &traces.shows);
        if unflagged == Unflagged::default() {
            return true;
        }
        let number = traces.number;
        (self.fits, self.fits_unsaid) = (None, None);
        self.withheld =
            Some(Withheld { piece: piece.clone(), origins, shows: Arc::clone(&traces.shows), number });
        self.actions.push_back(Action::ShowsMore { number, unflagged });
        false
    }

    fn unflagged(&self, origins: &[(u32, i16)], shows: &[Facts]) -> Unflagged {
        let mut unflagged = Unflagged::default();
        if shows.iter().any(|facts| facts.certainty == Certainty::Unknown) {
            return unflagged;
        }
        let flagged = |column: &ColumnName| {
            shows
                .iter()
                .any(|facts| facts.columns.get(column).is_some_and(|uses| uses.contains(&Use::Output)))
        };
        for (oid, number) in origins {
            let now = self.catalog.shown_by(*oid, *number);
            if now.as_ref().is_some_and(|columns| columns.iter().all(flagged)) {
                continue;
            }
            // It may have been judged by names that it has no longer, or be gone since. A view that showed nothing of any
            // relation says nothing of what it shows by now.
            let before = self.catalog_before.as_ref().and_then(|before| before.shown_by(*oid, *number));
            let before = before.filter(|columns| now.is_none() || !columns.is_empty());
            if before.as_ref().is_some_and(|columns| columns.iter().all(flagged)) {
                continue;
            }
            match now.or(before) {
                Some(columns) => unflagged.columns.extend(columns.into_iter().filter(|it| !flagged(it))),
                None => unflagged.unknown = true,
            }
        }
        let held: Vec<_> =
            unflagged.columns.iter().flat_map(|column| self.state.held_by(column)).cloned().collect();
        unflagged.columns.extend(held.into_iter().filter(|column| !flagged(column)));
        // What this session has made itself, a catalog need not show.
        unflagged.unknown &= self.state.temporaries.is_empty() && self.state.created.is_empty();
        unflagged
    }

    /// What is withheld shows more than its facts say: by catalog and state as they are now.
    #[must_use]
    pub fn shows_more_now(&self) -> Unflagged {
        let now = |withheld: &Withheld| self.unflagged(&withheld.origins, &withheld.shows);
        self.withheld.as_ref().map(now).unwrap_or_default()
    }

    /// What is withheld may be shown: none of it is classified.
    pub fn may_show(&mut self, number: u64) {
        if let Some(withheld) = self.withheld.take_if(|withheld| withheld.number == number) {
            self.take_from_server(&withheld.piece);
        }
    }

    /// The client's Describe has been sent.
    pub(crate) fn owe_description(&mut self, frame: &Bytes) {
        let (traces, statement) = match Describe::read(frame) {
            Ok(Describe { kind: Target::Portal, name }) => {
                let name = registry::key(name);
                let unanswered = self.opened(&name).and_then(|at| self.expect.get(at));
                let traces = match unanswered.map(|entry| &entry.owed) {
                    Some(Owed::Bind { opened, .. }) => Some(Arc::clone(opened.traces())),
                    _ => self.registry.portal(&name).map(|opened| Arc::clone(opened.traces())),
                };
                (traces, None)
            }
            Ok(Describe { kind: Target::Statement, name }) => (None, Some(registry::key(name))),
            // It was read before.
            Err(_) => (None, None),
        };
        self.owe(Owed::Describe { traces, statement });
    }

    /// What the server has said of the statement that is about to be bound.
    pub(crate) fn description_of_bound(&self, frame: &Frame) -> Option<Origins> {
        let (Frame::Bind, Some((bind, None))) = (frame, self.park.undecided()) else { return None };
        let parsed = |owed: &Owed| matches!(owed, Owed::Parse { name, .. } if *name == bind.statement);
        let is_new = self.expect.iter().any(|entry| parsed(&entry.owed));
        self.registry.description(&bind.statement, self.generation).filter(|_| !is_new)
    }

    /// Has a portal described, if its rows may come without that.
    pub(crate) fn describe_own(&mut self, portal: &Bytes, traces: &Arc<Traces>) {
        let asked = |owed: &Owed| match owed {
            Owed::Describe { traces: Some(of), .. } | Owed::OwnDescribe { traces: of } => {
                Arc::ptr_eq(of, traces)
            }
            _ => false,
        };
        if traces.described.get().is_some()
            || traces.of_statement.is_some()
            || !returns_rows(&traces.shows)
            || self.expect.iter().any(|entry| asked(&entry.owed))
        {
            return;
        }
        self.server.describe_portal(portal);
        self.owe(Owed::OwnDescribe { traces: Arc::clone(traces) });
    }
}
