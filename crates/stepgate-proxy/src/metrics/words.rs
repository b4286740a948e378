//! Counted by words of the gate's own: there are as many as its program has, whatever clients send.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Text;

/// How often each word came; none of them with each statement.
#[derive(Default)]
pub(super) struct Words(Mutex<BTreeMap<&'static str, u64>>);

impl Words {
    /// It came once more.
    pub(super) fn count(&self, word: &'static str) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counted.entry(word).or_default();
        *counted = counted.saturating_add(1);
    }

    /// As a counter with that label. Those of `all` are there from the start: what begins with its first count shows no
    /// increase to whoever asks for one.
    pub(super) fn write(
        &self,
        text: &mut Text,
        (name, label): (&str, &str),
        help: &str,
        all: &[&'static str],
    ) {
        let mut counted: BTreeMap<_, _> = all.iter().map(|word| (*word, 0)).collect();
        counted.extend(self.0.lock().unwrap_or_else(PoisonError::into_inner).iter());
        text.head(name, "counter", help);
        for (word, counted) in counted {
            text.line(&format!("{name}{{{label}=\"{word}\"}}"), counted);
        }
    }
}
