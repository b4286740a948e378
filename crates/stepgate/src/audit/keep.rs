//! `audit backup`, `audit restore`, `audit retention`.

use std::path::Path;

use serde_json::json;
use stepgate_store::{BackedUp, BackupError, Log, Pruning, RestoreError, RestoredLog};
use stepgate_types::Actor;
use tokio::sync::mpsc;

use super::AuditOperator;
use super::live::blocking;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply, log_error};
use crate::output;
use crate::store::{Store, restoring};

/// Has the gate, or whoever may open the directory, copy the log.
pub(super) fn backup(config: &Path, dir: &Path) -> Result<(), Failure> {
    let dir = std::path::absolute(dir).map_err(|error| Failure::file("find", dir, &error))?;
    say(config, AuditOperator::Backup { dir })
}

/// Deletes, or says, what need not be kept any more.
pub(super) fn retention(config: &Path, dry_run: bool) -> Result<(), Failure> {
    let loaded = Config::load(config)?;
    let Some(keep) = loaded.audit.upkeep.keep else {
        return Err(Failure::usage("audit.retention.keep is not set: all records are kept")
            .hint("say how long in stepgate.yaml, as audit: {retention: {keep: 2200d}}"));
    };
    let keep_s = keep.as_secs();
    say(config, AuditOperator::Retention { keep_s, dry_run })
}

fn say(config: &Path, command: AuditOperator) -> Result<(), Failure> {
    let said = Link::open(&Config::load(config)?)?.tell(Operator::audit(command))?;
    said.iter().try_for_each(|said| output::print_line(said))
}

/// The gate's side of a backup.
pub(super) async fn do_backup(
    store: &Store,
    by: &Actor,
    dir: std::path::PathBuf,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    let (operator, out) = (by.operator(), out.clone());
    blocking(&store.log, move |log| {
        let done = log.backup(&dir, operator).map_err(|error| not_backed_up(&error))?;
        let BackedUp { size, root, bytes, there, held, path } = done;
        let row = json!({"size": size, "root": root.to_base64(), "bytes": bytes, "path": path});
        out.blocking_send(Reply::Row(row)).map_err(|_| Failure::unreachable("nobody listens"))?;
        Ok(Some(format!(
            "backed up {size} records to {}: {bytes} bytes written, {there} sealed segments were there; the writer \
             waited {} ms",
            path.display(),
            held.as_millis()
        )))
    })
    .await
}

pub(super) fn not_backed_up(error: &BackupError) -> Failure {
    match error {
        BackupError::Log(error) => log_error(error),
        other => Failure::usage(format!("no backup was made: {other}"))
            .hint("the directory must be empty or hold backups of this log, and be writable for the gate"),
    }
}

/// The gate's side of retention.
pub(super) async fn do_retention(
    store: &Store,
    by: &Actor,
    keep_s: u64,
    dry_run: bool,
) -> Result<Option<String>, Failure> {
    let operator = by.operator();
    blocking(&store.log, move |log| {
        let keep = std::time::Duration::from_secs(keep_s);
        let pruning = log.retention(keep, dry_run, operator).map_err(|error| log_error(&error))?;
        Ok(Some(words(&pruning, dry_run)))
    })
    .await
}

fn words(pruning: &Pruning, dry_run: bool) -> String {
    let Pruning { first, end, bytes, bound } = pruning;
    let why = match *bound {
        "keep" => "the next ones are to be kept still",
        "desk" => "the next ones hold requests or grants that are not over",
        "sink" => "the next ones are still to be sent to a sink",
        _ => "the newest are kept in any case",
    };
    if end == first {
        return format!("nothing to delete: {why}");
    }
    let done = if dry_run { "would be deleted" } else { "were deleted; their hashes are kept" };
    format!("records {first} to {} ({bytes} bytes) {done}; {why}", end - 1)
}

/// Makes a data directory from a backup.
pub(super) fn restore(config: &Path, dir: &Path, to: &Path) -> Result<(), Failure> {
    let options = restoring(&Config::load(config)?)?;
    let RestoredLog { size, root, floor } =
        Log::restore(dir, to, options).map_err(|error| refused(&error))?;
    output::print_line(&format!(
        "restored {size} records from record {floor} on to {}, root {}",
        to.display(),
        root.to_base64()
    ))?;
    output::print_line("compare: stepgate audit verify with a checkpoint that was kept elsewhere")
}

fn refused(error: &RestoreError) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        RestoreError::WrongKey => failure.hint("put the key of that gate at keys.master_file first"),
        RestoreError::NotEmpty(_) => failure.hint("name a directory that does not exist yet"),
        RestoreError::None(_) => failure.hint("name the directory that `stepgate audit backup` wrote to"),
        _ => failure,
    }
}
