//! The operator's commands on the log, and doing them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepgate_record::Filter;
use stepgate_record::bundle::{Format, Manifest};
use stepgate_store::{BundleRequest, Search};
use stepgate_types::{Actor, Timestamp};
use tokio::sync::mpsc;

use super::report::Asked;
use super::{bundle, keep, keys, live, report, search, shred, tail, tiles};
use crate::failure::Failure;
use crate::operator::{Reply, off};
use crate::store::Store;

/// One command on the log.
#[derive(Serialize, Deserialize)]
#[serde(tag = "audit", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum AuditOperator {
    /// Answers with a row a record; goes on where `follow`.
    Tail { lines: u64, follow: bool, filter: Filter },
    /// Answers with a row a record.
    Search { filter: Filter, limit: u64, reverse: bool, scan: bool },
    /// Answers with a row a part of the report.
    Report { report: Asked, since: Option<Timestamp>, until: Option<Timestamp> },
    /// Answers with text: what of the log another policy is tried on.
    Tape {
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        #[serde(default)]
        spans: bool,
    },
    /// Answers with text, which is the export.
    Export { since: Option<Timestamp>, until: Option<Timestamp> },
    /// Answers with rows `{"file": …}`, each followed by text of that file.
    Bundle { id: String, filter: Filter, format: String, redact: bool, meet: BTreeSet<u64> },
    /// Answers with text, which is the signed note, if it is to be signed.
    BundleSeal { manifest: Box<Manifest> },
    /// Answers with a row, the head, then text: a line a record from `from` on.
    Tiles { id: String, from: u64 },
    /// Answers with text, which is the proof of one record.
    Prove { record: u64 },
    /// Answers with a row `{"ok": …, "text": …}`.
    Verify {
        anchor: Option<String>,
        #[serde(default)]
        witnesses: Vec<String>,
    },
    /// Answers with text, which is the signed checkpoint.
    Checkpoint {},
    /// Erases a personal value; `kind:VALUE`.
    Shred { subject: String, keep_us: Option<u64>, now: bool },
    /// Copies the log into a directory of the gate's machine.
    Backup { dir: PathBuf },
    /// Deletes, or says, what is older than so many seconds.
    Retention { keep_s: u64, dry_run: bool },
    /// Answers with text, which is the list of keys.
    RotateKey {},
    /// Keeps a cosigned checkpoint; the verifier keys of the witnesses that are known go with it.
    Cosign { note: String, witnesses: Vec<String> },
}

/// Does it; rows and text go to `out`, what there is to say at the end is returned.
pub(crate) async fn execute(
    store: &Store,
    by: &Actor,
    command: AuditOperator,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    match command {
        AuditOperator::Tail { lines, follow, filter } => {
            tail::tail(store, by, tail::Wanted { lines, follow, filter }, out).await
        }
        AuditOperator::Search { filter, limit, reverse, scan } => {
            let how = Search { reverse, scan, end: u64::MAX };
            let (store, by, out) = (store.share(), by.clone(), out.clone());
            off(move || search::search(&store, &by, search::Wanted { filter, how, limit }, &out)).await
        }
        AuditOperator::Tape { since, until, spans } => {
            let (store, by, out) = (store.share(), by.clone(), out.clone());
            off(move || crate::policy::tape::make(&store, &by, (since, until), spans, &out)).await
        }
        AuditOperator::Export { since, until } => live::export(store, by, since, until, out).await,
        AuditOperator::Bundle { id, filter, format, redact: redacted, meet } => {
            let format =
                Format::of(&format).ok_or_else(|| Failure::usage("the gate does not know this format"))?;
            let request = BundleRequest { id, filter, format, redacted, meet, operator: by.operator() };
            let out = out.clone();
            live::blocking(&store.log, move |log| bundle::bundle(log, request, &out)).await
        }
        AuditOperator::BundleSeal { manifest } => {
            let (operator, out) = (by.operator(), out.clone());
            live::blocking(&store.log, move |log| bundle::seal(log, &manifest, operator, &out)).await
        }
        AuditOperator::Tiles { id, from } => {
            let (operator, out) = (by.operator(), out.clone());
            live::blocking(&store.log, move |log| tiles::give(log, id, from, operator, out)).await
        }
        AuditOperator::Prove { record } => {
            let (operator, out) = (by.operator(), out.clone());
            live::blocking(&store.log, move |log| bundle::prove(log, record, operator, &out)).await
        }
        AuditOperator::Verify { anchor, witnesses } => {
            live::verify_live(store, anchor, &witnesses, out).await
        }
        AuditOperator::Report { report: asked, since, until } => {
            let (store, by, out) = (store.share(), by.clone(), out.clone());
            off(move || report::make(&store, &by, &asked, (since, until), &out)).await
        }
        AuditOperator::Checkpoint {} => live::checkpoint(store, out).await,
        AuditOperator::Shred { subject, keep_us, now } => {
            let keep = keep_us.map(Duration::from_micros);
            shred::shred(store, by, &subject, keep, now).await
        }
        AuditOperator::Backup { dir } => keep::do_backup(store, by, dir, out).await,
        AuditOperator::Retention { keep_s, dry_run } => keep::do_retention(store, by, keep_s, dry_run).await,
        AuditOperator::RotateKey {} => keys::rotate(store, out).await,
        AuditOperator::Cosign { note, witnesses } => keys::take_cosigned(store, &note, &witnesses).await,
    }
}
