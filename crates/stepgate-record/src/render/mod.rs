//! Records in the forms that other tools read. Each is a pure function of the record and of the names that are
//! known: whoever has the record makes the same bytes again, and so finds what was changed in a derived file.

mod cef;
mod csv;
mod json;
mod ocsf;
mod parquet;
mod printable;
mod row;
mod thrift;

pub use parquet::ParquetWriter;
pub use printable::cell_text;
pub use row::{Cell, Kind as CellKind, Row, columns};

use crate::{Names, Record};

/// The version of what this module writes, and of what is written by it for a bundle: since 2, the row of a record that
/// goes on in others holds their part of its lists. Derived files of versions up to this one can be made again.
pub const RENDER_VERSION: u64 = 2;

/// A form with a line a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The record itself, as canonical JSON (RFC 8785), with names where they are known.
    Jsonl,
    /// RFC 4180; the first line names the columns.
    Csv,
    /// ArcSight Common Event Format, version 0.
    Cef,
    /// Open Cybersecurity Schema Framework 1.8.0, as JSON.
    Ocsf,
}

impl Style {
    /// The line before the first record's, without its end; most have none.
    #[must_use]
    pub fn head(self) -> Option<String> {
        (self == Self::Csv).then(csv::head)
    }

    /// What ends a line.
    #[must_use]
    pub const fn end(self) -> &'static str {
        match self {
            Self::Csv => "\r\n",
            Self::Jsonl | Self::Cef | Self::Ocsf => "\n",
        }
    }

    /// A record's line, without its end; only in CSV may quoted text go over several.
    #[must_use]
    pub fn line(self, record: &Record, names: &dyn Names) -> String {
        match self {
            Self::Jsonl => json::line(record, names),
            Self::Csv => csv::line(&row(record, names)),
            Self::Cef => cef::line(&row(record, names)),
            Self::Ocsf => ocsf::line(&row(record, names)),
        }
    }

    /// A row's line, as [`Style::line`]; not in JSON, which a row does not hold.
    #[must_use]
    pub fn row_line(self, row: &Row) -> Option<String> {
        match self {
            Self::Jsonl => None,
            Self::Csv => Some(csv::line(row)),
            Self::Cef => Some(cef::line(row)),
            Self::Ocsf => Some(ocsf::line(row)),
        }
    }
}

/// One flat row of a record.
#[must_use]
pub fn row(record: &Record, names: &dyn Names) -> Row {
    Row::of(record, names)
}
