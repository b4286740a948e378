//! What hangs on the moment: time, risk, signals, purpose, what was delivered.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{APPROVALS, MAP, With, dana, facts, ruleset};
use stepgate_policy::{Bound, Circumstances, Decision, Delivered, Observation, Ruleset, Signal, Signals};
use stepgate_sql::{Doubt, Facts, NoValues};
use stepgate_types::{Action, Kind, Limit, Timestamp, Use};

const RISK: &str = "\
risk:
  signals: {new_network: 30, new_client: 15, velocity: 80}
  velocity: {rows: 500, per: 10m}
";

fn with(rules: &str) -> Ruleset {
    ruleset(MAP, &format!("{APPROVALS}{RISK}rules:\n{rules}"))
}

fn without_risk(rules: &str) -> Ruleset {
    ruleset(MAP, &format!("{APPROVALS}rules:\n{rules}"))
}

fn at(time: &str) -> Circumstances {
    let now = time.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    Circumstances { now: Timestamp::from_micros(now), ..dana() }
}

fn seeing(signals: &[(Signal, bool)]) -> Circumstances {
    let seen = signals.iter().map(|(signal, fires)| Observation {
        signal: *signal,
        fires: *fires,
        bucket: "10.1.2.0/24".to_owned(),
        threshold: "known".to_owned(),
        at_most: false,
    });
    Circumstances { signals: seen.collect::<Signals>(), ..dana() }
}

/// Volume fires by an upper bound, and so does another for certain.
fn at_most() -> Circumstances {
    let seen = |signal, at_most| Observation {
        signal,
        fires: true,
        bucket: "4x".to_owned(),
        threshold: "10x".to_owned(),
        at_most,
    };
    let seen = [seen(Signal::Volume, true), seen(Signal::NewNetwork, false)];
    Circumstances { signals: seen.into_iter().collect(), ..dana() }
}

#[test]
fn the_planner_is_worth_asking_only_where_a_signal_by_an_upper_bound_could_decide() {
    let risk = "risk: {signals: {volume: 30, new_network: 20, dormant_account: 20}}";
    let worth = |rules: &str, who: &Circumstances| {
        let rules = ruleset(MAP, &format!("{APPROVALS}{risk}\nrules:\n{rules}"));
        rules.hangs_on_estimate(who, &Bound::default(), &ssn().rows(Some(1000)), &NoValues)
    };
    let rule = |matches: &str, action: &str| {
        let approval = if action == "deny" || action == "monitor" { "" } else { ", approval: self" };
        format!("  - {{name: a{}, match: {matches}, action: {action}{approval}}}\n", matches.len())
    };
    // It decides: without it the risk is 20.
    assert!(worth(&rule("{risk: \">=40\"}", "step-up"), &at_most()));
    assert!(worth(&rule("{signal: volume}", "deny"), &at_most()));
    assert!(worth(&rule("{labels: [ssn], not: {signal: volume}}", "deny"), &at_most()));
    // Or how much of an approval is needed, that is remembered.
    assert!(worth(&rule("{labels: [ssn]}", "step-up"), &at_most()));
    // It does not: what else fires is enough, or too little; or nobody is asked; or it is denied anyhow.
    for (matches, action) in [
        ("{risk: \">=20\"}", "monitor"),
        ("{risk: \">=60\"}", "step-up"),
        ("{risk: \">=40\"}", "monitor"),
        ("{signal: new_network}", "deny"),
        ("{labels: [email], signal: volume}", "deny"),
        ("{labels: [ssn]}", "deny"),
    ] {
        assert!(!worth(&rule(matches, action), &at_most()), "{matches}");
    }
    let denied = format!("{}{}", rule("{labels: [ssn]}", "deny"), rule("{risk: \">=40\"}", "step-up"));
    assert!(!worth(&denied, &at_most()));
    // Nor where it fires for certain, or does not.
    let all = [(Signal::Volume, true), (Signal::NewNetwork, true)];
    assert!(!worth(&rule("{risk: \">=40\"}", "step-up"), &seeing(&all)));
    assert!(!worth(&rule("{risk: \">=40\"}", "step-up"), &seeing(&[])));
}

fn ssn() -> Facts {
    facts().touches("public.customers.ssn", &[Use::Output])
}

fn decide(rules: &Ruleset, who: &Circumstances, facts: Facts) -> Decision {
    rules.decide(who, &Bound::default(), &[facts])
}

#[test]
fn hours_are_those_of_the_rules_time_zone() {
    let rules = without_risk(
        "  - {name: night, action: deny, match: {time: {outside: \"07:00-20:00\", days: [mon-fri], tz: Europe/Berlin}}}\n  \
         - {name: weekend, action: monitor, match: {time: {days: [sat, sun], tz: UTC}}}\n",
    );
    for (time, expected) in [
        ("2026-07-06T05:00:00Z", &[][..]),
        ("2026-07-06T04:59:00Z", &["night"]),
        ("2026-01-05T06:30:00Z", &[]),
        ("2026-01-05T05:30:00Z", &["night"]),
        ("2026-07-11T10:00:00Z", &["night", "weekend"]),
    ] {
        assert_eq!(decide(&rules, &at(time), facts()).rules, expected, "{time}");
    }
}

#[test]
fn the_risk_is_the_sum_of_the_weights_of_the_signals_that_fire_and_at_most_100() {
    let rules = with("  - {name: risky, action: monitor, match: {risk: \">=45\"}}\n");
    for (signals, risk, fires) in [
        (&[][..], 0, false),
        (&[(Signal::NewNetwork, true)], 30, false),
        (&[(Signal::NewNetwork, true), (Signal::NewClient, true)], 45, true),
        (&[(Signal::NewNetwork, true), (Signal::NewClient, false)], 30, false),
        (&[(Signal::NewNetwork, true), (Signal::Velocity, true)], 100, true),
        // Nobody gave it a weight.
        (&[(Signal::DormantAccount, true)], 0, false),
    ] {
        let decision = decide(&rules, &seeing(signals), ssn());
        assert_eq!((decision.risk, decision.rules == ["risky"]), (Some(risk), fires), "{signals:?}");
    }
    let decision = decide(&rules, &seeing(&[(Signal::NewNetwork, true), (Signal::NewClient, false)]), ssn());
    let weights: Vec<_> = decision.signals.iter().map(|it| (it.signal, it.weight)).collect();
    assert_eq!(weights, [(Signal::NewNetwork, 30), (Signal::NewClient, 0)]);
    assert!(decision.summary().contains("Risk 30: new_network."), "{}", decision.summary());
    let plain = decide(&without_risk("  []\n"), &seeing(&[(Signal::NewNetwork, true)]), ssn());
    assert_eq!((plain.risk, plain.signals.len()), (None, 0));
}

#[test]
fn a_signal_and_a_purpose_fire_where_they_are_there() {
    let rules = with(
        "  - {name: driver, action: deny, match: {signal: [new_client, velocity]}}\n  \
         - {name: no-purpose, action: monitor, match: {purpose: false}}\n  \
         - {name: support, action: monitor, match: {purpose: [\"ticket-*\", audit]}}\n",
    );
    let names = |who: &Circumstances| decide(&rules, who, ssn()).rules;
    assert_eq!(names(&seeing(&[(Signal::NewClient, true)])), ["driver", "no-purpose"]);
    assert_eq!(names(&seeing(&[(Signal::NewClient, false), (Signal::NewNetwork, true)])), ["no-purpose"]);
    for (purpose, expected) in [
        ("ticket-4711", &["support"][..]),
        ("audit", &["support"]),
        ("audits", &[]),
        ("ticket", &[]),
        // Empty is none.
        ("", &["no-purpose"]),
    ] {
        assert_eq!(
            names(&Circumstances { purpose: Some(purpose.to_owned()), ..dana() }),
            expected,
            "{purpose}"
        );
    }
}

#[test]
fn who_is_asked_for_by_role_and_by_a_clients_beginning() {
    let rules = without_risk(
        "  - {name: owner, action: deny, match: {db_user: [shop_owner]}}\n  \
         - {name: analyst, action: monitor, match: {role: stepgate_analyst}}\n  \
         - {name: desktop, action: monitor, match: {client: [\"DBeaver*\", pgcli]}}\n",
    );
    let names = |who: &Circumstances| decide(&rules, who, facts()).rules;
    assert_eq!(names(&dana()), ["analyst"]);
    let of = |client: &str| Circumstances {
        client: client.to_owned(),
        db_user: "shop_owner".to_owned(),
        ..dana()
    };
    assert_eq!(names(&of("DBeaver 24.1.0 - Main")), ["owner", "desktop"]);
    assert_eq!(names(&of("pgcli")), ["owner", "desktop"]);
    assert_eq!(names(&of("my DBeaver")), ["owner"]);
}

#[test]
fn sinks_shapes_and_functions_are_asked_for_by_kind() {
    use stepgate_policy::Bound;
    let rules = without_risk(
        "  - {name: copies, action: monitor, match: {sink: [table, rows]}}\n  \
         - {name: files, action: monitor, match: {sink: server-file}}\n  \
         - {name: scans, action: monitor, match: {bulk: [whole-table, cursor]}}\n  \
         - {name: copy, action: monitor, match: {bulk: copy}}\n  \
         - {name: reads-files, action: deny, match: {functions: [pg_catalog.pg_read_file]}}\n",
    );
    let names = |facts: Facts| decide(&rules, &dana(), facts).rules;
    assert_eq!(names(facts().sink()), ["copies"]);
    assert_eq!(names(facts().bulk()), ["scans"]);
    let mut calls = facts();
    calls.functions = ["pg_catalog.lower".to_owned(), "pg_catalog.pg_read_file".to_owned()].into();
    assert_eq!(names(calls.clone()), ["reads-files"]);
    calls.functions = ["public.pg_read_file".to_owned()].into();
    assert!(names(calls).is_empty());
    // What cannot be understood may do any of it, whatever stands around.
    let unreadable = [facts().kind(Kind::Unknown).doubting(Doubt::Statement)];
    let fired = rules.decide(&dana(), &Bound::default(), &unreadable).rules;
    for rule in ["copies", "files", "scans", "copy", "reads-files"] {
        assert!(fired.iter().any(|it| it == rule), "{rule}");
    }
    for part in ["sink: [table]", "bulk: [copy]", "functions: [pg_catalog.lower]"] {
        let not = without_risk(&format!("  - {{name: probe, action: deny, match: {{not: {{{part}}}}}}}\n"));
        assert_eq!(not.decide(&dana(), &Bound::default(), &unreadable).rules[0], "probe", "{part}");
    }
}

#[test]
fn a_rule_on_what_was_delivered_is_a_limit_until_it_matches() {
    let rules = without_risk(
        "  - {name: many, action: step-up, approval: self, match: {labels: [ssn], delivered_rows: \">500\"}}\n",
    );
    let before = decide(&rules, &dana(), ssn());
    assert_eq!((before.action, before.rules.len()), (Action::Allow, 0));
    assert_eq!(before.limit, Limit::of(Some(500), None));
    let (action, approval) = before.beyond.unwrap();
    assert_eq!((action, approval.name.as_str()), (Action::StepUp, "self"));

    let delivered = |rows, bytes| Circumstances { delivered: Delivered { rows, bytes }, ..dana() };
    let half = decide(&rules, &delivered(200, 0), ssn());
    assert_eq!(half.limit, Limit::of(Some(300), None));
    let after = decide(&rules, &delivered(501, 0), ssn());
    assert_eq!((after.action, after.rules.as_slice()), (Action::StepUp, &["many".to_owned()][..]));
    assert!(after.limit.is_none());
    let why = rules.why(&delivered(501, 0), &Bound::default(), &[ssn()], &NoValues);
    assert!(
        why.iter().any(|it| it.clause == "delivered_rows" && it.bucket == "10^3" && it.threshold == ">=501")
    );

    // Of what it is not about, nothing is limited.
    assert!(decide(&rules, &dana(), facts()).limit.is_none());
}

#[test]
fn where_a_rule_denies_once_so_much_is_delivered_nobody_is_asked_for_more() {
    let rules = without_risk(
        "  - {name: never, action: deny, match: {labels: [ssn], delivered_bytes: \">=1MiB\"}}\n  \
         - {name: some, action: allow, match: {labels: [ssn]}, limit: {rows: 50}}\n",
    );
    let decision = decide(&rules, &dana(), ssn());
    assert_eq!(decision.action, Action::Allow);
    assert_eq!(decision.limit, Limit::of(Some(50), Some((1 << 20) - 1)));
    assert_eq!(decision.beyond, None);
    let delivered = Circumstances { delivered: Delivered { rows: 3, bytes: 1 << 20 }, ..dana() };
    assert_eq!(decide(&rules, &delivered, ssn()).action, Action::Deny);
}

#[test]
fn a_decision_is_settled_by_facts_where_no_rule_that_could_match_looks_at_the_moment() {
    let bound = Bound::default();
    let settled = |rules: &Ruleset, facts: Facts| rules.is_settled(&dana(), &bound, &[facts]);
    for part in [
        "time: {days: [mon], tz: UTC}",
        "purpose: true",
        "delivered_rows: \">5\"",
        "any: [{purpose: [x]}, {client: [x]}]",
        "not: {time: {within: \"08:00-09:00\", tz: UTC}}",
    ] {
        let of = |more: &str| {
            without_risk(&format!(
                "  - {{name: r, action: step-up, approval: self, match: {{labels: [ssn], {more}{part}}}}}\n"
            ))
        };
        assert!(!settled(&of(""), ssn()), "{part}");
        assert!(!of("").is_settled_by_facts("shop", &[ssn()]), "{part}");
        assert!(settled(&of(""), facts()), "{part}: of what it is not about");
        // Nor of somebody whom it is not about.
        assert!(settled(&of("groups: [dba], "), ssn()), "{part}");
        // What cannot be understood may be what it is about.
        assert!(!settled(&of(""), facts().doubting(Doubt::Function)), "{part}");
    }
    let plain = without_risk("  - {name: r, action: step-up, approval: self, match: {labels: [ssn]}}\n");
    assert!(settled(&plain, ssn()) && plain.is_settled_by_facts("shop", &[ssn()]));
    // With `risk:`, the risk of each moment is part of the decision.
    assert!(!settled(&with("  []\n"), facts()));
}

#[test]
fn only_a_purpose_that_a_rule_names_in_full_may_be_recorded() {
    let rules = without_risk(
        "  - {name: a, action: monitor, match: {any: [{not: {purpose: [support, \"ticket-*\"]}}, {bulk: true}]}}\n",
    );
    assert!(rules.asks_for_purpose() && !rules.looks_at_clock());
    for (purpose, known) in
        [("support", true), ("ticket-dana-has-asthma", false), ("ticket-*", false), ("", false)]
    {
        assert_eq!(rules.knows_purpose(purpose), known, "{purpose}");
    }
    let hours =
        without_risk("  - {name: a, action: monitor, match: {not: {time: {days: [sun], tz: UTC}}}}\n");
    assert!(hours.looks_at_clock() && !hours.asks_for_purpose());
    assert!(!without_risk("  []\n").looks_at_clock());
}

#[test]
fn the_signals_that_rules_hang_on_are_told() {
    let rules = with(
        "  - {name: a, action: deny, match: {any: [{signal: new_client}, {not: {signal: velocity}}]}}\n",
    );
    assert_eq!(rules.signals_asked_for(), [Signal::NewClient, Signal::Velocity].into());
    let rules = with("  - {name: a, action: deny, match: {risk: \">50\"}}\n");
    assert_eq!(rules.signals_asked_for().len(), 3);
    assert!(without_risk("  []\n").signals_asked_for().is_empty());
}

#[test]
fn a_rule_that_asks_is_said_to_be_reached_once_so_much_is_delivered() {
    let asks = without_risk(
        "  - {name: first, action: step-up, approval: self, match: {labels: [ssn]}}\n  \
         - {name: once, action: step-up, approval: self, match: {labels: [ssn], delivered_rows: \">5\"}}\n",
    );
    let delivered = |rows: u64| Circumstances { delivered: Delivered { rows, bytes: 0 }, ..dana() };
    let before = decide(&asks, &delivered(5), ssn());
    assert!(before.is_limited() && !before.reached);
    let after = decide(&asks, &delivered(6), ssn());
    assert!(!after.is_limited() && after.reached && after.approval.is_some());
}
