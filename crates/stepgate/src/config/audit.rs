//! `audit:` of `stepgate.yaml`.

use std::path::Path;

use stepgate_store::Upkeep;

use super::sinks::{self, Sink};
use super::upkeep;
use super::ways::{self, Way};
use super::witnesses::{self, Witness};
use super::yaml::{Problems, Section};

/// How the log is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit {
    /// Whether replies to ordinary statements wait for the disk.
    pub(crate) ordinary_durable: bool,
    /// Whether records tell, as keyed hashes, whose data statements name and show.
    pub(crate) track_subjects: bool,
    /// Where records are sent.
    pub(crate) sinks: Vec<Sink>,
    /// How checkpoints leave the host.
    pub(crate) checkpoints: Vec<Way>,
    /// Who cosigns them.
    pub(crate) witnesses: Vec<Witness>,
    /// What is deleted, and checked, by itself.
    pub(crate) upkeep: Upkeep,
}

/// Reads the section; without one, everything is as safe as it can be.
pub(super) fn read(file: &Path, top: &mut Section<'_>, problems: &mut Problems<'_>) -> Audit {
    let mut audit = Audit { ordinary_durable: true, ..Audit::default() };
    let Some(mut section) = top.section("audit", problems) else { return audit };
    audit.ordinary_durable = match section.text("ordinary", problems) {
        None | Some(("durable", _)) => true,
        Some(("buffered", _)) => false,
        Some((_, at)) => {
            problems.add(at, "audit.ordinary must be durable or buffered", None);
            true
        }
    };
    audit.track_subjects = section.flag("track_subjects", problems).unwrap_or_default();
    audit.sinks = sinks::read(file, &mut section, problems);
    audit.checkpoints = ways::read(file, &mut section, problems);
    audit.witnesses = witnesses::read(file, &mut section, problems);
    audit.upkeep = upkeep::read(&mut section, problems);
    section.finish(problems);
    audit
}
