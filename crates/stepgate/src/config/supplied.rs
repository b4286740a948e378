//! Which groups of an identity provider or a directory count, and as what: `groups_map`, `groups_prefix`, `groups_allow`,
//! `groups_for`.

use std::time::Duration;

use stepgate_console::oidc::Rules;
use stepgate_policy::parse_duration;
use stepgate_types::GroupName;

use super::yaml::{At, Problems, Section};

/// How long groups count after the source has named them, unless configured: a working day.
const HOLD: Duration = Duration::from_secs(8 * 3600);

/// How long at least and at most: shorter, nobody would stay in them between two looks; longer, who has left there would
/// go on approving here.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(7 * 24 * 3600));

/// Reads them from the section of a source. `asked` is where the source is asked for groups, if it is.
pub(super) fn read(
    asked: Option<At>,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<Rules> {
    let mut rules = Rules { hold: HOLD, ..Rules::default() };
    if let Some(map) = section.section("groups_map", problems) {
        for (there, at, here) in map.names() {
            let group = here.text().and_then(|group| group.parse::<GroupName>().ok());
            match group {
                Some(group) => drop(rules.map.insert(there.to_owned(), group)),
                None => problems.add(at, "groups_map must say what a group is called here", None),
            }
        }
    }
    rules.prefix = section.text("groups_prefix", problems).map(|(prefix, _)| prefix.to_owned());
    let path = section.path("groups_allow");
    for node in section.list("groups_allow", problems) {
        match node.text().and_then(|group| group.parse().ok()) {
            Some(group) => drop(rules.allow.insert(group)),
            None => problems.add(node.at, format!("{path} must name groups"), None),
        }
    }
    let path = section.path("groups_for");
    if let Some(node) = section.take("groups_for") {
        match node.text().and_then(parse_duration).filter(|hold| (BOUNDS.0..=BOUNDS.1).contains(hold)) {
            Some(hold) => rules.hold = hold,
            None => {
                problems.add(node.at, format!("{path} must be a duration such as 8h, from 5s to 7d"), None)
            }
        }
    }
    let none = rules.map.is_empty() && rules.prefix.is_none() && rules.allow.is_empty();
    if let (Some(at), true) = (asked, none) {
        let help = "say which count: groups_map, groups_prefix or groups_allow; else whoever may name a group there could \
                    be an approver here";
        problems.add(at, "groups are asked for, and none of them would count", Some(help.to_owned()));
    }
    asked.map(|_| rules)
}
