//! What a log that does not work any more comes to.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_record::Filter;
use stepgate_record::bundle::Format;
use stepgate_store::{BackupError, BundleRequest, Log, LogError, LogOptions, Vault};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{bundle, keep, tiles};
use crate::failure::Status;
use crate::system::{SystemClock, SystemEntropy};

#[test]
fn a_log_that_is_closed_is_not_the_fault_of_who_asks() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        vault: Vault::new(&Zeroizing::new([1; 32]), Arc::new(SystemEntropy)),
    };
    let (log, _) = Log::open(dir.path(), options).unwrap();
    log.close().unwrap();
    let (out, _replies) = mpsc::channel(1000);
    let id = "0".repeat(32);
    let request = BundleRequest {
        id: id.clone(),
        filter: Filter::default(),
        format: Format::Jsonl,
        redacted: true,
        meet: BTreeSet::new(),
        operator: None,
    };
    for (what, failure) in [
        ("a bundle", bundle::bundle(&log, request, &out).unwrap_err()),
        ("tiles", tiles::give(&log, id, 0, None, out).unwrap_err()),
        ("a backup", keep::not_backed_up(&BackupError::Log(LogError::Closed))),
    ] {
        assert_eq!(failure.status, Status::Unreachable, "{what}: {failure}");
        assert!(failure.message.contains("the audit log is closed"), "{what}: {failure}");
    }
}
