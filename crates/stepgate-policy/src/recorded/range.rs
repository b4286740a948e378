//! Between which truths a condition lies, given what a record tells.

use std::collections::BTreeSet;

use stepgate_types::{BulkShape, Certainty, Estimator, Kind};

use super::moment;
use super::open::Unseen;
use super::outcome::acts;
use super::{Gap, Recorded};
use crate::RiskSettings;
use crate::condition::{Condition, Part, Threshold, Touch};
use crate::present::Present;
use crate::truth::Truth;

/// The least and the most that may be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: Truth,
    pub(super) most: Truth,
}

impl Range {
    /// Nothing is told.
    pub(super) const ANY: Self = Self { least: Truth::No, most: Truth::Yes };

    /// Just this.
    pub(super) const fn just(truth: Truth) -> Self {
        Self { least: truth, most: truth }
    }

    /// Whether it is but one truth.
    pub(super) fn is_settled(self) -> bool {
        self.least == self.most
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::just(Truth::Yes), |all, part| Self {
            least: all.least.min(part.least),
            most: all.most.min(part.most),
        })
    }

    pub(super) fn any(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::just(Truth::No), |any, part| Self {
            least: any.least.max(part.least),
            most: any.most.max(part.most),
        })
    }

    const fn not(self) -> Self {
        Self { least: self.most.not(), most: self.least.not() }
    }
}

/// A recorded message under a candidate.
pub(super) struct Case<'a> {
    pub(super) recorded: &'a Recorded,
    pub(super) unseen: Unseen<'a>,
    /// What of `recorded.by` is known, and something else for the rest.
    pub(super) present: &'a Present<'a>,
    /// What signals weigh.
    pub(super) risk: Option<&'a RiskSettings>,
    /// The record merges several statements that do something.
    pub(super) several: bool,
}

/// What was missing to settle it.
pub(super) type Gaps = BTreeSet<Gap>;

impl Case<'_> {
    /// The range of a rule's whole condition: whether any of the message's statements meets it.
    pub(super) fn of_rule(&self, condition: &Condition, gaps: &mut Gaps) -> Range {
        // One thing alone that is asked of a statement was met by one of them if all of them together meet it.
        let merged = !self.several || askings(condition) <= 1;
        self.of(condition, merged, gaps)
    }

    fn of(&self, condition: &Condition, merged: bool, gaps: &mut Gaps) -> Range {
        Range::all(condition.parts.iter().map(|part| self.part(part, merged, gaps)))
    }

    fn part(&self, part: &Part, merged: bool, gaps: &mut Gaps) -> Range {
        match part {
            Part::Any(conditions) => Range::any(conditions.iter().map(|it| self.of(it, merged, gaps))),
            Part::All(conditions) => Range::all(conditions.iter().map(|it| self.of(it, merged, gaps))),
            Part::Not(condition) => self.of(condition, merged, gaps).not(),
            Part::Person(_) => {
                known(self.recorded.by.person.is_some(), Gap::Person, gaps, || self.live(part))
            }
            Part::Client(_) => {
                known(self.recorded.by.client.is_some(), Gap::Client, gaps, || self.live(part))
            }
            Part::Network(_) => {
                known(self.recorded.by.address.is_some(), Gap::Network, gaps, || self.live(part))
            }
            Part::Signal(signals) => moment::signals(self, signals, gaps),
            Part::Risk(threshold) => moment::risk(self, *threshold, gaps),
            Part::Purpose(test) => moment::purpose(self, test, gaps),
            Part::Groups(_) | Part::Database(_) | Part::DbUser(_) | Part::Time(..) => self.live(part),
            of_statement => {
                let all = self.of_message(of_statement, gaps);
                if merged || all == Range::just(Truth::No) {
                    return all;
                }
                // Some of the statements do it, and it is not told which.
                gaps.insert(Gap::Several);
                match of_statement {
                    Part::Touch(_) | Part::Predicate(_) => Range { least: Truth::No, most: all.most },
                    _ => Range::ANY,
                }
            }
        }
    }

    /// As the gate decides it.
    fn live(&self, part: &Part) -> Range {
        Range::just(part.holds(self.unseen.statement, self.present))
    }

    /// What is asked of a statement, asked of all of the message's together.
    fn of_message(&self, part: &Part, gaps: &mut Gaps) -> Range {
        match part {
            Part::Touch(touch) => self.touch(touch, gaps),
            Part::Predicate(test) => super::predicate::range(self, test, gaps),
            Part::Estimate(threshold) => self.estimate(*threshold, gaps),
            Part::Kind(kinds) => self.kind(part, kinds, gaps),
            // The worst of them is recorded, and of the others nothing.
            Part::Certainty(_) if self.several && self.certainty() != Certainty::Exact => several(gaps),
            Part::Bulk(_) if self.several && self.recorded.bulk != BulkShape::None => several(gaps),
            Part::Sink(_) | Part::SinkKind(_) if self.several && !self.recorded.sinks.is_empty() => {
                several(gaps)
            }
            Part::BulkShape(_) if self.several && self.recorded.bulk != BulkShape::None => several(gaps),
            other => self.live(other),
        }
    }

    /// Of what kind they are, or what runs within them: records from before that was told say nothing of what does.
    fn kind(&self, part: &Part, kinds: &BTreeSet<Kind>, gaps: &mut Gaps) -> Range {
        let (recorded, facts) = (self.recorded, self.unseen.statement.facts);
        let range = if self.several {
            let any = recorded.kinds.iter().any(|kind| kinds.contains(kind));
            let within = !facts.within.is_disjoint(kinds);
            Range::just(Truth::seen(any, recorded.kinds.contains(&Kind::Unknown) || within))
        } else {
            self.live(part)
        };
        let may_hold = recorded.kinds.iter().any(|kind| kind.holds_others()) || !recorded.sinks.is_empty();
        let untold = acts(facts.kind) && recorded.runs.is_none() && may_hold;
        if untold && range == Range::just(Truth::No) && kinds.iter().any(|kind| kind.runs_within()) {
            gaps.insert(Gap::Unrecorded);
            return Range { most: Truth::Maybe, ..range };
        }
        range
    }

    fn certainty(&self) -> Certainty {
        if self.unseen.statement.unknown() { Certainty::Unknown } else { self.recorded.certainty }
    }

    fn touch(&self, touch: &Touch, gaps: &mut Gaps) -> Range {
        let seen = touch.holds(self.unseen.statement);
        if seen == Truth::Yes || !self.unseen.may_fit(touch) {
            return Range::just(seen);
        }
        gaps.insert(Gap::Label);
        Range { least: seen, most: Truth::Yes }
    }

    /// What the gate would find: the catalog's bound, or less where the planner is asked.
    fn estimate(&self, threshold: Threshold, gaps: &mut Gaps) -> Range {
        let statement = self.unseen.statement;
        if statement.unknown() {
            if !self.recorded.doubts.by_map {
                return Range::just(Truth::Maybe);
            }
            // The analysis had no doubt, and so an estimate, which is not recorded of what the map makes unknown.
            gaps.insert(Gap::Catalog);
            return Range { least: Truth::Maybe, most: Truth::Yes };
        }
        let Some(rows) = self.recorded.estimate else {
            let truth = Truth::seen(false, !statement.without_rows());
            return if self.several { Range { least: truth, most: Truth::Yes } } else { Range::just(truth) };
        };
        if rows < threshold.from {
            return Range::just(Truth::No);
        }
        let by_planner = self.recorded.estimated_by == Estimator::Planner;
        let at_least = match self.recorded.estimated_by {
            Estimator::Catalog => rows,
            // Recorded is the next power of ten.
            Estimator::Statement | Estimator::Planner if rows <= 1 => 0,
            Estimator::Statement | Estimator::Planner => rows / 10 + 1,
        };
        // A sum of several may be beyond where none of them is.
        let is_sure = at_least >= threshold.from && !self.several;
        // The planner is never asked about a message of several, nor about one with parameters.
        let one = self.recorded.kinds.len() == 1 && self.recorded.parameters == 0;
        if is_sure && (by_planner || self.unseen.then.is_planned || !one) {
            return Range::just(Truth::Yes);
        }
        gaps.insert(if self.several { Gap::Several } else { Gap::Estimate });
        Range::ANY
    }
}

fn known(is_known: bool, gap: Gap, gaps: &mut Gaps, holds: impl FnOnce() -> Range) -> Range {
    if is_known {
        return holds();
    }
    gaps.insert(gap);
    Range::ANY
}

fn several(gaps: &mut Gaps) -> Range {
    gaps.insert(Gap::Several);
    Range::ANY
}

/// How many things a condition asks of one and the same statement; what stands under `not` is not met by one of several
/// only because all together meet it.
fn askings(condition: &Condition) -> usize {
    let of = |part: &Part| match part {
        Part::Any(conditions) | Part::All(conditions) => conditions.iter().map(askings).sum(),
        Part::Not(condition) => askings(condition).saturating_mul(2),
        Part::Person(_)
        | Part::Groups(_)
        | Part::Database(_)
        | Part::DbUser(_)
        | Part::Client(_)
        | Part::Network(_)
        | Part::Time(..)
        | Part::Signal(_)
        | Part::Risk(_)
        | Part::Purpose(_) => 0,
        // `bulk: false` is met by one of them although not by all together.
        Part::Bulk(false) | Part::Sink(false) => 2,
        _ => 1,
    };
    condition.parts.iter().map(of).sum()
}
