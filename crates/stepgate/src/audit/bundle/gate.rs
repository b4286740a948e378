//! The gate's part: records, proofs, checkpoint, keys and openings, and the signature on the manifest.

use stepgate_record::bundle::Manifest;
use stepgate_store::{BundleRequest, Log, SealError};
use stepgate_types::Who;
use tokio::sync::mpsc;

use crate::audit::live::export_error;
use crate::audit::pieces::Pieces;
use crate::failure::Failure;
use crate::operator::{Reply, log_error};

/// Gives out what a bundle is made of. Blocks the thread.
pub(crate) fn bundle(
    log: &Log,
    request: BundleRequest,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    if request.id.len() != 32 || !request.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage("no name of an export"));
    }
    let mut pieces = Pieces::new(out.clone());
    let summary = log.bundle(request, &mut |file, lines| pieces.add(file, lines));
    let summary = summary.map_err(|error| export_error(&error))?;
    pieces.finish().map_err(|error| export_error(&error.into()))?;
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
