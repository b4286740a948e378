//! The operator's commands on the log, and doing them.

use serde::{Deserialize, Serialize};
use stepgate_record::Filter;
use stepgate_store::Search;
use stepgate_types::Actor;
use tokio::sync::mpsc;

use super::{live, search, tail};
use crate::failure::Failure;
use crate::operator::Reply;
use crate::store::Store;

/// One command on the log.
#[derive(Serialize, Deserialize)]
#[serde(tag = "audit", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum AuditOperator {
    /// Answers with a row a record; goes on where `follow`.
    Tail { lines: u64, follow: bool, filter: Filter },
    /// Answers with a row a record.
    Search { filter: Filter, limit: u64, reverse: bool, scan: bool },
    /// Answers with text, which is the export.
    Export {},
    /// Answers with a row `{"ok": …, "text": …}`.
    Verify { anchor: Option<String> },
    /// Answers with text, which is the signed checkpoint.
    Checkpoint {},
}

/// Does it; rows and text go to `out`, what there is to say at the end is returned.
pub(crate) async fn execute(
    store: &Store,
    command: AuditOperator,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    let by = Actor::Operator(None);
    match command {
        AuditOperator::Tail { lines, follow, filter } => {
            tail::tail(store, &by, tail::Wanted { lines, follow, filter }, out).await
        }
        AuditOperator::Search { filter, limit, reverse, scan } => {
            let how = Search { reverse, scan, end: u64::MAX };
            let (store, out) = (store.share(), out.clone());
            off(move || search::search(&store, &by, search::Wanted { filter, how, limit }, &out)).await
        }
        AuditOperator::Export {} => live::export(store, out).await,
        AuditOperator::Verify { anchor } => live::verify_live(store, anchor, out).await,
        AuditOperator::Checkpoint {} => live::checkpoint(store, out).await,
    }
}

/// Off the threads that serve.
async fn off<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::usage("the gate could not finish this; see its own log"))?
}
