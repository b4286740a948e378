//! From a record to the facts it tells, and over everything it leaves open to one outcome or none.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use stepgate_sql::{Doubt, Facts, NoValues, Reason, Sink, SinkKind};
use stepgate_types::{Action, Certainty, Kind, PersonName};

use super::open::Unseen;
use super::range::{Case, Gaps, Range};
use super::{Gap, Recorded, RecordedColumn, Replayed, Then};
use crate::decide::Deciding;
use crate::map::{Classified, Map};
use crate::policy::{Policy, Rule};
use crate::present::Present;
use crate::sketch::Sketch;
use crate::statement::{Column, Doubts, Statement, Touches};
use crate::truth::Truth;
use crate::{Circumstances, Decision, Unheld};

/// The code of doubts whose own code no rule asks for.
const RECORDED: &str = "recorded";

/// Who somebody is whose name was erased; rules about people are not asked of them.
const SOMEBODY: &str = "somebody";

/// How many ways are tried in which what is open may be.
const MAX_WAYS: usize = 512;

pub(super) fn replay(map: &Map, policy: &Policy, recorded: &Recorded, then: Then<'_>) -> Replayed {
    let gap = |gap: Gap| Replayed::Undecidable(BTreeSet::from([gap]));
    if recorded.shortened {
        return gap(Gap::Shortened);
    }
    if recorded.doubts.by_map && !then.is_same_map {
        return gap(Gap::Catalog);
    }
    let Some(who) = circumstances(recorded) else { return gap(Gap::Person) };
    let several = acting(recorded).count() > 1;
    if several {
        // Defaults and the denial of `control` are of each statement by itself.
        let control = acting(recorded).any(|kind| kind == Kind::Control);
        if policy.default != Action::Allow || (control && policy.rules.iter().any(|rule| rule.names_control))
        {
            return gap(Gap::Several);
        }
    }
    let facts = facts(recorded, several);
    let mut statements = Vec::with_capacity(facts.len());
    for facts in &facts {
        let Some(statement) = statement(map, recorded, then, facts) else { return gap(Gap::Catalog) };
        statements.push(statement);
    }
    let mut gaps: Vec<Vec<Gaps>> = Vec::with_capacity(statements.len());
    let mut ranges: Vec<Vec<Range>> = Vec::with_capacity(statements.len());
    for statement in &statements {
        let unseen = Unseen { map, database: &who.database, then, statement };
        // Only the first does anything.
        let present = Present::of(policy, &who);
        let case = Case {
            recorded,
            unseen,
            present: &present,
            risk: policy.risk.as_ref(),
            several: several && acts(statement.facts.kind),
        };
        let (mut of_ranges, of_gaps): (Vec<_>, Vec<_>) =
            policy.rules.iter().map(|rule| of_rule(policy, rule, &case)).unzip();
        if policy.default == Action::Allow {
            settle_the_idle(policy, &mut of_ranges);
        }
        gaps.push(of_gaps);
        ranges.push(of_ranges);
    }
    let missing = |more: Option<Gap>| {
        let open =
            ranges.iter().flatten().zip(gaps.iter().flatten()).filter(|(range, _)| !range.is_settled());
        Replayed::Undecidable(open.flat_map(|(_, gaps)| gaps.iter().copied()).chain(more).collect())
    };
    let mut outcome: Option<Decision> = None;
    for (tried, told) in Ways::of(&ranges).enumerate() {
        if tried == MAX_WAYS {
            return missing(Some(Gap::TooMuch));
        }
        let mut deciding = Deciding::new(policy, &who);
        statements.iter().zip(&told).for_each(|(statement, told)| deciding.add(statement, Some(told)));
        let decision = deciding.finish(map);
        let sinks = || facts.iter().flat_map(|facts| &facts.sinks);
        let unheld = Unheld {
            shows: sinks().any(|sink| sink.kind.is_open()),
            stores: sinks().any(|sink| !sink.kind.is_open()),
            mixes: false,
        };
        // How rows are put together is not in a record.
        if decision.clone().before_it_runs(unheld)
            != decision.clone().before_it_runs(Unheld { mixes: true, ..unheld })
        {
            return gap(Gap::Unrecorded);
        }
        let decision = decision.before_it_runs(unheld);
        match &outcome {
            None => outcome = Some(decision),
            Some(first) if !is_same(first, &decision) => return missing(None),
            Some(_) => {}
        }
    }
    outcome.map_or(gap(Gap::TooMuch), |decision| Replayed::Decided(Box::new(decision)))
}

/// What people would notice.
fn is_same(one: &Decision, other: &Decision) -> bool {
    one.action == other.action
        && one.approval == other.approval
        && (one.action == Action::Deny
            || (one.limit == other.limit && one.meters == other.meters && one.beyond == other.beyond))
}

/// Settles rules that change nothing whether they match or not: others that surely do are more severe.
fn settle_the_idle(policy: &Policy, ranges: &mut [Range]) {
    // What matches once so much is delivered does not match at first, and limits.
    let sure = policy.rules.iter().zip(ranges.iter());
    let sure = sure.filter(|(rule, range)| range.least != Truth::No && !rule.once_delivered.is_asked());
    let Some(action) = sure.map(|(rule, _)| rule.action).max() else { return };
    for (rule, range) in policy.rules.iter().zip(ranges) {
        let idle = rule.action < action
            && rule.limits.is_none()
            && !rule.once_delivered.is_asked()
            && !rule.names_control;
        if idle || action == Action::Deny {
            *range = Range::just(range.least);
        }
    }
}

fn of_rule(policy: &Policy, rule: &Rule, case: &Case<'_>) -> (Range, Gaps) {
    let mut gaps = Gaps::new();
    let range = case.of_rule(&rule.condition, &mut gaps);
    // A rule that may match does what one does that matches, but lift the default and the denial of `control`.
    if policy.default == Action::Allow && !rule.names_control && range.least >= Truth::Maybe {
        return (Range::just(range.most), gaps);
    }
    (range, gaps)
}

/// All ways in which the truths of rules may lie in their ranges, of each statement.
struct Ways<'r> {
    ranges: &'r [Vec<Range>],
    next: Option<Vec<Vec<Truth>>>,
}

impl<'r> Ways<'r> {
    fn of(ranges: &'r [Vec<Range>]) -> Self {
        let first = ranges.iter().map(|of| of.iter().map(|range| range.least).collect()).collect();
        Self { ranges, next: Some(first) }
    }
}

impl Iterator for Ways<'_> {
    type Item = Vec<Vec<Truth>>;

    fn next(&mut self) -> Option<Self::Item> {
        let now = self.next.take()?;
        let mut after = now.clone();
        let places = after.iter_mut().flatten().zip(self.ranges.iter().flatten());
        // As a number is counted up, the first digit first.
        for (truth, range) in places {
            if *truth < range.most {
                *truth =
                    if *truth == Truth::No && range.most > Truth::Maybe { Truth::Maybe } else { range.most };
                self.next = Some(after);
                break;
            }
            *truth = range.least;
        }
        Some(now)
    }
}

pub(super) fn acts(kind: Kind) -> bool {
    !matches!(kind, Kind::Transaction | Kind::Empty)
}

/// Kinds of the statements that do something.
fn acting(recorded: &Recorded) -> impl Iterator<Item = Kind> {
    recorded.kinds.iter().copied().filter(|kind| acts(*kind))
}

/// The facts of what the message does, then those of statements that do nothing.
fn facts(recorded: &Recorded, several: bool) -> Vec<Facts> {
    let mut all = Vec::new();
    let mut kinds = acting(recorded);
    if let Some(first) = kinds.next() {
        let kind = if several && kinds.any(|kind| kind == Kind::Control) { Kind::Control } else { first };
        all.push(of_acting(recorded, kind));
    }
    let resting: BTreeSet<Kind> = recorded.kinds.iter().copied().filter(|kind| !acts(*kind)).collect();
    all.extend(resting.into_iter().map(|kind| Facts { kind, ..Facts::empty() }));
    all
}

fn of_acting(recorded: &Recorded, kind: Kind) -> Facts {
    let doubts = recorded.doubts;
    let reasons = [
        (doubts.functions, Doubt::Function),
        (doubts.dynamic_sql, Doubt::DynamicSql),
        (doubts.statements, Doubt::Statement),
    ];
    let reasons = reasons.into_iter().filter(|(there, _)| *there);
    let columns = recorded.columns.iter().map(|it| (it.column.clone(), it.uses.clone()));
    Facts {
        kind,
        within: recorded.runs.clone().unwrap_or_default(),
        certainty: recorded.certainty,
        reasons: reasons.map(|(_, doubt)| Reason { code: RECORDED, doubt }).collect(),
        relations: recorded.relations.clone(),
        columns: columns.collect(),
        functions: recorded.functions.clone(),
        sinks: recorded.sinks.iter().filter_map(|word| sink(word)).collect(),
        bulk: recorded.bulk,
        estimate: recorded.estimate,
        estimated_by: recorded.estimated_by,
        read_only: false,
        ..Facts::empty()
    }
}

fn sink(word: &str) -> Option<Sink> {
    let kind = match word {
        "table" => SinkKind::Table,
        "rows" => SinkKind::Rows,
        "view" => SinkKind::View,
        "server-file" => SinkKind::ServerFile,
        "large-object" => SinkKind::LargeObject,
        "notification" => SinkKind::Notification,
        "setting" => SinkKind::Setting,
        "advisory-lock" => SinkKind::AdvisoryLock,
        _ => return None,
    };
    Some(Sink { kind, relation: None })
}

/// The statement as the candidate sees it. `None`: what the map of that time called a column is not what it is called
/// in the candidate's, or was followed through a renaming.
fn statement<'a>(
    map: &'a Map,
    recorded: &'a Recorded,
    then: Then<'_>,
    facts: &'a Facts,
) -> Option<Statement<'a>> {
    let mut columns = Vec::with_capacity(facts.columns.len());
    for (name, uses) in &facts.columns {
        let was = recorded.columns.iter().find(|column| column.column == *name)?;
        let classified = if then.is_same_map {
            let label = match &was.label {
                Some(label) => Some(map.labels.get_key_value(label)?.0),
                None => None,
            };
            Some(Classified { label, class: map.class(&was.class)? })
        } else {
            if !is_by_name(&recorded.by.database, was, then) {
                return None;
            }
            map.classify(&recorded.by.database, name)
        };
        columns.push(Column { name, uses, classified });
    }
    let doubt = (facts.certainty == Certainty::Unknown || facts.kind == Kind::Unknown).then(|| Doubts {
        functions: recorded.doubts.functions,
        dynamic_sql: recorded.doubts.dynamic_sql,
        statements: recorded.doubts.statements,
        codes: BTreeSet::from([RECORDED]),
    });
    // Truths are told, and nothing is looked up in the sketch.
    let (columns, sketch) = (Touches::of(columns.into_iter()), Sketch::default());
    Some(Statement { facts, columns, sketch, values: &NoValues, at_most: false, doubt })
}

/// Whether the map of that time classified the column by the name that stands in the record.
fn is_by_name(database: &str, was: &RecordedColumn, then: Then<'_>) -> bool {
    let Some(now) = then.map.and_then(|map| map.classify(database, &was.column)) else { return false };
    now.label == was.label.as_ref() && now.class.name == was.class
}

fn circumstances(recorded: &Recorded) -> Option<Circumstances> {
    let by = &recorded.by;
    let person = match &by.person {
        Some(person) => person.clone(),
        None => SOMEBODY.parse::<PersonName>().ok()?,
    };
    Some(Circumstances {
        groups: by.groups.clone(),
        service: by.service,
        db_user: by.db_user.clone(),
        client: by.client.clone().unwrap_or_default(),
        now: recorded.at,
        signals: recorded.signals.clone(),
        purpose: recorded.purpose.clone(),
        ..Circumstances::of(person, &by.database, by.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    })
}
