//! `audit:` of `stepgate.yaml`.

use super::yaml::{Problems, Section};

/// How the log is kept.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    /// Whether replies to ordinary statements wait for the disk.
    pub(crate) ordinary_durable: bool,
}

/// Reads the section; without one, everything is as safe as it can be.
pub(super) fn read(top: &mut Section<'_>, problems: &mut Problems<'_>) -> Audit {
    let mut audit = Audit { ordinary_durable: true };
    let Some(mut section) = top.section("audit", problems) else { return audit };
    audit.ordinary_durable = match section.text("ordinary", problems) {
        None | Some(("durable", _)) => true,
        Some(("buffered", _)) => false,
        Some((_, at)) => {
            problems.add(at, "audit.ordinary must be durable or buffered", None);
            true
        }
    };
    section.finish(problems);
    audit
}
