//! What the log itself does for the operator; all of it blocks, and runs beside the gate's other work.

use serde_json::{Value, json};
use stepgate_record::verify::{Anchor, Outcome, report};
use stepgate_store::{ExportError, ExportRange, Log};
use stepgate_types::{Actor, Timestamp};
use tokio::sync::mpsc;

use super::keys;
use super::pieces::Pieces;
use crate::failure::Failure;
use crate::operator::{Reply, log_error, off};
use crate::store::Store;

/// Exports records as lines: all, or from the first that is not older than `since` up to the last that is before
/// `until`.
pub(crate) async fn export(
    store: &Store,
    by: &Actor,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    let until = until.map(|until| Timestamp::from_micros(until.micros().saturating_sub(1)));
    let (range, operator) = (ExportRange { since, until }, by.operator());
    let out = out.clone();
    blocking(&store.log, move |log| {
        let mut pieces = Pieces::new(out);
        let summary = log.export(&mut pieces, range, operator).map_err(|error| export_error(&error))?;
        pieces.finish().map_err(|error| export_error(&error.into()))?;
        Ok(Some(format!("{} records, tree size {}", summary.records, summary.tree_size)))
    })
    .await
}

/// What kept the log from being given out: itself, or whoever should take it.
pub(super) fn export_error(error: &ExportError) -> Failure {
    match error {
        ExportError::Log(error) => log_error(error),
        ExportError::Write(_) => Failure::usage(error.to_string()),
    }
}

/// Verifies the gate's own log, as it is on disk; `anchor` is the text of a file kept elsewhere.
pub(crate) async fn verify_live(
    store: &Store,
    anchor: Option<String>,
    witnesses: &[String],
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    let anchor = anchor.map(|text| parse_anchor(&text)).transpose()?;
    let anchor = demanding(anchor, witnesses)?;
    let out = out.clone();
    blocking(&store.log, move |log| {
        let (outcome, unrecorded) = log.verify_now(anchor.as_ref()).map_err(|error| log_error(&error))?;
        if let Err(failure) = &outcome
            && !failure.is_finding()
        {
            return Err(Failure::unreachable(failure.to_string()));
        }
        let outcome = outcome.map(|mut verified| {
            verified.policies.iter_mut().for_each(|policy| policy.open(log.subjects()));
            verified
        });
        let row = json!({"ok": outcome.is_ok(), "text": report(&outcome), "json": as_json(&outcome)});
        out.blocking_send(Reply::Row(row)).map_err(|_| Failure::unreachable("nobody listens"))?;
        Ok(unrecorded.map(|why| format!("note: that this was verified could not be recorded: {why}")))
    })
    .await
}

/// What verification says, for programs.
pub(super) fn as_json(outcome: &Outcome) -> Value {
    match outcome {
        Ok(verified) => json!({
            "ok": true,
            "records": verified.records,
            "tree_size": verified.tree_size,
            "root": verified.root.to_base64(),
            "notes": verified.notes,
            "policies": verified.policies,
        }),
        Err(failure) => json!({"ok": false, "place": failure.place.to_string(), "why": failure.why}),
    }
}

/// Signs a checkpoint over all records so far.
pub(crate) async fn checkpoint(store: &Store, out: &mpsc::Sender<Reply>) -> Result<Option<String>, Failure> {
    let out = out.clone();
    blocking(&store.log, move |log| {
        let note = log.checkpoint().map_err(|error| log_error(&error))?;
        out.blocking_send(Reply::Text(note.to_string()))
            .map_err(|_| Failure::unreachable("nobody listens"))?;
        Ok(None)
    })
    .await
}

/// Reads a checkpoint or verifier key that was kept elsewhere.
pub(crate) fn parse_anchor(text: &str) -> Result<Anchor, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(format!("this is no checkpoint and no verifier key: {error}"))
            .hint("make one with: stepgate audit checkpoint > FILE")
    })
}

/// The anchor, if there is any, with the witnesses that are demanded besides.
pub(crate) fn demanding(anchor: Option<Anchor>, witnesses: &[String]) -> Result<Option<Anchor>, Failure> {
    if witnesses.is_empty() {
        return Ok(anchor);
    }
    Ok(Some(anchor.unwrap_or_default().with_witnesses(keys::witness_keys(witnesses)?)))
}

/// Does what blocks with the log, off the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    log: &Log,
    work: impl FnOnce(&Log) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let log = log.clone();
    off(move || work(&log)).await
}
