//! Groups as a provider has them, and what they are here: nothing, unless the configuration says otherwise. Whoever may
//! name groups there would else be an approver here by calling one so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use stepgate_store::MAX_SUPPLIED;
use stepgate_types::GroupName;

/// Groups of a claim that are looked at: beyond, it is not of a person.
const MAX_NAMED: usize = 2_000;

/// Which groups of a provider count, and as what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The claim that has them.
    pub claim: String,
    /// What these are called here.
    pub map: BTreeMap<String, GroupName>,
    /// Groups whose names begin so count, without it.
    pub prefix: Option<String>,
    /// Of those that count by their own names, these alone; empty: all that `prefix` begins.
    pub allow: BTreeSet<GroupName>,
    /// How long they count after a login.
    pub hold: Duration,
}

/// What a token says of somebody's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// Nobody asks the provider.
    None,
    /// They are in these.
    In {
        /// As they are called here.
        groups: BTreeSet<GroupName>,
        /// How many more there were.
        left_out: u64,
    },
    /// It is not to be read, or not all of it is there.
    Unreadable,
}

impl Rules {
    /// Reads the claim. One that is not there names none; one that is no list of texts is not guessed at.
    #[must_use]
    pub fn read(&self, claim: Option<&Value>) -> Groups {
        let Some(claim) = claim else { return Groups::In { groups: BTreeSet::new(), left_out: 0 } };
        let Some(listed) = claim.as_array().filter(|listed| listed.len() <= MAX_NAMED) else {
            return Groups::Unreadable;
        };
        let Some(named) = listed.iter().map(Value::as_str).collect::<Option<BTreeSet<_>>>() else {
            return Groups::Unreadable;
        };
        self.of(&named)
    }

    /// What groups that are called so elsewhere are here.
    #[must_use]
    pub fn of(&self, named: &BTreeSet<&str>) -> Groups {
        let here: Vec<_> = named.iter().map(|name| self.here(name)).collect();
        let left_out = here.iter().filter(|group| group.is_none()).count();
        let groups: BTreeSet<_> = here.into_iter().flatten().collect();
        if groups.len() > MAX_SUPPLIED {
            return Groups::Unreadable;
        }
        Groups::In { groups, left_out: u64::try_from(left_out).unwrap_or(u64::MAX) }
    }

    /// Whether some group elsewhere could be this one here.
    #[must_use]
    pub fn could_give(&self, group: &GroupName) -> bool {
        let all = self.allow.is_empty() && self.prefix.is_some();
        all || self.allow.contains(group) || self.map.values().any(|mapped| mapped == group)
    }

    fn here(&self, name: &str) -> Option<GroupName> {
        if let Some(group) = self.map.get(name) {
            return Some(group.clone());
        }
        let own = match &self.prefix {
            Some(prefix) => name.strip_prefix(prefix.as_str())?,
            None => name,
        };
        let group: GroupName = own.parse().ok()?;
        let all = self.allow.is_empty() && self.prefix.is_some();
        (all || self.allow.contains(&group)).then_some(group)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(name: &str) -> GroupName {
        name.parse().unwrap()
    }

    fn read(rules: &Rules, claim: &Value) -> (Vec<String>, u64) {
        match rules.read(Some(claim)) {
            Groups::In { groups, left_out } => (groups.iter().map(ToString::to_string).collect(), left_out),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_group_counts_that_the_configuration_does_not_name() {
        let claim =
            json!(["admins", "data-owners", "sg-analysts", "sg-data-owners", "CN=Owners,DC=x", "a b"]);
        assert_eq!(read(&Rules::default(), &claim), (vec![], 6));
        let allow = Rules { allow: BTreeSet::from([group("data-owners")]), ..Rules::default() };
        assert_eq!(read(&allow, &claim), (vec!["data-owners".to_owned()], 5));
        let prefix = Rules { prefix: Some("sg-".to_owned()), ..Rules::default() };
        assert_eq!(read(&prefix, &claim), (vec!["analysts".to_owned(), "data-owners".to_owned()], 4));
        let both = Rules { allow: BTreeSet::from([group("analysts")]), ..prefix.clone() };
        assert_eq!(read(&both, &claim), (vec!["analysts".to_owned()], 5));
        let map = BTreeMap::from([("CN=Owners,DC=x".to_owned(), group("data-owners"))]);
        let map = Rules { map, ..Rules::default() };
        assert_eq!(read(&map, &claim), (vec!["data-owners".to_owned()], 5));
        let gives = |rules: &Rules| ["data-owners", "analysts"].map(|name| rules.could_give(&group(name)));
        for (rules, expected) in [
            (&Rules::default(), [false, false]),
            (&allow, [true, false]),
            (&prefix, [true, true]),
            (&both, [false, true]),
            (&map, [true, false]),
        ] {
            assert_eq!(gives(rules), expected, "{rules:?}");
        }
    }

    #[test]
    fn a_claim_that_is_no_list_of_texts_is_not_guessed_at() {
        let rules = Rules { allow: BTreeSet::from([group("analysts")]), ..Rules::default() };
        for claim in [
            json!("analysts"),
            json!({"analysts": true}),
            json!(7),
            json!(null),
            json!([["analysts"]]),
            json!(["analysts", {"name": "data-owners"}]),
            json!(["analysts", null]),
            json!((0..=MAX_NAMED).collect::<Vec<_>>()),
        ] {
            assert_eq!(rules.read(Some(&claim)), Groups::Unreadable, "{claim}");
        }
        assert_eq!(rules.read(None), Groups::In { groups: BTreeSet::new(), left_out: 0 });
    }

    #[test]
    fn more_groups_than_somebody_can_have_are_not_cut_down_to_some_of_them() {
        let rules = Rules { prefix: Some(String::new()), ..Rules::default() };
        let many = |count| json!((0..count).map(|n| format!("group-{n}")).collect::<Vec<_>>());
        assert_eq!(read(&rules, &many(MAX_SUPPLIED)).0.len(), MAX_SUPPLIED);
        assert_eq!(rules.read(Some(&many(MAX_SUPPLIED + 1))), Groups::Unreadable);
    }
}
