//! `COVER.txt`: what a bundle is, for people who have never seen one.

use std::fmt::Write as _;

use serde_json::Value;
use stepgate_types::{Commit, Timestamp, Who};

use super::Examined;
use super::walk::Bounds;
use crate::Names as _;

/// Longer lists go on in `manifest.json`.
const MAX_LISTED: usize = 20;

impl Examined {
    /// The text: ASCII, so that it reads the same everywhere.
    #[must_use]
    pub fn cover(&self, signed: bool) -> String {
        let Self { checkpoint, exported, summary, format, .. } = self;
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            let space = if value.is_empty() { "" } else { " " };
            let _ = writeln!(text, "{label}{space}{}", ascii(value));
        };
        line("STEPGATE EVIDENCE BUNDLE", "");
        line("========================", "");
        line("", "");
        line("Log:        ", &checkpoint.origin);
        line("Records:    ", &summary.records.to_string());
        if let (Some(first), Some(last)) = (summary.first, summary.last) {
            line("Numbers:    ", &format!("{first} to {last}"));
        }
        if let (Some(from), Some(until)) = (summary.from, summary.until) {
            line("Period:     ", &format!("{from} to {until}"));
        }
        line("Selected:   ", &self.selected());
        if summary.records == 0 {
            let Bounds { first, end, .. } = self.bounds;
            let most = "no record of the log is what was selected";
            let nothing = match end.checked_sub(1).filter(|last| first <= *last) {
                Some(last) => format!("NOTHING MATCHED: {most}, of those with the numbers {first} to {last}"),
                None => format!("NOTHING MATCHED: {most}"),
            };
            line("Result:     ", &nothing);
        }
        line("Exported:   ", &format!("{}, record {} of the log", exported.at, exported.seq));
        line("By:         ", &self.by().unwrap_or_else(|| "the operator of the gate's machine".to_owned()));
        line("Names:      ", &self.names_word());
        line("Also as:    ", format.file().unwrap_or("nothing else"));
        line("Manifest:   ", if signed { "signed by the log's key (manifest.note)" } else { "not signed" });
        line("Tree:       ", &format!("{} records, root {}", checkpoint.size, checkpoint.root));
        for key in self.keys.all() {
            line("Key:        ", &key.to_string());
        }
        line("", "");
        line("Records of each type:", "");
        for (kind, count) in &summary.types {
            line("   ", &format!("{count:>10}  {kind}"));
        }
        line("", "");
        line("Policies in force (SHA-256 of policy and map; the first record here that names it):", "");
        for policy in summary.policies.iter().take(MAX_LISTED) {
            line("   ", &format!("{}  {}", policy.sha256, policy.first));
        }
        if summary.policies.len() > MAX_LISTED {
            line("   ", "and more: see manifest.json");
        }
        text.push_str(PROOF);
        text
    }

    /// The filter in words: all of it must hold, of several values of one kind either.
    fn selected(&self) -> String {
        let filter = &self.export.filter;
        let Ok(Value::Object(members)) = serde_json::from_str(filter) else {
            return if filter.is_empty() { "everything".to_owned() } else { filter.clone() };
        };
        let word = |value: &Value| match value {
            Value::String(text) => match text.parse::<Commit>() {
                Ok(commit) => self.openings.shown(&Who::Commit(commit)),
                Err(_) => text.clone(),
            },
            other => other.to_string(),
        };
        let member = |(name, value): (&String, &Value)| match (name.as_str(), value) {
            ("since" | "until", Value::Number(at)) => {
                format!("{name} {}", Timestamp::from_micros(at.as_i64().unwrap_or_default()))
            }
            (_, Value::Array(values)) => {
                format!("{name} {}", values.iter().map(word).collect::<Vec<_>>().join(" or "))
            }
            (_, value) => format!("{name} {}", word(value)),
        };
        let all: Vec<_> = members.iter().map(member).collect();
        if all.is_empty() { "everything".to_owned() } else { all.join("; ") }
    }

    fn names_word(&self) -> String {
        if self.export.redacted {
            return "left out; each stands as a commitment".to_owned();
        }
        match self.unopened() {
            0 => format!("{} opened (subjects.jsonl)", self.openings.len()),
            erased => format!("{} opened (subjects.jsonl), {erased} erased", self.openings.len()),
        }
    }
}

/// Without letters that a terminal or a printer would take for something else.
fn ascii(text: &str) -> String {
    let plain = |letter: char| letter == ' ' || letter.is_ascii_graphic();
    let each =
        |letter: char| if plain(letter) { letter.to_string() } else { letter.escape_unicode().to_string() };
    text.chars().map(each).collect()
}

/// What it proves, and what not.
const PROOF: &str = "
HOW TO VERIFY
One command, on any machine, without network, gate or secrets:

    stepgate audit verify THIS --offline --checkpoint KEPT

THIS is this bundle (the .tar file, or the directory). KEPT is a checkpoint or
the verifier key of the log, which you had from elsewhere: it is what ties this
bundle to that gate. Without --checkpoint the bundle is only shown to be
consistent in itself. The last line says `ok: ...`, or `FAILED: ...` and which
record or file is wrong.

WHAT THIS PROVES
- Each record here stands in the log in the place it says, and has not been
  changed, moved, doubled or inserted since the checkpoint was signed.
- Between two records with neighbouring numbers there was never another.
- The export itself is a record of the log: what was asked for, when, by whom,
  and how many records that gave.
- Names, addresses and reasons are those that were committed to at the time.
- Every other file was made from the records.

WHAT THIS DOES NOT PROVE
- That a filter left nothing out: the hashes of records that are not here say
  nothing of what is in them. Ask for an export without filter to see.
- That the gate saw everything: whoever reached the database on another way is
  not in its log.
- That the clock was right: times are the gate's.
- Anything against whoever holds the gate's own keys, but for what checkpoints
  kept elsewhere fix.
";
