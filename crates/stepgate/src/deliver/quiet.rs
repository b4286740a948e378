//! Whether anything has happened but that checkpoints of the log left, or were cosigned: each of these is a record, too,
//! and would have the next one leave, and so on for ever.

use stepgate_record::{Event, Record};
use stepgate_store::Log;

use super::trouble::Trouble;

/// So many records are looked at to tell; of more, something else is among them.
const QUIET: u64 = 32;

/// Whether there is anything else in the log from record number `seen` on.
pub(super) fn has_news(log: &Log, seen: u64) -> Result<bool, Trouble> {
    let end = log.len();
    // Also where more was seen than there is: that is to be told.
    if seen == 0 || seen > end || end.saturating_sub(seen) > QUIET {
        return Ok(end != seen);
    }
    for stored in log.read(seen, end) {
        let stored = stored.map_err(|error| Trouble::new(error.to_string()))?;
        let record = Record::decode(&stored.bytes).map_err(|error| Trouble::new(error.to_string()))?;
        if !matches!(record.event, Event::WitnessCosigned { .. } | Event::CheckpointSigned(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many records there are for whoever has a checkpoint over `seen` of them: no more, where there is no news.
pub(super) fn end_for(log: &Log, seen: u64) -> u64 {
    if has_news(log, seen).unwrap_or(true) { log.len() } else { seen }
}
