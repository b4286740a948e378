//! What a statement has and what a rule cannot do without, as a few bits: most rules are out by one look.
//!
//! Bits are shared by chance. So a look may take for possible what is not, which is then seen by looking closely; it never
//! takes for impossible what is possible.

use stepgate_types::{Kind, Label, RelationName};

use crate::condition::{ClassTest, Condition, Part, Touch};
use crate::map::Map;

/// Bits of a statement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sketch {
    pub(crate) kind: u32,
    pub(crate) labels: u64,
    pub(crate) classes: u64,
    pub(crate) relations: u64,
}

/// Of each, the bits of which a statement must have one. 0 asks for none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Need {
    kind: u32,
    labels: u64,
    classes: u64,
    relations: u64,
}

impl Need {
    /// What a condition cannot hold without, of a statement that is understood.
    pub(crate) fn of(condition: &Condition, map: &Map) -> Self {
        let mut need = Self::default();
        need.add(condition, map);
        need
    }

    /// The first of several is enough: a statement that lacks it is out.
    fn add(&mut self, condition: &Condition, map: &Map) {
        for part in &condition.parts {
            match part {
                Part::Kind(kinds) if self.kind == 0 => {
                    self.kind = kinds.iter().fold(0, |bits, kind| bits | kind_bit(*kind));
                }
                Part::Touch(touch) => self.touch(touch, map),
                Part::All(conditions) => conditions.iter().for_each(|condition| self.add(condition, map)),
                _ => {}
            }
        }
    }

    fn touch(&mut self, touch: &Touch, map: &Map) {
        if let (Some(labels), 0) = (&touch.labels, self.labels) {
            self.labels = labels.iter().fold(0, |bits, label| bits | label_bit(label));
        }
        if let (Some(test), 0) = (touch.class, self.classes) {
            let fits = |rank: u32| match test {
                ClassTest::Is(wanted) => rank == wanted,
                ClassTest::AtLeast(least) => rank >= least,
            };
            let ranks = map.classes.iter().map(|class| class.rank).filter(|rank| fits(*rank));
            self.classes = ranks.fold(0, |bits, rank| bits | class_bit(rank));
        }
        if self.relations == 0 {
            let tables = touch.tables.iter().flatten();
            let of_columns = touch.columns.iter().flatten().map(|column| &column.relation);
            // A table or column of those; both are asked of one column, so that either is needed.
            let named: u64 = match &touch.tables {
                Some(_) => tables.fold(0, |bits, name| bits | relation_bit(name)),
                None => of_columns.fold(0, |bits, name| bits | relation_bit(name)),
            };
            self.relations = named;
        }
    }

    /// Whether a statement that is understood may have it.
    pub(crate) const fn may_be_met_by(&self, sketch: &Sketch) -> bool {
        (self.kind == 0 || self.kind & sketch.kind != 0)
            && (self.labels == 0 || self.labels & sketch.labels != 0)
            && (self.classes == 0 || self.classes & sketch.classes != 0)
            && (self.relations == 0 || self.relations & sketch.relations != 0)
    }
}

pub(crate) const fn kind_bit(kind: Kind) -> u32 {
    1 << (kind as u32 % 32)
}

pub(crate) const fn class_bit(rank: u32) -> u64 {
    1 << (rank % 64)
}

pub(crate) fn label_bit(label: &Label) -> u64 {
    1 << (hash(FNV_OFFSET, label.as_str()) % 64)
}

pub(crate) fn relation_bit(name: &RelationName) -> u64 {
    1 << (hash(hash(FNV_OFFSET, &name.schema), &name.name) % 64)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// FNV-1a: short names, and nothing is gained by making them meet.
fn hash(start: u64, text: &str) -> u64 {
    let hashed = text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    // The low bits of it alone differ too little.
    hashed ^ (hashed >> 32)
}
