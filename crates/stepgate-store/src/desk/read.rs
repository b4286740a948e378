//! Shows held statements, and knows who has read how much of a long one (what you see is what runs).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use stepgate_approval::{Held, Page, escape_for_display, page_for_display};
use stepgate_types::PersonName;

use super::history::History;
use super::state::{Entry, Waiter, hex};
use super::view::{Part, Shown, ShownParameter, WaitsFrom};

/// Bytes of a statement and its values that are shown at once. Escaped they grow to at most eight times
/// as many: 1 MiB, the API's cap.
const PAGE_BYTES: usize = 128 << 10;

/// Bind values that are shown at once.
const PAGE_PARAMETERS: usize = 1000;

/// From so many places it is said that sessions wait; how many do in all is said of every request.
const MAX_PLACES: usize = 20;

/// How far each viewer has read, without gaps.
#[derive(Default)]
pub(super) struct Reading(BTreeMap<PersonName, BTreeMap<Part, usize>>);

impl Reading {
    fn saw(&mut self, viewer: &PersonName, part: Part, page: &Page) {
        let parts = self.0.entry(viewer.clone()).or_default();
        let seen = parts.get(&part).copied();
        if page.offset <= seen.unwrap_or(0) {
            let to = page.next.unwrap_or(page.total);
            parts.insert(part, to.max(seen.unwrap_or(0)));
        }
    }

    /// Who comes by this name has seen nothing.
    pub(super) fn forget(&mut self, viewer: &PersonName) {
        self.0.remove(viewer);
    }

    /// How much of a part this person has seen.
    pub(super) fn seen(&self, viewer: &PersonName, part: Part) -> Option<usize> {
        self.0.get(viewer)?.get(&part).copied()
    }

    /// Whether this person has seen anything of it.
    pub(super) fn knows(&self, viewer: &PersonName) -> bool {
        self.0.contains_key(viewer)
    }

    /// Whether this person has had all of the statement before their eyes, or it is so short that one
    /// page shows it all.
    pub(super) fn is_complete(&self, viewer: &PersonName, held: &Held) -> bool {
        if fits_one_page(held) {
            return true;
        }
        let Some(parts) = self.0.get(viewer) else { return false };
        let read = |part, length| parts.get(&part).is_some_and(|seen| *seen >= length);
        let mut values = held.parameters.iter().enumerate();
        read(Part::Sql, held.sql.len())
            && held.behind.iter().enumerate().all(|(at, text)| read(Part::Behind(at), text.len()))
            && values.all(|(at, value)| read(Part::Parameter(at), value.as_ref().map_or(0, Vec::len)))
    }
}

fn fits_one_page(held: &Held) -> bool {
    let values = held.parameters.iter().flatten().chain(&held.behind).map(Vec::len);
    held.parameters.len() <= PAGE_PARAMETERS
        && values.fold(held.sql.len(), usize::saturating_add) <= PAGE_BYTES
}

impl Entry {
    /// The statement for this viewer, as much as one answer holds.
    pub(super) fn show(&mut self, viewer: &PersonName) -> Shown {
        let info = self.info();
        let sql = page_for_display(&self.held.sql, 0, PAGE_BYTES);
        self.reading.saw(viewer, Part::Sql, &sql);
        let end = |page: &Page| page.next.unwrap_or(page.total);
        let mut room = PAGE_BYTES.saturating_sub(end(&sql));
        let mut behind = Vec::new();
        for at in 0..self.held.behind.len() {
            let text = self.page(viewer, Part::Behind(at), 0, room);
            room = room.saturating_sub(text.as_ref().map_or(0, end));
            behind.extend(text);
        }
        let mut parameters = Vec::new();
        for at in 0..self.held.parameters.len().min(PAGE_PARAMETERS) {
            let value = self.page(viewer, Part::Parameter(at), 0, room);
            room = room.saturating_sub(value.as_ref().map_or(0, end));
            parameters.push(ShownParameter {
                type_oid: self.held.types.get(at).copied().unwrap_or(0),
                format: self.format(at),
                value,
            });
        }
        let ask = self.open.ask();
        Shown {
            info,
            statement: ask.statement,
            address: ask.address.to_string(),
            client: escape_for_display(ask.client.as_bytes()),
            waits: self.waits(),
            db_user: escape_for_display(ask.db_user.as_bytes()),
            relations: ask
                .relations
                .iter()
                .map(|name| escape_for_display(name.to_string().as_bytes()))
                .collect(),
            labels: ask.labels.iter().map(ToString::to_string).collect(),
            rules: ask.rules.clone(),
            because: ask.because.clone(),
            limit: ask.limit,
            history: History::default(),
            comments: self.comments.clone(),
            canonical_sha256: hex(self.open.canonical()),
            sql,
            behind,
            parameters,
            parameters_total: self.held.parameters.len(),
            truncated: !fits_one_page(&self.held),
        }
    }

    /// From where sessions wait.
    fn waits(&self) -> Vec<WaitsFrom> {
        let mut places: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for Waiter { address, client, statement, .. } in self.waiting() {
            places.entry((address, client)).or_default().insert(statement.session);
        }
        let shown = |((address, client), sessions): ((&IpAddr, &String), BTreeSet<_>)| WaitsFrom {
            address: address.to_string(),
            client: escape_for_display(client.as_bytes()),
            sessions: sessions.len(),
        };
        places.into_iter().take(MAX_PLACES).map(shown).collect()
    }

    /// One code alone is meant for all values, none means text (PostgreSQL documentation, 54.7, Bind).
    fn format(&self, at: usize) -> i16 {
        match self.held.formats.as_slice() {
            [all] => *all,
            each => each.get(at).copied().unwrap_or(0),
        }
    }

    /// A page of one part. NULL is the text `NULL` of length 0.
    pub(super) fn show_more(&mut self, viewer: &PersonName, part: Part, offset: usize) -> Page {
        let null = Page { text: "NULL".to_owned(), offset: 0, next: None, total: 0 };
        self.page(viewer, part, offset, PAGE_BYTES).unwrap_or(null)
    }

    fn page(&mut self, viewer: &PersonName, part: Part, offset: usize, room: usize) -> Option<Page> {
        let bytes = match part {
            Part::Sql => Some(&self.held.sql),
            Part::Behind(at) => Some(self.held.behind.get(at)?),
            Part::Parameter(at) => match self.held.parameters.get(at) {
                Some(value) => value.as_ref(),
                None => return None,
            },
        };
        let page = match bytes {
            Some(bytes) if room == 0 && !bytes.is_empty() => {
                return Some(Page { text: String::new(), offset, next: Some(offset), total: bytes.len() });
            }
            Some(bytes) => Some(page_for_display(bytes, offset, room)),
            None => None,
        };
        let null = Page { text: String::new(), offset: 0, next: None, total: 0 };
        self.reading.saw(viewer, part, page.as_ref().unwrap_or(&null));
        page
    }
}
