//! `policy test`: cases, each decided as a gate would, and what was expected of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use stepgate_policy::Case;
use stepgate_types::Action;

use super::junit;
use super::scenario::{self, Outcome};
use super::stage::Stage;
use crate::analyze::deeply;
use crate::args::{Format, TestArgs};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::{self, Listing};
use crate::rules;

const COLUMNS: &[&str] = &["ok", "at", "name", "expected", "decided", "rules"];

/// A case that has been decided.
pub(super) struct Tried {
    /// Its file, and the line it begins at.
    pub(super) at: String,
    pub(super) name: String,
    pub(super) expected: Action,
    /// Rules that should have matched.
    pub(super) wanted: Vec<String>,
    pub(super) outcome: Outcome,
    /// How long that took.
    pub(super) took: Duration,
}

impl Tried {
    /// What is wrong, a line each; empty where all is as expected.
    pub(super) fn complaints(&self) -> Vec<String> {
        let decision = &self.outcome.decision;
        let mut all = Vec::new();
        if decision.action != self.expected {
            all.push(format!("expected {}, decided {}", word(self.expected), word(decision.action)));
        }
        let missing = self.wanted.iter().filter(|rule| !decision.rules.contains(rule));
        all.extend(missing.map(|rule| format!("rule {rule} does not match")));
        all
    }
}

/// As policies write it.
pub(super) fn word(action: impl serde::Serialize) -> String {
    serde_json::to_value(action).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Runs all cases; done where each is decided as expected, status 1 where one is not.
pub(super) fn run(config: &Path, args: &TestArgs) -> Result<(), Failure> {
    let tried = deeply(|| {
        let mut stage = Stage::open(config, &args.stage)?;
        let cases = cases(&stage, args)?;
        cases.iter().map(|(file, case)| try_out(&mut stage, file, case)).collect::<Result<Vec<_>, _>>()
    })?;
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::report(&tried)).map_err(|error| Failure::file("write", path, &error))?;
    }
    let failed: Vec<_> = tried.iter().filter(|tried| !tried.complaints().is_empty()).collect();
    match args.output {
        Format::Table => failed.iter().try_for_each(|tried| output::print_line(&explained(tried)))?,
        Format::Json | Format::Csv => Listing::of(COLUMNS, tried.iter().map(row)).print(args.output)?,
    }
    match (failed.len(), tried.len()) {
        (_, 0) => Err(Failure::usage("there are no cases").hint("write some under `tests:` in the policy")),
        (0, all) if args.output == Format::Table => output::print_line(&format!("ok: {all} cases")),
        (0, _) => Ok(()),
        (failed, all) => Err(Failure::no(format!("FAILED: {failed} of {all} cases"))),
    }
}

/// Those of the policy, then those of the files, each with its file.
fn cases(stage: &Stage<'_>, args: &TestArgs) -> Result<Vec<(PathBuf, Case)>, Failure> {
    let mut all: Vec<_> =
        stage.rules.tests().iter().map(|case| (stage.policy.clone(), case.clone())).collect();
    for path in &args.files {
        let text = rules::read(path, "the file of tests")?;
        let cases = stage
            .rules
            .read_tests(&path.display().to_string(), &text)
            .map_err(|errors| Failure::usage(errors.to_string().trim_end().to_owned()))?;
        all.extend(cases.into_iter().map(|case| (path.clone(), case)));
    }
    Ok(all)
}

fn try_out(stage: &mut Stage<'_>, file: &Path, case: &Case) -> Result<Tried, Failure> {
    let at = format!("{}:{}", file.display(), case.line);
    let database = stage.name(case.database.as_deref()).map_err(|failure| within(failure, &at))?;
    let (rules, room) = stage.enter(&database).map_err(|failure| within(failure, &at))?;
    if rules.asks_for_db_user() && case.db_user.is_none() && room.role_of(&case.groups).is_none() {
        let why = "a rule is about `db_user`, and neither the case nor the configuration says which that is";
        return Err(within(Failure::usage(why), &at));
    }
    let began = Instant::now();
    let outcome = scenario::decide(rules, room, case, &database, scenario::usual_time());
    Ok(Tried {
        at,
        name: case.name.clone().unwrap_or_else(|| first_line(&case.sql)),
        expected: case.expect,
        wanted: case.rules.clone(),
        outcome,
        took: began.elapsed(),
    })
}

fn within(failure: Failure, at: &str) -> Failure {
    Failure { message: format!("{at}: {}", failure.message), ..failure }
}

/// Of a case without a name, what it is about. It is from the user's own file, and shown to them alone.
fn first_line(sql: &str) -> String {
    sql.trim().lines().next().unwrap_or_default().chars().take(60).collect()
}

/// Everything that one needs to see why a case fails.
pub(super) fn explained(tried: &Tried) -> String {
    let decision = &tried.outcome.decision;
    let mut lines = vec![format!("FAILED {}: {}", tried.at, harmless(&tried.name))];
    lines.extend(tried.complaints().into_iter().map(|complaint| format!("  {complaint}")));
    lines.push(format!("  {}", decision.summary()));
    lines.extend(tried.outcome.why.iter().map(|why| format!("  {}", super::because(why))));
    if let Some(risk) = decision.risk {
        lines.push(format!("  {}", super::risk_line(risk, decision)));
    }
    lines.join("\n")
}

fn row(tried: &Tried) -> serde_json::Value {
    let complaints = tried.complaints();
    json!({
        "ok": complaints.is_empty(),
        "at": tried.at,
        "name": tried.name,
        "expected": tried.expected,
        "decided": tried.outcome.decision.action,
        "rules": tried.outcome.decision.rules,
        "complaints": complaints,
    })
}
