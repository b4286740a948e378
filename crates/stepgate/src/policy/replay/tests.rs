//! Replays of logs that are made by hand.

use std::path::PathBuf;

use stepgate_record::{LabelledColumn, Outcome};
use stepgate_types::{Action, BulkShape, Certainty, Kind, Timestamp, Use};

use super::known::{Candidate, Known};
use super::tune::Tuning;
use super::{Ground, html, show};
use crate::policy::tape::{After, Passed, Person, Run, Shape, Span, Tape, Verdict};

const MAP: &str = "\
version: 1
labels:
  email: {class: confidential}
  ssn: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email, ssn: ssn}}
";

const POLICY: &str = "\
version: 1
approvals:
  self: {self: true, remember: {for: 15m, scope: [person, client, network]}}
budget: {prompts_per_person_per_day: 3}
rules:
  - {name: personal, match: {labels: [email, ssn]}, action: step-up, approval: self}
  - {name: seen, match: {kind: [copy-out]}, action: monitor}
";

const MINUTE: i64 = 60_000_000;

fn candidate(policy: &str) -> Candidate {
    let files = ["map.yaml", "policy.yaml"].map(PathBuf::from);
    let [map, rules] = files;
    Candidate::compile((map, MAP.to_owned()), (rules, policy.to_owned())).unwrap()
}

/// A select of a label, as the policy decided it.
fn shape(label: &str) -> Shape {
    let columns = LabelledColumn {
        column: format!("public.customers.{label}"),
        label: label.to_owned(),
        class: if label == "ssn" { "restricted" } else { "confidential" }.to_owned(),
        uses: vec![Use::Output],
    };
    Shape {
        action: Action::StepUp,
        buckets: Vec::new(),
        bulk: BulkShape::None,
        certainty: Certainty::Exact,
        columns: vec![columns],
        database: "shop".to_owned(),
        db_user: "analyst".to_owned(),
        estimate: Some(10),
        estimated_by: None,
        functions: Vec::new(),
        groups: Vec::new(),
        kinds: vec![Kind::Select],
        runs: None,
        parameters: 0,
        policy_sha256: candidate(POLICY).rules.sha256().to_owned(),
        purpose: None,
        reasons: Vec::new(),
        relations: vec!["public.customers".to_owned()],
        rules: vec!["personal".to_owned()],
        service: false,
        signals: Vec::new(),
        sinks: Vec::new(),
        unenforced: false,
        cut: false,
    }
}

fn person(name: &str, address: Option<&str>) -> Person {
    Person {
        key: name.to_owned(),
        known: true,
        address: address.map(str::to_owned),
        client: Some("psql".to_owned()),
    }
}

/// Selects of e-mail at these minutes, each by that session, and how what was asked about it ended.
fn tape(runs: &[(i64, u32, Outcome)]) -> Tape {
    let mut tape = Tape {
        shapes: vec![shape("email"), shape("ssn")],
        sessions: vec![0, 1, 2],
        persons: vec![
            person("dana", Some("10.0.0.1")),
            person("dana", Some("10.0.0.2")),
            person("eve", None),
        ],
        ..Tape::default()
    };
    for (minute, session, ended) in runs {
        tape.runs.push(Run {
            at_us: minute * MINUTE,
            shape: 0,
            session: *session,
            verdict: Verdict::Hold,
            passed: Passed::No,
        });
        let ran = *ended == Outcome::Approved;
        tape.after.push(After {
            asked: 1,
            ended: Some(*ended),
            delivered: ran.then_some((3, 100)),
            ..After::default()
        });
    }
    tape
}

fn ground(tape: Tape) -> Ground {
    let mut known = Known::default();
    known.add(&candidate(POLICY).rules);
    Ground { tape, known, since: None, until: Timestamp::from_micros(0) }
}

use Outcome::{Approved, Denied};

#[test]
fn an_approval_covers_what_follows_as_the_desk_remembers_it() {
    let minutes = |of: &[(i64, u32)]| of.iter().map(|(at, who)| (*at, *who, Approved)).collect::<Vec<_>>();
    for (runs, asked) in [
        // For a quarter of an hour, by the same person from the same address.
        (minutes(&[(0, 0), (5, 0), (14, 0)]), 1),
        (minutes(&[(0, 0), (15, 0), (29, 0)]), 2),
        (minutes(&[(0, 0), (1, 1), (2, 0), (3, 1)]), 2),
        // Of whom no address is known, one session is one place.
        (minutes(&[(0, 2), (1, 2)]), 1),
        // What was refused is remembered by nobody.
        (vec![(0, 0, Denied), (1, 0, Denied), (2, 0, Approved), (3, 0, Approved)], 3),
    ] {
        let report = ground(tape(&runs)).replay(&candidate(POLICY), None);
        assert_eq!(report.tally.after.total, asked, "{runs:?}");
        assert_eq!((report.tally.changed, report.tally.undecidable), (0, 0));
    }
}

#[test]
fn new_and_lost_requests_are_those_of_what_needed_none_or_needs_none() {
    let runs = [(0, 0, Approved), (100, 0, Approved), (200, 0, Approved)];
    let nothing = POLICY.replace("labels: [email, ssn]", "labels: [ssn]");
    let report = ground(tape(&runs)).replay(&candidate(&nothing), None);
    let tally = &report.tally;
    assert_eq!((tally.changed, tally.new_prompts, tally.lost_prompts, tally.after.total), (3, 0, 3, 0));
    let mut free = tape(&runs);
    free.shapes[0].action = Action::Allow;
    free.after.iter_mut().for_each(|after| (after.asked, after.ended) = (0, None));
    let report = ground(free).replay(&candidate(POLICY), None);
    assert_eq!((report.tally.new_prompts, report.tally.lost_prompts), (3, 0));
    let denied = POLICY.replace("action: step-up, approval: self", "action: deny");
    let report = ground(tape(&runs)).replay(&candidate(&denied), None);
    assert_eq!((report.tally.denied, report.tally.denied_examples[0].people), (3, 1));
    // Of a transaction that had failed nobody is asked.
    let mut aborted = tape(&runs);
    aborted.after.iter_mut().for_each(|after| after.aborted = true);
    assert_eq!(ground(aborted).replay(&candidate(POLICY), None).tally.after.total, 0);
}

#[test]
fn a_limit_asks_again_for_what_is_beyond_it() {
    let limited = POLICY.replace("approval: self}", "approval: self, limit: {rows: 10}}");
    let mut long = tape(&[(0, 0, Approved)]);
    for (rows, midway) in [(10, 0), (11, 1), (20, 1), (21, 2), (35, 3)] {
        long.after[0].delivered = Some((rows, 1));
        let report = Ground {
            tape: Tape { runs: long.runs.clone(), after: long.after.clone(), ..tape(&[]) },
            ..ground(tape(&[]))
        };
        let report = report.replay(&candidate(&limited), None);
        assert_eq!((report.tally.at_limits, report.tally.after.total), (midway, midway + 1), "{rows}");
    }
    long.after[0].delivered = None;
    let report = ground(long).replay(&candidate(&limited), None);
    assert_eq!((report.tally.at_limits, report.tally.of_unknown_size), (0, 1));
}

#[test]
fn a_budget_that_is_exceeded_is_said_and_one_that_is_not_is_not() {
    let often = |times: i64| (0..times).map(|time| (time * 20, 0, Approved)).collect::<Vec<_>>();
    for (times, over) in [(3, None), (4, Some(1))] {
        let report = ground(tape(&often(times))).replay(&candidate(POLICY), None);
        assert_eq!(report.tally.after.over_budget.filter(|over| *over > 0), over);
        let said = super::over_budget(&report);
        assert_eq!(said.is_some(), over.is_some(), "{said:?}");
        assert!(
            said.is_none_or(|said| said.contains("3 requests a person and day") && said.contains("dana"))
        );
    }
}

fn kinds(ground: &Ground) -> Vec<(&'static str, String)> {
    let current = candidate(POLICY);
    let proposals = Tuning::new(ground, &current).proposals();
    proposals.into_iter().map(|proposal| (proposal.kind, proposal.diff)).collect()
}

#[test]
fn a_longer_memory_is_proposed_where_all_of_it_was_approved_and_never_where_anything_was_not() {
    let runs: Vec<_> = (0..12).map(|time| (time * 20, 0, Approved)).collect();
    let scope = |runs: &[(i64, u32, Outcome)]| {
        kinds(&ground(tape(runs))).into_iter().find(|(kind, _)| *kind == "scope").map(|(_, diff)| diff)
    };
    let diff = scope(&runs).unwrap();
    assert!(diff.contains("-  self: {self: true, remember: {for: 15m,"), "{diff}");
    assert!(diff.contains("+  self: {self: true, remember: {for: 30m,"), "{diff}");
    // One of them was refused, cancelled or left: nobody may pass unasked then.
    for ended in [Denied, Outcome::Expired, Outcome::Cancelled, Outcome::Withdrawn] {
        for at in 0..runs.len() {
            let mut refused = runs.clone();
            refused[at].2 = ended;
            if let Some(diff) = scope(&refused) {
                // Then only for as long as what was refused is still asked about.
                let is = diff.split("+  self: {self: true, remember: {for: ").nth(1).unwrap();
                let wider = POLICY.replace("15m", is.split(',').next().unwrap());
                let ground = ground(tape(&refused));
                let (was, now) = (candidate(POLICY), candidate(&wider));
                let compared = super::Compared {
                    candidate: &now.rules,
                    against: Some(&was.rules),
                    known: &ground.known,
                    tape: &ground.tape,
                };
                assert_eq!(compared.unapproved(), 0, "{ended:?} {at}");
            }
        }
    }
    // None of what a wider memory would cover was ever approved.
    let alternating: Vec<_> =
        (0..12).map(|time| (time * 20, 0, if time % 2 == 0 { Approved } else { Denied })).collect();
    assert_eq!(scope(&alternating), None);
}

#[test]
fn an_address_is_left_out_of_the_scope_only_where_both_were_approved() {
    let both = |second: Outcome| -> Vec<_> {
        (0..10).flat_map(|time| [(time * 1000, 0, Approved), (time * 1000 + 1, 1, second)]).collect()
    };
    let diffs = kinds(&ground(tape(&both(Approved))));
    let found = diffs.iter().find(|(kind, _)| *kind == "scope").unwrap();
    assert!(
        found.1.contains("+  self: {self: true, remember: {for: 15m, scope: [person, client, relations]}}"),
        "{}",
        found.1
    );
    assert!(kinds(&ground(tape(&both(Denied)))).iter().all(|(kind, _)| *kind != "scope"));
}

#[test]
fn grants_that_nobody_uses_are_proposed_to_go_and_rules_that_never_fire_are_named() {
    // Far apart, so that no approval is used twice.
    let runs: Vec<_> = (0..30).map(|time| (time * 2000, 0, Approved)).collect();
    let mut unused = tape(&runs);
    unused.grants.insert("self".to_owned(), vec![0; 30]);
    let found = kinds(&ground(unused));
    let diff = |kind: &str| found.iter().find(|(is, _)| *is == kind).map(|(_, diff)| diff.clone());
    assert!(diff("unused-grants").unwrap().contains("+  self: {self: true}\n"), "{found:?}");
    assert!(diff("never-fires").unwrap().contains("-  - {name: seen, match"), "{found:?}");
    let mut used = tape(&runs);
    used.grants.insert("self".to_owned(), [vec![0; 29], vec![1]].concat());
    used.shapes[1].rules = vec!["seen".to_owned()];
    let found = kinds(&ground(used));
    assert!(found.iter().all(|(kind, _)| !matches!(*kind, "unused-grants" | "never-fires")), "{found:?}");
}

#[test]
fn a_rule_that_never_fired_is_named_although_a_statement_is_undecidable_and_then_it_is_kept() {
    let runs: Vec<_> = (0..30).map(|time| (time * 2000, 0, Approved)).collect();
    let mut open = tape(&runs);
    // Of one record a part was lost.
    open.shapes[1] = Shape { cut: true, ..shape("email") };
    open.runs[7].shape = 1;
    let ground = ground(open);
    let current = candidate(POLICY);
    let found = Tuning::new(&ground, &current).proposals();
    let found = found.iter().find(|proposal| proposal.kind == "never-fires").unwrap();
    assert_eq!((found.title.as_str(), found.diff.as_str()), ("`seen` never fired", ""));
    let why = "it never fired in 29 decided statements; 1 undecidable, any of which it may match; kept";
    assert_eq!(found.why, why);
}

#[test]
fn a_page_needs_nothing_else_and_lets_nothing_out_of_its_cell() {
    let evil = "<script>alert(1)</script>\"'&\u{202e}";
    let mut tape = tape(&[(0, 0, Approved), (100, 0, Approved)]);
    tape.persons[0].key = evil.to_owned();
    tape.shapes[0].relations = vec!["public.customers".to_owned()];
    let mut candidate = candidate(&POLICY.replace("action: step-up, approval: self", "action: deny"));
    candidate.policy_file = PathBuf::from(evil);
    let report = ground(tape).replay(&candidate, Some(&self::candidate(POLICY)));
    let page = html::page(&report);
    for bad in ["<script", "alert(1)</", "\u{202e}", "http://", "https://"] {
        assert!(!page.contains(bad), "{bad}");
    }
    for good in
        ["role=\"img\"", "<title>Requests by day", "scope=\"row\"", "lang=\"en\"", "default-src 'none'"]
    {
        assert!(page.contains(good), "{good}");
    }
    let text = show::report(&report);
    assert!(!text.contains('\u{202e}') && text.contains("would have been denied: 2"), "{text}");
}

#[test]
fn what_other_rules_cannot_tell_is_compared_with_what_was_decided_in_fact() {
    // Nobody knows what was said that these were for: they may have been asked about, or not.
    let open = POLICY.replace("labels: [email, ssn]", "labels: [email, ssn], purpose: [\"audit-*\"]");
    let (open, asks, passes) = (
        candidate(&open),
        candidate(POLICY),
        candidate(&POLICY.replace("action: step-up, approval: self", "action: monitor")),
    );
    let ground = |ended| {
        let mut ground = ground(tape(&[(0, 0, ended)]));
        ground.known.add(&open.rules);
        ground
    };
    let unapproved = |ground: &Ground, candidate: &Candidate| {
        let (known, tape) = (&ground.known, &ground.tape);
        super::Compared { candidate: &candidate.rules, against: Some(&open.rules), known, tape }.unapproved()
    };
    assert_eq!(unapproved(&ground(Denied), &passes), 1);
    assert_eq!(unapproved(&ground(Denied), &asks), 0);
    assert_eq!(unapproved(&ground(Approved), &passes), 0);
}

/// Statements that pass, one after the other: at that minute, in that session, with so many rows.
fn passing(runs: &[(i64, u32, Option<u64>)]) -> Tape {
    let mut tape = tape(&[]);
    tape.shapes[0].action = Action::Monitor;
    tape.opened = (0..3).map(|session| (session, 0)).collect();
    for (number, (minute, session, rows)) in (0_u32..).zip(runs) {
        let at_us = minute * MINUTE;
        let (verdict, passed) = (Verdict::Forward, Passed::No);
        tape.runs.push(Run { at_us, shape: 0, session: *session, verdict, passed });
        let span = Span { begun: number, done: number + 1, from_us: at_us, to_us: at_us };
        let delivered = rows.map(|rows| (rows, 50 * rows));
        tape.after.push(After { delivered, span: Some(span), ..After::default() });
    }
    tape
}

fn braked(limit: &str) -> Candidate {
    candidate(&POLICY.replace(
        "action: step-up, approval: self",
        &format!("action: monitor, approval: self, limit: {limit}"),
    ))
}

#[test]
fn a_limit_over_a_window_or_session_asks_for_what_is_beyond_all_that_was_delivered() {
    let window = braked("{rows: 100, per: 1h}");
    let hundred = |runs: &[(i64, u32, u64)]| -> Vec<(i64, u32, Option<u64>)> {
        runs.iter().map(|(minute, session, rows)| (*minute, *session, Some(*rows))).collect()
    };
    for (runs, asked) in [
        (vec![(0, 0, 60), (1, 0, 40)], 0),
        (vec![(0, 0, 60), (1, 0, 41)], 1),
        // From wherever else.
        (vec![(0, 0, 60), (1, 1, 41)], 1),
        (vec![(0, 0, 60), (1, 2, 41)], 0),
        // It has left the window.
        (vec![(0, 0, 60), (70, 0, 60)], 0),
        // As much again is approved, for whatever follows.
        (vec![(0, 0, 60), (1, 0, 60), (2, 0, 80)], 1),
        (vec![(0, 0, 60), (1, 0, 60), (2, 0, 81)], 2),
        (vec![(0, 0, 350)], 3),
        // And what was approved counts on nothing.
        (vec![(0, 0, 350), (40, 0, 50), (70, 0, 90)], 4),
    ] {
        let report = ground(passing(&hundred(&runs))).replay(&window, None);
        assert_eq!((report.tally.at_limits, report.tally.undecidable), (asked, 0), "{runs:?}");
        assert_eq!(report.tally.new_prompts, asked, "{runs:?}");
    }
    let session = braked("{bytes: 5000, per: session}");
    for (runs, asked) in [
        (vec![(0, 0, 60), (300, 0, 40)], 0),
        (vec![(0, 0, 60), (300, 0, 60)], 1),
        (vec![(0, 0, 60), (300, 1, 60)], 1),
    ] {
        let report = ground(passing(&hundred(&runs))).replay(&session, None);
        assert_eq!((report.tally.at_limits, report.tally.undecidable), (asked, 0), "{runs:?}");
    }
    // Half an hour after the last, another connection is another sitting.
    let mut tape = passing(&hundred(&[(0, 0, 60), (40, 1, 60)]));
    tape.opened.insert(1, 31 * MINUTE);
    assert_eq!(ground(tape).replay(&session, None).tally.at_limits, 0);
}

#[test]
fn what_went_before_the_period_counts_on_windows_and_nowhere_else() {
    let window = braked("{rows: 100, per: 1h}");
    let mut tape = passing(&[(0, 0, Some(60)), (30, 0, Some(60)), (31, 0, Some(1))]);
    tape.counts_from_us = 10 * MINUTE;
    let tally = ground(tape).replay(&window, None).tally;
    assert_eq!((tally.statements, tally.at_limits, tally.undecidable), (2, 1, 0));
    assert_eq!((tally.after.total, tally.rules[0].matched), (1, 2));
}

#[test]
fn whether_a_limit_over_a_window_is_crossed_is_not_guessed() {
    let window = braked("{rows: 100, per: 1h}");
    let told = |tape: Tape| {
        let report = ground(tape).replay(&window, None);
        let why: Vec<_> = report.tally.reasons.iter().map(|it| (it.reason, it.statements)).collect();
        (report.tally.at_limits, report.tally.undecidable, why)
    };
    let one = vec![("delivered", 1)];
    // Of the first it is not known how much it delivered, nor so of the second; after an hour that is past.
    let unknown = [(0, 0, None), (1, 0, Some(5)), (70, 0, Some(100))];
    assert_eq!(told(passing(&unknown)), (0, 2, vec![("delivered", 2)]));
    // Nobody's.
    assert_eq!(told(passing(&[(0, 2, None), (1, 0, Some(5))])), (0, 1, one.clone()));
    // What went before the log that is read.
    let mut late = passing(&[(1, 0, Some(5)), (70, 0, Some(5))]);
    late.since_us = Some(0);
    assert_eq!(told(late), (0, 1, one.clone()));
    // Two at once: which of them comes to the limit is not known.
    let mut both = passing(&[(0, 0, Some(60)), (0, 1, Some(60)), (1, 0, Some(10))]);
    for after in &mut both.after[..2] {
        after.span.as_mut().unwrap().done = 2;
    }
    assert_eq!(told(both).1, 3);
    // What was denied in fact, and would not be.
    let mut denied = passing(&[(0, 0, None), (1, 0, Some(5))]);
    (denied.runs[0].verdict, denied.after[0].span) = (Verdict::Deny, None);
    assert_eq!(told(denied).1, 2);
    // How many rows were stored elsewhere.
    let mut copied = passing(&[(0, 0, Some(0)), (1, 0, Some(5))]);
    copied.shapes[1] = Shape { kinds: vec![Kind::Insert], sinks: vec!["rows".to_owned()], ..shape("email") };
    copied.runs[0].shape = 1;
    assert_eq!(told(copied), (0, 1, one));
    // What waited, and was left, delivered nothing where it would wait again.
    let asks = candidate(&POLICY.replace("approval: self}", "approval: self, limit: {rows: 100, per: 1h}}"));
    let mut left = passing(&[(0, 0, None), (1, 0, Some(5))]);
    (left.runs[0].verdict, left.after[0].span) = (Verdict::Hold, None);
    (left.after[0].asked, left.after[0].ended) = (1, Some(Approved));
    assert_eq!(ground(left).replay(&asks, None).tally.undecidable, 0);
}
