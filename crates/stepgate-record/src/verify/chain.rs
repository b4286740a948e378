//! Record after record: each in canonical form, of this log, in its place, linked to the one before, and
//! all of them under the roots that were signed.

use crate::verify::{Failure, Policies};
use crate::{Frontier, Hash, Record};

/// A root that is known to have been signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Over how many records.
    pub size: u64,
    /// The root.
    pub root: Hash,
    /// Whose word it is, for the failure's text: `the checkpoint given`.
    pub source: String,
}

/// What [`Known::source`] says of the checkpoint that whoever verifies has kept.
pub const GIVEN: &str = "the checkpoint given";

/// … and of the trees in the list of keys that they have.
pub const KEYS_GIVEN: &str = "the list of keys given";

impl Known {
    /// Whether it does not come from the same hands as the log.
    fn is_from_elsewhere(&self) -> bool {
        self.source == GIVEN || self.source == KEYS_GIVEN
    }
}

/// Checks records one after the other.
#[derive(Debug)]
pub struct Chain {
    log_id: String,
    first: u64,
    frontier: Frontier,
    last: Option<Link>,
    /// The record before `last` and `last` do not fit together; what comes next tells which was altered.
    suspect: Option<Link>,
    /// Still to be met, the smallest size last.
    known: Vec<Known>,
    /// Up to here a signed root was met …
    good: u64,
    /// … and up to here one that was kept elsewhere: whoever has the key could have signed all others anew.
    sure: u64,
    /// A root that was not met; the chain is followed on for a more exact finding.
    missed: Option<Failure>,
    policies: Policies,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    seq: u64,
    hash: Hash,
}

impl Chain {
    /// Starts with the frontier of what comes before the first record.
    #[must_use]
    pub fn new(log_id: &str, before: Frontier, mut known: Vec<Known>) -> Self {
        let first = before.end();
        known.retain(|known| known.size >= first);
        known.sort_by_key(|known| std::cmp::Reverse(known.size));
        let mut chain = Self {
            log_id: log_id.to_owned(),
            first,
            frontier: before,
            last: None,
            suspect: None,
            known,
            good: first,
            sure: first,
            missed: None,
            policies: Policies::default(),
        };
        chain.meet_roots();
        chain
    }

    /// With the hash of the record before the first, where it is known.
    #[must_use]
    pub fn after(mut self, hash: Hash) -> Self {
        self.last = self.next().checked_sub(1).map(|seq| Link { seq, hash });
        self
    }

    /// The number of the record that must come next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.frontier.end()
    }

    /// Checks the next record.
    ///
    /// # Errors
    /// The first record that is wrong.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Record, Failure> {
        let next = self.next();
        let record = Record::decode(bytes).map_err(|error| self.blame(next, error.to_string()))?;
        if record.log_id != self.log_id {
            return Err(self.blame(next, "it is of another log"));
        }
        if record.seq != next {
            return Err(self.blame(next, format!("it is missing; record {} stands in its place", record.seq)));
        }
        if next == 0 && record.prev != Hash::ZERO {
            return Err(Failure::record(0, "it is the first, yet names a record before it"));
        }
        let link = Link { seq: next, hash: Hash::leaf(bytes) };
        let follows = self.last.is_none_or(|last| last.hash == record.prev);
        if let Some(failure) = self.resolve(follows) {
            return Err(failure);
        }
        if !follows {
            self.suspect = self.last;
        }
        self.last = Some(link);
        self.frontier.push(link.hash);
        self.meet_roots();
        self.policies.take(&record);
        Ok(record)
    }

    /// What the records so far say of policies.
    #[must_use]
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Ends the check. `last_hash` is the hash of the last record, where it is known from elsewhere.
    ///
    /// # Errors
    /// The first record that is wrong, or a signed root that was not met.
    pub fn finish(mut self, last_hash: Option<Hash>) -> Result<Frontier, Failure> {
        let intact = match (last_hash, self.last) {
            (Some(known), Some(last)) => known == last.hash,
            _ => true,
        };
        if let Some(failure) = self.resolve(intact) {
            return Err(failure);
        }
        if let (false, Some(last)) = (intact, self.last) {
            return Err(altered(last.seq));
        }
        if let Some(failure) = self.missed {
            return Err(failure);
        }
        if let Some(known) = self.known.last() {
            let next = self.frontier.end();
            let why = format!(
                "it is missing; {} covers {} records, only {next} are there",
                known.source, known.size
            );
            return Err(Failure::record(next, why));
        }
        Ok(self.frontier)
    }

    /// Two neighbours did not fit: if what follows fits the second, the second is intact and the first was
    /// altered; else it was the second.
    fn resolve(&mut self, last_is_intact: bool) -> Option<Failure> {
        let suspect = self.suspect.take()?;
        Some(altered(if last_is_intact { suspect.seq } else { suspect.seq.saturating_add(1) }))
    }

    /// A failure at record `seq`, unless an earlier one is suspect already.
    #[must_use]
    pub fn blame(&self, seq: u64, why: impl Into<String>) -> Failure {
        self.suspect.map_or_else(|| Failure::record(seq, why), |suspect| altered(suspect.seq))
    }

    fn meet_roots(&mut self) {
        while let Some(known) = self.known.pop_if(|known| known.size == self.frontier.end()) {
            let met = self.frontier.root().is_some_and(|root| root == known.root);
            if met {
                self.good = known.size;
                if known.is_from_elsewhere() {
                    self.sure = known.size;
                }
            } else if self.missed.is_none() {
                let from = self.sure.max(self.first);
                let mut why = format!(
                    "records {from} to {} are not those that {} signs: one or more of them were altered",
                    known.size.saturating_sub(1),
                    known.source
                );
                if self.good > from {
                    why.push_str(&format!(
                        " (the first {} are those of a checkpoint that is kept with the log)",
                        self.good
                    ));
                }
                self.missed = Some(Failure::record(from, why));
            }
        }
    }
}

fn altered(seq: u64) -> Failure {
    Failure::record(seq, "it was altered: its hash is not the one that the log keeps of it")
}
