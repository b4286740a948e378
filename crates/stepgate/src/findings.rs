//! What `check` and `doctor` find.

use std::fmt::Write;

use serde_json::json;

use crate::args::Format;
use crate::failure::Failure;
use crate::harmless::harmless_lines;
use crate::output::{self, Listing};

/// How good or bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// As it should be.
    Ok,
    /// The gate works, and somebody should look at it.
    Warn,
    /// The gate does not work, or not as it should.
    Fail,
}

impl Grade {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
struct Finding {
    check: String,
    grade: Grade,
    detail: String,
    hint: Option<String>,
}

/// All that was looked at, in order.
#[derive(Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// All is well.
    pub(crate) fn ok(&mut self, check: &str, detail: impl Into<String>) {
        self.add(check, Grade::Ok, detail.into(), None);
    }

    /// Somebody should look at it.
    pub(crate) fn warn(&mut self, check: &str, detail: impl Into<String>, hint: &str) {
        self.add(check, Grade::Warn, detail.into(), Some(hint.to_owned()));
    }

    /// It does not work.
    pub(crate) fn fail(&mut self, check: &str, detail: impl Into<String>, hint: Option<&str>) {
        self.add(check, Grade::Fail, detail.into(), hint.map(str::to_owned));
    }

    /// Ok with this detail, or what failed.
    pub(crate) fn result(&mut self, check: &str, result: Result<String, Failure>) {
        match result {
            Ok(detail) => self.ok(check, detail),
            Err(Failure { message, hint, .. }) => self.add(check, Grade::Fail, message, hint),
        }
    }

    fn add(&mut self, check: &str, grade: Grade, detail: String, hint: Option<String>) {
        self.0.push(Finding { check: check.to_owned(), grade, detail, hint });
    }

    /// Writes them; the answer is no if any failed.
    pub(crate) fn conclude(self, format: Format) -> Result<(), Failure> {
        if format == Format::Table {
            output::print(&self.text())?;
        } else {
            let rows = self.0.iter().map(|finding| {
                json!({
                    "check": finding.check,
                    "status": finding.grade.as_str(),
                    "detail": finding.detail,
                    "hint": finding.hint,
                })
            });
            Listing::of(&["check", "status", "detail", "hint"], rows).print(format)?;
        }
        match self.0.iter().filter(|finding| finding.grade == Grade::Fail).count() {
            0 => Ok(()),
            1 => Err(Failure::no("one check failed")),
            number => Err(Failure::no(format!("{number} checks failed"))),
        }
    }

    fn text(&self) -> String {
        let width = self.0.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { check, grade, detail, hint } in &self.0 {
            let detail = harmless_lines(detail).replace('\n', "\n        ");
            let _ = writeln!(text, "{:<5} {check:<width$}  {detail}", grade.as_str());
            if let Some(hint) = hint {
                let _ = writeln!(text, "      {:<width$}  → {}", "", harmless_lines(hint));
            }
        }
        text
    }
}
