//! `factors:`, how much is asked of those that people verify themselves by.

use std::path::Path;
use std::time::Duration;

use stepgate_policy::parse_duration;
use stepgate_store::FactorRules;

use super::senders::{self, Senders};
use super::yaml::{Problems, Section};

/// The longest that a new factor can be made to wait: beyond a month nobody would know why it does not count.
const LONGEST_DELAY: Duration = Duration::from_secs(31 * 24 * 3600);

/// Reads the section; what it does not say stays as it is by default.
pub(super) fn read(
    file: &Path,
    top: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> (FactorRules, Senders) {
    let mut rules = FactorRules::default();
    let Some(mut section) = top.section("factors", problems) else { return (rules, Senders::default()) };
    let senders = senders::read(file, &mut section, problems);
    if let Some(node) = section.take("new_factor_delay") {
        match node.text().and_then(parse_duration).filter(|read| *read <= LONGEST_DELAY) {
            Some(read) => rules.new_factor_delay = read,
            None => problems.add(
                node.at,
                "factors.new_factor_delay must be a duration such as 24h, at most 31d",
                Some("0s: a new factor counts for requests of others at once".to_owned()),
            ),
        }
    }
    if let Some((text, at)) = section.text("reset_group", problems) {
        match text.parse() {
            Ok(group) => rules.reset_group = Some(group),
            Err(_) => problems.add(at, "factors.reset_group must be the name of a group", None),
        }
    }
    section.finish(problems);
    (rules, senders)
}
