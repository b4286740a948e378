//! By which right somebody answers: a group of their own, or one that a colleague has lent them for a while.

use std::collections::{BTreeMap, BTreeSet};

use stepgate_types::{GroupName, PersonName};

/// The groups by which a person may answer at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// Their own.
    pub own: BTreeSet<GroupName>,
    /// Those that others have lent them, who are in them at this moment.
    pub lent: BTreeMap<PersonName, BTreeSet<GroupName>>,
}

impl From<BTreeSet<GroupName>> for Rights {
    fn from(own: BTreeSet<GroupName>) -> Self {
        Self { own, lent: BTreeMap::new() }
    }
}

impl Rights {
    /// Whose rights these are in these groups: the person's own, and those of colleagues. One that the requester has
    /// lent is none: nobody chooses their own approver.
    pub(crate) fn holders<'r>(
        &'r self,
        person: &'r PersonName,
        groups: &BTreeSet<GroupName>,
        is_requester: impl Fn(&PersonName) -> bool,
    ) -> BTreeSet<&'r PersonName> {
        let own = (!self.own.is_disjoint(groups)).then_some(person);
        let lent = self.lent.iter().filter(|(by, of)| !is_requester(by) && !of.is_disjoint(groups));
        own.into_iter().chain(lent.map(|(by, _)| by)).collect()
    }
}

/// How many of these answers count, if each needs a right of its own: whoever has lent theirs does not answer by it as
/// well. The largest matching of answers and rights (Kuhn's algorithm); there are at most as many as an approval asks.
pub(crate) fn distinct(answers: &[BTreeSet<&PersonName>]) -> usize {
    let mut given: BTreeMap<&PersonName, usize> = BTreeMap::new();
    (0..answers.len()).filter(|at| give(*at, answers, &mut given, &mut BTreeSet::new())).count()
}

/// Finds a right for this answer, moving others to another where they have one.
fn give<'r>(
    at: usize,
    answers: &[BTreeSet<&'r PersonName>],
    given: &mut BTreeMap<&'r PersonName, usize>,
    tried: &mut BTreeSet<&'r PersonName>,
) -> bool {
    for right in answers.get(at).into_iter().flatten().copied() {
        if !tried.insert(right) {
            continue;
        }
        let free = match given.get(right).copied() {
            None => true,
            Some(other) => give(other, answers, given, tried),
        };
        if free {
            given.insert(right, at);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::person;

    #[test]
    fn a_right_that_was_lent_counts_once_whoever_answers_by_it() {
        let (amir, omar, olga) = (person("amir"), person("omar"), person("olga"));
        // Omar, and Amir by Omar's right.
        assert_eq!(distinct(&[[&omar].into(), [&omar].into()]), 1);
        // Amir has a right of his own besides.
        assert_eq!(distinct(&[[&omar].into(), [&amir, &omar].into()]), 2);
        assert_eq!(distinct(&[[&amir, &omar].into(), [&omar].into(), [&amir, &olga].into()]), 3);
        assert_eq!(distinct(&[[&amir, &omar].into(), [&omar].into(), [&amir].into()]), 2);
        assert_eq!(distinct(&[BTreeSet::new()]), 0);
    }
}
