//! The gate's part: records, proofs, checkpoint, keys and openings, and the signature on the manifest.

use std::collections::BTreeMap;
use std::io;

use serde_json::json;
use stepgate_record::bundle::Manifest;
use stepgate_store::{BundleRequest, Log, SealError};
use stepgate_types::Who;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::operator::{Reply, log_error};

/// Bytes of a piece of a file: one line of the operator's socket.
const PIECE: usize = 64 * 1024;

/// Sends files on in pieces of whole lines; before each piece of another file, a row that names it.
struct Pieces<'a> {
    out: &'a mpsc::Sender<Reply>,
    current: Option<&'static str>,
    waiting: BTreeMap<&'static str, Vec<u8>>,
}

impl Pieces<'_> {
    fn add(&mut self, file: &'static str, lines: &[u8]) -> io::Result<()> {
        let piece = self.waiting.entry(file).or_default();
        piece.extend_from_slice(lines);
        if piece.len() < PIECE {
            return Ok(());
        }
        let piece = std::mem::take(piece);
        self.send(file, piece)
    }

    fn send(&mut self, file: &'static str, piece: Vec<u8>) -> io::Result<()> {
        let send = |reply| self.out.blocking_send(reply).map_err(|_| io::ErrorKind::BrokenPipe);
        if self.current != Some(file) {
            send(Reply::Row(json!({ "file": file })))?;
            self.current = Some(file);
        }
        send(Reply::Text(String::from_utf8(piece).map_err(io::Error::other)?))?;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        for (file, piece) in std::mem::take(&mut self.waiting) {
            self.send(file, piece)?;
        }
        Ok(())
    }
}

/// Gives out what a bundle is made of. Blocks the thread.
pub(crate) fn bundle(
    log: &Log,
    request: BundleRequest,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    if request.id.len() != 32 || !request.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage("no name of an export"));
    }
    let mut pieces = Pieces { out, current: None, waiting: BTreeMap::new() };
    let trouble = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
    let summary = log.bundle(request, &mut |file, lines| pieces.add(file, lines));
    let summary = summary.map_err(|error| trouble(&error))?;
    pieces.finish().map_err(|error| trouble(&error))?;
    Ok(Some(format!("{} records, tree size {}", summary.records, summary.tree_size)))
}

/// Records a bundle's manifest; answers with the note where it is to be signed. Blocks the thread.
pub(crate) fn seal(
    log: &Log,
    manifest: &Manifest,
    operator: Option<Who>,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    let note = log.seal_bundle(manifest, operator).map_err(|error| match error {
        SealError::Log(error) => log_error(&error),
        other => Failure::no(other.to_string()).hint("export again"),
    })?;
    if let Some(note) = note {
        out.blocking_send(Reply::Text(note.to_string()))
            .map_err(|_| Failure::unreachable("nobody listens"))?;
    }
    Ok(None)
}

/// Answers with the proof of one record. Blocks the thread.
pub(crate) fn prove(
    log: &Log,
    seq: u64,
    operator: Option<Who>,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    let proof = log.prove(seq, operator).map_err(|error| log_error(&error))?.ok_or_else(|| {
        Failure::no(if seq < log.floor() {
            format!("record {seq} was deleted by `audit.retention`; of it the log keeps the hash alone")
        } else {
            format!("there is no record {seq}; the log has {} so far", log.len())
        })
    })?;
    out.blocking_send(Reply::Text(proof)).map_err(|_| Failure::unreachable("nobody listens"))?;
    Ok(None)
}
