//! Whose data a result shows: the keys among its columns, where that is asked for (`audit.track_subjects`).
//!
//! A key is told by what PostgreSQL says of a result's columns, never by their names. Where nothing is tracked, no row
//! is looked at.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use stepgate_sql::{Catalog, Facts};
use stepgate_types::{Certainty, ColumnName, RelationName};
use stepgate_wire::read::{DataRow, RowDescription};

use crate::expect::Owed;
use crate::keys::{BPCHAR, NUMERIC, canonical_key};
use crate::session::{Action, Session};

/// The most keys of a relation that are told of one statement.
const MAX_KEYS: usize = 1_000;

/// The longest key, in bytes.
pub(crate) const MAX_KEY: usize = 256;

/// The longest row that is looked at, in bytes; of a longer one it is only known that there was one.
const MAX_ROW: usize = 64 * 1024;

/// The most columns that are remembered of those that a transaction writes.
const MAX_REWRITTEN: usize = 256;

/// How many keys are told at once.
const AT_ONCE: usize = 96;

/// Which column of a relation says whose row it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TrackedKeys(BTreeMap<RelationName, String>);

impl TrackedKeys {
    /// These.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (RelationName, String)>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a statement may read any of these relations.
    #[must_use]
    pub fn concern(&self, facts: &[Facts]) -> bool {
        let any = |facts: &Facts| facts.columns.keys().any(|column| self.0.contains_key(&column.relation));
        facts.iter().any(any)
    }

    /// Whether this is one of the key columns.
    #[must_use]
    pub fn is_key(&self, column: &ColumnName) -> bool {
        self.0.get(&column.relation).is_some_and(|key| *key == column.column)
    }
}

/// Where in a result's rows keys are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyFields(pub(crate) Vec<KeyField>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyField {
    pub(crate) at: usize,
    /// Shared, since each row that is looked at names it.
    pub(crate) relation: Arc<RelationName>,
    /// How its value is read; `None`: what it shows is made of keys, or may have been put there, and is none itself.
    pub(crate) read: Option<Read>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) type_oid: u32,
    pub(crate) binary: bool,
}

/// Columns that the open transaction has written, or is about to: what a row shows in them says nothing of whose it was.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    columns: BTreeSet<ColumnName>,
    /// It may be any.
    all: bool,
}

impl Rewritten {
    /// These facts are of something that is about to be sent.
    pub(crate) fn by(&mut self, facts: &Facts) {
        self.all |= facts.certainty == Certainty::Unknown;
        for column in facts.rewrites() {
            self.all |= self.columns.len() >= MAX_REWRITTEN;
            if self.all {
                return;
            }
            self.columns.insert(column.clone());
        }
    }

    /// The transaction is over.
    pub(crate) fn forget(&mut self) {
        self.all = false;
        self.columns.clear();
    }

    fn has(&self, column: &ColumnName) -> bool {
        self.all || self.columns.contains(column)
    }
}

impl KeyFields {
    pub(crate) fn of(
        frame: &[u8],
        tracked: &TrackedKeys,
        catalog: &Catalog,
        rewritten: &Rewritten,
    ) -> Option<Self> {
        let described = RowDescription::read(frame).ok()?;
        let mut fields = Vec::new();
        for (at, field) in described.fields.iter().enumerate() {
            if field.table == 0 || field.attribute <= 0 {
                continue;
            }
            let shown = catalog.shown_by(field.table, field.attribute).unwrap_or_default();
            let name = catalog.name_of(field.table);
            for column in shown.into_iter().filter(|column| tracked.is_key(column)) {
                // A view's column may be anything that is made of the key.
                let itself = name == Some(&column.relation) && !rewritten.has(&column);
                let read = itself.then_some(Read { type_oid: field.type_oid, binary: field.format != 0 });
                fields.push(KeyField { at, relation: Arc::new(column.relation), read });
            }
        }
        (!fields.is_empty()).then_some(Self(fields))
    }
}

/// The keys of the statement under way.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    /// What is looked for; `None`: nothing, ever.
    tracked: Option<Arc<TrackedKeys>>,
    /// Of the result that a Query has under way.
    now: Option<Arc<KeyFields>>,
    seen: BTreeMap<Arc<RelationName>, Seen>,
    /// A row that has not come whole.
    row: BytesMut,
    /// One has begun: what comes next is its rest, and not that of COPY data.
    in_row: bool,
    too_long: bool,
}

#[derive(Debug, Default)]
struct Seen {
    keys: BTreeSet<String>,
    more: bool,
}

impl Session {
    /// From now on tells which keys are shown.
    pub fn track(&mut self, keys: Arc<TrackedKeys>) {
        self.subjects.tracked = Some(keys).filter(|keys| !keys.is_empty());
    }

    /// Whether the formats of a result's columns must be known, which the description of a prepared statement does not
    /// tell.
    pub(crate) fn must_describe_portal(&self, facts: &[Facts]) -> bool {
        self.subjects.tracked.as_ref().is_some_and(|tracked| tracked.concern(facts))
    }

    /// Looks for keys in a description that belongs to what is owed first.
    pub(crate) fn look_for_keys(&mut self, frame: &Bytes) {
        let Some(tracked) = &self.subjects.tracked else { return };
        let owed = self.expect.front().map(|entry| &entry.owed);
        let found = || KeyFields::of(frame, tracked, &self.catalog, &self.rewritten).map(Arc::new);
        match owed {
            Some(Owed::Query { .. }) => self.subjects.now = found(),
            // Not that of a prepared statement, which says nothing of formats.
            Some(Owed::OwnDescribe { traces } | Owed::Describe { traces: Some(traces), statement: None }) => {
                if let Some(found) = found() {
                    let _ = traces.keys.set(found);
                }
            }
            _ => {}
        }
    }

    /// Whether rows that come now have keys.
    pub(crate) fn rows_have_keys(&self) -> bool {
        self.subjects.tracked.is_some() && self.key_fields().is_some()
    }

    fn key_fields(&self) -> Option<&Arc<KeyFields>> {
        match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { .. }) => self.subjects.now.as_ref(),
            Some(Owed::Execute { traces, .. }) => traces.keys.get(),
            _ => None,
        }
    }

    /// Takes the keys from a piece of a row that goes to the client.
    pub(crate) fn see_keys(&mut self, piece: &Bytes, first: bool, last: bool) {
        let in_row = if first { piece.first() == Some(&b'D') } else { self.subjects.in_row };
        self.subjects.in_row = in_row && !last;
        if !in_row {
            return;
        }
        let Some(fields) = self.key_fields().cloned() else { return };
        let subjects = &mut self.subjects;
        if first && last {
            return subjects.see(piece, &fields);
        }
        if first {
            subjects.row.clear();
            subjects.too_long = false;
        }
        subjects.too_long |= subjects.row.len().saturating_add(piece.len()) > MAX_ROW;
        if subjects.too_long {
            subjects.row = BytesMut::new();
        } else {
            subjects.row.extend_from_slice(piece);
        }
        if last {
            let row = std::mem::take(&mut subjects.row);
            subjects.see(&row, &fields);
        }
    }

    /// Tells what was seen of statement `number`, which ends here, having shown what is in these facts.
    pub(crate) fn tell_keys(&mut self, number: u64, shows: &[Facts]) {
        if self.subjects.tracked.is_none() {
            return;
        }
        self.subjects.now = None;
        self.subjects.in_row = false;
        for (relation, Seen { keys, more }) in std::mem::take(&mut self.subjects.seen) {
            let more = more || !is_shown_row_by_row(shows, &relation);
            let relation = Arc::unwrap_or_clone(relation);
            let keys: Vec<String> = keys.into_iter().collect();
            if keys.is_empty() {
                let (relation, keys) = (relation.clone(), Vec::new());
                self.actions.push_back(Action::Subjects { number, relation, keys, more });
            }
            for keys in keys.chunks(AT_ONCE) {
                let (relation, keys) = (relation.clone(), keys.to_vec());
                self.actions.push_back(Action::Subjects { number, relation, keys, more });
            }
        }
    }
}

impl Subjects {
    fn see(&mut self, row: &[u8], fields: &KeyFields) {
        let values = if self.too_long { None } else { DataRow::read(row).ok().map(|row| row.values) };
        self.too_long = false;
        for field in &fields.0 {
            let value = values.as_ref().and_then(|values| values.get(field.at)).copied();
            let key = match (value, &field.read) {
                // NULL, as of an outer join: nobody's.
                (Some(None), Some(_)) => {
                    self.seen_of(&field.relation);
                    continue;
                }
                (Some(Some(value)), Some(read)) => key_of(read, value),
                _ => None,
            };
            self.seen_of(&field.relation).add(key);
        }
    }

    /// What was seen of that relation.
    fn seen_of(&mut self, relation: &Arc<RelationName>) -> &mut Seen {
        self.seen.entry(Arc::clone(relation)).or_default()
    }
}

impl Seen {
    /// A key, or one that cannot be told.
    fn add(&mut self, key: Option<Cow<'_, str>>) {
        match key {
            Some(key) if self.keys.contains(&*key) => {}
            Some(key) if self.keys.len() < MAX_KEYS => {
                self.more |= !is_one_text(&key);
                self.keys.insert(key.into_owned());
            }
            _ => self.more = true,
        }
    }
}

/// A key as text, copied only where it is not text already.
fn key_of<'v>(read: &Read, value: &'v [u8]) -> Option<Cow<'v, str>> {
    if read.binary && !TEXTS.contains(&read.type_oid) {
        return text_of(read.type_oid, true, value).map(Cow::Owned);
    }
    let text = as_text(value)?;
    // Of other types the server spells a value in one way.
    let settled = match read.type_oid {
        NUMERIC | BPCHAR => canonical_key(read.type_oid, text),
        _ => None,
    };
    Some(settled.map_or(Cow::Borrowed(text), Cow::Owned))
}

/// Whether the rows of that relation that a message tells anything of are those whose keys its result shows: one statement
/// of it reaches the relation, row by row. What fetches from a cursor comes with the facts of that.
fn is_shown_row_by_row(shows: &[Facts], relation: &RelationName) -> bool {
    let mut reaching = shows.iter().filter(|facts| facts.may_reach(relation));
    matches!((reaching.next(), reaching.next()), (Some(only), None) if only.shows_row_by_row(relation))
}

/// Whether no other text can be the same key: that of an integer or a UUID, as the server writes it. Others may be equal
/// by a collation (`citext`, ICU's), or but for trailing spaces (`char(n)`).
#[must_use]
pub fn is_one_text(key: &str) -> bool {
    let integer = || key.parse::<i64>().is_ok_and(|number| number.to_string() == key);
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let uuid = || {
        key.len() == 36
            && key.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => is_hex(byte),
            })
    };
    integer() || uuid()
}

// OIDs of types (`pg_type.dat`).
const NAME: u32 = 19;
pub(crate) const INT8: u32 = 20;
pub(crate) const INT2: u32 = 21;
pub(crate) const INT4: u32 = 23;
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;
pub(crate) const UUID: u32 = 2950;

/// Types of which the binary format is the text.
const TEXTS: [u32; 4] = [NAME, TEXT, BPCHAR, VARCHAR];

/// Whether the binary form of a type is its text.
pub(crate) fn is_text(type_oid: u32) -> bool {
    TEXTS.contains(&type_oid)
}

fn as_text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| text.len() <= MAX_KEY)
}

/// A value as the server writes it in text; `None`: not known, or too long.
#[must_use]
pub fn text_of(type_oid: u32, binary: bool, value: &[u8]) -> Option<String> {
    let text = || as_text(value).map(str::to_owned);
    if !binary {
        return text();
    }
    match type_oid {
        INT2 => Some(i16::from_be_bytes(value.try_into().ok()?).to_string()),
        INT4 => Some(i32::from_be_bytes(value.try_into().ok()?).to_string()),
        INT8 => Some(i64::from_be_bytes(value.try_into().ok()?).to_string()),
        of if TEXTS.contains(&of) => text(),
        UUID => {
            let bytes: [u8; 16] = value.try_into().ok()?;
            let mut shown = String::with_capacity(36);
            for (at, byte) in bytes.iter().enumerate() {
                if [4, 6, 8, 10].contains(&at) {
                    shown.push('-');
                }
                shown.push_str(&format!("{byte:02x}"));
            }
            Some(shown)
        }
        _ => None,
    }
}
