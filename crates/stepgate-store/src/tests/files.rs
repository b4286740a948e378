//! Many files of records: read from anywhere, while they grow.

use std::fs;
use std::thread;

use stepgate_record::{Event, Record};

use super::damage::refused;
use super::log::event;
use crate::scan::{file_name, files};
use crate::testing::open;
use crate::{ExportRange, Log, verify_dir};

/// A closed log of 402 records, in files of about 64.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 0..100 {
        log.append_blocking((0..4).map(|m| event(n * 4 + m)).collect(), vec![]).unwrap();
    }
    log.close().unwrap();
    dir
}

fn numbers(log: &Log, from: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut take = |seq: u64, record: &Record| {
        assert_eq!(record.seq, seq);
        if let Event::StatementCompleted { statement, .. } = record.event {
            assert!(statement < seq);
        }
        numbers.push(seq);
    };
    log.replay(from, &mut take).unwrap();
    numbers
}

#[test]
fn records_are_read_from_any_number_on_however_many_files_there_are() {
    let dir = made();
    assert_eq!(files(&dir.path().join("records")).unwrap().len(), 7);
    let log = open(dir.path()).unwrap();
    let length = log.len();
    for from in (0..length).step_by(7).chain([length - 1, length, length + 5]) {
        assert_eq!(numbers(&log, from), (from..length).collect::<Vec<_>>(), "from {from}");
    }
    assert_eq!(log.tail(3).unwrap().len(), 3);
    assert_eq!(log.verify(None).unwrap().records, length);
    let mut out = Vec::new();
    assert_eq!(log.export(&mut out, ExportRange::default(), None).unwrap().records, length + 1);
}

#[test]
fn files_that_are_full_have_no_room_left_behind_them() {
    let dir = made();
    let records = dir.path().join("records");
    let files = files(&records).unwrap();
    for first in files.iter().take(files.len() - 1) {
        assert_eq!(fs::read(records.join(file_name(*first))).unwrap().last(), Some(&b'\n'));
    }
}

#[test]
fn a_file_that_is_missing_moved_or_torn_is_refused() {
    let dir = made();
    let records = dir.path().join("records");
    let firsts: Vec<u64> = files(&records).unwrap().into();
    for first in &firsts {
        let path = records.join(file_name(*first));
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(verify_dir(dir.path(), None).is_err(), "without {first}");
        refused(dir.path());
        // Another file in its place.
        let other = firsts.iter().find(|other| *other != first).unwrap();
        fs::copy(records.join(file_name(*other)), &path).unwrap();
        assert!(verify_dir(dir.path(), None).is_err(), "{other} for {first}");
        refused(dir.path());
        // One whose end is torn, and which is not the last: not from a stop in the middle of writing.
        fs::write(&path, &good[..good.len() - 3]).unwrap();
        if Some(first) != firsts.last() {
            assert!(verify_dir(dir.path(), None).is_err(), "{first} torn");
            refused(dir.path());
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(verify_dir(dir.path(), None).unwrap().records, 402);
}

#[test]
fn a_stop_while_a_file_is_begun_leaves_nothing_in_the_way() {
    let dir = made();
    let records = dir.path().join("records");
    let last = *files(&records).unwrap().back().unwrap();
    // Half made, under its first name.
    fs::write(records.join(format!("{:020}.unfinished", last + 70)), b"stepgate-rec").unwrap();
    drop(open(dir.path()).unwrap());
    assert_eq!(fs::read_dir(&records).unwrap().count(), 7);
    // Made, and nothing in it yet; the one before it with or without room.
    let id = open(dir.path()).unwrap().id().to_owned();
    let count = verify_dir(dir.path(), None).unwrap().records;
    fs::write(records.join(file_name(count)), crate::scan::file_header(&id, count)).unwrap();
    assert_eq!(verify_dir(dir.path(), None).unwrap().records, count);
    let log = open(dir.path()).unwrap();
    assert_eq!(numbers(&log, 0).len() as u64, count + 1);
    drop(log);
    assert_eq!(verify_dir(dir.path(), None).unwrap().records, count + 1);
}

#[test]
fn what_is_written_can_be_read_while_more_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let writes = {
        let log = log.clone();
        thread::spawn(move || {
            for n in 0..600 {
                log.append_blocking(vec![event(n)], vec![]).unwrap();
            }
        })
    };
    log.verify(None).unwrap_or_else(|failure| panic!("{failure}"));
    while !writes.is_finished() {
        let length = log.len();
        for from in [0, length / 3 * 2, length.saturating_sub(3)] {
            assert!(numbers(&log, from).len() as u64 >= length - from);
        }
    }
    log.verify(None).unwrap_or_else(|failure| panic!("{failure}"));
    writes.join().unwrap();
    assert!(log.len() > 600);
}
