//! The order of rules never matters.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{APPROVALS, MAP, Numbers, With, dana, facts, ruleset, value};
use proptest::prelude::*;
use stepgate_policy::{Bound, Circumstances, Delivered, Observation, Signal};
use stepgate_sql::{Comparison, Doubt, Facts};
use stepgate_types::{Kind, Use};

const RISK: &str = "risk: {signals: {new_network: 30, new_client: 40}}\n";

const MATCHES: [&str; 14] = [
    "{}",
    "{class: restricted}",
    "{labels: [ssn], delivered_rows: \">10\"}",
    "{labels: [email], use: [predicate]}",
    "{not: {labels: [email]}}",
    "{any: [{bulk: true}, {estimate_rows: \">100\"}]}",
    "{kind: [insert, control]}",
    "{risk: \">=40\"}",
    "{signal: new_network}",
    "{time: {outside: \"07:00-20:00\", tz: Europe/Berlin}}",
    "{predicate: {column: public.customers.ssn, op: \">\", value: 100}}",
    "{groups: [analysts], not: {client: [psql]}}",
    "{sink: [table], class: \">=confidential\"}",
    "{purpose: true}",
];

const ACTIONS: [&str; 7] = [
    "allow",
    "monitor",
    "step-up, approval: self",
    "step-up, approval: self, limit: {rows: 7}",
    "approve, approval: owners",
    "approve, approval: four-eyes, limit: {bytes: 5MiB}",
    "deny",
];

fn rule() -> impl Strategy<Value = String> {
    (0..MATCHES.len(), 0..ACTIONS.len()).prop_map(|(matches, action)| {
        // What was delivered stops a statement, or nothing.
        let action = if MATCHES[matches].contains("delivered") { action.max(2) } else { action };
        format!("match: {}, action: {}", MATCHES[matches], ACTIONS[action])
    })
}

fn statement() -> impl Strategy<Value = Facts> {
    let uses = prop::collection::vec((0..4_usize, 0..6_usize), 0..4);
    (uses, 0..6_usize, prop::option::of(0..300_u64), any::<[bool; 4]>()).prop_map(
        |(columns, kind, rows, [bulk, sink, doubt, compares])| {
            let names =
                ["public.customers.ssn", "public.customers.email", "hr.employees.title", "public.products.x"];
            let all = [Use::Output, Use::Predicate, Use::Grouping, Use::Ordering, Use::Write, Use::Hidden];
            let kinds =
                [Kind::Select, Kind::Insert, Kind::Control, Kind::CopyOut, Kind::Transaction, Kind::Unknown];
            let mut made = facts().kind(kinds[kind]).rows(rows);
            for (name, used) in columns {
                made = made.touches(names[name], &[all[used]]);
            }
            if bulk {
                made = made.bulk();
            }
            if sink {
                made = made.sink();
            }
            if doubt {
                made = made.doubting(Doubt::Function);
            }
            if compares { made.compares(names[0], Comparison::Gt, value(50)) } else { made }
        },
    )
}

fn who() -> impl Strategy<Value = Circumstances> {
    (any::<[bool; 3]>(), 0..20_u64, prop::option::of("[a-z]{0,3}")).prop_map(
        |([network, client, service], rows, purpose)| {
            let seen = |signal, fires| Observation {
                signal,
                fires,
                bucket: String::new(),
                threshold: String::new(),
                at_most: false,
            };
            Circumstances {
                service,
                purpose,
                signals: [seen(Signal::NewNetwork, network), seen(Signal::NewClient, client)]
                    .into_iter()
                    .collect(),
                delivered: Delivered { rows, bytes: 0 },
                ..dana()
            }
        },
    )
}

proptest! {
    #[test]
    fn rules_in_another_order_decide_the_same(
        rules in prop::collection::vec(rule(), 1..8),
        order in any::<prop::sample::Index>(),
        message in prop::collection::vec(statement(), 1..3),
        who in who(),
    ) {
        let policy = |rules: &[(usize, &String)]| {
            let lines = rules.iter().map(|(name, rule)| format!("  - {{name: r{name}, {rule}}}\n"));
            ruleset(MAP, &format!("{APPROVALS}{RISK}rules:\n{}", lines.collect::<String>()))
        };
        let in_order: Vec<_> = rules.iter().enumerate().collect();
        let mut turned = in_order.clone();
        turned.rotate_left(order.index(rules.len()));
        let mut reversed = turned.clone();
        reversed.reverse();
        let bound = Bound::default();
        let decide = |rules: &[(usize, &String)]| policy(rules).decide_by(&who, &bound, &message, &Numbers);
        let decision = decide(&in_order);
        prop_assert_eq!(&decision, &decide(&turned));
        prop_assert_eq!(&decision, &decide(&reversed));
    }

    /// What is said to hang on no moment does not.
    #[test]
    fn a_settled_decision_is_the_same_at_any_moment(
        rules in prop::collection::vec(rule(), 1..8),
        message in prop::collection::vec(statement(), 1..3),
        one in who(),
        other in who(),
    ) {
        let lines = rules.iter().enumerate().map(|(name, rule)| format!("  - {{name: r{name}, {rule}}}\n"));
        let ruleset = ruleset(MAP, &format!("{APPROVALS}{RISK}rules:\n{}", lines.collect::<String>()));
        let bound = Bound::default();
        let other = Circumstances { service: one.service, ..other };
        if !ruleset.hangs_on_moment(&one, &bound, &message) {
            let decide = |who: &Circumstances| {
                let mut decision = ruleset.decide_by(who, &bound, &message, &Numbers);
                (decision.risk, decision.signals) = (None, Vec::new());
                decision
            };
            prop_assert_eq!(decide(&one), decide(&other));
        }
    }
}
