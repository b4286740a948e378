//! `keys.json`: the keys that sign the log's checkpoints, and how each took over from the one before it.

use crate::VerifierKeys;

/// The file.
#[must_use]
pub fn keys_text(keys: &VerifierKeys) -> Vec<u8> {
    format!("{keys}\n").into_bytes()
}

/// Reads the file in the one form that it is written in.
pub(super) fn read(text: &str) -> Option<VerifierKeys> {
    text.strip_suffix('\n')?.parse().ok()
}
