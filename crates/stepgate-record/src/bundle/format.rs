//! What is added to a bundle's records for other tools.

use std::io::{self, Write};

use crate::render::{ParquetWriter, RENDER_VERSION, Row, Style};

/// A form that records are added in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// None: the records are JSON lines already.
    Jsonl,
    /// RFC 4180.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
    /// ArcSight Common Event Format.
    Cef,
}

impl Format {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Jsonl, Self::Csv, Self::Parquet, Self::Ocsf, Self::Cef];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Ocsf => "ocsf",
            Self::Cef => "cef",
        }
    }

    /// The format of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// The file it is in, if it is one of its own.
    #[must_use]
    pub const fn file(self) -> Option<&'static str> {
        match self {
            Self::Jsonl => None,
            Self::Csv => Some("records.csv"),
            Self::Parquet => Some("records.parquet"),
            Self::Ocsf => Some("records.ocsf.jsonl"),
            Self::Cef => Some("records.cef"),
        }
    }
}

/// Writes the derived file.
pub struct Derived<'w> {
    to: To<'w>,
    joins: bool,
}

/// The first version in which the row of a record that goes on in others has what these hold, too.
const JOINS: u64 = 2;

enum To<'w> {
    Nothing,
    Lines(Style, &'w mut dyn Write),
    Parquet(Box<ParquetWriter<&'w mut dyn Write>>),
}

impl<'w> Derived<'w> {
    /// Begins it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(format: Format, out: &'w mut dyn Write) -> io::Result<Self> {
        Self::of_version(format, RENDER_VERSION, out)
    }

    /// The same as an earlier version of this program made it: see [`RENDER_VERSION`].
    ///
    /// # Errors
    /// It cannot be written.
    pub fn of_version(format: Format, version: u64, out: &'w mut dyn Write) -> io::Result<Self> {
        let joins = version >= JOINS;
        let style = match format {
            Format::Jsonl => return Ok(Self { to: To::Nothing, joins }),
            Format::Parquet => {
                return Ok(Self { to: To::Parquet(Box::new(ParquetWriter::new(out)?)), joins });
            }
            Format::Csv => Style::Csv,
            Format::Ocsf => Style::Ocsf,
            Format::Cef => Style::Cef,
        };
        if let Some(head) = style.head() {
            out.write_all(head.as_bytes())?;
            out.write_all(style.end().as_bytes())?;
        }
        Ok(Self { to: To::Lines(style, out), joins })
    }

    /// Whether rows are wanted at all.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self.to, To::Nothing)
    }

    /// Whether the row of a record that goes on in others is of all of them.
    #[must_use]
    pub(super) const fn joins(&self) -> bool {
        self.joins && !self.is_nothing()
    }

    /// Appends a record.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        match &mut self.to {
            To::Nothing => Ok(()),
            To::Lines(style, out) => {
                let line = style.row_line(row).unwrap_or_default();
                out.write_all(line.as_bytes())?;
                out.write_all(style.end().as_bytes())
            }
            To::Parquet(writer) => writer.row(row),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> io::Result<()> {
        match self.to {
            To::Nothing => Ok(()),
            To::Lines(_, out) => out.flush(),
            To::Parquet(writer) => writer.finish().map(drop),
        }
    }
}
