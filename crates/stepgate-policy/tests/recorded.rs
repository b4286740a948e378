//! What a record tells is enough to decide by, or is said not to be: never anything else than the gate would decide.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{APPROVALS, Numbers, With, column, facts, relation, ruleset, value};
use stepgate_policy::{
    Bound, Circumstances, Decision, Gap, Recorded, RecordedBucket, RecordedBy, RecordedColumn,
    RecordedDoubts, Replayed, Ruleset, Then,
};
use stepgate_sql::{Comparison, Doubt, Facts, Operand};
use stepgate_types::{Action, BulkShape, Certainty, Estimator, Kind, Timestamp, Use};

const PLAIN: &str = "\
version: 1
labels:
  email: {class: confidential}
  ssn: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email, ssn: ssn}}
    hr.employees: {columns: {ssn: ssn}, unlisted_columns: confidential}
    public.payments: {threshold: {amount: [100, 200]}}
    public.products: {}
";

const MORE: &str = "\
version: 1
labels:
  email: {class: confidential}
  ssn: {class: restricted}
  name: {class: confidential}
databases:
  shop:
    public.customers: {columns: {email: email, ssn: ssn, name: name}}
    hr.employees: {columns: {ssn: ssn, wage: ssn}, unlisted_columns: confidential}
    public.payments: {columns: {amount: ssn}, threshold: {amount: [100, 200]}}
    public.products: {columns: {price: name}}
";

const LESS: &str = "\
version: 1
labels:
  email: {class: restricted}
  ssn: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email}}
    hr.employees: {columns: {ssn: ssn}}
    public.payments: {}
    public.products: {}
unknown: {functions: deny}
";

/// Rules by which to try; `{action}` is filled in.
const RULES: [&str; 20] = [
    "match: {class: \">=restricted\"}",
    "match: {class: confidential, use: [predicate]}",
    "match: {labels: [ssn], groups: [analysts]}",
    "match: {tables: [public.customers]}",
    "match: {tables: [public.customers], use: [output]}",
    "match: {use: [output], kind: [select]}",
    "match: {columns: [hr.employees.ssn], bulk: true}",
    "match: {labels: [email], not: {person: [dana]}}",
    "match: {not: {labels: [ssn]}}",
    "match: {network: [10.0.0.0/8], class: \">=confidential\"}",
    "match: {client: [psql], sink: true}",
    "match: {kind: [insert, update]}",
    "match: {certainty: [unknown, over]}",
    "match: {estimate_rows: \">50\", labels: [ssn, email]}",
    "match: {bulk: false, any: [{labels: [email]}, {sink: true}]}",
    "match: {predicate: {column: public.payments.amount, op: \">\", value: 100}}",
    "match: {predicate: {column: public.payments.amount, op: \"=\", value: 150}}",
    "match: {predicate: {column: public.customers.email, op: like}}",
    "match: {predicate: {labels: [email]}}",
    "match: {database: [shop], all: [{kind: [select, transaction]}, {not: {bulk: true}}]}",
];

const ACTIONS: [&str; 5] =
    ["allow", "monitor", "step-up, approval: self", "approve, approval: owners", "deny"];

/// Numbers as good as random, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }
}

fn policy(dice: &mut Dice) -> String {
    let mut text = APPROVALS.to_owned();
    if dice.roll(4) == 0 {
        text.push_str("defaults: {action: deny}\n");
    }
    text.push_str("rules:\n");
    for number in 0..=dice.roll(5) {
        let action = dice.of(&ACTIONS);
        let limit = if action.contains("approval") && dice.roll(3) == 0 { ", limit: {rows: 10}" } else { "" };
        text.push_str(&format!("  - {{name: r{number}, {}, action: {action}{limit}}}\n", dice.of(&RULES)));
    }
    text
}

fn statement(dice: &mut Dice) -> Facts {
    let kind = dice.of(&[
        Kind::Select,
        Kind::Select,
        Kind::Insert,
        Kind::Update,
        Kind::CopyOut,
        Kind::Execute,
        Kind::Prepare,
        Kind::Transaction,
    ]);
    if kind == Kind::Transaction {
        return facts().kind(kind).rows(Some(0));
    }
    let mut made = facts().kind(kind).rows(dice.of(&[None, Some(1), Some(50), Some(51), Some(10_000)]));
    for name in [
        "public.customers.email",
        "public.customers.ssn",
        "public.customers.name",
        "public.customers.id",
        "hr.employees.ssn",
        "hr.employees.wage",
        "public.products.price",
        "public.payments.amount",
    ] {
        match dice.roll(9) {
            0 => made = made.touches(name, &[Use::Output]),
            1 => made = made.touches(name, &[Use::Write]),
            2 => made = made.compares(name, Comparison::Other, Operand::EXPRESSION),
            3 => made = made.reaches(name.rsplit_once('.').unwrap().0),
            _ => {}
        }
    }
    if dice.roll(3) == 0 {
        let op = dice.of(&[Comparison::Gt, Comparison::Le, Comparison::Eq, Comparison::In, Comparison::Like]);
        let number = dice.of(&[99, 100, 101, 150, 200, 900]);
        made =
            made.compares(dice.of(&["public.payments.amount", "public.customers.email"]), op, value(number));
    }
    match dice.roll(12) {
        0 => made = made.bulk(),
        1 => made = made.sink(),
        2 => made = made.doubting(Doubt::Function).rows(None),
        3 => made = made.doubting(Doubt::Nothing),
        _ => {}
    }
    if kind == Kind::Execute || dice.roll(6) == 0 {
        made.within = [dice.of(&[Kind::Select, Kind::Insert, Kind::Delete])].into();
    }
    made
}

fn who(dice: &mut Dice) -> Circumstances {
    Circumstances {
        groups: if dice.roll(2) == 0 { ["analysts".parse().unwrap()].into() } else { BTreeSet::new() },
        service: dice.roll(5) == 0,
        client: dice.of(&["psql", "etl"]).to_owned(),
        ..Circumstances::of(
            dice.of(&["dana", "eve"]).parse().unwrap(),
            "shop",
            dice.of(&["10.1.2.3", "192.0.2.1"]).parse().unwrap(),
        )
    }
}

/// The record of a decision, as the gate writes it.
fn record(rules: &Ruleset, who: &Circumstances, message: &[Facts], decision: &Decision) -> Recorded {
    let known = message.iter().all(|it| it.certainty != Certainty::Unknown) && decision.doubts.is_empty();
    let worst = message.iter().map(|it| it.certainty).max().unwrap_or(Certainty::Exact);
    let has = |name: &str| decision.rules.iter().any(|rule| rule == name);
    let buckets = rules.buckets("shop", message, &Numbers).into_iter();
    let touched = decision.touched.iter().map(|it| RecordedColumn {
        column: it.column.clone(),
        label: it.label.clone(),
        class: it.class.name.clone(),
        uses: it.uses.clone(),
    });
    let sinks = message.iter().any(|it| !it.sinks.is_empty());
    Recorded {
        by: RecordedBy {
            person: Some(who.person.clone()),
            groups: who.groups.clone(),
            service: who.service,
            database: "shop".to_owned(),
            db_user: String::new(),
            address: Some(who.address),
            client: Some(who.client.clone()),
        },
        kinds: message.iter().map(|it| it.kind).collect(),
        runs: Some(message.iter().flat_map(Facts::runs).collect()),
        certainty: if known { worst } else { Certainty::Unknown },
        doubts: RecordedDoubts {
            functions: has("unknown.functions"),
            dynamic_sql: has("unknown.dynamic_sql"),
            statements: has("unknown.statements"),
            by_map: false,
        },
        relations: message.iter().flat_map(|it| it.relations.iter().cloned()).collect(),
        columns: touched.collect(),
        sinks: sinks.then(|| "table".to_owned()).into_iter().collect(),
        bulk: message.iter().map(|it| it.bulk).max().unwrap_or(BulkShape::None),
        estimate: decision.estimate,
        estimated_by: Estimator::Catalog,
        parameters: 0,
        buckets: buckets
            .map(|it| RecordedBucket { column: it.column, op: it.op, bucket: it.bucket })
            .collect(),
        functions: BTreeSet::new(),
        purpose: None,
        signals: who.signals.clone(),
        shortened: false,
        at: Timestamp::from_micros(0),
    }
}

struct Tried {
    decided: u32,
    open: BTreeMap<Gap, u32>,
}

/// Decides by one policy, and has others say what they would have decided, by the record and by the facts.
fn try_all(rounds: u32, same: bool, mut erase: impl FnMut(&mut Recorded)) -> Tried {
    let mut dice = Dice(7);
    let maps = [PLAIN, MORE, LESS];
    let mut tried = Tried { decided: 0, open: BTreeMap::new() };
    for round in 0..rounds {
        let then_map = dice.of(&maps);
        let then_policy = policy(&mut dice);
        let then = ruleset(then_map, &then_policy);
        let now_map = if same || dice.roll(2) == 0 { then_map } else { dice.of(&maps) };
        let now_policy = if same { then_policy.clone() } else { policy(&mut dice) };
        // A map need not know every name that another policy uses.
        let Ok(now) = Ruleset::load(("map.yaml", now_map), ("policy.yaml", &now_policy)) else { continue };
        for _ in 0..6 {
            let message: Vec<Facts> =
                (0..=usize::from(dice.roll(3) == 0)).map(|_| statement(&mut dice)).collect();
            let who = who(&mut dice);
            let bound = Bound::default();
            let was = then.decide_by(&who, &bound, &message, &Numbers);
            let mut recorded = record(&then, &who, &message, &was);
            erase(&mut recorded);
            let knows = dice.roll(4) > 0;
            let known = Then {
                map: (knows || now_map == then_map).then(|| then.map()),
                is_same_map: now_map == then_map,
                rules: Some(&then),
                is_planned: true,
            };
            let live = now.decide_by(&who, &bound, &message, &Numbers);
            match now.replay(&recorded, known) {
                Replayed::Decided(decision) => {
                    tried.decided += 1;
                    let context = || {
                        format!(
                            "round {round}\n{then_map}\n{then_policy}\n{now_map}\n{now_policy}\n{message:#?}\n{recorded:#?}"
                        )
                    };
                    assert_eq!(decision.action, live.action, "{}", context());
                    assert_eq!(decision.approval, live.approval, "{}", context());
                    if live.action != stepgate_types::Action::Deny {
                        assert_eq!(decision.limit, live.limit, "{}", context());
                        assert_eq!(decision.beyond, live.beyond, "{}", context());
                    }
                }
                Replayed::Undecidable(gaps) => {
                    assert!(!gaps.is_empty());
                    gaps.into_iter().for_each(|gap| *tried.open.entry(gap).or_default() += 1);
                }
            }
        }
    }
    tried
}

#[test]
fn what_a_candidate_is_said_to_decide_is_what_it_decides() {
    let tried = try_all(800, false, |_| {});
    // It must not say so of nothing, and the lacks that records have must come up.
    assert!(tried.decided > 2_000, "{} {:?}", tried.decided, tried.open);
    for gap in [Gap::Label, Gap::Value, Gap::Several, Gap::Catalog] {
        assert!(tried.open.contains_key(&gap), "{gap} {:?}", tried.open);
    }
}

#[test]
fn the_same_rules_decide_the_same_and_leave_only_open_what_records_lack() {
    let tried = try_all(600, true, |_| {});
    assert!(tried.decided > 2_500, "{} {:?}", tried.decided, tried.open);
    // Of one map with itself, every label that was touched is known.
    let only = [Gap::Value, Gap::Several, Gap::Label];
    assert!(tried.open.keys().all(|gap| only.contains(gap)), "{:?}", tried.open);
}

#[test]
fn of_somebody_erased_only_rules_about_people_are_open() {
    let tried = try_all(300, true, |recorded| {
        (recorded.by.person, recorded.by.address, recorded.by.client) = (None, None, None);
    });
    assert!(tried.decided > 900, "{} {:?}", tried.decided, tried.open);
    for gap in [Gap::Person, Gap::Network, Gap::Client] {
        assert!(tried.open.contains_key(&gap), "{gap} {:?}", tried.open);
    }
}

fn replayed(rules: &str, alter: impl FnOnce(&mut Recorded)) -> Replayed {
    let then = ruleset(PLAIN, &format!("{APPROVALS}rules: []\n"));
    let now = ruleset(PLAIN, &format!("{APPROVALS}rules:\n{rules}"));
    let message = [facts().touches("public.customers.email", &[Use::Output])];
    let who = common::dana();
    let mut recorded = record(&then, &who, &message, &then.decide(&who, &Bound::default(), &message));
    alter(&mut recorded);
    now.replay(&recorded, Then { map: Some(then.map()), is_same_map: true, rules: None, is_planned: false })
}

fn gaps(rules: &str, alter: impl FnOnce(&mut Recorded)) -> Vec<Gap> {
    match replayed(rules, alter) {
        Replayed::Undecidable(gaps) => gaps.into_iter().collect(),
        Replayed::Decided(decision) => panic!("{decision:?}"),
    }
}

#[test]
fn records_from_before_it_was_told_leave_open_what_ran_within() {
    let selects = "  - {name: a, match: {kind: [select]}, action: deny}\n";
    for kind in [Kind::Execute, Kind::Explain, Kind::Cursor, Kind::CopyOut, Kind::Ddl] {
        let old = |recorded: &mut Recorded| (recorded.kinds, recorded.runs) = (vec![kind], None);
        assert_eq!(gaps(selects, old), [Gap::Unrecorded], "{kind:?}");
        for (ran, action) in [(vec![], Action::Allow), (vec![Kind::Select], Action::Deny)] {
            let runs = ran.into_iter().collect();
            let told =
                replayed(selects, |recorded| (recorded.kinds, recorded.runs) = (vec![kind], Some(runs)));
            let Replayed::Decided(decision) = told else { panic!("{told:?}") };
            assert_eq!(decision.action, action, "{kind:?}");
        }
        // What no other statement runs.
        let calls = "  - {name: a, match: {kind: [call]}, action: deny}\n";
        assert!(matches!(replayed(calls, old), Replayed::Decided(_)));
    }
}

#[test]
fn a_lack_counts_only_where_it_makes_a_difference() {
    let person = "  - {name: a, match: {person: [eve]}, action: monitor}\n";
    assert_eq!(gaps(person, |recorded| recorded.by.person = None), [Gap::Person]);
    // Denied whoever it is.
    let denied = format!("{person}  - {{name: b, match: {{labels: [email]}}, action: deny}}\n");
    assert!(matches!(replayed(&denied, |recorded| recorded.by.person = None), Replayed::Decided(_)));
    // Nobody but the planner knows how many rows.
    let rows = "  - {name: a, match: {estimate_rows: \">10\"}, action: deny}\n";
    assert_eq!(gaps(rows, |recorded| recorded.estimate = Some(1_000)), [Gap::Estimate]);
    let with_parameters =
        |recorded: &mut Recorded| (recorded.estimate, recorded.parameters) = (Some(1_000), 1);
    assert!(matches!(replayed(rows, with_parameters), Replayed::Decided(_)));
    for (rows_seen, open) in [(10, false), (100, false), (1, false)] {
        let planned = |recorded: &mut Recorded| {
            (recorded.estimate, recorded.estimated_by) = (Some(rows_seen), Estimator::Planner);
        };
        assert_eq!(matches!(replayed(rows, planned), Replayed::Undecidable(_)), open, "{rows_seen}");
    }
    let inside = "  - {name: a, match: {estimate_rows: \">50\"}, action: deny}\n";
    let planned = |recorded: &mut Recorded| {
        (recorded.estimate, recorded.estimated_by) = (Some(100), Estimator::Planner);
    };
    assert_eq!(gaps(inside, planned), [Gap::Estimate]);
    // Of a LIMIT, too, only the size is recorded.
    let typed = |recorded: &mut Recorded| {
        let rows = (Some(100), Estimator::Statement);
        ((recorded.estimate, recorded.estimated_by), recorded.parameters) = (rows, 1);
    };
    assert_eq!(gaps(inside, typed), [Gap::Estimate]);
    for surely in ["estimate_rows: \">10\"", "estimate_rows: \">100\""] {
        let rules = format!("  - {{name: a, match: {{{surely}}}, action: deny}}\n");
        assert!(matches!(replayed(&rules, typed), Replayed::Decided(_)), "{surely}");
    }
    assert_eq!(gaps(person, |recorded| recorded.shortened = true), [Gap::Shortened]);
}

#[test]
fn names_that_a_renaming_was_followed_by_are_not_guessed() {
    let then = ruleset(PLAIN, &format!("{APPROVALS}rules: []\n"));
    let now = ruleset(MORE, &format!("{APPROVALS}rules: []\n"));
    let message = [facts().touches("public.customers.email", &[Use::Output])];
    let who = common::dana();
    let mut recorded = record(&then, &who, &message, &then.decide(&who, &Bound::default(), &message));
    // The column goes by another name since, and keeps its label.
    recorded.columns[0].column = column("public.customers.mail");
    recorded.relations = [relation("public.customers")].into();
    let known = Then { map: Some(then.map()), ..Then::default() };
    assert_eq!(now.replay(&recorded, known), Replayed::Undecidable([Gap::Catalog].into()));
    let same = Then { is_same_map: true, ..known };
    assert!(matches!(then.replay(&recorded, same), Replayed::Decided(_)));
}

#[test]
fn a_purpose_that_only_began_like_one_of_that_time_is_not_taken_for_unsaid() {
    let gate = |purpose: &str| {
        let rules = format!("rules:\n  - {{name: a, match: {{purpose: [{purpose}]}}, action: monitor}}\n");
        ruleset(PLAIN, &format!("{APPROVALS}{rules}"))
    };
    let now = gate("ticket");
    let message = [facts().touches("public.customers.email", &[Use::Output])];
    let who = common::dana();
    let replays = |then: &Ruleset| {
        let recorded = record(then, &who, &message, &then.decide(&who, &Bound::default(), &message));
        now.replay(
            &recorded,
            Then { map: Some(then.map()), is_same_map: true, rules: Some(then), is_planned: false },
        )
    };
    // By a prefix, what was said is not recorded; by the word, it would have been.
    let Replayed::Undecidable(gaps) = replays(&gate("\"tick*\"")) else { panic!("it is not known") };
    assert!(gaps.contains(&Gap::Purpose));
    assert!(matches!(replays(&gate("ticket")), Replayed::Decided(_)));
}
