use std::fmt;

use serde::Serialize;
use stepgate_types::is_deceptive;

/// The longest excerpt, in characters; a longer line is cut around the caret to fit a terminal.
const MAX_EXCERPT: usize = 120;
/// How many characters before the caret a cut excerpt keeps.
const BEFORE_CARET: usize = 60;

/// Everything wrong with the files, in order of file, line and column. Never empty.
///
/// Shown as text (for people) or as JSON ([`Errors::to_json`]). Excerpts quote the files; nothing else
/// is in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Errors(Vec<LoadError>);

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadError {
    /// The file's name, as it was given to the loader.
    pub file: String,
    /// Line from 1; 0 where the error is about the file as a whole.
    pub line: u64,
    /// Column in characters, from 1; 0 where the error is about the file as a whole.
    pub column: u64,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
    /// The line as it stands in the file: cut where it is very long, tabs and control characters as
    /// blanks. Empty where there is no line.
    pub excerpt: String,
    /// Where in `excerpt` the caret goes, in characters from 1; 0 where there is no excerpt.
    pub caret: usize,
    /// How many characters the caret underlines, at least 1.
    pub width: usize,
}

impl LoadError {
    /// An error at `(line, column, width)` of a file, all in characters and from 1, where `text` is that
    /// line. Line 0 and no text: an error about the file as a whole.
    #[must_use]
    pub fn new(
        file: &str,
        text: Option<&str>,
        (line, column, width): (u64, u64, usize),
        message: &str,
        help: Option<String>,
    ) -> Self {
        let (excerpt, caret, width) = match text {
            Some(text) => excerpt(text, column, width),
            None => (String::new(), 0, 1),
        };
        Self {
            file: file.to_owned(),
            line,
            column,
            message: printable(message),
            help: help.map(|help| printable(&help)),
            excerpt,
            caret,
            width,
        }
    }
}

/// What is shown of the line, where in that the caret goes, and how wide it is.
fn excerpt(line: &str, column: u64, width: usize) -> (String, usize, usize) {
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let length = line.chars().count();
    let cut = if length > MAX_EXCERPT { column.saturating_sub(BEFORE_CARET + 1) } else { 0 };
    let shown: String = line.chars().skip(cut).take(MAX_EXCERPT).collect();
    let caret = column.saturating_sub(cut).max(1);
    let room = shown.chars().count().saturating_sub(caret - 1).max(1);
    (printable(&shown), caret, width.clamp(1, room))
}

/// The text with each control, direction and zero-width character as one blank, so that a file cannot
/// dress up what the terminal shows.
fn printable(text: &str) -> String {
    text.chars().map(|c| if is_deceptive(c) { ' ' } else { c }).collect()
}

impl Errors {
    /// `errors` must not be empty.
    pub(crate) fn new(errors: Vec<LoadError>) -> Self {
        Self(errors)
    }

    /// The errors one by one.
    pub fn iter(&self) -> impl Iterator<Item = &LoadError> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// A JSON array of objects with the fields of [`LoadError`].
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "[]".to_owned())
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if self.caret > 0 {
            let gutter = self.line.to_string();
            let blank = " ".repeat(gutter.len());
            write!(f, "\n  {gutter} | {}", self.excerpt)?;
            let before = " ".repeat(self.caret.saturating_sub(1));
            write!(f, "\n  {blank} | {before}{}", "^".repeat(self.width))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}
