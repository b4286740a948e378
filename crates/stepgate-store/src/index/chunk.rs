//! What 65,536 records (fewer at the log's end) can be found by, made from them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use stepgate_record::{Frontier, Hash, MAX_PARTS, Sieve, Wanted, facets, members, part_of};
use stepgate_types::Timestamp;

use super::bits::{Bits, CHUNK};

/// Records of a block: what times it holds is known of each.
pub(super) const BLOCK: usize = 256;

/// The term of records that may have any.
pub(super) const ANYTHING: &[u8] = b"*";

/// Times of a block's records; clocks step, so these are not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// An index in the making.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Number of the first record.
    pub(super) first: u64,
    /// By a facet's letter and text: the offsets of records, in order.
    pub(super) terms: BTreeMap<Vec<u8>, Vec<u16>>,
    pub(super) blocks: Vec<Times>,
    /// The record files that these lie in: the offset of the first record that does, the file's first record.
    pub(super) files: Vec<(u32, u64)>,
    /// Where in its file each record begins.
    pub(super) places: Vec<u32>,
    /// The tree over these records alone.
    pub(super) tree: Frontier,
    key: Vec<u8>,
}

impl Chunk {
    pub(crate) fn new(first: u64) -> Self {
        Self {
            first,
            terms: BTreeMap::new(),
            blocks: Vec::new(),
            files: Vec::new(),
            places: Vec::new(),
            tree: Frontier::default(),
            key: Vec::new(),
        }
    }

    /// Number of the record that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.places.len()).unwrap_or(u64::MAX))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.next() >= self.first.saturating_add(CHUNK)
    }

    /// Adds the next record, which begins at `place` of that file.
    pub(crate) fn add(&mut self, bytes: &[u8], hash: Hash, (file, place): (u64, u64)) {
        let Ok(offset) = u16::try_from(self.places.len()) else { return };
        if self.files.last().is_none_or(|(_, last)| *last != file) {
            self.files.push((u32::from(offset), file));
        }
        // Beyond 4 GiB there is nothing; a place that is not right is found out when it is read.
        self.places.push(u32::try_from(place).unwrap_or(u32::MAX));
        self.tree.push(hash);
        let fields = members(bytes);
        let at = Timestamp::from_micros(fields.get("ts_us").and_then(Value::as_i64).unwrap_or_default());
        match self.blocks.get_mut(usize::from(offset) / BLOCK) {
            Some(times) => *times = Times { first: times.first.min(at), last: times.last.max(at) },
            None => self.blocks.push(Times { first: at, last: at }),
        }
        self.post(&fields, offset);
        // What goes on in a record of its own is found with the one that it belongs to.
        let part = part_of(&fields).and_then(|part| u16::try_from(part).ok());
        if let Some(of) = part.and_then(|part| offset.checked_sub(part)) {
            self.post(&fields, of);
        }
        // Those parts may lie in the next chunk.
        if fields.contains_key("continued") && u64::from(offset) + MAX_PARTS >= CHUNK {
            insert(self.terms.entry(ANYTHING.to_vec()).or_default(), offset);
        }
    }

    fn post(&mut self, fields: &Map<String, Value>, offset: u16) {
        let (terms, key) = (&mut self.terms, &mut self.key);
        facets(fields, &mut |facet, text| {
            key.clear();
            key.push(facet.letter());
            key.extend_from_slice(text.as_bytes());
            match terms.get_mut(key) {
                Some(offsets) => insert(offsets, offset),
                None => drop(terms.insert(key.clone(), vec![offset])),
            }
        });
    }

    /// The records that may pass: all that do are among them.
    pub(super) fn candidates(&self, sieve: &Sieve) -> Bits {
        let mut candidates = Bits::first(self.places.len());
        for (facet, wanted) in sieve.wanted() {
            let mut bits = Bits::none();
            let letter = facet.letter();
            let of_facet = self.terms.range(vec![letter]..vec![letter.saturating_add(1)]);
            let anything = self.terms.get_key_value(ANYTHING);
            for (_, offsets) in of_facet.filter(|(key, _)| is_wanted(key, &wanted)).chain(anything) {
                offsets.iter().for_each(|offset| bits.set(*offset));
            }
            candidates.and(&bits);
        }
        leave_out(&mut candidates, &self.blocks, sieve);
        candidates
    }

    /// File and place of a record.
    pub(super) fn place(&self, offset: u16) -> Option<(u64, u64)> {
        let place = self.places.get(usize::from(offset))?;
        Some((file_of(&self.files, offset)?, u64::from(*place)))
    }
}

fn insert(offsets: &mut Vec<u16>, offset: u16) {
    if offsets.last().is_some_and(|last| *last < offset) {
        offsets.push(offset);
    } else if let Err(at) = offsets.binary_search(&offset) {
        offsets.insert(at, offset);
    }
}

/// Whether a term, a facet's letter and text, is one of what is wanted of that facet.
pub(super) fn is_wanted(term: &[u8], wanted: &[Wanted<'_>]) -> bool {
    let text = term.get(1..).and_then(|text| std::str::from_utf8(text).ok());
    text.is_some_and(|text| wanted.iter().any(|wanted| wanted.is(text)))
}

/// Leaves out the blocks whose times cannot pass.
pub(super) fn leave_out(candidates: &mut Bits, blocks: &[Times], sieve: &Sieve) {
    for (block, times) in blocks.iter().enumerate() {
        if sieve.excludes(times.first, times.last) {
            candidates.clear_block(block);
        }
    }
}

pub(super) fn file_of(files: &[(u32, u64)], offset: u16) -> Option<u64> {
    let after = files.partition_point(|(from, _)| *from <= u32::from(offset));
    after.checked_sub(1).and_then(|at| files.get(at)).map(|(_, file)| *file)
}
