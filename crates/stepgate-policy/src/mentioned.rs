//! Whom a policy names: nobody comes to be one of them but by an operator.

use stepgate_types::PersonName;

use crate::Ruleset;
use crate::condition::{Condition, Part};

impl Ruleset {
    /// Whether a rule, with or without `not`, or a test of the policy names this person.
    #[must_use]
    pub fn mentions(&self, person: &PersonName) -> bool {
        self.conditions().any(|condition| names(condition, person))
            || self.tests().iter().any(|case| case.person == *person)
    }
}

fn names(condition: &Condition, person: &PersonName) -> bool {
    condition.parts.iter().any(|part| match part {
        Part::Person(people) => people.contains(person),
        Part::Any(all) | Part::All(all) => all.iter().any(|one| names(one, person)),
        Part::Not(one) => names(one, person),
        Part::Touch(_)
        | Part::Kind(_)
        | Part::Certainty(_)
        | Part::Bulk(_)
        | Part::BulkShape(_)
        | Part::Sink(_)
        | Part::SinkKind(_)
        | Part::Functions(_)
        | Part::Estimate(_)
        | Part::Predicate(_)
        | Part::Groups(_)
        | Part::Database(_)
        | Part::DbUser(_)
        | Part::Client(_)
        | Part::Network(_)
        | Part::Time(..)
        | Part::Signal(_)
        | Part::Risk(_)
        | Part::Purpose(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "version: 1\nclasses: {internal: 1}\nlabels: {}\ndatabases: {}\n\
                       unknown: {tables: allow, functions: allow, dynamic_sql: allow, statements: allow}\n";

    #[test]
    fn whoever_a_rule_or_a_test_names_however_deep_is_mentioned() {
        let policy = "version: 1\nmode: enforce\ndefaults: {action: allow, on_error: deny, hold: 1m}\n\
                      rules:\n  - {name: a, match: {as: [dana], kind: [copy-out]}, action: deny}\n  \
                      - {name: b, match: {any: [{kind: [copy-out]}, {not: {as: [omar]}}]}, action: monitor}\n\
                      tests:\n  - {as: amir, sql: select 1, expect: allow}\n";
        let rules = Ruleset::load(("map", MAP), ("policy", policy)).unwrap();
        let mentions = |name: &str| rules.mentions(&name.parse().unwrap());
        assert!(["dana", "omar", "amir"].into_iter().all(mentions));
        assert!(!["eve", "dan", "danas", "b"].into_iter().any(mentions));
    }
}
