//! The DETAIL line of DESIGN §8.

use std::fmt::Write as _;

use stepgate_types::{Action, thousands};

use crate::map::reads;
use crate::{Decision, Touched};

/// How many columns are named before "and N more".
const NAMED_COLUMNS: usize = 3;
/// How many rules are named before "and N more".
const NAMED_RULES: usize = 3;
/// How many limits are named.
const NAMED_LIMITS: usize = 3;
/// How many reason codes are named.
const NAMED_DOUBTS: usize = 3;

impl Decision {
    /// One line for people, ASCII: what the message reads, of which class, about how many rows, by which
    /// rule. Names of the catalog, the map and the policy only.
    ///
    /// `Reads public.customers.ssn (restricted), about 18,200 rows. Rule: restricted-read.`
    #[must_use]
    pub fn summary(&self) -> String {
        let mut line = String::new();
        if !self.doubts.is_empty() || (self.risky && self.touched.is_empty()) {
            self.cannot_be_understood(&mut line);
        }
        let reads: Vec<&Touched> = self.touched.iter().filter(|touched| reads(&touched.uses)).collect();
        if reads.is_empty() {
            let writes: Vec<&Touched> = self.touched.iter().collect();
            part(&mut line, &columns("Writes", &writes, None));
        } else {
            part(&mut line, &columns("Reads", &reads, Some(self.estimate)));
        }
        part(&mut line, &list("Rule", "Rules", &self.rules, NAMED_RULES));
        part(&mut line, &self.risk_in_words());
        if self.action != Action::Deny {
            let own = (!self.limit.is_none()).then(|| self.limit.to_string());
            let meters = self.meters.iter().map(|meter| format!("{} per {}", meter.limit, meter.per));
            let all: Vec<_> = own.into_iter().chain(meters).collect();
            part(&mut line, &list("Limit", "Limits", &all, NAMED_LIMITS));
        }
        ascii(&line)
    }

    /// `Risk 55: new_network, unusual_hour.`; nothing where there is none.
    fn risk_in_words(&self) -> String {
        let Some(risk) = self.risk.filter(|risk| *risk > 0) else { return String::new() };
        let firing: Vec<_> =
            self.signals.iter().filter(|it| it.weight > 0).map(|it| it.signal.as_str()).collect();
        format!("Risk {risk}: {}.", firing.join(", "))
    }

    fn cannot_be_understood(&self, line: &mut String) {
        if self.rules.iter().any(|rule| rule == "control") && self.doubts.is_empty() {
            part(line, "Changes who may do what.");
            return;
        }
        if self.doubts.is_empty() && self.class.is_none() {
            return;
        }
        let codes: Vec<&str> = self.doubts.iter().copied().take(NAMED_DOUBTS).collect();
        let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
        let class = self.class.as_ref().map_or("the most sensitive", |class| class.name.as_str());
        part(line, &format!("Cannot be fully understood{codes}, so it is treated as reading {class} data."));
    }
}

fn part(line: &mut String, text: &str) {
    if !line.is_empty() && !text.is_empty() {
        line.push(' ');
    }
    line.push_str(text);
}

/// `Reads a (restricted), b (confidential) and 2 more, about 5 rows.`; empty where there are none.
fn columns(verb: &str, columns: &[&Touched], rows: Option<Option<u64>>) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let named: Vec<String> = columns
        .iter()
        .take(NAMED_COLUMNS)
        .map(|touched| format!("{} ({})", touched.column, touched.class))
        .collect();
    let mut text = format!("{verb} {}", named.join(", "));
    and_more(&mut text, columns.len(), NAMED_COLUMNS);
    match rows {
        Some(Some(1)) => text.push_str(", about 1 row"),
        Some(Some(rows)) => {
            let _ = write!(text, ", about {} rows", thousands(rows));
        }
        Some(None) => text.push_str(", an unknown number of rows"),
        None => {}
    }
    text.push('.');
    text
}

fn list(one: &str, many: &str, names: &[String], most: usize) -> String {
    if names.is_empty() {
        return String::new();
    }
    let word = if names.len() == 1 { one } else { many };
    let named: Vec<&str> = names.iter().map(String::as_str).take(most).collect();
    let mut text = format!("{word}: {}", named.join(", "));
    and_more(&mut text, names.len(), most);
    text.push('.');
    text
}

fn and_more(text: &mut String, all: usize, named: usize) {
    if let Some(more) = all.checked_sub(named).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
}

/// Everything beyond printable ASCII as an escape: the client's encoding may be any, and a table's name
/// may hold what moves a terminal's cursor.
fn ascii(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}
