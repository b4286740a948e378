//! `break_glass:`, who may let themselves through in an emergency, and who reviews it. Nobody, unless it is there.

use std::collections::BTreeSet;

use stepgate_approval::{GlassRules, Lifts, MAX_GLASS};
use stepgate_policy::parse_duration;
use stepgate_types::GroupName;

use super::approvers::{self, Approvers};
use super::yaml::{At, Node, Problems, Section, Value};

/// Reads the section.
pub(super) fn read(top: &mut Section<'_>, attests: bool, problems: &mut Problems<'_>) -> Option<GlassRules> {
    let mut section = top.section("break_glass", problems)?;
    let groups = groups("groups", &mut section, problems);
    let node = section.need("reviewers", problems);
    let reviewers = node.and_then(|node| approvers::read("break_glass.reviewers", node, attests, problems));
    let mut most = MAX_GLASS;
    if let Some(node) = section.take("for") {
        match node.text().and_then(parse_duration).filter(|read| !read.is_zero() && *read <= MAX_GLASS) {
            Some(read) => most = read,
            None => {
                problems.add(node.at, "break_glass.for must be a duration such as 15m, at most 30m", None);
            }
        }
    }
    let lifts = lifts(&mut section, problems);
    section.finish(problems);
    let Approvers { groups: reviewers, strength: review } = reviewers?;
    Some(GlassRules { groups: groups?, reviewers, review, most, lifts })
}

fn words(what: &str, node: &Node, problems: &mut Problems<'_>) -> Option<(Vec<(String, At)>, At)> {
    let Value::List(items) = &node.value else {
        problems.add(node.at, format!("{what} must be a list"), None);
        return None;
    };
    let mut words = Vec::new();
    for item in items {
        match item.text() {
            Some(text) => words.push((text.to_owned(), item.at)),
            None => problems.add(item.at, format!("{what} is a list of words"), None),
        }
    }
    Some((words, node.at))
}

fn groups(
    key: &'static str,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<BTreeSet<GroupName>> {
    let node = section.need(key, problems)?;
    groups_of(&format!("break_glass.{key}"), node, problems)
}

/// A list of groups that names at least one; `what` is its dotted path.
pub(super) fn groups_of(what: &str, node: &Node, problems: &mut Problems<'_>) -> Option<BTreeSet<GroupName>> {
    let (words, at) = words(what, node, problems)?;
    if words.is_empty() {
        problems.add(at, format!("{what} names none"), None);
    }
    let mut groups = BTreeSet::new();
    for (word, at) in words {
        match word.parse() {
            Ok(group) => {
                groups.insert(group);
            }
            Err(_) => problems.add(at, format!("{what}: {word:?} is not the name of a group"), None),
        }
    }
    Some(groups)
}

fn lifts(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Lifts {
    let mut lifts = Lifts::default();
    let Some(node) = section.take("lifts") else { return lifts };
    for (word, at) in words("break_glass.lifts", node, problems).map(|(words, _)| words).unwrap_or_default() {
        match word.as_str() {
            "denied" => lifts.denied = true,
            "control" => lifts.control = true,
            _ => problems.add(
                at,
                "break_glass.lifts takes denied and control",
                Some("besides being asked: what rules deny, and what changes who may do what".to_owned()),
            ),
        }
    }
    lifts
}
