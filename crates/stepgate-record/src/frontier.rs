//! The append-only edge of the tree: the complete subtrees that cover a run of leaves (a compact range).
//! From leaf 0 on it is all that is needed to append and to know the root.

use crate::Hash;

/// The complete subtrees that cover the leaves `begin..end`, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    begin: u64,
    end: u64,
    nodes: Vec<(u32, Hash)>,
}

impl Default for Frontier {
    fn default() -> Self {
        Self::starting_at(0)
    }
}

impl Frontier {
    /// Without leaves yet; the next one is number `begin`.
    #[must_use]
    pub const fn starting_at(begin: u64) -> Self {
        Self { begin, end: begin, nodes: Vec::new() }
    }

    /// From the hashes that [`Frontier::hashes`] gave for the leaves `begin..end`.
    ///
    /// Returns `None` if they are not as many as that takes.
    #[must_use]
    pub fn from_hashes(begin: u64, end: u64, hashes: &[Hash]) -> Option<Self> {
        let levels = levels(begin, end)?;
        let nodes = (levels.len() == hashes.len()).then(|| levels.into_iter().zip(hashes.iter().copied()))?;
        Some(Self { begin, end, nodes: nodes.collect() })
    }

    /// Number of the leaf that comes next; for a tree from leaf 0, its size.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The subtrees' hashes, from left to right: at most 128.
    #[must_use]
    pub fn hashes(&self) -> Vec<Hash> {
        self.nodes.iter().map(|(_, hash)| *hash).collect()
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(0, leaf);
    }

    /// Appends what another frontier covers. `None`, and nothing is changed, if it does not begin where
    /// this one ends.
    #[must_use]
    pub fn extend(&mut self, right: &Self) -> Option<()> {
        if right.begin != self.end {
            return None;
        }
        for (level, hash) in &right.nodes {
            self.push_subtree(*level, *hash);
        }
        Some(())
    }

    /// The root of the tree, if this begins at leaf 0.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        if self.begin != 0 {
            return None;
        }
        let mut nodes = self.nodes.iter().rev().map(|(_, hash)| *hash);
        let smallest = nodes.next();
        Some(smallest.map_or_else(Hash::empty_root, |smallest| {
            nodes.fold(smallest, |right, left| Hash::node(&left, &right))
        }))
    }

    /// How many hashes cover the leaves `begin..end`; `None` if that is no range.
    #[must_use]
    pub fn count(begin: u64, end: u64) -> Option<usize> {
        levels(begin, end).map(|levels| levels.len())
    }

    /// The audit path (RFC 6962 section 2.1.1) of the leaf that comes next in the tree that ends with the leaves
    /// `after` it, if this begins at leaf 0.
    #[must_use]
    pub fn path(&self, after: &[Hash]) -> Option<Vec<Hash>> {
        let (index, mut begin) = (self.end, 0_u64);
        let mut end = index.checked_add(1)?.checked_add(u64::try_from(after.len()).ok()?)?;
        // What lies left of the path are this frontier's subtrees, the largest first.
        let mut left = self.nodes.iter().filter(|_| self.begin == 0).map(|(_, hash)| *hash);
        let mut path = Vec::new();
        while end - begin > 1 {
            let middle = begin + (1_u64 << (end - begin - 1).ilog2());
            if index < middle {
                let place = |leaf: u64| usize::try_from(leaf - index - 1).ok();
                let right = after.get(place(middle)?..place(end)?)?;
                let mut frontier = Self::default();
                right.iter().for_each(|leaf| frontier.push(*leaf));
                path.push(frontier.root()?);
                end = middle;
            } else {
                path.push(left.next()?);
                begin = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    fn push_subtree(&mut self, mut level: u32, mut hash: Hash) {
        self.end = self.end.saturating_add(1_u64.checked_shl(level).unwrap_or(0));
        // Two neighbours of one height are a node if the left one stands at an even place.
        while let Some((left_level, left)) = self.nodes.last().copied()
            && left_level == level
            && self.end.trailing_zeros() > level
        {
            self.nodes.pop();
            hash = Hash::node(&left, &hash);
            level = level.saturating_add(1);
        }
        self.nodes.push((level, hash));
    }
}

/// Heights of the complete subtrees that cover `begin..end`; `None` if that is no range.
fn levels(begin: u64, end: u64) -> Option<Vec<u32>> {
    let mut levels = Vec::new();
    let mut at = begin;
    while at < end {
        let level = at.trailing_zeros().min((end - at).ilog2());
        levels.push(level);
        at = at.checked_add(1_u64.checked_shl(level)?)?;
    }
    (at == end).then_some(levels)
}
