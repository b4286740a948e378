//! By which rules somebody's portals and cursors were let through, and as whom: once either is another, what goes on with
//! them is asked about.

use stepgate_types::GroupName;

use super::{Drive, State};

/// As it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Grounds {
    /// SHA-256 (hex) of map and policy.
    rules: Option<Box<str>>,
    /// How often people had changed.
    people: Option<u64>,
    groups: Box<[GroupName]>,
}

impl Grounds {
    /// Whether these are other rules than those of before.
    pub(super) fn has_other_rules(&mut self, sha256: &str) -> bool {
        if self.rules.as_deref() == Some(sha256) {
            return false;
        }
        self.rules.replace(sha256.into()).is_some()
    }
}

impl Drive {
    /// Which groups the person is in now.
    pub(super) fn learn_groups(&mut self, state: &mut State) {
        let (version, grounds) = (self.judge.gate.people.version(), &mut state.grounds);
        if grounds.people == Some(version) {
            return;
        }
        let groups = self.judge.groups();
        if grounds.people.replace(version).is_some() && grounds.groups != groups {
            self.session.rules_changed();
        }
        grounds.groups = groups;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_others_once_and_not_where_they_are_first_seen() {
        let mut grounds = Grounds::default();
        let seen: Vec<_> = ["a", "a", "b", "b"].map(|sha256| grounds.has_other_rules(sha256)).into();
        assert_eq!(seen, [false, false, true, false]);
    }
}
