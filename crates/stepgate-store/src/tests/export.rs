//! Exports of a real log.

use sha2::{Digest as _, Sha256};
use stepgate_record::verify::{Outcome, verify_export};
use stepgate_record::{Event, Export, Filter, Hash};
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
    assert_eq!((summary.first, summary.records, summary.tree_size), (0, 21, 22));
    let verified = verify(&bytes).unwrap();
    assert_eq!((verified.records, verified.tree_size, verified.root), (21, 22, summary.root));
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
    assert_eq!((summary.first, summary.records, summary.tree_size), (5, 17, 23));
    assert_eq!(verify(&bytes).unwrap().records, 17);
    let (summary, bytes) = export(&log, ExportRange { since: None, until });
    assert_eq!((summary.first, summary.records), (0, 10));
    assert_eq!(verify(&bytes).unwrap().records, 10);
    let never = Some(Timestamp::from_micros(i64::MAX));
    let (summary, bytes) = export(&log, ExportRange { since: never, until: None });
    assert_eq!(summary.records, 0);
    assert_eq!(verify(&bytes).unwrap().records, 0);
}

/// What the log says of the last export.
fn said(log: &Log) -> (u64, Export) {
    match log.tail(1).unwrap().remove(0).event {
        Event::AuditExported { records, export: Some(export), .. } => (records, export),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_record_of_an_export_of_lines_says_which_records_are_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 0..20 {
        log.append_blocking(vec![event(n)], vec![]).unwrap();
    }
    let times: Vec<Timestamp> = log.tail(21).unwrap().iter().map(|record| record.at).collect();
    let filter = |since: Timestamp, until: Timestamp| Filter {
        since: Some(since),
        // A filter's end is not included.
        until: Some(Timestamp::from_micros(until.micros() + 1)),
        ..Filter::default()
    };
    for (range, wanted, expected) in [
        (ExportRange::default(), Filter::default(), 0..21),
        (ExportRange { since: Some(times[5]), until: Some(times[9]) }, filter(times[5], times[9]), 5..10),
    ] {
        let (summary, bytes) = export(&log, range);
        let (records, export) = said(&log);
        let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
        // Between header and checkpoint; what follows the last line feed is nothing.
        let in_file = &lines[1..lines.len() - 2];
        assert_eq!(in_file.len() as u64, records);
        assert_eq!((summary.first, summary.records), (expected.start, records));
        assert_eq!((export.first, export.end), (Some(expected.start), Some(expected.end)));
        let mut sha256 = Sha256::new();
        in_file.iter().for_each(|line| sha256.update(Hash::leaf(line).bytes()));
        assert_eq!(export.selected, Some(Hash::from_bytes(sha256.finalize().into()).to_string()));
        assert_eq!((export.format.as_str(), export.redacted), ("lines", true));
        assert_eq!(serde_json::from_str::<Filter>(&export.filter).unwrap(), wanted);
        // Its own record is not among them, however often it is done.
        assert!(verify(&bytes).is_ok());
        for _ in 0..3 {
            assert!(export_is_of(&log, range, expected.clone()));
        }
    }
}

fn export_is_of(log: &Log, range: ExportRange, at_least: std::ops::Range<u64>) -> bool {
    let (summary, _) = export(log, range);
    let (records, export) = said(log);
    summary.records == records && export.first == Some(at_least.start) && export.end >= Some(at_least.end)
}
