//! `audit verify`: of the configured log, of an export, or of a copy of a data directory.

use std::fs;
use std::io::BufReader;
use std::path::Path;

use serde_json::Value;
use stepgate_record::verify::{Anchor, Outcome, report, verify_export};

use super::AuditOperator;
use super::live::{demanding, parse_anchor};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{self, Link, Operator};
use crate::output;

/// The largest checkpoint file that is read, in bytes; one is some 300.
const MAX_CHECKPOINT: u64 = 64 * 1024;

/// Verifies; the last line printed is `ok: …` or `FAILED: …`.
pub(super) fn verify(
    config: &Path,
    path: Option<&Path>,
    offline: bool,
    checkpoint: Option<&Path>,
    witnesses: &[String],
) -> Result<(), Failure> {
    let (text, anchor) = checkpoint.map(read_anchor).transpose()?.unzip();
    let anchor = demanding(anchor, witnesses)?;
    match path {
        Some(path) => conclude(&verify_path(path, anchor.as_ref())?),
        None if offline => Err(Failure::usage("what is to be verified?")
            .hint("name an export, or a copy of the data directory: stepgate audit verify FILE --offline")),
        None => verify_configured(&Config::load(config)?, (text, anchor), witnesses),
    }
}

fn read_anchor(path: &Path) -> Result<(String, Anchor), Failure> {
    let trouble = |error: &std::io::Error| Failure::file("read", path, error);
    if fs::metadata(path).map_err(|error| trouble(&error))?.len() > MAX_CHECKPOINT {
        return Err(Failure::usage(format!("{} is too large for a checkpoint", path.display())));
    }
    let text = fs::read_to_string(path).map_err(|error| trouble(&error))?;
    let anchor = parse_anchor(&text)?;
    Ok((text, anchor))
}

fn verify_path(path: &Path, anchor: Option<&Anchor>) -> Result<Outcome, Failure> {
    let trouble = |error: &std::io::Error| Failure::file("read", path, error);
    if fs::metadata(path).map_err(|error| trouble(&error))?.is_dir() {
        return Ok(stepgate_store::verify_dir(path, anchor));
    }
    let file = fs::File::open(path).map_err(|error| trouble(&error))?;
    Ok(verify_export(&mut BufReader::new(file), anchor))
}

/// By the gate that works on it, or, if none does, without opening (and so changing) it.
fn verify_configured(
    config: &Config,
    (text, anchor): (Option<String>, Option<Anchor>),
    witnesses: &[String],
) -> Result<(), Failure> {
    if !operator::is_served(config)? {
        if !config.data.exists() {
            return Err(Failure::usage(format!("there is no data directory {} yet", config.data.display()))
                .hint("it is made by the first `stepgate serve` or `stepgate user add`"));
        }
        return conclude(&stepgate_store::verify_dir(&config.data, anchor.as_ref()));
    }
    let command = Operator::Audit(AuditOperator::Verify { anchor: text, witnesses: witnesses.to_vec() });
    let rows = Link::open(config)?.rows(command)?;
    let row = rows.first().ok_or_else(|| Failure::unreachable("the gate gave no answer"))?;
    finish(
        row.get("text").and_then(Value::as_str).unwrap_or_default(),
        row.get("ok") == Some(&Value::Bool(true)),
    )
}

fn conclude(outcome: &Outcome) -> Result<(), Failure> {
    finish(&report(outcome), outcome.is_ok())
}

/// What to do comes first, on standard error: the last line is for programs.
fn finish(text: &str, ok: bool) -> Result<(), Failure> {
    if !ok {
        eprintln!(
            "stepgate: the log is not what its checkpoints say\nhint: keep everything as it is, as evidence; \
             compare with checkpoints and exports kept elsewhere"
        );
    }
    output::print_line(text)?;
    if ok { Ok(()) } else { Err(Failure::told()) }
}
