//! What the log itself does for the operator; all of it blocks, and runs beside the gate's other work.

use std::io::Write;

use serde_json::json;
use stepgate_record::verify::{Anchor, report};
use stepgate_store::{ExportError, ExportRange, Log};
use stepgate_types::{Actor, Timestamp};
use tokio::sync::mpsc;

use super::keys;
use crate::failure::Failure;
use crate::operator::{Reply, log_error};
use crate::store::Store;

/// Bytes of a piece of an export: one line of the operator's socket.
const PIECE: usize = 64 * 1024;

/// Sends text on in pieces.
pub(super) struct Pieces {
    out: mpsc::Sender<Reply>,
    piece: Vec<u8>,
}

impl Pieces {
    pub(super) fn new(out: mpsc::Sender<Reply>) -> Self {
        Self { out, piece: Vec::new() }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    /// Sends whole lines only; what follows the last line feed waits.
    fn flush(&mut self) -> std::io::Result<()> {
        let end = self.piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.piece.split_off(end);
        let text =
            String::from_utf8(std::mem::replace(&mut self.piece, rest)).map_err(std::io::Error::other)?;
        if text.is_empty() {
            return Ok(());
        }
        self.out.blocking_send(Reply::Text(text)).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

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
        let trouble = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
        let summary = log.export(&mut pieces, range, operator).map_err(|error| match &error {
            ExportError::Log(error) => log_error(error),
            _ => trouble(&error),
        })?;
        if !pieces.piece.ends_with(b"\n") && !pieces.piece.is_empty() {
            pieces.piece.push(b'\n');
        }
        pieces.flush().map_err(|error| trouble(&error))?;
        Ok(Some(format!("{} records, tree size {}", summary.records, summary.tree_size)))
    })
    .await
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
        let row = json!({"ok": outcome.is_ok(), "text": report(&outcome)});
        out.blocking_send(Reply::Row(row)).map_err(|_| Failure::unreachable("nobody listens"))?;
        Ok(unrecorded.map(|why| format!("note: that this was verified could not be recorded: {why}")))
    })
    .await
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

pub(super) async fn blocking<T: Send + 'static>(
    log: &Log,
    work: impl FnOnce(&Log) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let log = log.clone();
    tokio::task::spawn_blocking(move || work(&log))
        .await
        .map_err(|_| Failure::usage("the gate could not finish this; see its own log"))?
}
