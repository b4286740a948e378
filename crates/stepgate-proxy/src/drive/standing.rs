//! By which rules somebody's portals and cursors were let through, and as whom: once either is another, what goes on with
//! them is asked about.

use stepgate_types::GroupName;

use super::{Drive, State};

/// As it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// SHA-256 (hex) of map and policy.
    rules: Option<Box<str>>,
    /// How often people had changed.
    people: Option<u64>,
    groups: Box<[GroupName]>,
}

impl Standing {
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
    pub(super) fn learn_standing(&mut self, state: &mut State) {
        let (version, standing) = (self.judge.gate.people.version(), &mut state.standing);
        if standing.people == Some(version) {
            return;
        }
        let groups = self.judge.groups();
        if standing.people.replace(version).is_some() && standing.groups != groups {
            self.session.rules_changed();
        }
        standing.groups = groups;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_others_once_and_not_where_they_are_first_seen() {
        let mut standing = Standing::default();
        let seen: Vec<_> = ["a", "a", "b", "b"].map(|sha256| standing.has_other_rules(sha256)).into();
        assert_eq!(seen, [false, false, true, false]);
    }
}
