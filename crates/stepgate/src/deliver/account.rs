//! People are told of what happens to their own accounts. Made from the log, as notices are; by whom, and to where, the
//! desk knows.

use std::time::Duration;

use stepgate_record::Record;
use stepgate_store::{Desk, Place};
use stepgate_types::Timestamp;

use super::batch::{Batch, Source};
use super::courier::Way;
use super::trouble::Trouble;

/// What is older is to be read in the console alone.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it is tried: nobody else is to wait for somebody whose channels are all down.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Tells them.
pub(super) struct AccountWay {
    desk: Desk,
    settled: u64,
}

impl AccountWay {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk, settled: 0 }
    }
}

impl Way for AccountWay {
    fn open(&mut self, from: u64, _: Option<Place>, _: &Source) -> Result<u64, Trouble> {
        if self.settled == 0 {
            self.desk.know_places();
        }
        self.settled = from;
        Ok(from)
    }

    fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
        for line in &batch.lines {
            let at = Timestamp::from_micros(line.head.ts_us);
            if matches!(line.head.kind.as_str(), "admin.action" | "admin.login") && now < at.plus(MAX_AGE) {
                let record = Record::decode(&line.text)
                    .map_err(|error| Trouble::new(format!("record {} is none: {error}", line.head.seq)))?;
                match self.desk.account_happens(&record) {
                    Err(why) if now < at.plus(PATIENCE) => return Err(Trouble::new(why)),
                    Err(why) => tracing::warn!(record = line.head.seq, %why, "a person could not be told"),
                    Ok(()) => {}
                }
            }
            self.settled = line.head.seq.saturating_add(1);
        }
        Ok(())
    }

    fn skip(&mut self, next: u64, source: &Source) -> u64 {
        // Thousands of statements a second may be recorded between two of what this is about.
        self.settled = source.log.of_accounts_from(next);
        self.settled
    }

    fn settled(&mut self) -> Result<u64, Trouble> {
        Ok(self.settled)
    }
}
