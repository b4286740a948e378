//! Why a decision is what it is: every rule, every clause of it, what that asks and what it found.
//!
//! Of a statement, words of map, catalog and policy are told, never its values; of who asks, all that was given.

use serde::Serialize;
use stepgate_sql::{Facts, Values};
use stepgate_types::{Action, Kind};

use crate::condition::{Condition, Part, Touch};
use crate::explain_words as words;
use crate::map::Map;
use crate::policy::{Policy, Rule};
use crate::present::Present;
use crate::statement::Statement;
use crate::truth::Truth;
use crate::{Bound, Circumstances};

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// It does not.
    No,
    /// It cannot be told, so that a rule fires by it.
    Maybe,
    /// It does.
    Yes,
}

impl From<Truth> for Holds {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::No => Self::No,
            Truth::Maybe => Self::Maybe,
            Truth::Yes => Self::Yes,
        }
    }
}

/// A rule and one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleExplained {
    /// Its name; the gate's own are named as in decisions.
    pub rule: String,
    /// What it does where it matches.
    pub action: Action,
    /// Whether it matches.
    pub matches: Holds,
    /// Its clauses, all of which must hold.
    pub clauses: Vec<Clause>,
    /// How many of them do not.
    pub misses: usize,
}

/// One clause of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// As the policy writes it.
    pub clause: &'static str,
    /// What it asks for.
    pub asks: String,
    /// What it found.
    pub found: String,
    /// Whether that is it.
    pub holds: Holds,
    /// Those of `any`, `all` and `not`: a list of clauses for each condition in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Vec<Clause>>,
}

/// All rules, those that match before those that miss, and the nearer misses first.
pub(crate) fn explain(
    map: &Map,
    policy: &Policy,
    who: &Circumstances,
    bound: &Bound,
    facts: &Facts,
    values: &dyn Values,
) -> Vec<RuleExplained> {
    let statement = Statement::new(map, &who.database, bound, facts, values);
    let look = Look { map, statement: &statement, present: Present::of(policy, who) };
    let mut all: Vec<RuleExplained> = policy.rules.iter().map(|rule| look.rule(rule)).collect();
    all.extend(look.own(policy));
    let (mut matching, mut missing): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|rule| rule.matches != Holds::No);
    matching.sort_by(|a, b| b.action.cmp(&a.action).then_with(|| a.rule.cmp(&b.rule)));
    missing.sort_by(|a, b| {
        a.misses.cmp(&b.misses).then_with(|| b.action.cmp(&a.action)).then_with(|| a.rule.cmp(&b.rule))
    });
    matching.append(&mut missing);
    matching
}

struct Look<'a> {
    map: &'a Map,
    statement: &'a Statement<'a>,
    present: Present<'a>,
}

impl Look<'_> {
    fn rule(&self, rule: &Rule) -> RuleExplained {
        let mut clauses = self.clauses(&rule.condition);
        let delivered = self.present.who.delivered;
        for (clause, threshold, delivered) in [
            ("delivered_rows", rule.once_delivered.rows, delivered.rows),
            ("delivered_bytes", rule.once_delivered.bytes, delivered.bytes),
        ] {
            if let Some(threshold) = threshold {
                clauses.push(Clause {
                    clause,
                    asks: words::at_least(threshold),
                    found: delivered.to_string(),
                    holds: Truth::seen(delivered >= threshold.from, false).into(),
                    within: Vec::new(),
                });
            }
        }
        let reached = Truth::seen(rule.once_delivered.is_reached(delivered), false);
        let matches = rule.condition.holds(self.statement, &self.present).min(reached);
        let misses = clauses.iter().filter(|clause| clause.holds == Holds::No).count();
        RuleExplained {
            rule: rule.name.clone(),
            action: rule.action,
            matches: matches.into(),
            clauses,
            misses,
        }
    }

    /// The gate's own rules, where they match.
    fn own(&self, policy: &Policy) -> Vec<RuleExplained> {
        let own = |rule: &str, action, clause, found: String| RuleExplained {
            rule: rule.to_owned(),
            action,
            matches: Holds::Yes,
            clauses: vec![Clause {
                clause,
                asks: String::new(),
                found,
                holds: Holds::Yes,
                within: Vec::new(),
            }],
            misses: 0,
        };
        let mut all = Vec::new();
        let named = policy.rules.iter().filter(|rule| rule.names_control);
        let mut holding = named.map(|rule| rule.condition.holds(self.statement, &self.present));
        if self.statement.facts.kind == Kind::Control && !holding.any(|holds| holds == Truth::Yes) {
            all.push(own("control", Action::Deny, "kind", "control, and no rule names it".to_owned()));
        }
        if let Some(doubts) = &self.statement.doubt {
            let codes = doubts.codes.iter().copied().collect::<Vec<_>>().join(" ");
            for (there, rule) in [
                (doubts.functions, &policy.unknown.functions),
                (doubts.dynamic_sql, &policy.unknown.dynamic_sql),
                (doubts.statements, &policy.unknown.statements),
            ] {
                if there {
                    all.push(own(rule.name, rule.action, "certainty", codes.clone()));
                }
            }
        }
        all
    }

    fn clauses(&self, condition: &Condition) -> Vec<Clause> {
        condition.parts.iter().flat_map(|part| self.part(part)).collect()
    }

    fn part(&self, part: &Part) -> Vec<Clause> {
        let holds = part.holds(self.statement, &self.present).into();
        match part {
            Part::Touch(touch) => self.touch(touch, holds),
            Part::Any(conditions) | Part::All(conditions) => {
                let clause = if matches!(part, Part::Any(_)) { "any" } else { "all" };
                let within: Vec<_> = conditions.iter().map(|condition| self.clauses(condition)).collect();
                let holding = conditions
                    .iter()
                    .filter(|condition| condition.holds(self.statement, &self.present) != Truth::No);
                let found = format!("{} of {}", holding.count(), conditions.len());
                let asks = if clause == "any" { "one of them" } else { "each of them" };
                vec![Clause { clause, asks: asks.to_owned(), found, holds, within }]
            }
            Part::Not(condition) => {
                let inner = Holds::from(condition.holds(self.statement, &self.present));
                let found = match inner {
                    Holds::Yes => "it holds",
                    Holds::Maybe => "it may hold",
                    Holds::No => "it does not hold",
                };
                let within = vec![self.clauses(condition)];
                vec![Clause { clause: "not", asks: String::new(), found: found.to_owned(), holds, within }]
            }
            part => {
                let (clause, asks) = words::asks(part);
                let found = words::found(part, self.statement, &self.present);
                vec![Clause { clause, asks, found, holds, within: Vec::new() }]
            }
        }
    }

    /// What is asked of one and the same column, one by one.
    fn touch(&self, touch: &Touch, holds: Holds) -> Vec<Clause> {
        let uses = || touch.uses.clone();
        let alone = Touch::default;
        let mut parts: Vec<(&'static str, String, Touch)> = Vec::new();
        if let Some(test) = touch.class {
            let asks = words::class(test, self.map);
            parts.push(("class", asks, Touch { class: Some(test), uses: uses(), ..alone() }));
        }
        if let Some(labels) = &touch.labels {
            let one = Touch { labels: Some(labels.clone()), uses: uses(), ..alone() };
            parts.push(("labels", words::sorted(labels), one));
        }
        if let Some(tables) = &touch.tables {
            let one = Touch { tables: Some(tables.clone()), ..alone() };
            parts.push(("tables", words::sorted(tables), one));
        }
        if let Some(columns) = &touch.columns {
            let one = Touch { columns: Some(columns.clone()), ..alone() };
            parts.push(("columns", words::sorted(columns), one));
        }
        if let Some(wanted) = &touch.uses {
            let asks = wanted.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
            parts.push(("use", asks, Touch { uses: uses(), ..alone() }));
        }
        let clause = |(clause, asks, one): (&'static str, String, Touch)| Clause {
            clause,
            asks,
            found: words::touched(clause, self.statement),
            holds: one.holds(self.statement).into(),
            within: Vec::new(),
        };
        let mut clauses: Vec<Clause> = parts.into_iter().map(clause).collect();
        if holds == Holds::No && clauses.iter().all(|clause| clause.holds != Holds::No) {
            clauses.push(Clause {
                clause: "columns",
                asks: "all of it of one and the same column".to_owned(),
                found: "only of different ones".to_owned(),
                holds,
                within: Vec::new(),
            });
        }
        clauses
    }
}
