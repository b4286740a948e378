//! What decisions hang on besides facts and person: for whoever remembers them, and for whoever records what they saw.

use crate::Ruleset;
use crate::condition::{Condition, Part};
use crate::present::PurposeTest;

impl Ruleset {
    /// Whether any rule is about the time.
    #[must_use]
    pub fn looks_at_clock(&self) -> bool {
        self.any_part(&|part| matches!(part, Part::Time(..)))
    }

    /// Whether any rule is about what the client says it wants the data for.
    #[must_use]
    pub fn asks_for_purpose(&self) -> bool {
        self.any_part(&|part| matches!(part, Part::Purpose(_)))
    }

    /// Whether a rule names this purpose, letter by letter: only such a word may be recorded. What a rule names by its
    /// beginning alone goes on in the client's own words.
    #[must_use]
    pub fn knows_purpose(&self, purpose: &str) -> bool {
        let names = |part: &Part| match part {
            Part::Purpose(PurposeTest::OneOf(names)) => names.names(purpose),
            _ => false,
        };
        self.any_part(&names)
    }

    /// Whether any rule is about the role used upstream.
    #[must_use]
    pub fn asks_for_db_user(&self) -> bool {
        let asks = |part: &Part| matches!(part, Part::DbUser(_));
        self.conditions().any(|condition| any_of(condition, &asks))
    }

    fn any_part(&self, is: &dyn Fn(&Part) -> bool) -> bool {
        // Asked for each statement: most policies have none of these.
        self.looks_at_the_moment() && self.conditions().any(|condition| any_of(condition, is))
    }
}

/// Whether any part of a condition, however deep, is such.
fn any_of(condition: &Condition, is: &dyn Fn(&Part) -> bool) -> bool {
    condition.parts.iter().any(|part| {
        is(part)
            || match part {
                Part::Any(conditions) | Part::All(conditions) => {
                    conditions.iter().any(|condition| any_of(condition, is))
                }
                Part::Not(condition) => any_of(condition, is),
                _ => false,
            }
    })
}
