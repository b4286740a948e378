//! `audit verify`: of the configured log, of an export, of a backup, or of a copy of a data directory.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use stepgate_record::bundle::{files, is_proof, verify_bundle, verify_proof};
use stepgate_record::verify::{self as record, Anchor, Outcome, Place, report, verify_export};

use super::AuditOperator;
use super::bundle::{BundleDir, BundleTar, is_bundle_dir, is_tar};
use super::live::{as_json, demanding, parse_anchor};
use crate::args::{AuditVerifyArgs, VerifyFormat};
use crate::config::Config;
use crate::failure::{Failure, Status};
use crate::harmless::harmless_lines;
use crate::operator::{self, Link, Operator, Reply};
use crate::output;

/// The largest checkpoint file that is read, in bytes; one is some 300, and a list of keys 3,000 for each key.
const MAX_CHECKPOINT: u64 = 1024 * 1024;

/// The longest proof of one record that is read, in bytes.
const MAX_PROOF: u64 = 2 * 1024 * 1024;

/// Verifies; the last line printed is `ok: …`, `FAILED: …` or `not compared: …`.
pub(super) fn verify(config: &Path, args: &AuditVerifyArgs) -> Result<(), Failure> {
    let AuditVerifyArgs { path, offline, checkpoint, witness: witnesses, output } = args;
    let (path, checkpoint) = (path.as_deref(), checkpoint.as_deref());
    let (text, anchor) = checkpoint.map(read_anchor).transpose()?.unzip();
    let anchor = demanding(anchor, witnesses)?;
    match path {
        Some(path) => conclude(&verify_path(path, anchor.as_ref())?, *output),
        None if *offline => Err(Failure::usage("what is to be verified?").hint(
            "name an export, a backup, or a copy of the data directory: stepgate audit verify FILE --offline",
        )),
        None => verify_configured(&Config::load(config)?, (text, anchor), witnesses, *output),
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
        // The backup of one moment has a manifest, too.
        if stepgate_store::is_backup(path) && !path.join(files::COVER).exists() {
            return Ok(stepgate_store::verify_backup(path, anchor));
        }
        if is_bundle_dir(path) {
            return Ok(verify_bundle(&BundleDir::new(path), anchor));
        }
        if !DATA.iter().any(|name| path.join(name).exists()) {
            return Err(is_none(path));
        }
        return Ok(stepgate_store::verify_dir(path, anchor));
    }
    let mut file = BufReader::new(fs::File::open(path).map_err(|error| trouble(&error))?);
    let begin = file.fill_buf().map_err(|error| trouble(&error))?;
    if is_tar(begin) {
        drop(file);
        return Ok(match BundleTar::open(path) {
            Ok(tar) => verify_bundle(&tar, anchor),
            Err(error) => Err(record::Failure::files(error.to_string())),
        });
    }
    if is_proof(begin) {
        let mut text = Vec::new();
        file.take(MAX_PROOF).read_to_end(&mut text).map_err(|error| trouble(&error))?;
        return Ok(verify_proof(&text, anchor));
    }
    // One that was cut or changed still looks like one.
    if !begin.starts_with(b"{") && !begin.windows(LOG_ID.len()).any(|window| window == LOG_ID) {
        return Err(is_none(path));
    }
    Ok(verify_export(&mut file, anchor))
}

/// What no export begins without.
const LOG_ID: &[u8] = b"log_id";

/// Of these a data directory has some at least, however much of it is missing.
const DATA: [&str; 8] =
    ["format.json", "records", "checkpoints", "log.vkey", "beside", "journal", "keys.json", "log"];

fn is_none(path: &Path) -> Failure {
    Failure::usage(format!("{} is no export, no bundle, no backup and no data directory", path.display())).hint(
        "name what `stepgate audit export`, `audit prove` or `audit backup` has written, or a copy of the data directory",
    )
}

/// How many records the checkpoints in these files cover.
pub(super) fn sizes(paths: &[PathBuf]) -> Result<BTreeSet<u64>, Failure> {
    let size = |path: &PathBuf| {
        let none = || Failure::usage(format!("{} holds no checkpoint", path.display()));
        let (_, anchor) = read_anchor(path)?;
        anchor.size().ok_or_else(none)
    };
    paths.iter().map(size).collect()
}

/// By the gate that works on it, or, if none does, without opening (and so changing) it.
fn verify_configured(
    config: &Config,
    (text, anchor): (Option<String>, Option<Anchor>),
    witnesses: &[String],
    output: VerifyFormat,
) -> Result<(), Failure> {
    if !operator::is_served(config)? {
        if !config.data.exists() {
            return Err(Failure::usage(format!("there is no data directory {} yet", config.data.display()))
                .hint("it is made by the first `stepgate serve` or `stepgate user add`"));
        }
        return conclude(&stepgate_store::verify_dir(&config.data, anchor.as_ref()), output);
    }
    let command = Operator::audit(AuditOperator::Verify { anchor: text, witnesses: witnesses.to_vec() });
    let mut rows = Vec::new();
    let said = Link::open(config)?.send(command, &mut |reply| {
        if let Reply::Row(row) = reply {
            rows.push(row);
        }
        Ok(())
    })?;
    said.into_iter().for_each(|said| eprintln!("stepgate: {said}"));
    let row = rows.first().ok_or_else(|| Failure::unreachable("the gate gave no answer"))?;
    let is_ok = row.get("ok") == Some(&Value::Bool(true));
    match output {
        VerifyFormat::Text => finish(row.get("text").and_then(Value::as_str).unwrap_or_default(), is_ok),
        VerifyFormat::Json => finish(&row.get("json").unwrap_or(&Value::Null).to_string(), is_ok),
    }
}

fn conclude(outcome: &Outcome, output: VerifyFormat) -> Result<(), Failure> {
    let text = match output {
        // Of a file that somebody has handed over, every word is theirs.
        VerifyFormat::Text => harmless_lines(&report(outcome)),
        VerifyFormat::Json => as_json(outcome).to_string(),
    };
    match outcome {
        Err(failure) if failure.place == Place::Uncompared => uncompared(&text),
        Err(failure) if !failure.is_finding() => Err(Failure::unreachable(failure.to_string())),
        outcome => finish(&text, outcome.is_ok()),
    }
}

/// Nothing was found, and yet nothing is known of what matters: neither success nor an accusation.
fn uncompared(text: &str) -> Result<(), Failure> {
    eprintln!(
        "stepgate: what is here is sound by itself, but it could not be compared with the checkpoint given\n\
         hint: take the checkpoint first, then export with --meet and that checkpoint, and verify that; an export that \
         was made after a checkpoint, and yet ends before it, was cut off"
    );
    output::print_line(text)?;
    Err(Failure { status: Status::Unreachable, ..Failure::told() })
}

/// What to do comes first, on standard error: the last line is for programs.
fn finish(text: &str, ok: bool) -> Result<(), Failure> {
    if !ok {
        eprintln!(
            "stepgate: this is not what its checkpoint says\nhint: keep everything as it is, as evidence; \
             compare with checkpoints and exports kept elsewhere"
        );
    }
    output::print_line(text)?;
    if ok { Ok(()) } else { Err(Failure::told()) }
}
