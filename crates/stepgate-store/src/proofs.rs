//! The tree over the log: its hashes, frontiers and proofs, also over records that were pruned.

use std::cell::OnceCell;
use std::sync::{Arc, PoisonError};

use stepgate_record::{Frontier, Hash};

use crate::archive::Segment;
use crate::gather::{Seal, root_of};
use crate::{Log, LogError};

impl Log {
    /// Its segments, the first on; the last is the one that is written to.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        let shared = self.shared();
        let seals = shared.archive.seals();
        let mut segments: Vec<_> = seals.iter().map(|seal| shared.archive.segment(seal)).collect();
        let (dir, end) = (shared.records.dir(), self.len());
        let first = seals.last().map_or(0, |seal| seal.end);
        // Full ones that are not sealed yet are there, too.
        let mut files: Vec<u64> = crate::scan::files(dir).map(Into::into).unwrap_or_default();
        files.retain(|file| *file >= first && *file < end);
        let ends = files.iter().copied().skip(1).chain([end]);
        segments.extend(files.iter().zip(ends).map(|(first, end)| {
            let path = dir.join(crate::scan::file_name(*first));
            Segment { first: *first, end, sealed: false, path }
        }));
        segments
    }

    /// Leaf hashes of the durable records `from..end`, also of those before [`Log::floor`].
    ///
    /// # Errors
    /// There are not as many, or they cannot be read.
    pub fn leaf_hashes(&self, from: u64, end: u64) -> Result<Vec<Hash>, LogError> {
        self.hashes(end)?.leaves(from, end)
    }

    /// The frontier of the tree over the first `size` records.
    ///
    /// # Errors
    /// There are not as many, or their hashes cannot be read.
    pub fn frontier_at(&self, size: u64) -> Result<Frontier, LogError> {
        {
            let frontier = self.shared().frontier.lock().unwrap_or_else(PoisonError::into_inner);
            if frontier.end() == size {
                return Ok(frontier.clone());
            }
        }
        let hashes = self.hashes(size)?;
        let mut frontier = Frontier::default();
        for seal in hashes.seals.iter().take_while(|seal| seal.end <= size) {
            let range = seal.range().and_then(|range| frontier.extend(&range));
            range.ok_or_else(|| LogError::Io(format!("the seal of record {} is malformed", seal.first)))?;
        }
        hashes.leaves(frontier.end(), size)?.into_iter().for_each(|leaf| frontier.push(leaf));
        Ok(frontier)
    }

    /// The audit path of record `seq` in the tree over the first `size` records (RFC 6962 section 2.1.1).
    ///
    /// # Errors
    /// There are not as many, or their hashes cannot be read.
    pub fn inclusion(&self, seq: u64, size: u64) -> Result<Vec<Hash>, LogError> {
        if seq >= size {
            return Err(unknown(seq));
        }
        let hashes = self.hashes(size)?;
        let (mut begin, mut end) = (0, size);
        let mut path = Vec::new();
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if seq < middle {
                path.push(hashes.over(middle, end)?);
                end = middle;
            } else {
                path.push(hashes.over(begin, middle)?);
                begin = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The proof that the tree over the first `old` records is a prefix of that over the first `new` (RFC 6962 section
    /// 2.1.2). Empty if `old` is 0 or they are the same.
    ///
    /// # Errors
    /// There are not as many, or their hashes cannot be read.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        if old > new {
            return Err(unknown(old));
        }
        let hashes = self.hashes(new)?;
        let mut proof = Vec::new();
        if old == 0 || old == new {
            return Ok(proof);
        }
        let (mut begin, mut end) = (0, new);
        while old != end {
            let middle = begin + split(end - begin);
            if old <= middle {
                proof.push(hashes.over(middle, end)?);
                end = middle;
            } else {
                proof.push(hashes.over(begin, middle)?);
                begin = middle;
            }
        }
        // The old root itself is known to whoever checks.
        if begin != 0 {
            proof.push(hashes.over(begin, end)?);
        }
        proof.reverse();
        Ok(proof)
    }

    fn hashes(&self, end: u64) -> Result<Hashes<'_>, LogError> {
        if end > self.len() {
            return Err(unknown(end));
        }
        Ok(Hashes { log: self, seals: self.shared().archive.seals(), end, tail: OnceCell::new() })
    }
}

fn unknown(seq: u64) -> LogError {
    LogError::Unreadable { seq, why: "is not there (yet)".to_owned() }
}

/// The largest power of two smaller than `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Hashes over the records before `end`.
struct Hashes<'a> {
    log: &'a Log,
    seals: Arc<Vec<Seal>>,
    end: u64,
    /// Of records that are not sealed: read once.
    tail: OnceCell<Vec<Hash>>,
}

impl Hashes<'_> {
    fn sealed_to(&self) -> u64 {
        self.seals.last().map_or(0, |seal| seal.end)
    }

    fn leaves(&self, from: u64, end: u64) -> Result<Vec<Hash>, LogError> {
        let mut leaves = Vec::new();
        for seal in self.seals.iter() {
            let (begin, until) = (from.max(seal.first), end.min(seal.end));
            if begin < until {
                leaves.extend(self.log.shared().archive.leaves(seal, begin, until)?);
            }
        }
        let begin = from.max(self.sealed_to());
        if begin < end {
            leaves.extend_from_slice(self.tail(begin, end)?);
        }
        Ok(leaves)
    }

    fn tail(&self, from: u64, end: u64) -> Result<&[Hash], LogError> {
        let sealed_to = self.sealed_to();
        let tail = match self.tail.get() {
            Some(tail) => tail,
            None => {
                let read = self.log.read(sealed_to, self.end).map(|stored| stored.map(|stored| stored.hash));
                let read = read.collect::<Result<Vec<_>, _>>()?;
                self.tail.get_or_init(|| read)
            }
        };
        let place = |seq: u64| usize::try_from(seq.saturating_sub(sealed_to)).unwrap_or(usize::MAX);
        tail.get(place(from)..place(end)).ok_or_else(|| unknown(end))
    }

    /// The hash over `begin..end`, where `begin` is a multiple of the power of two that covers the range.
    fn over(&self, begin: u64, end: u64) -> Result<Hash, LogError> {
        let size = end.saturating_sub(begin);
        if !size.is_power_of_two() {
            let middle = begin + split(size);
            return Ok(Hash::node(&self.over(begin, middle)?, &self.over(middle, end)?));
        }
        let after = self.seals.partition_point(|seal| seal.end <= begin);
        match self.seals.get(after) {
            Some(seal) if end <= seal.end => self.log.shared().archive.subtree(seal, begin, end),
            None => root_of(self.tail(begin, end)?).ok_or_else(|| unknown(begin)),
            Some(_) => {
                let middle = begin + size / 2;
                Ok(Hash::node(&self.over(begin, middle)?, &self.over(middle, end)?))
            }
        }
    }
}
