//! What rules would have decided about each statement of the log: each kind of statement of each person once.

use std::collections::{BTreeSet, HashMap};

use stepgate_policy::{
    AT_MOST, Approval, Gap, Metered, Observation, Recorded, RecordedBucket, RecordedBy, RecordedColumn,
    RecordedDoubts, Replayed, Ruleset, recorded_column, recorded_comparison, recorded_relation,
};
use stepgate_types::{Action, Estimator, Label, Limit, RelationName, Timestamp, Use};

use super::known::Known;
use crate::policy::tape::{After, Person, Shape, Tape};

/// The code that records have where an entry of the map named nothing.
const MAP_ENTRY_MISSING: &str = "map-entry-missing";

/// Microseconds of a minute: windows begin and end with one.
const MINUTE: i64 = 60_000_000;

/// A record's time is that of its writing, and it was decided so much before, at most.
const LAG: i64 = 5_000_000;

/// What was decided, or that it cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Decided(Box<Decided>),
    Open(BTreeSet<Gap>),
}

/// As much of a decision as prompts hang on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) action: Action,
    pub(crate) rules: Vec<String>,
    pub(crate) approval: Option<Approval>,
    pub(crate) limit: Limit,
    pub(crate) beyond: Option<(Action, Approval)>,
    /// 0 where signals are not weighed.
    pub(crate) risk: u32,
    /// What is limited over sessions and windows.
    pub(crate) meters: Vec<Metered>,
    /// How much more one approval lets out at a limit.
    pub(crate) more: Limit,
    /// What a grant would have to cover.
    pub(crate) reach: Reach,
}

impl Decided {
    /// Whether a limit of its own may be reached by more than is known of it.
    pub(crate) fn is_of_unknown_size(&self, after: &After) -> bool {
        let many = |most: u64| after.delivered.is_some_and(|(rows, _)| rows > most);
        !self.limit.is_none()
            && (after.cut || after.delivered.is_none() || self.limit.subjects.is_some_and(many))
    }
}

/// What a statement reaches, as grants count it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reach {
    pub(crate) uses: BTreeSet<Use>,
    pub(crate) labels: BTreeSet<Label>,
    pub(crate) relations: BTreeSet<RelationName>,
    pub(crate) class_rank: u32,
    pub(crate) output_rank: u32,
}

/// Rules on trial.
pub(crate) struct Trial<'t> {
    rules: &'t Ruleset,
    known: &'t Known,
    tape: &'t Tape,
    decided: HashMap<(u32, u32, i64), Outcome>,
}

impl<'t> Trial<'t> {
    pub(crate) fn new(rules: &'t Ruleset, known: &'t Known, tape: &'t Tape) -> Self {
        Self { rules, known, tape, decided: HashMap::new() }
    }

    /// What they decide about a statement of that shape (by number) from that person.
    pub(crate) fn decide(
        &mut self,
        (shape_number, shape): (u32, &Shape),
        (person_number, person): (u32, &Person),
        at: Timestamp,
    ) -> &Outcome {
        let minute = if self.rules.asks_for_time() { at.micros().div_euclid(MINUTE) } else { 0 };
        let (rules, known, tape) = (self.rules, self.known, self.tape);
        let key = (shape_number, person_number, minute);
        self.decided.entry(key).or_insert_with(|| decide(rules, known, tape, shape, person, at))
    }
}

fn decide(
    rules: &Ruleset,
    known: &Known,
    tape: &Tape,
    shape: &Shape,
    person: &Person,
    at: Timestamp,
) -> Outcome {
    let Some(mut recorded) = recorded(shape, person, at) else {
        return Outcome::Open([Gap::Unrecorded].into());
    };
    let mut then = known.then(tape, &shape.policy_sha256, rules);
    then.is_planned = !known.asks_planner(&shape.database)
        || {
            // Where the rules of that time hung on the planner's estimate, it was asked, and had no lesser one.
            let before = known.rules(&shape.policy_sha256);
            let hung = |before: &Ruleset| {
                let then = known.then(tape, &shape.policy_sha256, before);
                matches!(before.replay(&recorded, then), Replayed::Undecidable(gaps) if gaps.contains(&Gap::Estimate))
            };
            shape.estimated_by != Some(Estimator::Planner)
                && shape.estimate.is_some()
                && before.is_some_and(|before| before.sha256() == rules.sha256() || hung(before))
        };
    let outcome = outcome(rules.replay(&recorded, then), &recorded);
    if rules.asks_for_time() {
        // A window may have begun or ended between the decision and its record.
        recorded.at = Timestamp::from_micros(at.micros().saturating_sub(LAG));
        let earlier = self::outcome(rules.replay(&recorded, then), &recorded);
        if earlier != outcome {
            return Outcome::Open([Gap::Time].into());
        }
    }
    outcome
}

fn outcome(replayed: Replayed, recorded: &Recorded) -> Outcome {
    let decision = match replayed {
        Replayed::Decided(decision) => decision,
        Replayed::Undecidable(gaps) => return Outcome::Open(gaps),
    };
    let counts = |uses: &BTreeSet<Use>| uses.iter().any(|used| *used != Use::Write);
    let rank = |wanted: &dyn Fn(&BTreeSet<Use>) -> bool| {
        let touched = decision.touched.iter().filter(|touched| wanted(&touched.uses));
        touched.map(|touched| touched.class.rank).max().unwrap_or(0)
    };
    let reach = Reach {
        uses: decision.touched.iter().flat_map(|touched| touched.uses.iter().copied()).collect(),
        labels: decision.touched.iter().filter_map(|touched| touched.label.clone()).collect(),
        relations: recorded.relations.clone(),
        class_rank: rank(&counts).max(decision.class.as_ref().map_or(0, |class| class.rank)),
        output_rank: rank(&|uses| uses.contains(&Use::Output)),
    };
    let more = decision.more_at_once();
    let (action, rules, approval) = (decision.action, decision.rules, decision.approval);
    let (limit, meters, beyond) = (decision.limit, decision.meters, decision.beyond);
    let risk = decision.risk.unwrap_or_default();
    Outcome::Decided(Box::new(Decided { action, rules, approval, limit, meters, more, beyond, risk, reach }))
}

/// What a record tells, as rules are asked. `None`: it has words that this version does not know.
pub(crate) fn recorded(shape: &Shape, person: &Person, at: Timestamp) -> Option<Recorded> {
    let has = |name: &str| shape.rules.iter().any(|rule| rule == name);
    let columns = shape.columns.iter().map(|column| {
        Some(RecordedColumn {
            column: recorded_column(&column.column)?,
            label: (!column.label.is_empty()).then(|| Label::new(column.label.as_str())),
            class: column.class.clone(),
            uses: column.uses.iter().copied().collect(),
        })
    });
    let buckets = shape.buckets.iter().map(|bucket| {
        Some(RecordedBucket {
            column: recorded_column(&bucket.column)?,
            op: recorded_comparison(&bucket.op)?,
            bucket: bucket.bucket,
        })
    });
    let signals = shape.signals.iter().map(|seen| {
        Some(Observation {
            signal: seen.name.parse().ok()?,
            fires: seen.weight > 0,
            bucket: seen.bucket.clone(),
            threshold: seen.threshold.clone(),
            at_most: seen.bucket.starts_with(AT_MOST),
        })
    });
    Some(Recorded {
        by: RecordedBy {
            person: person.known.then(|| person.key.parse().ok()).flatten(),
            groups: shape.groups.iter().cloned().collect(),
            service: shape.service,
            database: shape.database.clone(),
            db_user: shape.db_user.clone(),
            address: person.address.as_deref().and_then(|address| address.parse().ok()),
            client: person.client.clone(),
        },
        kinds: shape.kinds.clone(),
        runs: shape.runs.as_ref().map(|runs| runs.iter().copied().collect()),
        certainty: shape.certainty,
        doubts: RecordedDoubts {
            functions: has("unknown.functions"),
            dynamic_sql: has("unknown.dynamic_sql"),
            statements: has("unknown.statements"),
            by_map: shape.reasons.iter().any(|code| code == MAP_ENTRY_MISSING),
        },
        relations: shape.relations.iter().map(|name| recorded_relation(name)).collect::<Option<_>>()?,
        columns: columns.collect::<Option<_>>()?,
        sinks: shape.sinks.iter().cloned().collect(),
        bulk: shape.bulk,
        estimate: shape.estimate,
        estimated_by: shape.estimated_by.unwrap_or(Estimator::Catalog),
        parameters: shape.parameters,
        buckets: buckets.collect::<Option<_>>()?,
        functions: shape.functions.iter().cloned().collect(),
        purpose: shape.purpose.clone(),
        signals: signals.collect::<Option<_>>()?,
        shortened: shape.cut,
        at,
    })
}
