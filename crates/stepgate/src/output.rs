//! Listings: one set of rows, written as table, JSON or CSV.

use std::io::Write;

use serde_json::{Map, Value};

use crate::args::Format;
use crate::failure::Failure;
use crate::harmless::harmless;

/// Rows to be shown, each a JSON object; `columns` says which fields a table shows, and in which order.
pub(crate) struct Listing {
    columns: &'static [&'static str],
    rows: Vec<Map<String, Value>>,
}

impl Listing {
    /// An empty listing with these columns (snake_case).
    pub(crate) fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; anything but an object is left out.
    pub(crate) fn push(&mut self, row: Value) {
        if let Value::Object(row) = row {
            self.rows.push(row);
        }
    }

    /// A listing of all these rows.
    pub(crate) fn of(columns: &'static [&'static str], rows: impl IntoIterator<Item = Value>) -> Self {
        let mut listing = Self::new(columns);
        rows.into_iter().for_each(|row| listing.push(row));
        listing
    }

    /// Writes it to standard output.
    pub(crate) fn print(&self, format: Format) -> Result<(), Failure> {
        print(&self.render(format))
    }

    /// The same, but where it is for reading: an empty table says nothing.
    pub(crate) fn print_unless_table(&self, format: Format) -> Result<(), Failure> {
        if format == Format::Table { Ok(()) } else { self.print(format) }
    }

    /// The text of it.
    pub(crate) fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Json => self.json(),
            Format::Csv => self.csv(),
        }
    }

    fn json(&self) -> String {
        let rows: Vec<_> = self.rows.iter().cloned().map(Value::Object).collect();
        let mut text = serde_json::to_string_pretty(&rows).unwrap_or_else(|_| "[]".to_owned());
        text.push('\n');
        text
    }

    fn cells(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        self.rows.iter().map(|row| self.columns.iter().map(|column| cell(row.get(*column))).collect())
    }

    fn table(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        let heads = self.columns.iter().map(|column| column.replace('_', " ").to_uppercase());
        table.set_header(heads);
        for cells in self.cells() {
            table.add_row(cells.iter().map(|text| harmless(text)));
        }
        let mut text = String::new();
        for line in table.to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn csv(&self) -> String {
        let mut text = self.columns.join(",");
        text.push_str("\r\n");
        for cells in self.cells() {
            let quoted: Vec<_> = cells.iter().map(|text| csv_cell(text)).collect();
            text.push_str(&quoted.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// A value as one cell: text bare, lists joined by commas, nothing for null.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
    }
}

/// RFC 4180; a cell that a spreadsheet would run as a formula gets a quote in front (OWASP, "CSV
/// injection").
pub(crate) fn csv_cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    let text = stepgate_record::render::cell_text(&text);
    if text.contains(['"', ',', '\n', '\t']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Writes text to standard output; that nobody reads it any more (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes text to standard output, of which more may come: where nobody reads it any more, that is a failure that
/// ends it, and of which there is nothing to say.
pub(crate) fn stream(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Failure::unread()
        } else {
            Failure::usage(format!("cannot write to standard output: {error}"))
        }
    })
}

/// Writes one line to standard output.
pub(crate) fn print_line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listing() -> Listing {
        let mut listing = Listing::new(&["name", "groups"]);
        listing.push(json!({"name": "dana", "groups": ["a", "b"], "service": false}));
        listing.push(json!({"name": "=1+1\u{1b}[2J", "groups": []}));
        listing
    }

    #[test]
    fn a_table_has_heads_and_no_character_that_moves_a_terminal() {
        let text = listing().render(Format::Table);
        assert!(text.lines().next().unwrap().contains("NAME"));
        assert!(text.contains("a,b"));
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn json_is_an_array_with_every_field() {
        let rows: Value = serde_json::from_str(&listing().render(Format::Json)).unwrap();
        assert_eq!(rows[0]["service"], json!(false));
        assert_eq!(rows.as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_csv_cell_cannot_be_a_formula_of_a_spreadsheet() {
        let text = listing().render(Format::Csv);
        assert!(text.starts_with("name,groups\r\n"));
        assert!(text.contains("\"a,b\""));
        assert!(text.contains("\r\n'=1+1"));
        assert_eq!(csv_cell("-5"), "-5");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(csv_cell("a\u{9b}2J\rb\u{202e}c"), "a\u{fffd}2J\u{fffd}b\u{fffd}c");
        assert_eq!(csv_cell("a\nb"), "\"a\nb\"");
    }
}
