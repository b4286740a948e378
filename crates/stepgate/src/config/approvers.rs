//! Who has to agree to something, and how surely each proves who they are: `[groups]`, or
//! `{groups: [groups], strength: phishing-resistant}`.

use std::collections::BTreeSet;

use stepgate_types::{GroupName, Strength};

use super::break_glass::groups_of;
use super::yaml::{Node, Problems, Section, Value};

/// What can be asked for. Codes that are sent by e-mail or SMS are weaker than that, and never do here.
const STRENGTHS: [Strength; 4] =
    [Strength::Standard, Strength::Strong, Strength::PhishingResistant, Strength::DeviceBound];

/// Who they are, and what each must prove.
pub(super) struct Approvers {
    pub(super) groups: BTreeSet<GroupName>,
    /// `standard` unless it is said.
    pub(super) strength: Strength,
}

/// Reads them; `what` is the key's dotted path. Where no maker of authenticators is trusted (`attests`), nothing proves
/// that it is bound to its device, and nobody could ever agree.
pub(super) fn read(what: &str, node: &Node, attests: bool, problems: &mut Problems<'_>) -> Option<Approvers> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(Approvers { groups: groups_of(what, node, problems)?, strength: Strength::Standard });
    }
    let mut section = Section::open(what, node, problems)?;
    let groups = section.need("groups", problems);
    let groups = groups.and_then(|node| groups_of(&format!("{what}.groups"), node, problems));
    let mut strength = Strength::Standard;
    if let Some((word, at)) = section.text("strength", problems) {
        match STRENGTHS.into_iter().find(|known| known.as_str() == word) {
            Some(Strength::DeviceBound) if !attests => problems.add(
                at,
                format!("{what}.strength: without console.attestation_roots nobody proves device-bound"),
                None,
            ),
            Some(known) => strength = known,
            None => {
                let known = STRENGTHS.map(Strength::as_str).join(", ");
                problems.add(at, format!("{what}.strength must be one of {known}"), None);
            }
        }
    }
    section.finish(problems);
    Some(Approvers { groups: groups?, strength })
}
