//! From facts and circumstances to a decision.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use stepgate_sql::{Facts, Values};
use stepgate_types::{Action, Amount, ColumnName, Estimator, Kind, Limit, Per, Use};

use crate::condition::Condition;
use crate::map::{Classified, Map, reads};
use crate::policy::{Policy, Rule, UnknownRule};
use crate::present::Present;
use crate::statement::{Doubts, Statement};
use crate::truth::Truth;
use crate::{Approval, Bound, Circumstances, Decision, Escalation, Metered, ScopePart, Touched};

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
    /// Of each statement.
    limit: Limit,
    /// Of all of the person's that it matches.
    meters: &'p [(Per, Limit)],
}

pub(crate) fn decide(
    map: &Map,
    policy: &Policy,
    who: &Circumstances,
    bound: &Bound,
    message: &[Facts],
    values: &dyn Values,
) -> Decision {
    let mut deciding = Deciding::new(policy, who);
    for facts in message {
        deciding.add(&Statement::new(map, &who.database, bound, facts, values), None);
    }
    deciding.finish(map)
}

/// A decision under way.
pub(crate) struct Deciding<'p> {
    policy: &'p Policy,
    present: Present<'p>,
    all: Gathered<'p>,
    /// `None` as long as there is no statement.
    action: Option<Action>,
}

impl<'p> Deciding<'p> {
    pub(crate) fn new(policy: &'p Policy, who: &'p Circumstances) -> Self {
        Self { policy, present: Present::of(policy, who), all: Gathered::new(), action: None }
    }

    /// Adds a statement of the message. `told`: the truth of each rule's condition, where that is not to be found out.
    pub(crate) fn add(&mut self, statement: &Statement<'p>, told: Option<&[Truth]>) {
        let action = judge(self.policy, &self.present, statement, told, &mut self.all);
        self.action = Some(self.action.unwrap_or(Action::Allow).max(action));
        self.all.add(statement);
    }

    pub(crate) fn finish(self, map: &Map) -> Decision {
        let Self { policy, present, all, action } = self;
        let who = present.who;
        let action = action.unwrap_or(policy.default);
        let (limit, meters, beyond) = limited(&all, who);
        let (action, approval, hint) = terms(action, &all.matches, who);
        let ahead = ahead(policy, approval.as_ref(), hint, who);
        let touched = touched(all.touched);
        let class = if all.unknown { map.highest().cloned() } else { highest_read(&touched) };
        // Of no number, nobody is the author.
        let estimated_by = all.rows.map(|_| all.estimated_by).unwrap_or_default();
        Decision {
            action,
            enforced: policy.enforced,
            rules: names(all.matches),
            approval,
            risky: all.unknown || class.is_some() || all.control,
            touched,
            class,
            doubts: all.doubts,
            estimate: match estimated_by {
                Estimator::Catalog => all.rows,
                // What statistics know of values is not for everybody, and a LIMIT is a literal like any other.
                Estimator::Statement | Estimator::Planner => all.rows.map(rounded),
            },
            estimated_by,
            hint,
            limit,
            meters,
            ahead,
            beyond,
            reached: all.reached,
            risk: present.risk,
            signals: policy.risk.as_ref().map(|risk| risk.weighed(&who.signals)).unwrap_or_default(),
        }
    }
}

/// What a message's statements come to, together. A statement that no rule is about asks for no memory.
struct Gathered<'p> {
    matches: Vec<Match<'p>>,
    /// Rules that match once so much is delivered.
    later: Vec<Match<'p>>,
    /// One that asks or denies matched because so much is.
    reached: bool,
    touched: BTreeMap<&'p ColumnName, (Classified<'p>, BTreeSet<Use>)>,
    unknown: bool,
    doubts: BTreeSet<&'static str>,
    /// The sum over statements that can return rows; `None` where that of any is unknown.
    rows: Option<u64>,
    estimated_by: Estimator,
    /// One of them is of kind `control`.
    control: bool,
}

impl<'p> Gathered<'p> {
    const fn new() -> Self {
        Self {
            matches: Vec::new(),
            later: Vec::new(),
            reached: false,
            touched: BTreeMap::new(),
            unknown: false,
            doubts: BTreeSet::new(),
            rows: Some(0),
            estimated_by: Estimator::Catalog,
            control: false,
        }
    }

    fn add(&mut self, statement: &Statement<'p>) {
        self.control |= statement.facts.kind == Kind::Control;
        for column in statement.columns.iter() {
            if let Some(classified) = column.classified {
                self.touched
                    .entry(column.name)
                    .or_insert((classified, BTreeSet::new()))
                    .1
                    .extend(column.uses);
            }
        }
        if let Some(doubt) = &statement.doubt {
            self.unknown = true;
            self.doubts.extend(&doubt.codes);
        }
        if !statement.without_rows() {
            self.estimated_by = self.estimated_by.max(statement.facts.estimated_by);
            let rows = if statement.unknown() { None } else { statement.facts.estimate };
            self.rows = self.rows.zip(rows).map(|(sum, rows)| sum.saturating_add(rows));
        }
    }
}

/// Whether what happens to a statement hangs on how many rows it returns, of which only an upper bound is known: by a rule
/// about their number, or by a signal that is.
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
    let present = Present::of_upper_bound(policy, who);
    let risk_is_open = who.signals.is_open();
    let (mut certain, mut open) = (Action::Allow, None);
    let hangs =
        |condition: &Condition| condition.asks_for_rows() || (risk_is_open && condition.asks_for_volume());
    for rule in policy.rules.iter().filter(|rule| rule.once_delivered.is_reached(who.delivered)) {
        match rule.condition.holds(&statement, &present) {
            Truth::Yes => certain = certain.max(rule.action),
            Truth::Maybe if hangs(&rule.condition) => open = open.max(Some(rule.action)),
            Truth::Maybe | Truth::No => {}
        }
    }
    if risk_is_open && (Action::StepUp..Action::Deny).contains(&certain) {
        // What is remembered of an approval covers no higher risk.
        return true;
    }
    // Under `defaults: {action: deny}`, a rule that surely holds lifts the denial.
    open.is_some_and(|open| {
        certain < Action::Deny && (open >= certain.max(Action::StepUp) || policy.default == Action::Deny)
    })
}

/// Whether what happens to a statement, or may once some of it is delivered, hangs on time, risk, signals, purpose or on
/// what was delivered.
pub(crate) fn hangs_on_moment(
    map: &Map,
    policy: &Policy,
    who: &Circumstances,
    bound: &Bound,
    facts: &Facts,
    values: &dyn Values,
) -> bool {
    let statement = Statement::new(map, &who.database, bound, facts, values);
    let present = Present::at_any_time(who);
    policy.rules.iter().any(|rule| {
        let later = rule.once_delivered.is_asked();
        (later || rule.condition.looks_at_the_moment())
            && may_match(rule, &statement)
            && match rule.condition.holds(&statement, &present) {
                Truth::No => false,
                Truth::Maybe => true,
                Truth::Yes => later,
            }
    })
}

/// Whether it is worth a closer look. Where anything is in doubt, anything may match.
fn may_match(rule: &Rule, statement: &Statement<'_>) -> bool {
    statement.unknown() || rule.need.may_be_met_by(&statement.sketch)
}

/// Adds every rule that may match the statement, the gate's own included, and gives the most severe
/// action of them.
fn judge<'p>(
    policy: &'p Policy,
    present: &Present<'_>,
    statement: &Statement<'_>,
    told: Option<&[Truth]>,
    all: &mut Gathered<'p>,
) -> Action {
    let already = all.matches.len();
    // Doubt makes a rule fire, but it lifts neither the default nor the standing denial of `control`:
    // under `defaults: {action: deny}`, an `allow` for one table is not one for what cannot be read.
    let mut action = policy.default;
    let mut control_is_named = false;
    for (index, rule) in policy.rules.iter().enumerate() {
        let holds = match told {
            Some(told) => told.get(index).copied().unwrap_or(Truth::Maybe),
            None if may_match(rule, statement) => rule.condition.holds(statement, present),
            None => Truth::No,
        };
        if holds == Truth::No {
            continue;
        }
        let approval = rule.approval.and_then(|index| policy.approvals.get(index));
        let (name, delivered) = (&*rule.name, present.who.delivered);
        let matched = |limit: Limit, meters: &'p [(Per, Limit)]| Match {
            action: rule.action,
            name,
            approval,
            // What returns nothing has nothing that could be limited.
            limit: if statement.without_rows() { Limit::NONE } else { limit },
            meters: if statement.without_rows() { &[] } else { meters },
        };
        if !rule.once_delivered.is_reached(delivered) {
            let delivered = Amount::of(delivered.rows, delivered.bytes);
            all.later.push(matched(rule.once_delivered.limit().minus(delivered), &[]));
            continue;
        }
        all.reached |= rule.once_delivered.is_asked() && rule.action >= Action::StepUp;
        if holds == Truth::Yes {
            action = Action::Allow;
            control_is_named |= rule.names_control;
        }
        all.matches.push(matched(rule.limits.statement, &rule.limits.meters));
    }
    if statement.facts.kind == Kind::Control && !control_is_named {
        all.matches.push(Match {
            action: Action::Deny,
            name: "control",
            approval: None,
            limit: Limit::NONE,
            meters: &[],
        });
    }
    if let Some(doubts) = &statement.doubt {
        all.matches.extend(of_doubts(policy, doubts));
    }
    all.matches.iter().skip(already).map(|found| found.action).fold(action, Action::max)
}

fn of_doubts<'p>(policy: &'p Policy, doubts: &Doubts) -> impl Iterator<Item = Match<'p>> {
    let of = |there: bool, rule: &'p UnknownRule| {
        there.then(|| Match {
            action: rule.action,
            name: rule.name,
            approval: rule.approval.and_then(|index| policy.approvals.get(index)),
            limit: Limit::NONE,
            meters: &[],
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

/// The least of all limits of a statement, all others, and who is asked once one is reached: those whom the most severe of
/// the rules asks that ask anybody, now or then. Nobody, where one of them denies then.
fn limited(all: &Gathered<'_>, who: &Circumstances) -> (Limit, Vec<Metered>, Option<(Action, Approval)>) {
    let limits = || all.matches.iter().chain(&all.later);
    let limit = limits().fold(Limit::NONE, |least, found| least.least(found.limit));
    let meters = meters(&all.matches);
    let denies = || all.later.iter().any(|found| found.action == Action::Deny && !found.limit.is_none());
    if (limit.is_none() && meters.is_empty()) || denies() {
        return (limit, meters, None);
    }
    let asks = |approval: &Approval| if approval.itself { Action::StepUp } else { Action::Approve };
    let asked = || limits().filter_map(|found| found.approval);
    let Some(action) = asked().map(asks).max() else { return (limit, meters, None) };
    if action == Action::StepUp && who.service {
        return (limit, meters, None);
    }
    let approval = all_of(asked().filter(|approval| asks(approval) == action));
    (limit, meters, approval.map(|approval| (action, approval)))
}

/// The limits over sessions and windows, each once.
fn meters(matches: &[Match<'_>]) -> Vec<Metered> {
    let mut meters: Vec<Metered> = Vec::new();
    for found in matches {
        for (per, limit) in found.meters {
            if !meters.iter().any(|meter| meter.rule == found.name && meter.per == *per) {
                meters.push(Metered { rule: found.name.to_owned(), per: *per, limit: *limit });
            }
        }
    }
    meters
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
fn touched(all: BTreeMap<&ColumnName, (Classified<'_>, BTreeSet<Use>)>) -> Vec<Touched> {
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
