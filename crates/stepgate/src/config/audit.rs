//! `audit:` of `stepgate.yaml`.

use std::path::Path;

use super::sinks::{self, Sink};
use super::ways::{self, Way};
use super::witnesses::{self, Witness};
use super::yaml::{Problems, Section};

/// How the log is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit {
    /// Whether replies to ordinary statements wait for the disk.
    pub(crate) ordinary_durable: bool,
    /// Where records are sent.
    pub(crate) sinks: Vec<Sink>,
    /// How checkpoints leave the host.
    pub(crate) checkpoints: Vec<Way>,
    /// Who cosigns them.
    pub(crate) witnesses: Vec<Witness>,
}

/// Reads the section; without one, everything is as safe as it can be.
pub(super) fn read(file: &Path, top: &mut Section<'_>, problems: &mut Problems<'_>) -> Audit {
    let mut audit =
        Audit { ordinary_durable: true, sinks: Vec::new(), checkpoints: Vec::new(), witnesses: Vec::new() };
    let Some(mut section) = top.section("audit", problems) else { return audit };
    audit.ordinary_durable = match section.text("ordinary", problems) {
        None | Some(("durable", _)) => true,
        Some(("buffered", _)) => false,
        Some((_, at)) => {
            problems.add(at, "audit.ordinary must be durable or buffered", None);
            true
        }
    };
    audit.sinks = sinks::read(file, &mut section, problems);
    audit.checkpoints = ways::read(file, &mut section, problems);
    audit.witnesses = witnesses::read(file, &mut section, problems);
    section.finish(problems);
    audit
}
