//! A replay at the terminal.

use std::fmt::Write as _;

use stepgate_types::{Action, thousands};

use super::Report;
use super::days::Spread;
use super::tally::Cell;
use crate::harmless::harmless;

/// The actions, in the order of the matrix.
pub(super) const ACTIONS: [Action; 5] =
    [Action::Allow, Action::Monitor, Action::StepUp, Action::Approve, Action::Deny];

/// Rules and examples that are listed.
const MOST: usize = 15;

/// All of it.
pub(super) fn report(report: &Report) -> String {
    let tally = &report.tally;
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(harmless(&line).trim_end());
        text.push('\n');
    };
    line(format!(
        "{} ({} rules, {}) on {} statements of {} records, {} to {}",
        report.candidate.policy,
        report.candidate.rules,
        report.candidate.mode,
        thousands(tally.statements),
        thousands(report.records),
        report.since.as_deref().unwrap_or("the beginning"),
        report.until,
    ));
    let basis = match &report.against {
        Some(against) => format!("{} replayed", against.policy),
        None => "what was decided".to_owned(),
    };
    line(format!("compared with: {basis}"));
    line(String::new());
    line(format!(
        "changed {}, undecidable {}, the same {}",
        thousands(tally.changed),
        thousands(tally.undecidable),
        thousands(tally.decided.saturating_sub(tally.changed)),
    ));
    for reason in &tally.reasons {
        line(format!(
            "  undecidable: {} ({}: {})",
            thousands(reason.statements),
            reason.reason,
            reason.meaning
        ));
    }
    if tally.failed > 0 {
        line(format!(
            "  left out: {} that the gate itself refused, whatever the rules",
            thousands(tally.failed)
        ));
    }
    line(String::new());
    table(&mut line, &matrix(&tally.matrix));
    line(String::new());
    table(&mut line, &spreads(report));
    line(format!(
        "new requests {}, requests no more {}, at a limit {}, covered by what was approved before {}",
        thousands(tally.new_prompts),
        thousands(tally.lost_prompts),
        thousands(tally.at_limits),
        thousands(tally.covered),
    ));
    if tally.cut > 0 {
        line(format!("ended at a limit, for nobody could be asked: {}", thousands(tally.cut)));
    }
    if tally.of_unknown_size > 0 {
        line(format!(
            "limited, and how much they deliver is not known since they did not run to their end: {}",
            thousands(tally.of_unknown_size)
        ));
    }
    if !tally.rules.is_empty() {
        line(String::new());
        let mut rows =
            vec![["RULE", "MATCHED", "REQUESTS", "DENIED", "PEOPLE ASKED"].map(str::to_owned).to_vec()];
        rows.extend(tally.rules.iter().take(MOST).map(|rule| {
            let numbers = [rule.matched, rule.prompts, rule.denied, rule.people].map(thousands);
            [vec![rule.rule.clone()], numbers.to_vec()].concat()
        }));
        table(&mut line, &rows);
        more(&mut line, tally.rules.len(), "rules");
    }
    if tally.denied > 0 {
        line(String::new());
        line(format!("would have been denied: {}", thousands(tally.denied)));
        for example in tally.denied_examples.iter().take(MOST) {
            line(format!(
                "  {} x {} of {} people on {} ({}) by {}",
                thousands(example.statements),
                example.kinds.join("+"),
                example.people,
                if example.relations.is_empty() {
                    "no table".to_owned()
                } else {
                    example.relations.join(", ")
                },
                example.database,
                example.rules.join(", "),
            ));
        }
        more(&mut line, tally.denied_examples.len(), "kinds of them");
    }
    text
}

fn more(line: &mut impl FnMut(String), all: usize, what: &str) {
    if all > MOST {
        line(format!("  and {} more {what}: see -o json", all - MOST));
    }
}

/// Rows and columns of the matrix, with their heads.
pub(super) fn matrix(cells: &[Cell]) -> Vec<Vec<String>> {
    let actions: Vec<Option<Action>> = ACTIONS.into_iter().map(Some).chain([None]).collect();
    let word = |action: &Option<Action>| action.map_or("undecidable", Action::as_str).to_owned();
    let mut rows =
        vec![["WAS \\ WOULD BE".to_owned()].into_iter().chain(actions.iter().map(word)).collect::<Vec<_>>()];
    for from in &actions {
        let count = |to: &Option<Action>| {
            cells
                .iter()
                .filter(|cell| cell.from == *from && cell.to == *to)
                .map(|cell| cell.statements)
                .sum::<u64>()
        };
        let counts: Vec<u64> = actions.iter().map(count).collect();
        if counts.iter().any(|count| *count > 0) {
            let shown =
                counts.iter().map(|count| if *count == 0 { "-".to_owned() } else { thousands(*count) });
            rows.push([word(from)].into_iter().chain(shown).collect());
        }
    }
    rows
}

/// Requests of people a day.
pub(super) fn spreads(report: &Report) -> Vec<Vec<String>> {
    let heads = ["REQUESTS", "ALL", "P50", "P95", "WORST", "WHO, WHEN", "OVER BUDGET"];
    let row = |name: &str, of: &Spread| {
        let who = match (&of.worst_person, &of.worst_day) {
            (Some(person), Some(day)) => format!("{person}, {day}"),
            _ => String::new(),
        };
        vec![
            name.to_owned(),
            thousands(of.total),
            of.p50.to_string(),
            of.p95.to_string(),
            of.worst.to_string(),
            who,
            of.over_budget.map_or("-".to_owned(), thousands),
        ]
    };
    let before = if report.against.is_some() { "before, replayed" } else { "before, in fact" };
    vec![
        heads.map(str::to_owned).to_vec(),
        row(before, &report.tally.before),
        row("now, replayed", &report.tally.after),
    ]
}

fn table(line: &mut impl FnMut(String), rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut text = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right.
            let _ = if at == 0 { write!(text, "{cell:<width$}") } else { write!(text, "  {cell:>width$}") };
        }
        line(text);
    }
}
