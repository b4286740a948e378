//! `audit.retention` and `audit.verify_every` of `stepgate.yaml`.

use std::time::Duration;

use stepgate_policy::parse_duration;
use stepgate_store::Upkeep;

use super::yaml::{Problems, Section};

/// The shortest time that records can be kept, in seconds: what sinks, reports and approvers look back on.
const SHORTEST_KEEP: u64 = 24 * 60 * 60;

/// And the shortest between two rounds of checks.
const SHORTEST_ROUND: u64 = 60;

/// Reads both; without them everything is kept, and nothing is checked by itself.
pub(super) fn read(audit: &mut Section<'_>, problems: &mut Problems<'_>) -> Upkeep {
    let verify_every = duration("verify_every", SHORTEST_ROUND, audit, problems);
    let mut keep = None;
    if let Some(mut section) = audit.section("retention", problems) {
        keep = duration("keep", SHORTEST_KEEP, &mut section, problems);
        section.finish(problems);
    }
    Upkeep { keep, verify_every }
}

fn duration(
    key: &'static str,
    shortest: u64,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    let node = section.take(key)?;
    let read = node.text().and_then(parse_duration).filter(|read| read.as_secs() >= shortest);
    if read.is_none() {
        let message =
            format!("{} must be a duration such as 2200d or 24h, at least {shortest}s", section.path(key));
        problems.add(node.at, message, None);
    }
    read
}
