//! `keys.json`: the keys that sign the log's checkpoints.

use serde_json::{Value, json};

use crate::VerifierKey;
use crate::canonical::canonical;

/// The file.
#[must_use]
pub fn keys_text(keys: &[VerifierKey]) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
    let mut text = canonical(&json!({ "keys": keys })).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Reads the file in the one form that it is written in.
pub(super) fn read(text: &str) -> Option<Vec<VerifierKey>> {
    let Value::Object(members) = serde_json::from_str(text).ok()? else { return None };
    let keys = members.get("keys")?.as_array()?.iter();
    let keys = keys.map(|key| key.as_str()?.parse().ok()).collect::<Option<Vec<VerifierKey>>>()?;
    (keys_text(&keys) == text.as_bytes()).then_some(keys)
}
