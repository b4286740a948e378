//! Which records an export is of.

use sha2::{Digest as _, Sha256};
use stepgate_record::{Filter, Groups, Hash, members};

use crate::records::Lines;
use crate::{ExportError, Log, LogError, Stored};

/// Which of the records from one on were selected: a bit each.
pub(crate) struct Selected {
    from: u64,
    words: Vec<u64>,
}

impl Selected {
    fn place(&self, seq: u64) -> Option<(usize, u64)> {
        let at = seq.checked_sub(self.from)?;
        Some((usize::try_from(at / 64).ok()?, 1 << (at % 64)))
    }

    fn add(&mut self, seq: u64) {
        let Some((word, bit)) = self.place(seq) else { return };
        if self.words.len() <= word {
            self.words.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    pub(crate) fn has(&self, seq: u64) -> bool {
        let place = self.place(seq);
        place.is_some_and(|(word, bit)| self.words.get(word).is_some_and(|word| word & bit != 0))
    }
}

/// What an export is of.
pub(crate) struct Choice {
    pub(crate) records: u64,
    /// `None`: all of them.
    pub(crate) taken: Option<Selected>,
    /// Over their hashes. It is on record as well, for of their number alone, others would do.
    pub(crate) sha256: Hash,
}

/// Reads some of the records before `end`, in order.
pub(crate) struct Reading<'l> {
    log: &'l Log,
    end: u64,
    lines: Option<Lines>,
    next: u64,
}

impl<'l> Reading<'l> {
    /// Records that are read to get to the next one, before it is looked up where that is.
    const NEAR: u64 = 256;

    pub(crate) const fn new(log: &'l Log, end: u64) -> Self {
        Self { log, end, lines: None, next: 0 }
    }

    /// The record of this number, if it is the one with this hash: what was altered since must not be left out, or
    /// shown, for what it says now.
    pub(crate) fn get(&mut self, seq: u64, hash: Hash) -> Result<Stored, LogError> {
        if self.lines.is_none() || seq < self.next || seq.saturating_sub(self.next) > Self::NEAR {
            self.lines = Some(self.log.shared().read(seq, self.end)?);
        }
        let missing = || LogError::Unreadable { seq, why: "is missing".to_owned() };
        for stored in self.lines.iter_mut().flatten() {
            let stored = stored?;
            if stored.seq == seq {
                self.next = seq.saturating_add(1);
                let altered = || LogError::Unreadable { seq, why: "was altered".to_owned() };
                return if stored.hash == hash { Ok(stored) } else { Err(altered()) };
            }
        }
        Err(missing())
    }
}

/// Counts what is chosen.
#[derive(Default)]
struct Tally {
    records: u64,
    sha256: Sha256,
}

impl Tally {
    fn add(&mut self, hash: Hash) {
        self.records = self.records.saturating_add(1);
        self.sha256.update(hash.bytes());
    }

    fn choice(self, taken: Option<Selected>) -> Choice {
        Choice { records: self.records, taken, sha256: Hash::from_bytes(self.sha256.finalize().into()) }
    }
}

impl Log {
    /// The records from `floor` to `end`.
    pub(crate) fn choose_all(&self, floor: u64, end: u64) -> Result<Choice, ExportError> {
        let mut tally = Tally::default();
        self.each_hash(floor, end, &mut |_, hash| {
            tally.add(hash);
            Ok(())
        })?;
        Ok(tally.choice(None))
    }

    /// Those of them that pass: one that goes on in others with these, as a search finds it.
    pub(crate) fn choose(&self, filter: &Filter, floor: u64, end: u64) -> Result<Choice, ExportError> {
        if filter.is_empty() {
            return self.choose_all(floor, end);
        }
        let (mut tally, mut selected) = (Tally::default(), Selected { from: floor, words: Vec::new() });
        let mut settle = |(passes, group): (bool, Vec<(u64, Hash)>)| {
            for (seq, hash) in group.into_iter().filter(|_| passes) {
                tally.add(hash);
                selected.add(seq);
            }
        };
        let mut groups = Groups::new(filter.sieve());
        let mut reading = Reading::new(self, end);
        self.each_hash(floor, end, &mut |seq, hash| {
            // Most are not asked for: of these no more is read than the members they can be found by.
            let fields = members(&reading.get(seq, hash)?.bytes);
            if fields.is_empty() {
                return Err(LogError::Unreadable { seq, why: "is none".to_owned() }.into());
            }
            groups.take(seq, &fields, (seq, hash)).for_each(&mut settle);
            Ok(())
        })?;
        groups.finish().into_iter().for_each(&mut settle);
        Ok(tally.choice(Some(selected)))
    }
}
