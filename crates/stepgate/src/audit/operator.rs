//! The operator's commands on the log, and doing them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepgate_types::Actor;
use tokio::sync::mpsc;

use super::{live, shred, tail};
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
    Verify { anchor: Option<String> },
    /// Answers with text, which is the signed checkpoint.
    Checkpoint {},
    /// Erases a personal value; `kind:VALUE`.
    Shred { subject: String, keep_us: Option<u64>, now: bool },
}

/// Does it; rows and text go to `out`, what there is to say at the end is returned.
pub(crate) async fn execute(
    store: &Store,
    by: &Actor,
    command: AuditOperator,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    match command {
        AuditOperator::Tail { lines, follow } => tail::tail(store, lines, follow, out).await,
        AuditOperator::Export {} => live::export(store, out).await,
        AuditOperator::Verify { anchor } => live::verify_live(store, anchor, out).await,
        AuditOperator::Checkpoint {} => live::checkpoint(store, out).await,
        AuditOperator::Shred { subject, keep_us, now } => {
            let keep = keep_us.map(Duration::from_micros);
            shred::shred(store, by, &subject, keep, now).await
        }
    }
}
