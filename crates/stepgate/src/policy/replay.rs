//! `policy replay` and `policy tune`: other rules on the recorded log.

mod chart;
mod days;
mod edit;
mod grants;
mod html;
mod known;
mod meters;
#[cfg(test)]
mod million;
mod show;
mod tally;
#[cfg(test)]
mod tests;
mod trial;
mod tune;

pub(crate) use tune::run as tune;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use stepgate_types::{Clock as _, Timestamp};

use self::known::{Candidate, Known};
use self::tally::{Compared, Tally};
use super::tape::{self, Tape};
use crate::args::{ReplayArgs, ReplayFormat};
use crate::audit::time;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::Link;
use crate::output;
use crate::system::SystemClock;

/// A replay, as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The period.
    pub(crate) since: Option<String>,
    pub(crate) until: String,
    /// Records that were read, of any type.
    pub(crate) records: u64,
    /// What was tried.
    pub(crate) candidate: Tried,
    /// What it is compared with; `None` is what was decided.
    pub(crate) against: Option<Tried>,
    /// Requests a person and day that the candidate's `budget` has.
    pub(crate) budget: Option<u32>,
    #[serde(flatten)]
    pub(crate) tally: Tally,
}

/// Rules, by their files.
#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    pub(crate) policy: String,
    pub(crate) map: String,
    /// SHA-256 of both, as records name it.
    pub(crate) sha256: String,
    /// `enforce` or `monitor`. Requests are counted as if it were enforced.
    pub(crate) mode: &'static str,
    pub(crate) rules: usize,
}

impl Tried {
    fn of(candidate: &Candidate) -> Self {
        Self {
            policy: candidate.policy_file.display().to_string(),
            map: candidate.map_file.display().to_string(),
            sha256: candidate.rules.sha256().to_owned(),
            mode: if candidate.rules.enforced() { "enforce" } else { "monitor" },
            rules: candidate.rules.rule_names().count(),
        }
    }
}

/// A period of the log, and all that is known of the rules of that time.
pub(crate) struct Ground {
    pub(crate) tape: Tape,
    pub(crate) known: Known,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Timestamp,
}

impl Ground {
    /// Reads the log of a period.
    fn read(
        config: &Config,
        (since, until): (&str, Option<&str>),
        maps: &[PathBuf],
        lead: Option<Duration>,
    ) -> Result<Self, Failure> {
        let now = SystemClock.now();
        let since = time(since, now)?;
        let until = until.map(|until| time(until, now)).transpose()?;
        if until.is_some_and(|until| until < since) {
            return Err(Failure::usage(format!("--since ({since}) is after --until")));
        }
        let mut known = Known::default();
        known.plans(config.databases.iter().map(|(name, it)| (name.clone(), it.ask_planner)));
        if let Ok(current) = Candidate::read(config, None, None) {
            known.add(&current.rules);
        }
        maps.iter().try_for_each(|file| known.add_map(file))?;
        let tape = tape::take(&Link::open(config)?, (Some(since), until), lead)?;
        Ok(Self { tape, known, since: Some(since), until: until.unwrap_or(now) })
    }

    /// What a candidate comes to.
    fn replay(&self, candidate: &Candidate, against: Option<&Candidate>) -> Report {
        let compared = Compared {
            candidate: &candidate.rules,
            against: against.map(|it| &it.rules),
            known: &self.known,
            tape: &self.tape,
        };
        Report {
            since: self.since.map(|since| since.to_string()),
            until: self.until.to_string(),
            records: self.tape.read,
            candidate: Tried::of(candidate),
            against: against.map(Tried::of),
            budget: candidate.rules.budget().map(|budget| budget.prompts_per_person_per_day),
            tally: compared.tally(),
        }
    }
}

/// `policy replay`.
pub(crate) fn run(config: &Path, args: &ReplayArgs) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let candidate = Candidate::read(&config, args.map.as_ref(), args.policy.as_ref())?;
    let against = args.against.as_ref().map(|file| Candidate::read(&config, None, Some(file))).transpose()?;
    if let Some(html) = &args.html {
        free(html)?;
    }
    // What limits had counted when the period begins.
    let lead = against.iter().chain([&candidate]).filter_map(|it| it.rules.counts_over()).max();
    let lead = lead.map(|lead| lead.saturating_add(lead / 16));
    let mut ground = Ground::read(&config, (&args.since, args.until.as_deref()), &args.known_map, lead)?;
    for rules in [Some(&candidate), against.as_ref()].into_iter().flatten() {
        ground.known.add(&rules.rules);
    }
    let report = ground.replay(&candidate, against.as_ref());
    if let Some(file) = &args.html {
        std::fs::write(file, html::page(&report)).map_err(|error| Failure::file("write", file, &error))?;
    }
    match args.output {
        ReplayFormat::Table => output::print(&show::report(&report))?,
        ReplayFormat::Json => {
            let text = serde_json::to_string_pretty(&report);
            output::print_line(&text.map_err(|error| Failure::usage(error.to_string()))?)?;
        }
    }
    if let Some(html) = &args.html {
        eprintln!("stepgate: wrote {}", html.display());
    }
    let Some(said) = over_budget(&report) else { return Ok(()) };
    if args.check_budget {
        return Err(Failure::no(said));
    }
    eprintln!("stepgate: warning: {said}");
    Ok(())
}

/// Refuses to write over a file.
fn free(file: &Path) -> Result<(), Failure> {
    if file.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(Failure::usage(format!("{} is there already, and no file", file.display())));
    }
    Ok(())
}

/// What there is to say where people would be asked more often than they should.
fn over_budget(report: &Report) -> Option<String> {
    let (budget, over) = (report.budget?, report.tally.after.over_budget.filter(|over| *over > 0)?);
    let worst = &report.tally.after;
    Some(format!(
        "over budget ({budget} requests a person and day) on {over} of {} days of people; the most were {} ({}, {})",
        worst.person_days,
        worst.worst,
        worst.worst_person.as_deref().unwrap_or("somebody"),
        worst.worst_day.as_deref().unwrap_or("some day"),
    ))
}
