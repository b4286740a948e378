//! What decisions hang on besides facts and person: for whoever remembers them, or writes them down.

use crate::Ruleset;
use crate::condition::{Condition, Part};

impl Ruleset {
    /// Whether any rule is about what the client says it wants the data for.
    #[must_use]
    pub fn asks_for_purpose(&self) -> bool {
        self.policy().rules.iter().any(|rule| rule.condition.asks_for_purpose())
    }

    /// Whether a rule names this very word: only then may it be recorded, since it is the policy's own and no text of a
    /// client's.
    #[must_use]
    pub fn names_purpose(&self, word: &str) -> bool {
        self.policy().rules.iter().any(|rule| rule.condition.names_purpose(word))
    }
}

impl Condition {
    fn asks_for_purpose(&self) -> bool {
        self.any_part(&|part| matches!(part, Part::Purpose(_)))
    }

    fn names_purpose(&self, word: &str) -> bool {
        self.any_part(&|part| matches!(part, Part::Purpose(test) if test.names(word)))
    }

    /// Whether that is so of it, or of a part of it.
    fn any_part(&self, is: &dyn Fn(&Part) -> bool) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Any(conditions) | Part::All(conditions) => conditions.iter().any(|it| it.any_part(is)),
            Part::Not(condition) => condition.any_part(is),
            other => is(other),
        })
    }
}
