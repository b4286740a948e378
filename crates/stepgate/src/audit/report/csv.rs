//! A report as one table by RFC 4180: which section a row is of stands first, and each fills its own columns.

use super::{Report, cell};
use crate::output::csv_cell;

pub(super) fn write(report: &Report) -> String {
    let mut columns: Vec<&str> = vec!["section", "item", "value"];
    for column in report.sections.iter().flat_map(|section| &section.columns) {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let mut text = String::new();
    let mut line = |cells: Vec<String>| {
        let quoted: Vec<_> = cells.iter().map(|cell| csv_cell(cell)).collect();
        text.push_str(&quoted.join(","));
        text.push_str("\r\n");
    };
    line(columns.iter().map(|column| (*column).to_owned()).collect());
    let row = |filled: &[(&str, String)]| -> Vec<String> {
        let of =
            |column: &str| filled.iter().find(|(name, _)| *name == column).map(|(_, value)| value.clone());
        columns.iter().map(|column| of(column).unwrap_or_default()).collect()
    };
    let title = ("title".to_owned(), report.head.title.clone());
    let notes = report.head.notes.iter().map(|note| ("note".to_owned(), note.clone()));
    for (item, value) in std::iter::once(title).chain(report.head.facts.iter().cloned()).chain(notes) {
        line(row(&[("section", "report".to_owned()), ("item", item), ("value", value)]));
    }
    for section in &report.sections {
        for cells in &section.rows {
            let mut filled = vec![("section", section.name.clone())];
            filled.extend(section.columns.iter().map(String::as_str).zip(cells.iter().map(cell)));
            line(row(&filled));
        }
    }
    text
}
