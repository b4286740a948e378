//! Records, as they are read, held against the checkpoints that were signed over them.

use stepgate_record::verify::{Chain, Known};
use stepgate_record::{Frontier, Hash};

/// All that has been read so far.
pub(crate) struct History<'a> {
    log_id: &'a str,
    frontier: Frontier,
    prev: Hash,
    /// Still to be met, the smallest last.
    known: Vec<Known>,
    /// How many records the newest checkpoint covers.
    covered: u64,
    /// The records after those: no root says what they were, so they are read.
    tail: Option<Chain>,
}

impl<'a> History<'a> {
    /// `known` are the checkpoints, the newest last.
    pub(crate) fn new(log_id: &'a str, mut known: Vec<Known>) -> Self {
        let covered = known.last().map_or(0, |known| known.size);
        known.reverse();
        Self { log_id, frontier: Frontier::default(), prev: Hash::ZERO, known, covered, tail: None }
    }

    /// Goes on behind records that are not read: `frontier` is the tree over them, `prev` the hash of the last one.
    /// Checkpoints over fewer are not met.
    pub(crate) fn after(mut self, frontier: Frontier, prev: Hash) -> Self {
        self.known.retain(|known| known.size >= frontier.end());
        (self.frontier, self.prev) = (frontier, prev);
        self
    }

    /// Takes the record of this number and leaf hash.
    pub(crate) fn take(&mut self, seq: u64, bytes: &[u8], hash: Hash) -> Result<(), String> {
        self.meet()?;
        let next = self.frontier.end();
        if seq != next {
            return Err(format!("record {next} is missing, records after it are there"));
        }
        if next >= self.covered {
            let begin = || Chain::new(self.log_id, self.frontier.clone(), Vec::new()).after(self.prev);
            let chain = self.tail.get_or_insert_with(begin);
            chain.push(bytes).map_err(|failure| format!("{}: {}", failure.place, failure.why))?;
        }
        self.prev = hash;
        self.frontier.push(hash);
        Ok(())
    }

    /// There are no more. Returns the tree and the hash of the last record.
    pub(crate) fn finish(mut self) -> Result<(Frontier, Hash), String> {
        self.meet()?;
        if let Some(chain) = self.tail {
            chain.finish(None).map_err(|failure| format!("{}: {}", failure.place, failure.why))?;
        }
        let end = self.frontier.end();
        match self.known.last() {
            None => Ok((self.frontier, self.prev)),
            Some(known) => Err(format!(
                "the log holds {end} records, but {} covers {}: record {end} and those after it are gone (the \
                 files were cut short, or end where a byte of them was changed)",
                known.source, known.size,
            )),
        }
    }

    fn meet(&mut self) -> Result<(), String> {
        while let Some(met) = self.known.pop_if(|known| known.size == self.frontier.end()) {
            if self.frontier.root() != Some(met.root) {
                return Err(format!(
                    "one or more of the {} records that {} signs were altered",
                    met.size, met.source
                ));
            }
        }
        Ok(())
    }
}
