//! `policy simulate`: what would become of statements of somebody's, at some time and place, and what they and those who
//! are asked would see.

use std::path::Path;

use serde_json::{Value, json};
use stepgate_policy::{Approval, Case, Decision};
use stepgate_proxy::{Problem, foretell, foretell_at_limit};
use stepgate_types::{Action, RequestId, Timestamp};

use super::purposes::{Purposes, Said};
use super::scenario::{self, Outcome};
use super::stage::Stage;
use super::test::word;
use crate::analyze::{deeply, messages};
use crate::args::{Form, SimulateArgs};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;

/// Says of each statement what would happen. Nothing is run, asked or recorded.
pub(super) fn run(config: &Path, args: &SimulateArgs) -> Result<(), Failure> {
    deeply(|| {
        let statements = match (&args.sql, &args.file) {
            (Some(sql), _) => vec![(1, sql.clone())],
            (None, Some(file)) => messages(file)?,
            (None, None) => Vec::new(),
        };
        let mut stage = Stage::open(config, &args.stage)?;
        let database = stage.name(args.asker.database.as_deref())?;
        let at = scenario::time(&args.asker)?;
        let url = stage.console_url();
        let (rules, room) = stage.enter(&database)?;
        let mut purposes = Purposes::new(args.asker.purpose.as_deref());
        let mut objects = Vec::new();
        for (line, sql) in statements {
            let said = purposes.now();
            let case = case(args, sql, at, &said);
            let outcome = scenario::decide(rules, room, &case, &database, at);
            let seen = Seen::of(&outcome, url.as_deref());
            match args.output {
                Form::Text => output::print_line(&text(line, &case, &outcome, &said, &seen))?,
                Form::Json => objects.push(object(line, &outcome, &said, &seen)),
            }
            let denied = outcome.decision.enforced && outcome.decision.action == Action::Deny;
            purposes.after(&case.sql, &outcome.facts, denied);
            // What is denied does nothing.
            if !denied {
                room.names.after(&case.sql, &outcome.facts);
                room.source.after(&case.sql, &outcome.facts);
            }
        }
        match args.output {
            Form::Text => Ok(()),
            Form::Json => output::print_line(&format!("{:#}", Value::Array(objects))),
        }
    })
}

/// What the person is told: before the statement runs, and once it has delivered as much as it may.
struct Seen {
    first: Option<Problem>,
    at_limit: Option<Problem>,
}

impl Seen {
    fn of(outcome: &Outcome, url: Option<&str>) -> Self {
        let at_limit = |then| foretell_at_limit(&outcome.decision, then, example(), url);
        Self {
            first: foretell(&outcome.decision, example(), url),
            at_limit: outcome.at_limit.as_ref().and_then(at_limit),
        }
    }
}

/// How much is delivered at first: `100 rows`, `5,000 rows per 1h`.
fn limits(decision: &Decision) -> Vec<String> {
    let own = (!decision.limit.is_none()).then(|| decision.limit.to_string());
    own.into_iter().chain(decision.meters.iter().map(|it| format!("{} per {}", it.limit, it.per))).collect()
}

/// What a request might be called.
fn example() -> RequestId {
    RequestId::from_bytes([0x3c, 0x91, 0x44, 0xdf, 0xad])
}

fn case(args: &SimulateArgs, sql: String, at: Timestamp, said: &Said) -> Case {
    let signals = args.signals.as_ref().map(|signals| signals.iter().copied().collect());
    let purpose = match said {
        Said::Word(word) => Some(word.clone()),
        Said::Nothing | Said::Unclear => None,
    };
    Case { signals, purpose, ..scenario::case(&args.asker, sql, at) }
}

fn text(line: usize, case: &Case, outcome: &Outcome, said: &Said, seen: &Seen) -> String {
    let decision = &outcome.decision;
    let first = case.sql.trim().lines().next().unwrap_or_default();
    let enforced = if decision.enforced { "" } else { " (mode: monitor; nothing is enforced)" };
    let mut lines = vec![
        format!("line {line}: {}", harmless(first)),
        format!("  decision  {}{enforced}", word(decision.action)),
        format!("  because   {}", decision.summary()),
    ];
    lines.extend(outcome.why.iter().map(|why| format!("            {}", super::because(why))));
    if let Some(risk) = decision.risk {
        lines.push(format!("  risk      {}", super::risk_line(risk, decision)));
    }
    match &outcome.purpose {
        Some(purpose) => lines.push(format!("  purpose   {purpose}")),
        None if *said == Said::Unclear => {
            lines.push("  purpose   cannot be told; it is taken for none".to_owned());
        }
        None => {}
    }
    let limits = limits(decision).join(", or ");
    match (&seen.first, &seen.at_limit) {
        (None, None) => lines.push("  person    sees the result, and nothing else".to_owned()),
        (None, Some(_)) => lines.push(format!("  person    sees the result, up to {limits}")),
        (Some(problem), _) => lines.extend(told("  person    ", problem)),
    }
    lines.extend(
        decision
            .approval
            .as_ref()
            .and_then(|it| approver(decision, it))
            .map(|it| format!("  approver  {it}")),
    );
    if let (Some(problem), Some(then)) = (&seen.at_limit, &outcome.at_limit) {
        if seen.first.is_some() {
            lines.push(format!("  approved  it delivers up to {limits}"));
        }
        lines.extend(told("  at limit  ", problem));
        lines.extend(at_limit(then).and_then(|it| approver(then, it)).map(|it| format!("  approver  {it}")));
    }
    lines.join("\n")
}

/// As psql shows it.
fn told(head: &str, problem: &Problem) -> Vec<String> {
    let mut lines = vec![format!("{head}{}:  stepgate: {}", problem.severity.as_str(), problem.message)];
    lines.extend(problem.detail.iter().map(|detail| format!("            DETAIL:  {detail}")));
    lines.extend(problem.hint.iter().map(|hint| format!("            HINT:  {hint}")));
    lines
}

/// Whom a decision at a limit asks.
fn at_limit(then: &Decision) -> Option<&Approval> {
    if then.action == Action::Deny {
        return None;
    }
    then.beyond.as_ref().map(|(_, approval)| approval).or(then.approval.as_ref())
}

/// Who answers, and what they are shown besides the statement itself and its values.
fn approver(decision: &Decision, approval: &Approval) -> Option<String> {
    if !decision.enforced {
        return None;
    }
    let groups: Vec<_> = approval.groups.iter().map(ToString::to_string).collect();
    let who = if approval.itself {
        "the person themselves".to_owned()
    } else {
        format!("{} of {}", approval.count, groups.join(", "))
    };
    let reason = if approval.reason_required { ", with a reason" } else { "" };
    Some(format!(
        "{who}, by a {} factor or a stronger one{reason}; reads: {}",
        word(approval.strength),
        decision.summary()
    ))
}

fn object(line: usize, outcome: &Outcome, said: &Said, seen: &Seen) -> Value {
    let decision = &outcome.decision;
    let then = outcome.at_limit.as_ref().filter(|_| seen.at_limit.is_some());
    json!({
        "line": line,
        "decision": decision.action,
        "enforced": decision.enforced,
        "rules": decision.rules,
        "why": outcome.why.iter().map(|why| json!({
            "rule": why.rule, "clause": why.clause, "found": super::found(why),
            "asks": Some(&why.threshold).filter(|asks| !asks.is_empty()),
        })).collect::<Vec<_>>(),
        "risk": decision.risk,
        "signals": decision.signals,
        "purpose": outcome.purpose,
        "purpose_is_known": outcome.purpose.is_some() || *said != Said::Unclear,
        "estimate": decision.estimate,
        "summary": decision.summary(),
        "approval": decision.approval,
        "person_sees": seen.first.as_ref().map(shown),
        "approver_sees": decision.approval.as_ref().and_then(|it| approver(decision, it)),
        "at_limit": then.map(|then| json!({
            "limits": limits(decision),
            "approval": at_limit(then),
            "person_sees": seen.at_limit.as_ref().map(shown),
            "approver_sees": at_limit(then).and_then(|it| approver(then, it)),
        })),
    })
}

fn shown(problem: &Problem) -> Value {
    json!({
        "severity": problem.severity.as_str(),
        "sqlstate": problem.state.to_string(),
        "message": format!("stepgate: {}", problem.message),
        "detail": problem.detail,
        "hint": problem.hint,
    })
}
