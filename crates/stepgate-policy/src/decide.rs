//! From facts and circumstances to a decision.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use stepgate_sql::{Facts, Values};
use stepgate_types::{Action, ColumnName, Estimator, Kind, Limit, Use};

use crate::map::{Classified, Map, reads};
use crate::policy::{Policy, UnknownRule};
use crate::statement::{Doubts, Statement};
use crate::truth::Truth;
use crate::{Approval, Bound, Circumstances, Decision, Escalation, ScopePart, Touched};

/// What the HINT says to a service that met a `step-up`.
const SERVICE_HINT: &str = "A service cannot verify itself: have others approve it ahead of time (stepgate request open FILE --as NAME \
     --until TIME), or by a rule with action approve.";
/// What the HINT says where several rules ask people of whom nobody can answer for all.
const NOBODY_HINT: &str =
    "Several rules ask different groups to approve this, and no group is asked by all of them.";

/// A rule that matched one of the message's statements.
struct Match<'p> {
    action: Action,
    name: &'p str,
    approval: Option<&'p Approval>,
    limit: Limit,
}

pub(crate) fn decide(
    map: &Map,
    policy: &Policy,
    who: &Circumstances,
    bound: &Bound,
    message: &[Facts],
    values: &dyn Values,
) -> Decision {
    let statements: Vec<Statement<'_>> =
        message.iter().map(|facts| Statement::new(map, &who.database, bound, facts, values)).collect();
    let mut action = if statements.is_empty() { policy.default } else { Action::Allow };
    let mut matches = Vec::new();
    for statement in &statements {
        action = action.max(judge(policy, who, statement, &mut matches));
    }
    let (limit, beyond) = limited(&matches, who);
    let (action, approval, hint) = terms(action, &matches, who);
    let ahead = ahead(policy, approval.as_ref(), hint, who);
    let unknown = statements.iter().any(Statement::unknown);
    let touched = touched(&statements);
    let class = if unknown { map.highest().cloned() } else { highest_read(&touched) };
    let estimated_by = message.iter().map(|facts| facts.estimated_by).max().unwrap_or_default();
    Decision {
        action,
        enforced: policy.enforced,
        rules: names(matches),
        approval,
        risky: unknown || class.is_some() || message.iter().any(|facts| facts.kind == Kind::Control),
        touched,
        class,
        doubts: statements.iter().filter_map(|s| s.doubt.as_ref()).flat_map(|d| d.codes.clone()).collect(),
        estimate: match estimated_by {
            Estimator::Catalog => estimate(&statements),
            Estimator::Planner => estimate(&statements).map(rounded),
        },
        estimated_by,
        hint,
        limit,
        ahead,
        beyond,
        risk: policy.risk.as_ref().map(|risk| risk.risk(&who.signals)),
        signals: policy.risk.as_ref().map(|risk| risk.weighed(&who.signals)).unwrap_or_default(),
    }
}

/// Whether what happens to a statement hangs on how many rows it returns, of which only an upper bound is known.
pub(crate) fn hangs_on_estimate(
    map: &Map,
    policy: &Policy,
    who: &Circumstances,
    bound: &Bound,
    facts: &Facts,
    values: &dyn Values,
) -> bool {
    let mut statement = Statement::new(map, &who.database, bound, facts, values);
    statement.at_most = true;
    if statement.unknown() {
        return false;
    }
    let (mut certain, mut open) = (Action::Allow, None);
    for rule in &policy.rules {
        match rule.condition.holds(&statement, who) {
            Truth::Yes => certain = certain.max(rule.action),
            Truth::Maybe if rule.condition.asks_for_rows() => open = open.max(Some(rule.action)),
            Truth::Maybe | Truth::No => {}
        }
    }
    // Under `defaults: {action: deny}`, a rule that surely holds lifts the denial.
    open.is_some_and(|open| {
        certain < Action::Deny && (open >= certain.max(Action::StepUp) || policy.default == Action::Deny)
    })
}

/// Adds every rule that may match the statement, the gate's own included, and gives the most severe
/// action of them.
fn judge<'p>(
    policy: &'p Policy,
    who: &Circumstances,
    statement: &Statement<'_>,
    matches: &mut Vec<Match<'p>>,
) -> Action {
    let mut found = Vec::new();
    // Doubt makes a rule fire, but it lifts neither the default nor the standing denial of `control`:
    // under `defaults: {action: deny}`, an `allow` for one table is not one for what cannot be read.
    let mut action = policy.default;
    let mut control_is_named = false;
    for rule in &policy.rules {
        let holds = rule.condition.holds(statement, who);
        if holds == Truth::No {
            continue;
        }
        if holds == Truth::Yes {
            action = Action::Allow;
            control_is_named |= rule.names_control;
        }
        let approval = rule.approval.and_then(|index| policy.approvals.get(index));
        // What returns nothing has nothing that could be limited.
        let limit = if statement.without_rows() { Limit::NONE } else { rule.limit };
        found.push(Match { action: rule.action, name: &rule.name, approval, limit });
    }
    if statement.facts.kind == Kind::Control && !control_is_named {
        found.push(Match { action: Action::Deny, name: "control", approval: None, limit: Limit::NONE });
    }
    if let Some(doubts) = &statement.doubt {
        found.extend(of_doubts(policy, doubts));
    }
    action = found.iter().map(|found| found.action).fold(action, Action::max);
    matches.append(&mut found);
    action
}

fn of_doubts<'p>(policy: &'p Policy, doubts: &Doubts) -> impl Iterator<Item = Match<'p>> {
    let of = |there: bool, rule: &'p UnknownRule| {
        there.then(|| Match {
            action: rule.action,
            name: rule.name,
            approval: rule.approval.and_then(|index| policy.approvals.get(index)),
            limit: Limit::NONE,
        })
    };
    [
        of(doubts.functions, &policy.unknown.functions),
        of(doubts.dynamic_sql, &policy.unknown.dynamic_sql),
        of(doubts.statements, &policy.unknown.statements),
    ]
    .into_iter()
    .flatten()
}

/// The final action, and whom it asks for what.
fn terms(
    action: Action,
    matches: &[Match<'_>],
    who: &Circumstances,
) -> (Action, Option<Approval>, Option<&'static str>) {
    match action {
        Action::Allow | Action::Monitor | Action::Deny => (action, None, None),
        Action::StepUp if who.service => (Action::Deny, None, Some(SERVICE_HINT)),
        Action::StepUp | Action::Approve => {
            let asked = matches.iter().filter(|found| found.action == action);
            match all_of(asked.filter_map(|found| found.approval)) {
                Some(approval) => (action, Some(approval), None),
                None => (Action::Deny, None, Some(NOBODY_HINT)),
            }
        }
    }
}

/// By which approval it may be asked for ahead of time.
fn ahead(
    policy: &Policy,
    approval: Option<&Approval>,
    hint: Option<&'static str>,
    who: &Circumstances,
) -> Option<Approval> {
    if !who.service {
        return None;
    }
    if hint == Some(SERVICE_HINT) {
        return policy.services.and_then(|index| policy.approvals.get(index)).cloned();
    }
    approval.filter(|approval| !approval.itself).cloned()
}

/// The least of all limits, and who is asked once it is reached: those whom the most severe of the rules asks that ask
/// anybody, now or then.
fn limited(matches: &[Match<'_>], who: &Circumstances) -> (Limit, Option<(Action, Approval)>) {
    let limit = matches.iter().fold(Limit::NONE, |least, found| least.least(found.limit));
    if limit.is_none() {
        return (limit, None);
    }
    let asks = |approval: &Approval| if approval.itself { Action::StepUp } else { Action::Approve };
    let asked = || matches.iter().filter_map(|found| found.approval);
    let Some(action) = asked().map(asks).max() else { return (limit, None) };
    if action == Action::StepUp && who.service {
        return (limit, None);
    }
    let approval = all_of(asked().filter(|approval| asks(approval) == action));
    (limit, approval.map(|approval| (action, approval)))
}

/// One approval that satisfies all of these, so that the order of rules never matters: the strictest of
/// each of their terms, answered by the groups that all of them ask. `None`: there is no such group.
fn all_of<'p>(approvals: impl Iterator<Item = &'p Approval>) -> Option<Approval> {
    let by_name: BTreeMap<&str, &Approval> = approvals.map(|approval| (&*approval.name, approval)).collect();
    let mut by_name = by_name.into_values();
    let first = by_name.next()?.clone();
    by_name.try_fold(first, |all, next| {
        let groups: BTreeSet<_> = all.groups.intersection(&next.groups).cloned().collect();
        (all.itself || !groups.is_empty()).then(|| Approval {
            name: format!("{}+{}", all.name, next.name),
            itself: all.itself,
            groups,
            count: all.count.max(next.count),
            strength: all.strength.max(next.strength),
            reason_required: all.reason_required || next.reason_required,
            expires: all.expires.min(next.expires),
            remember: all.remember.zip(next.remember.clone()).map(|(mut all, next)| {
                all.for_ = all.for_.min(next.for_);
                all.scope.extend::<BTreeSet<ScopePart>>(next.scope);
                all.sink &= next.sink;
                all
            }),
            escalate: all.escalate.zip(next.escalate.clone()).and_then(|(all, next)| {
                let to: BTreeSet<_> = all.to.intersection(&next.to).cloned().collect();
                (!to.is_empty()).then(|| Escalation { after: all.after.max(next.after), to })
            }),
        })
    })
}

/// Names, most severe first; each once.
fn names(mut matches: Vec<Match<'_>>) -> Vec<String> {
    matches.sort_by(|a, b| b.action.cmp(&a.action).then_with(|| a.name.cmp(b.name)));
    matches.dedup_by(|a, b| a.name == b.name);
    matches.into_iter().map(|found| found.name.to_owned()).collect()
}

/// All classified columns of the message, most sensitive first.
fn touched(statements: &[Statement<'_>]) -> Vec<Touched> {
    let mut all: BTreeMap<&ColumnName, (Classified<'_>, BTreeSet<Use>)> = BTreeMap::new();
    for column in statements.iter().flat_map(|statement| &statement.columns) {
        if let Some(classified) = column.classified {
            all.entry(column.name).or_insert((classified, BTreeSet::new())).1.extend(column.uses);
        }
    }
    let touched = all.into_iter().map(|(column, (classified, uses))| Touched {
        column: column.clone(),
        label: classified.label.cloned(),
        class: classified.class.clone(),
        uses,
    });
    let mut touched: Vec<Touched> = touched.collect();
    // Stable: columns of one class stay in order of their names.
    touched.sort_by_key(|touched| Reverse(touched.class.rank));
    touched
}

fn highest_read(touched: &[Touched]) -> Option<stepgate_types::Class> {
    touched.iter().find(|touched| reads(&touched.uses)).map(|touched| touched.class.clone())
}

/// The next power of ten.
fn rounded(rows: u64) -> u64 {
    let digits = rows.saturating_sub(1).checked_ilog10().map_or(0, |it| it + 1);
    10_u64.saturating_pow(digits)
}

/// The sum over statements that can return rows; `None` where that of any is unknown.
fn estimate(statements: &[Statement<'_>]) -> Option<u64> {
    let mut with_rows = statements.iter().filter(|statement| !statement.without_rows());
    with_rows.try_fold(0_u64, |sum, statement| {
        let rows = if statement.unknown() { None } else { statement.facts.estimate };
        rows.map(|rows| sum.saturating_add(rows))
    })
}
