//! Exports of a real log.

use stepgate_record::Event;
use stepgate_record::verify::{Outcome, verify_export};
use stepgate_types::Timestamp;

use super::log::event;
use crate::testing::open;
use crate::{ExportRange, ExportSummary, Log};

fn export(log: &Log, range: ExportRange) -> (ExportSummary, Vec<u8>) {
    let mut bytes = Vec::new();
    let summary = log.export(&mut bytes, range, None).unwrap();
    (summary, bytes)
}

fn verify(bytes: &[u8]) -> Outcome {
    verify_export(&mut &bytes[..], None)
}

#[test]
fn an_export_verifies_by_itself_and_against_the_logs_key_and_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking((0..20).map(event).collect(), vec![]).unwrap();
    let early = log.checkpoint().unwrap();
    let (summary, bytes) = export(&log, ExportRange::default());
    assert_eq!((summary.first, summary.records, summary.tree_size), (0, 22, 22));
    let verified = verify(&bytes).unwrap();
    assert_eq!((verified.records, verified.tree_size, verified.root), (22, 22, summary.root));
    assert_eq!(
        log.tail(1).unwrap()[0].event,
        Event::AuditExported { records: 21, export: None, operator: None }
    );
    for anchor in [early, log.verifier_key().to_string()] {
        let anchor = anchor.parse().unwrap();
        assert!(verify_export(&mut &bytes[..], Some(&anchor)).is_ok());
    }
}

#[test]
fn no_flipped_byte_of_an_export_goes_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking((0..4).map(event).collect(), vec![]).unwrap();
    let (_, good) = export(&log, ExportRange::default());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        assert!(verify(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn a_part_of_the_log_is_exported_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    // The clock of the tests moves by a second with each look.
    for n in 0..20 {
        log.append_blocking(vec![event(n)], vec![]).unwrap();
    }
    let times: Vec<Timestamp> = log.tail(21).unwrap().iter().map(|record| record.at).collect();
    let (since, until) = (Some(times[5]), Some(times[9]));
    let (summary, bytes) = export(&log, ExportRange { since, until });
    assert_eq!((summary.first, summary.records), (5, 5));
    assert_eq!(verify(&bytes).unwrap().records, 5);
    let (summary, bytes) = export(&log, ExportRange { since, until: None });
    assert_eq!((summary.first, summary.records, summary.tree_size), (5, 18, 23));
    assert_eq!(verify(&bytes).unwrap().records, 18);
    let (summary, bytes) = export(&log, ExportRange { since: None, until });
    assert_eq!((summary.first, summary.records), (0, 10));
    assert_eq!(verify(&bytes).unwrap().records, 10);
    let never = Some(Timestamp::from_micros(i64::MAX));
    let (summary, bytes) = export(&log, ExportRange { since: never, until: None });
    assert_eq!(summary.records, 0);
    assert_eq!(verify(&bytes).unwrap().records, 0);
}
