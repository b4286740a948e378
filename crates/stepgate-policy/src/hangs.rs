//! What decisions hang on besides facts and person: for whoever remembers them.

use crate::Ruleset;

impl Ruleset {
    /// Whether any rule is about the time.
    #[must_use]
    pub fn looks_at_clock(&self) -> bool {
        false
    }

    /// Whether any rule is about what the client says it wants the data for.
    #[must_use]
    pub fn asks_for_purpose(&self) -> bool {
        false
    }

    /// Whether a rule names this purpose: only such a word may be recorded.
    #[must_use]
    pub fn knows_purpose(&self, _purpose: &str) -> bool {
        false
    }
}
