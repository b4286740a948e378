//! Collects everything that is wrong with one file.

use crate::LoadError;
use crate::yaml::Place;

/// At most this many errors of a file are shown: a file of another kind altogether has thousands.
const MAX_ERRORS: usize = 100;
/// At most this many words are listed where none is near: more are looked up in the documentation.
const MAX_KNOWN: usize = 40;

/// What is wrong with one file, while it is being read.
pub(crate) struct Report<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    errors: Vec<LoadError>,
    warnings: Vec<LoadError>,
    left_out: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, lines: text.lines().collect(), errors: Vec::new(), warnings: Vec::new(), left_out: 0 }
    }

    /// Something is wrong at this place.
    pub(crate) fn error(&mut self, at: Place, message: impl Into<String>) {
        self.push(at, message.into(), None);
    }

    /// As [`Self::error`], with a word on what to do about it.
    pub(crate) fn error_with_help(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>) {
        self.push(at, message.into(), Some(help.into()));
    }

    /// Something is right at this place and may not be meant.
    pub(crate) fn warning(&mut self, at: Place, message: &str, help: impl Into<String>) {
        if self.warnings.len() < MAX_ERRORS {
            let warning = self.found(at, message, Some(help.into()));
            self.warnings.push(warning);
        }
    }

    /// How many errors there are so far.
    pub(crate) fn count(&self) -> usize {
        self.errors.len() + self.left_out
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<LoadError> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        warnings
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
            None if known.is_empty() || known.len() > MAX_KNOWN => None,
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
            let message = format!("{} more errors are not shown", self.left_out);
            errors.push(LoadError::new(self.file, None, (0, 0, 1), &message, None));
        }
        errors
    }

    fn push(&mut self, at: Place, message: String, help: Option<String>) {
        if self.errors.len() >= MAX_ERRORS {
            self.left_out += 1;
            return;
        }
        let error = self.found(at, &message, help);
        self.errors.push(error);
    }

    fn found(&self, at: Place, message: &str, help: Option<String>) -> LoadError {
        let line = usize::try_from(at.line).unwrap_or(0).checked_sub(1);
        let line = line.and_then(|index| self.lines.get(index)).copied();
        LoadError::new(self.file, line, (at.line, at.column, at.width), message, help)
    }
}

/// The word of those that is nearest, where any is near.
pub(crate) fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
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
