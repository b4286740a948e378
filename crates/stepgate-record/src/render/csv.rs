//! Comma-separated values (RFC 4180).

use super::printable::cell_text;
use super::row::{Cell, Row, columns};

/// The names of the columns.
pub(super) fn head() -> String {
    let names: Vec<_> = columns().iter().map(|(name, _)| *name).collect();
    names.join(",")
}

/// A row's values.
pub(super) fn line(row: &Row) -> String {
    let mut line = String::new();
    for (position, cell) in row.cells().into_iter().enumerate() {
        if position > 0 {
            line.push(',');
        }
        match cell {
            Cell::Null => {}
            Cell::Time(at) => line.push_str(&at.to_string()),
            Cell::Number(number) => line.push_str(&number.to_string()),
            Cell::Text(text) => field(&text, &mut line),
        }
    }
    line
}

/// Spreadsheets take text that begins so for a formula, and run it (CSV injection: a table named `=cmd()`). An
/// apostrophe before it makes it text.
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

fn field(text: &str, line: &mut String) {
    let formula = text.starts_with(FORMULAS);
    let text = &*cell_text(text);
    let quoted = text.contains([',', '"', '\n', '\t']) || text.starts_with(' ') || text.ends_with(' ');
    if quoted {
        line.push('"');
    }
    if formula {
        line.push('\'');
    }
    if quoted {
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}
