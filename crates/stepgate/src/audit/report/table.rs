//! A report at the terminal.

use super::{Report, cell};
use crate::harmless::harmless;

pub(super) fn write(report: &Report) -> String {
    let mut text = format!("{}\n\n", harmless(&report.head.title));
    let width = report.head.facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in &report.head.facts {
        text.push_str(&format!("{:<width$}  {}\n", harmless(name), harmless(value)));
    }
    for note in &report.head.notes {
        text.push_str(&format!("\nNote: {}\n", harmless(note)));
    }
    for section in &report.sections {
        text.push_str(&format!("\n{}\n", harmless(&section.title)));
        if section.rows.is_empty() {
            text.push_str("  none\n");
            continue;
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(section.columns.iter().map(|column| column.replace('_', " ").to_uppercase()));
        for row in &section.rows {
            table.add_row(row.iter().map(|value| harmless(&cell(value))));
        }
        for line in table.to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}
