//! Collects everything that is wrong with one file.

use crate::LoadError;
use crate::yaml::Place;

/// At most this many errors of a file are shown: a file of another kind altogether has thousands.
const MAX_ERRORS: usize = 100;
/// The longest excerpt, in characters; a longer line is cut around the caret to fit a terminal.
const MAX_EXCERPT: usize = 120;
/// How many characters before the caret a cut excerpt keeps.
const BEFORE_CARET: usize = 60;

/// What is wrong with one file, while it is being read.
pub(crate) struct Report<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    errors: Vec<LoadError>,
    left_out: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, lines: text.lines().collect(), errors: Vec::new(), left_out: 0 }
    }

    /// Something is wrong at this place.
    pub(crate) fn error(&mut self, at: Place, message: impl Into<String>) {
        self.push(at, message.into(), None);
    }

    /// As [`Self::error`], with a word on what to do about it.
    pub(crate) fn error_with_help(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), Some(help.into()));
    }

    /// `name` is none of `known`: suggests the nearest.
    pub(crate) fn unknown_word<'k>(
        &mut self,
        at: Place,
        message: impl Into<String>,
        name: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        let known: Vec<&str> = known.collect();
        let help = match closest(name, &known) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if known.is_empty() || known.len() > 20 => None,
            None => Some(format!("known here: {}", known.join(", "))),
        };
        self.push(at, message.into(), help);
    }

    /// This part of the format exists in the design but not yet in this version. It is refused rather
    /// than ignored: a rule that does nothing looks like protection.
    pub(crate) fn not_built(&mut self, at: Place, what: &str) {
        self.push(at, format!("{what} is not built yet"), Some("remove it; it would have no effect".into()));
    }

    pub(crate) fn into_errors(self) -> Vec<LoadError> {
        let mut errors = self.errors;
        errors.sort_by_key(|error| (error.line, error.column));
        if self.left_out > 0 {
            errors.push(LoadError {
                file: self.file.to_owned(),
                line: 0,
                column: 0,
                message: format!("{} more errors are not shown", self.left_out),
                help: None,
                excerpt: String::new(),
                caret: 0,
                width: 1,
            });
        }
        errors
    }

    fn push(&mut self, at: Place, message: String, help: Option<String>) {
        if self.errors.len() >= MAX_ERRORS {
            self.left_out += 1;
            return;
        }
        let (excerpt, caret, width) = self.excerpt(at);
        let file = self.file.to_owned();
        let message = printable(&message);
        let help = help.map(|help| printable(&help));
        self.errors.push(LoadError {
            file,
            line: at.line,
            column: at.column,
            message,
            help,
            excerpt,
            caret,
            width,
        });
    }

    fn excerpt(&self, at: Place) -> (String, usize, usize) {
        let index = usize::try_from(at.line).unwrap_or(0).checked_sub(1);
        let Some(line) = index.and_then(|index| self.lines.get(index)) else {
            return (String::new(), 0, 1);
        };
        let column = usize::try_from(at.column).unwrap_or(1).max(1);
        let length = line.chars().count();
        let cut = if length > MAX_EXCERPT { column.saturating_sub(BEFORE_CARET + 1) } else { 0 };
        let shown: String = line.chars().skip(cut).take(MAX_EXCERPT).collect();
        let caret = column - cut.min(column - 1);
        let room = shown.chars().count().saturating_sub(caret - 1).max(1);
        (printable(&shown), caret, at.width.clamp(1, room))
    }
}

/// The text with each control, direction and zero-width character as one blank, so that a file cannot
/// dress up what the terminal shows.
fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect()
}

fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = name.to_lowercase();
    let distance = |word: &str| strsim::osa_distance(&lower, &word.to_lowercase());
    let limit = (name.chars().count() / 3).max(1);
    known
        .iter()
        .copied()
        .map(|word| (distance(word), word))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, w)| w)
}
