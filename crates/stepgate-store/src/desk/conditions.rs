//! What an answer to an open request must bring, and what its viewer has still to read.

use std::time::Duration;

use stepgate_approval::Held;
use stepgate_types::{Limit, PersonName, RequestId, Strength, Timestamp};

use super::read::Reading;
use super::state::Entry;
use super::view::Part;
use super::{Desk, DeskError};

/// The conditions of an open request, for somebody who sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// What the factor must prove at least.
    pub strength: Strength,
    /// Whether a reason is asked for.
    pub reason_required: bool,
    /// How much the statement may deliver.
    pub limit: Limit,
    /// For how long the approval is remembered, if it is.
    pub remember: Option<Duration>,
    /// Kinds of statement.
    pub kinds: Vec<&'static str>,
    /// What is done with what is read.
    pub uses: Vec<&'static str>,
    /// When the request lapses.
    pub expires: Timestamp,
    /// The part of the statement that the viewer has to read next, and from which byte; `None`: they have had all of
    /// it before their eyes, and may approve it.
    pub unread: Option<(Part, usize)>,
}

impl Desk {
    /// The conditions of an open request.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn conditions(&self, request: RequestId, viewer: &PersonName) -> Result<Conditions, DeskError> {
        self.0.looking(request, viewer, |entry| entry.conditions(viewer))
    }
}

impl Entry {
    fn conditions(&self, viewer: &PersonName) -> Conditions {
        let ask = self.open.ask();
        Conditions {
            strength: ask.terms.strength,
            reason_required: ask.terms.reason_required,
            limit: ask.limit,
            remember: ask.terms.remember,
            kinds: ask.kinds.iter().map(|kind| kind.as_str()).collect(),
            uses: ask.uses.iter().map(|use_| use_.as_str()).collect(),
            expires: ask.expires,
            unread: self.reading.unread(viewer, &self.held),
        }
    }
}

impl Reading {
    fn unread(&self, viewer: &PersonName, held: &Held) -> Option<(Part, usize)> {
        if self.is_complete(viewer, held) {
            return None;
        }
        let lengths = held.parameters.iter().enumerate();
        let lengths = lengths.map(|(at, value)| (Part::Parameter(at), value.as_ref().map_or(0, Vec::len)));
        let behind = held.behind.iter().enumerate().map(|(at, text)| (Part::Behind(at), text.len()));
        std::iter::once((Part::Sql, held.sql.len()))
            .chain(behind)
            .chain(lengths)
            .map(|(part, length)| (part, self.seen(viewer, part), length))
            // A value never shown is unread even where it is empty or NULL.
            .find(|(_, seen, length)| seen.is_none_or(|seen| seen < *length))
            .map(|(part, seen, _)| (part, seen.unwrap_or(0)))
    }
}
