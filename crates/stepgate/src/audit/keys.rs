//! The log's keys, and those of witnesses: `audit rotate-key`, `audit cosign`.

use std::fs;
use std::path::Path;

use stepgate_record::{NoteError, SignedNote, WitnessKey};
use stepgate_store::CosignError;
use tokio::sync::mpsc;

use super::AuditOperator;
use super::live::blocking;
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply, log_error};
use crate::output;
use crate::store::Store;

/// The largest cosigned checkpoint that is read, in bytes; one with a dozen witnesses has about 2,000.
const MAX_NOTE: u64 = 16 * 1024;

/// Reads verifier keys of witnesses.
pub(super) fn witness_keys(texts: &[String]) -> Result<Vec<WitnessKey>, Failure> {
    let one = |text: &String| {
        text.parse::<WitnessKey>()
            .map_err(|error| Failure::usage(format!("{}: {error}", crate::harmless::harmless(text))))
    };
    texts.iter().map(one).collect()
}

/// Signs by a new key from now on; answers with the list of all keys, for those who verify.
pub(super) async fn rotate(store: &Store, out: &mpsc::Sender<Reply>) -> Result<Option<String>, Failure> {
    let out = out.clone();
    blocking(&store.log, move |log| {
        let rotated = log.rotate_key().map_err(|error| log_error(&error))?;
        out.blocking_send(Reply::Text(format!("{}\n", log.keys())))
            .map_err(|_| Failure::unreachable("nobody listens"))?;
        Ok(Some(format!(
            "checkpoints are signed by {} from now on (record {}); whoever trusts a key of before needs nothing new, \
             and who keeps the list that was printed (keys.json) also finds what the old key might sign yet",
            rotated.key, rotated.record
        )))
    })
    .await
}

/// Hands a checkpoint with a witness's signature to the gate.
pub(super) fn cosign(config: &Config, path: &Path) -> Result<(), Failure> {
    let trouble = |error: &std::io::Error| Failure::file("read", path, error);
    if fs::metadata(path).map_err(|error| trouble(&error))?.len() > MAX_NOTE {
        return Err(Failure::usage(format!("{} is too large for a checkpoint", path.display())));
    }
    if config.audit.witnesses.is_empty() {
        return Err(Failure::usage("no witness is configured")
            .hint("name those whose word counts in stepgate.yaml: audit: {witnesses: [{vkey: …}]}"));
    }
    let note = fs::read_to_string(path).map_err(|error| trouble(&error))?;
    let witnesses = config.audit.witnesses.iter().map(|witness| witness.key.to_string()).collect();
    let said = Link::open(config)?.tell(Operator::audit(AuditOperator::Cosign { note, witnesses }))?;
    said.map_or(Ok(()), |said| output::print_line(&said))
}

/// Keeps it.
pub(super) async fn take_cosigned(
    store: &Store,
    note: &str,
    witnesses: &[String],
) -> Result<Option<String>, Failure> {
    let no = |error: NoteError| Failure::no(format!("this is no cosigned checkpoint: {error}"));
    let note: SignedNote = note.parse().map_err(no)?;
    let known = witness_keys(witnesses)?;
    blocking(&store.log, move |log| {
        let cosigned = log.cosign(&note, &known).map_err(|error| match error {
            CosignError::Log(error) => log_error(&error),
            other => Failure::no(other.to_string()),
        })?;
        let names: Vec<_> = cosigned.witnesses.iter().map(WitnessKey::name).collect();
        let size = cosigned.checkpoint.size;
        Ok(Some(match names.as_slice() {
            [] => format!("nothing new: the first {size} records were cosigned so before"),
            names => format!("kept: {} has cosigned the first {size} records", names.join(", ")),
        }))
    })
    .await
}
