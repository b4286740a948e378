//! What a row shows: how many bytes, and whose data, as keyed hashes.
//!
//! This is the one place where the gate looks into a row for a limit, and only where one counts subjects. A value goes
//! from the frame into the hash and nowhere else.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use stepgate_sql::Catalog;
use stepgate_types::RelationName;
use stepgate_wire::HEADER;

use crate::subjects::{KeyField, KeyFields, Rewritten, TrackedKeys};

/// The most keys of a row that are hashed; of more relations each counts as somebody else.
const MAX_KEYS: usize = 4;

/// The longest text of a number or UUID.
const MAX_TEXT: usize = 40;

/// Hashes a subject's key with a secret.
pub trait HashSubject: Debug + Send + Sync {
    /// A hash of that key of that relation; `form` tells forms of a value apart that need not be equal.
    fn hash(&self, relation: &RelationName, form: u8, key: &[u8]) -> u64;
}

/// Whose data the rows of a statement may be.
#[derive(Debug)]
pub struct Tells {
    /// The relations that it tells of, one row of each in each row of the result at most.
    relations: BTreeSet<RelationName>,
    /// By which columns those tell whose their rows are, where they do.
    keys: TrackedKeys,
    hash: Arc<dyn HashSubject>,
}

/// What a row, or what counts as one, shows.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Shown {
    /// One, but for what is stored.
    pub(crate) rows: u64,
    /// With its header.
    pub(crate) bytes: u64,
    /// Of whom it tells and does not say who they are.
    pub(crate) others: u64,
    pub(crate) hashes: [u64; MAX_KEYS],
    pub(crate) keys: usize,
}

impl Shown {
    /// Of so many bytes, about nobody.
    pub(crate) fn of(bytes: u64) -> Self {
        Self { rows: 1, bytes, ..Self::default() }
    }

    /// It is about this one as well.
    pub(crate) fn add(&mut self, hash: u64) {
        match self.hashes.get_mut(self.keys) {
            Some(place) => {
                *place = hash;
                self.keys = self.keys.saturating_add(1);
            }
            None => self.others = self.others.saturating_add(1),
        }
    }

    pub(crate) fn hashes(&self) -> &[u64] {
        self.hashes.get(..self.keys).unwrap_or_default()
    }
}

/// Where in the rows of a result it says whose they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counting {
    /// In order of their places.
    fields: Vec<KeyField>,
    /// Relations whose key it does not show.
    others: u64,
}

impl Tells {
    /// Of these relations, whose rows are told apart by these keys.
    #[must_use]
    pub fn of(
        relations: BTreeSet<RelationName>,
        keys: impl IntoIterator<Item = (RelationName, String)>,
        hash: Arc<dyn HashSubject>,
    ) -> Self {
        Self { relations, keys: TrackedKeys::new(keys), hash }
    }

    /// How many people a row is about that does not say who they are.
    pub(crate) fn all(&self) -> u64 {
        u64::try_from(self.relations.len()).unwrap_or(u64::MAX)
    }

    /// A result is described by this RowDescription.
    pub(crate) fn counting(&self, frame: &[u8], catalog: &Catalog, rewritten: &Rewritten) -> Counting {
        let mut fields: Vec<KeyField> = Vec::new();
        for field in
            KeyFields::of(frame, &self.keys, catalog, rewritten).map(|fields| fields.0).unwrap_or_default()
        {
            let known = fields.iter().any(|known| known.relation == field.relation);
            if field.read.is_some() && !known && self.relations.contains(&*field.relation) {
                fields.push(field);
            }
        }
        fields.truncate(MAX_KEYS);
        let shown = u64::try_from(fields.len()).unwrap_or(0);
        Counting { fields, others: self.all().saturating_sub(shown) }
    }

    /// What a row shows: all of it, or its beginning. `None`: a key may come later in it.
    pub(crate) fn see(&self, row: &Bytes, bytes: u64, counting: Option<&Counting>) -> Option<Shown> {
        let mut shown = Shown::of(bytes);
        let Some(Counting { fields, others }) = counting.filter(|_| row.first() == Some(&b'D')) else {
            shown.others = self.all();
            return Some(shown);
        };
        shown.others = *others;
        for field in fields {
            match value(row, field.at)? {
                Some(value) => self.hash(field, value, &mut shown),
                // Nobody's, or of an outer join: but who says so.
                None => shown.others = shown.others.saturating_add(1),
            }
        }
        Some(shown)
    }

    fn hash(&self, field: &KeyField, value: &[u8], shown: &mut Shown) {
        let binary = field.read.as_ref().is_some_and(|read| read.binary);
        let of = field.read.as_ref().map_or(0, |read| read.type_oid);
        let mut text = Text::default();
        let written = if binary { text.write_of(of, value) } else { None };
        let (form, key) = match written {
            Some(()) => (0, text.bytes()),
            None => (u8::from(binary && !crate::subjects::is_text(of)), value),
        };
        shown.add(self.hash.hash(&field.relation, form, key));
    }
}

/// The value at this place of a DataRow, all of which is there. `None`: the row's beginning ends before; of one that
/// cannot be read, too.
fn value(row: &[u8], at: usize) -> Option<Option<&[u8]>> {
    let (count, mut rest) = row.get(HEADER..)?.split_first_chunk::<2>()?;
    if at >= usize::from(u16::from_be_bytes(*count)) {
        return None;
    }
    let mut left = at;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        if left == 0 {
            return match length {
                None => Some(None),
                Some(length) => after.get(..length).map(Some),
            };
        }
        rest = after.get(length.unwrap_or(0)..)?;
        left = left.saturating_sub(1);
    }
}

/// Room for a number or UUID as the server would write it, without an allocation.
struct Text {
    bytes: [u8; MAX_TEXT],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; MAX_TEXT], length: 0 }
    }
}

impl Text {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// A value in binary form; `None`: of a type that is not known here.
    fn write_of(&mut self, type_oid: u32, value: &[u8]) -> Option<()> {
        use crate::subjects::{INT2, INT4, INT8, UUID};
        match type_oid {
            INT2 => write!(self, "{}", i16::from_be_bytes(value.try_into().ok()?)).ok(),
            INT4 => write!(self, "{}", i32::from_be_bytes(value.try_into().ok()?)).ok(),
            INT8 => write!(self, "{}", i64::from_be_bytes(value.try_into().ok()?)).ok(),
            UUID => {
                let bytes: [u8; 16] = value.try_into().ok()?;
                for (at, byte) in bytes.iter().enumerate() {
                    let dash = if [4, 6, 8, 10].contains(&at) { "-" } else { "" };
                    write!(self, "{dash}{byte:02x}").ok()?;
                }
                Some(())
            }
            _ => None,
        }
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length.saturating_add(text.len());
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Plain;

    impl HashSubject for Plain {
        fn hash(&self, relation: &RelationName, form: u8, key: &[u8]) -> u64 {
            use std::hash::{DefaultHasher, Hash as _, Hasher as _};
            let mut hasher = DefaultHasher::new();
            (relation, form, key).hash(&mut hasher);
            hasher.finish()
        }
    }

    fn row(values: &[Option<&[u8]>]) -> Bytes {
        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            body.extend(length.to_be_bytes());
            body.extend(value.unwrap_or_default());
        }
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [b"D".as_slice(), &length, &body].concat().into()
    }

    fn field(at: usize, type_oid: u32, binary: bool) -> KeyField {
        let read = Some(crate::subjects::Read { type_oid, binary });
        KeyField { at, relation: Arc::new(RelationName::new("public", "c")), read }
    }

    fn seen(row: &Bytes, fields: Vec<KeyField>, others: u64) -> Option<(Vec<u64>, u64)> {
        let relations = [RelationName::new("public", "c"), RelationName::new("public", "d")];
        let tells = Tells::of(relations.into(), [], Arc::new(Plain));
        let counting = Counting { fields, others };
        tells.see(row, 9, Some(&counting)).map(|shown| (shown.hashes().to_vec(), shown.others))
    }

    #[test]
    fn a_key_is_the_same_in_text_and_in_binary_form() {
        use crate::subjects::{INT4, UUID};
        let (text, binary) = (row(&[None, Some(b"-42")]), row(&[Some(b"x"), Some(&(-42_i32).to_be_bytes())]));
        assert_eq!(seen(&text, vec![field(1, INT4, false)], 0), seen(&binary, vec![field(1, INT4, true)], 0));
        let uuid = b"12121212-1212-1212-1212-121212121212";
        let (text, binary) = (row(&[Some(uuid)]), row(&[Some(&[0x12; 16])]));
        assert_eq!(seen(&text, vec![field(0, UUID, false)], 0), seen(&binary, vec![field(0, UUID, true)], 0));
        let other = row(&[Some(b"42")]);
        assert_ne!(
            seen(&other, vec![field(0, INT4, false)], 0).unwrap().0,
            seen(&text, vec![field(0, UUID, false)], 0).unwrap().0
        );
    }

    #[test]
    fn a_row_that_does_not_say_whose_it_is_counts_for_each_relation() {
        let row = row(&[Some(b"1"), None]);
        assert_eq!(seen(&row, Vec::new(), 2), Some((Vec::new(), 2)));
        assert_eq!(
            seen(&row, vec![field(1, 23, false)], 1),
            Some((Vec::new(), 2)),
            "NULL is nobody who is known"
        );
        assert_eq!(seen(&row, vec![field(0, 23, false)], 1).unwrap().1, 1);
    }

    #[test]
    fn a_row_that_has_not_come_up_to_its_key_says_so() {
        let whole = row(&[Some(b"long"), Some(b"7")]);
        for end in 0..whole.len() {
            assert_eq!(seen(&whole.slice(..end), vec![field(1, 23, false)], 0).is_some(), end == 0, "{end}");
        }
        assert!(seen(&whole, vec![field(1, 23, false)], 0).is_some());
        assert_eq!(seen(&whole, vec![field(2, 23, false)], 0), None);
    }
}
