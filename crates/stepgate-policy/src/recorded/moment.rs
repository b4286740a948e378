//! What was unusual at the time, as far as somebody looked.

use std::collections::BTreeSet;

use super::Gap;
use super::range::{Case, Gaps, Range};
use crate::Ruleset;
use crate::condition::{Condition, Part, Threshold};
use crate::present::PurposeTest;
use crate::risk::MAX_RISK;
use crate::signal::Signal;
use crate::truth::Truth;

/// Whether any of these fires.
pub(super) fn signals(case: &Case<'_>, signals: &BTreeSet<Signal>, gaps: &mut Gaps) -> Range {
    let each = signals.iter().map(|signal| match fires(case, *signal) {
        Some(fires) => Range::just(Truth::seen(fires, false)),
        None => Range::ANY,
    });
    let range = Range::any(each);
    if !range.is_settled() {
        gaps.insert(Gap::Signal);
    }
    range
}

/// Whether the risk is so high.
pub(super) fn risk(case: &Case<'_>, threshold: Threshold, gaps: &mut Gaps) -> Range {
    let Some(risk) = case.risk else { return Range::just(Truth::seen(threshold.from == 0, false)) };
    let (mut least, mut most) = (0_u32, 0_u32);
    for signal in risk.signals() {
        let weight = risk.weight(signal).unwrap_or(0);
        let fires = fires(case, signal);
        least = least.saturating_add(if fires == Some(true) { weight } else { 0 });
        most = most.saturating_add(if fires == Some(false) { 0 } else { weight });
    }
    let reaches = |risk: u32| Truth::seen(u64::from(risk.min(MAX_RISK)) >= threshold.from, false);
    let range = Range { least: reaches(least), most: reaches(most) };
    if !range.is_settled() {
        gaps.insert(Gap::Signal);
    }
    range
}

/// Whether a signal would fire by the candidate's settings. `None`: nobody looked, or by other settings.
fn fires(case: &Case<'_>, signal: Signal) -> Option<bool> {
    let Some(risk) = case.risk.filter(|risk| risk.weight(signal).is_some()) else {
        // Nobody looks for what has no weight.
        return Some(false);
    };
    let then = case.unseen.then.rules?.risk()?;
    then.weight(signal)?;
    if !then.looks_alike(risk, signal) {
        return None;
    }
    // What was looked for and is not recorded did not fire.
    let seen = case.recorded.signals.get(signal);
    // Whether that is less, nobody had to know then. The planner is never asked about several, nor about parameters.
    let one = case.recorded.kinds.len() == 1 && case.recorded.parameters == 0;
    let is_open = seen.is_some_and(|seen| seen.fires && seen.at_most) && one && !case.unseen.then.is_planned;
    (!is_open).then(|| seen.is_some_and(|seen| seen.fires))
}

/// What was said that it is for. Words that no rule of that time named are not recorded.
pub(super) fn purpose(case: &Case<'_>, test: &PurposeTest, gaps: &mut Gaps) -> Range {
    let knew = |word: &String| case.unseen.then.rules.is_some_and(|rules| names(rules, word));
    let words = match test {
        PurposeTest::OneOf(names) => names.words(),
        PurposeTest::Stated(_) => None,
    };
    if case.recorded.purpose.is_some() || words.is_some_and(|words| words.iter().all(knew)) {
        return Range::just(case.present.now(|who| test.holds(who)));
    }
    gaps.insert(Gap::Purpose);
    Range::ANY
}

/// Whether any rule names this very word as a purpose: what only begins like one is not recorded.
fn names(rules: &Ruleset, word: &str) -> bool {
    let named = |part: &Part| matches!(part, Part::Purpose(PurposeTest::OneOf(names)) if names.names(word));
    rules.policy().rules.iter().any(|rule| any_part(&rule.condition, &named))
}

/// Whether a condition is about the time of day.
pub(super) fn asks_for_time(condition: &Condition) -> bool {
    any_part(condition, &|part| matches!(part, Part::Time(..)))
}

fn any_part(condition: &Condition, is: &dyn Fn(&Part) -> bool) -> bool {
    condition.parts.iter().any(|part| match part {
        Part::Any(conditions) | Part::All(conditions) => conditions.iter().any(|it| any_part(it, is)),
        Part::Not(condition) => any_part(condition, is),
        other => is(other),
    })
}
