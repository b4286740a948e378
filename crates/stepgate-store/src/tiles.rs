//! What the log gives out for a directory of tiles (C2SP tlog-tiles): records and hashes, and the checkpoint over them.

use std::io::{self, Write};

use stepgate_record::bundle::keys_text;
use stepgate_record::{Event, Export, SignedNote};
use stepgate_types::Who;

use crate::{ExportError, Log, LogError};

/// What is given out before the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TilesHead {
    /// The signed checkpoint.
    pub note: SignedNote,
    /// How many records it covers.
    pub size: u64,
    /// The log's keys, as the text of `keys.json`.
    pub keys: Vec<u8>,
    /// The key that signed it.
    pub vkey: String,
    /// The first record that is kept; of those before it, the hashes are.
    pub floor: u64,
}

impl Log {
    /// Gives out what the tiles from record `from` on are made of: first the head, then a line a record, which is its
    /// bytes, or its leaf hash where it was deleted. That they were exported, under the name `id`, is on disk before
    /// that. Blocks the thread.
    ///
    /// # Errors
    /// See [`ExportError`]; there are fewer than `from` records.
    pub fn tiles(
        &self,
        from: u64,
        id: String,
        operator: Option<Who>,
        begin: &mut dyn FnMut(&TilesHead) -> io::Result<()>,
        out: &mut dyn Write,
    ) -> Result<TilesHead, ExportError> {
        let (floor, end) = (self.floor(), self.len());
        if from > end {
            let why = format!("is where the tiles go on, but the log has {end} records");
            return Err(LogError::Unreadable { seq: from, why }.into());
        }
        let first = from.max(floor);
        let redacted = self.is_without_names(first, end)?;
        let filter = format!("{{\"from\":{from}}}");
        let format = "tiles".to_owned();
        let export =
            Some(Export { id, filter, format, redacted, first: Some(first), end: Some(end), selected: None });
        let exported = Event::AuditExported { records: end.saturating_sub(first), export, operator };
        self.append_blocking(vec![exported], Vec::new())?;
        let (frontier, note, keys) = self.shared().checkpoint_with_keys(true)?;
        let vkey = keys.newest().to_string();
        let head = TilesHead { note, size: frontier.end(), keys: keys_text(&keys), vkey, floor };
        begin(&head)?;
        self.each_hash(from, floor, &mut |_, hash| Ok(writeln!(out, "{hash}")?))?;
        for stored in self.read(first, head.size) {
            out.write_all(&stored?.bytes)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(head)
    }
}
