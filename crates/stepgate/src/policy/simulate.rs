//! `policy simulate`: what would become of statements of somebody's, at some time and place, and what they and those who
//! are asked would see.

use std::path::Path;

use serde_json::{Value, json};
use stepgate_policy::{Case, Decision};
use stepgate_proxy::{Problem, foretell};
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
        for (line, sql) in statements {
            let said = purposes.now();
            let case = case(args, sql, at, &said);
            let outcome = scenario::decide(rules, room, &case, &database, at);
            let seen = foretell(&outcome.decision, example(), url.as_deref());
            match args.output {
                Form::Text => output::print_line(&text(line, &case, &outcome, &said, seen.as_ref()))?,
                Form::Json => {
                    output::print_line(&object(line, &outcome, &said, seen.as_ref()).to_string())?;
                }
            }
            let denied = outcome.decision.enforced && outcome.decision.action == Action::Deny;
            purposes.after(&case.sql, &outcome.facts, denied);
            // What is denied does nothing.
            if !denied {
                room.names.after(&case.sql, &outcome.facts);
                room.source.after(&case.sql, &outcome.facts);
            }
        }
        Ok(())
    })
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

fn text(line: usize, case: &Case, outcome: &Outcome, said: &Said, seen: Option<&Problem>) -> String {
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
    match seen {
        None => lines.push("  person    sees the result, and nothing else".to_owned()),
        Some(problem) => {
            let kind = problem.severity.as_str();
            lines.push(format!("  person    {kind}:  stepgate: {}", problem.message));
            lines.extend(problem.detail.iter().map(|detail| format!("            DETAIL:  {detail}")));
            lines.extend(problem.hint.iter().map(|hint| format!("            HINT:  {hint}")));
        }
    }
    lines.extend(approver(decision).into_iter().map(|said| format!("  approver  {said}")));
    lines.join("\n")
}

/// Who answers, and what they are shown besides the statement itself and its values.
fn approver(decision: &Decision) -> Option<String> {
    let approval = decision.approval.as_ref().filter(|_| decision.enforced)?;
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

fn object(line: usize, outcome: &Outcome, said: &Said, seen: Option<&Problem>) -> Value {
    let decision = &outcome.decision;
    json!({
        "line": line,
        "decision": decision.action,
        "enforced": decision.enforced,
        "rules": decision.rules,
        "why": outcome.why.iter().map(|why| json!({
            "rule": why.rule, "clause": why.clause, "found": why.bucket, "threshold": why.threshold,
        })).collect::<Vec<_>>(),
        "risk": decision.risk,
        "signals": decision.signals,
        "purpose": outcome.purpose,
        "purpose_is_known": outcome.purpose.is_some() || *said != Said::Unclear,
        "estimate": decision.estimate,
        "summary": decision.summary(),
        "approval": decision.approval,
        "person_sees": seen.map(|problem| json!({
            "severity": problem.severity.as_str(),
            "sqlstate": problem.state.to_string(),
            "message": format!("stepgate: {}", problem.message),
            "detail": problem.detail,
            "hint": problem.hint,
        })),
        "approver_sees": approver(decision),
    })
}
