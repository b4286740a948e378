//! The operator's commands on the log, and doing them.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{keys, live, tail};
use crate::failure::Failure;
use crate::operator::Reply;
use crate::store::Store;

/// One command on the log.
#[derive(Serialize, Deserialize)]
#[serde(tag = "audit", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum AuditOperator {
    /// Answers with a row a record; goes on where `follow`.
    Tail { lines: u64, follow: bool },
    /// Answers with text, which is the export.
    Export {},
    /// Answers with a row `{"ok": …, "text": …}`.
    Verify {
        anchor: Option<String>,
        #[serde(default)]
        witnesses: Vec<String>,
    },
    /// Answers with text, which is the signed checkpoint.
    Checkpoint {},
    /// Answers with text, which is the list of keys.
    RotateKey {},
    /// Keeps a cosigned checkpoint; the verifier keys of the witnesses that are known go with it.
    Cosign { note: String, witnesses: Vec<String> },
}

/// Does it; rows and text go to `out`, what there is to say at the end is returned.
pub(crate) async fn execute(
    store: &Store,
    command: AuditOperator,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    match command {
        AuditOperator::Tail { lines, follow } => tail::tail(store, lines, follow, out).await,
        AuditOperator::Export {} => live::export(store, out).await,
        AuditOperator::Verify { anchor, witnesses } => {
            live::verify_live(store, anchor, &witnesses, out).await
        }
        AuditOperator::Checkpoint {} => live::checkpoint(store, out).await,
        AuditOperator::RotateKey {} => keys::rotate(store, out).await,
        AuditOperator::Cosign { note, witnesses } => keys::take_cosigned(store, &note, &witnesses).await,
    }
}
