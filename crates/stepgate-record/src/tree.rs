//! The whole tree in memory (about 64 bytes a leaf), for proofs (RFC 6962 section 2.1).

use crate::Hash;

/// A Merkle tree with all its complete subtrees.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[k][i]` is the hash over the leaves `i * 2^k .. (i + 1) * 2^k`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { levels: Vec::new() }
    }

    /// How many leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| u64::try_from(leaves.len()).unwrap_or(u64::MAX))
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut level = 0;
        loop {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else { return };
            nodes.push(hash);
            let [.., left, right] = nodes.as_slice() else { return };
            if nodes.len() % 2 == 1 {
                return;
            }
            hash = Hash::node(left, right);
            level += 1;
        }
    }

    /// The root over the first `size` leaves; `None` if there are not as many.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        if size == 0 { Some(Hash::empty_root()) } else { self.range(0, size) }
    }

    /// The audit path of leaf `index` in the tree of the first `size` leaves (RFC 6962 section 2.1.1).
    #[must_use]
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut begin, mut end) = (0, size);
        let mut path = Vec::new();
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if index < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(begin, middle)?);
                begin = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The proof that the tree of the first `old` leaves is a prefix of that of the first `new` (RFC 6962
    /// section 2.1.2). Empty if either is empty or they are the same.
    #[must_use]
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if old > new || new > self.size() {
            return None;
        }
        if old == 0 || old == new {
            return Some(Vec::new());
        }
        let (mut begin, mut end) = (0, new);
        let mut proof = Vec::new();
        while old != end {
            let middle = begin + split(end - begin);
            if old <= middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(begin, middle)?);
                begin = middle;
            }
        }
        // The old root itself is known to whoever checks.
        if begin != 0 {
            proof.push(self.range(begin, end)?);
        }
        proof.reverse();
        Some(proof)
    }

    /// The hash over the leaves `begin..end`, where `begin` is a multiple of the power of two that covers
    /// the range.
    fn range(&self, begin: u64, end: u64) -> Option<Hash> {
        let size = end.checked_sub(begin).filter(|size| *size > 0)?;
        if size.is_power_of_two() {
            let level = size.ilog2();
            let level_nodes = self.levels.get(usize::try_from(level).ok()?)?;
            return level_nodes.get(usize::try_from(begin >> level).ok()?).copied();
        }
        let middle = begin + split(size);
        Some(Hash::node(&self.range(begin, middle)?, &self.range(middle, end)?))
    }
}

/// The largest power of two smaller than `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}
