//! Damage and forgery: refused at opening, named by verification.

use std::fs;
use std::path::Path;

use stepgate_record::verify::{Anchor, Outcome, Place, report};
use stepgate_record::{Fitted, Hash};

use super::log::event;
use crate::disk::Disk;
use crate::testing::{open, options};
use crate::{Change, Log, OpenError, Side, verify_dir};

const RECORDS: u64 = 60;

/// A closed log of 62 records.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 1..=RECORDS {
        log.append_blocking(vec![event(n)], vec![]).unwrap();
    }
    log.close().unwrap();
    dir
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for (dir, sub) in
        [(from.to_owned(), ""), (from.join("log"), "log"), (from.join("checkpoints"), "checkpoints")]
    {
        fs::create_dir_all(to.path().join(sub)).unwrap();
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.path().join(sub).join(entry.file_name())).unwrap();
            }
        }
    }
    to
}

fn refused(dir: &Path) -> String {
    match open(dir) {
        Err(error @ (OpenError::Damaged { .. } | OpenError::WrongKey { .. })) => error.to_string(),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("opened"),
    }
}

fn place(outcome: &Outcome) -> Place {
    outcome.as_ref().unwrap_err().place
}

#[test]
fn a_sound_directory_verifies_and_is_not_changed_by_it() {
    let dir = made();
    let before = fs::read(dir.path().join("log/db")).unwrap();
    let outcome = verify_dir(dir.path(), None);
    let report = report(&outcome);
    assert!(report.lines().last().unwrap().starts_with("ok: 62 records, tree size 62, root "), "{report}");
    assert_eq!(fs::read(dir.path().join("log/db")).unwrap(), before);
    assert!(verify_dir(copy(dir.path()).path(), None).is_ok());
}

#[test]
fn a_flipped_byte_where_a_record_lies_is_refused_and_named() {
    let dir = made();
    let db = fs::read(dir.path().join("log/db")).unwrap();
    // Where the bytes of some records lie in the file (they may lie there several times).
    let mut tried = 0;
    for n in [2, 17, 40, 59_u64] {
        let needle = format!("\"statement\":{n},");
        let places: Vec<usize> = db
            .windows(needle.len())
            .enumerate()
            .filter(|(_, window)| *window == needle.as_bytes())
            .map(|(at, _)| at)
            .collect();
        for at in places {
            let copy = copy(dir.path());
            let mut bad = db.clone();
            bad[at + 12] ^= 1;
            fs::write(copy.path().join("log/db"), &bad).unwrap();
            let outcome = verify_dir(copy.path(), None);
            // A page that sled has rewritten since no longer counts: then the log is whole.
            if let Err(failure) = &outcome {
                assert!(matches!(failure.place, Place::Record(_)), "{failure}");
                let why = refused(copy.path());
                assert!(why.contains("record"), "{why}");
                assert_eq!(
                    fs::read(copy.path().join("db.evidence")).unwrap(),
                    bad,
                    "the evidence is kept as it was"
                );
                tried += 1;
            } else {
                assert_eq!(outcome.unwrap().records, RECORDS + 2);
            }
        }
    }
    assert!(tried >= 2, "only {tried} of the flips mattered");
}

#[test]
fn no_flipped_byte_anywhere_in_the_database_goes_unnoticed_or_panics() {
    let dir = made();
    let db = fs::read(dir.path().join("log/db")).unwrap();
    let used = db.iter().rposition(|byte| *byte != 0).unwrap();
    let mut found = 0;
    for at in (0..used).step_by(used / 60) {
        let copy = copy(dir.path());
        let mut bad = db.clone();
        bad[at] ^= 0x10;
        fs::write(copy.path().join("log/db"), &bad).unwrap();
        match verify_dir(copy.path(), None) {
            // Only where it does not matter: every record is there, and as it was signed.
            Ok(verified) => assert_eq!(verified.records, RECORDS + 2, "byte {at}"),
            Err(failure) => {
                assert!(matches!(failure.place, Place::Record(_)), "byte {at}: {failure}");
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn a_database_cut_short_is_refused_and_the_first_missing_record_named() {
    let dir = made();
    let db = fs::read(dir.path().join("log/db")).unwrap();
    let used = db.iter().rposition(|byte| *byte != 0).unwrap();
    for part in [2, 4] {
        let copy = copy(dir.path());
        fs::write(copy.path().join("log/db"), &db[..used * (part - 1) / part]).unwrap();
        // Without sled's snapshot of where the pages lie.
        for entry in fs::read_dir(copy.path().join("log")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_str().unwrap().starts_with("snap") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        let outcome = verify_dir(copy.path(), None);
        assert!(matches!(place(&outcome), Place::Record(_)), "{outcome:?}");
        refused(copy.path());
    }
}

/// Rewrites records as somebody would who knows the format but has no key.
fn forge(dir: &Path, forge: impl FnOnce(&mut Vec<Option<Vec<u8>>>)) {
    let db = sled::open(dir.join("log")).unwrap();
    let tree = db.open_tree("records").unwrap();
    let mut records: Vec<Option<Vec<u8>>> = tree.iter().map(|item| Some(item.unwrap().1.to_vec())).collect();
    forge(&mut records);
    tree.clear().unwrap();
    for (seq, record) in records.into_iter().enumerate() {
        if let Some(record) = record {
            tree.insert((seq as u64).to_be_bytes(), record).unwrap();
        }
    }
    db.flush().unwrap();
}

#[test]
fn a_forged_record_is_refused_and_named() {
    let dir = made();
    forge(dir.path(), |records| {
        let record = records[7].as_mut().unwrap();
        let text = String::from_utf8(record.clone()).unwrap().replace("\"rows\":7", "\"rows\":8");
        *record = text.into_bytes();
    });
    assert_eq!(place(&verify_dir(dir.path(), None)), Place::Record(7));
    assert!(refused(dir.path()).contains("altered"));
}

#[test]
fn removed_swapped_and_appended_records_are_refused_and_named() {
    let dir = made();
    let removed = copy(dir.path());
    forge(removed.path(), |records| records[9] = None);
    assert_eq!(place(&verify_dir(removed.path(), None)), Place::Record(9));
    assert!(refused(removed.path()).contains("record 9 is missing"));

    let closed_up = copy(dir.path());
    forge(closed_up.path(), |records| {
        records.remove(9);
    });
    assert_eq!(place(&verify_dir(closed_up.path(), None)), Place::Record(9));
    refused(closed_up.path());

    let swapped = copy(dir.path());
    forge(swapped.path(), |records| records.swap(20, 21));
    assert_eq!(place(&verify_dir(swapped.path(), None)), Place::Record(20));
    refused(swapped.path());

    let last = copy(dir.path());
    forge(last.path(), |records| {
        records.pop();
    });
    assert_eq!(place(&verify_dir(last.path(), None)), Place::Record(61));
    assert!(refused(last.path()).contains("record 61 and those after it are gone"));

    let appended = copy(dir.path());
    forge(appended.path(), |records| {
        let bytes = Fitted::new(&event(1)).unwrap().record(&"0".repeat(32), 62, 0, &Hash::ZERO).unwrap();
        records.push(Some(bytes));
    });
    assert_eq!(place(&verify_dir(appended.path(), None)), Place::Record(62));
    assert!(refused(appended.path()).contains("record 62"));
}

#[test]
fn a_history_linked_anew_does_not_meet_the_signed_roots() {
    let dir = made();
    let id = open(dir.path()).unwrap().id().to_owned();
    forge(dir.path(), |records| {
        let mut prev = Hash::leaf(records[29].as_ref().unwrap());
        for (seq, record) in records.iter_mut().enumerate().skip(30) {
            let bytes = Fitted::new(&event(1000)).unwrap().record(&id, seq as u64, 0, &prev).unwrap();
            prev = Hash::leaf(&bytes);
            *record = Some(bytes);
        }
    });
    let failure = verify_dir(dir.path(), None).unwrap_err();
    assert!(failure.why.contains("were altered"), "{failure}");
    assert!(refused(dir.path()).contains("altered"));
}

#[test]
fn no_flipped_byte_of_a_checkpoint_goes_unnoticed() {
    let dir = made();
    for entry in fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        let name = entry.unwrap().file_name();
        let path = dir.path().join("checkpoints").join(&name);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(verify_dir(dir.path(), None).is_err(), "byte {at} of {}", name.display());
        }
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        refused(dir.path());
        fs::write(&path, &good).unwrap();
    }
    assert!(verify_dir(dir.path(), None).is_ok());
    assert!(open(dir.path()).is_ok());
}

#[test]
fn missing_files_are_refused_and_nothing_is_made_anew() {
    for file in ["checkpoints/latest.checkpoint", "log.vkey", "log/db", "format.json"] {
        let dir = made();
        fs::remove_file(dir.path().join(file)).unwrap();
        assert!(verify_dir(dir.path(), None).is_err(), "{file}");
        let why = refused(dir.path());
        assert!(!dir.path().join(file).exists(), "{file} was made anew: {why}");
    }
}

#[test]
fn an_altered_verifier_key_or_format_is_refused() {
    for file in ["log.vkey", "format.json"] {
        let dir = made();
        let good = fs::read(dir.path().join(file)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(dir.path().join(file), &bad).unwrap();
            assert!(verify_dir(dir.path(), None).is_err(), "byte {at} of {file}");
        }
    }
}

#[test]
fn large_values_that_sled_would_not_sync_are_refused() {
    let dir = made();
    fs::create_dir_all(dir.path().join("log/blobs")).unwrap();
    fs::write(dir.path().join("log/blobs/1"), b"x").unwrap();
    assert!(refused(dir.path()).contains("blobs"));
    assert!(verify_dir(dir.path(), None).is_err());
}

#[test]
fn many_records_of_the_largest_size_leave_no_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(&dir.path().join("log")).ok().unwrap();
    let records: Vec<(u64, Vec<u8>)> =
        (0..300).map(|seq| (seq, vec![b'x'; stepgate_record::MAX_RECORD_BYTES])).collect();
    for batch in records.chunks(100) {
        disk.commit(batch, &[]).unwrap();
    }
    // Also where values are written again and again, out of order.
    for n in 0..300_u64 {
        let key = (n * 37 % 60).to_be_bytes().repeat(8);
        let value = vec![b'y'; stepgate_record::MAX_RECORD_BYTES];
        disk.commit(&[], &[Change::Put { side: Side::Desk, key, value }]).unwrap();
    }
    drop(disk);
    assert!(!crate::disk::has_blobs(&dir.path().join("log/blobs")).unwrap());
}

#[test]
fn a_directory_in_use_is_not_copied_but_its_gate_can_verify_it() {
    let dir = made();
    let log = open(dir.path()).unwrap();
    let outcome = verify_dir(dir.path(), None);
    assert_eq!(place(&outcome), Place::Files);
    assert!(outcome.unwrap_err().why.contains("in use"));
    assert_eq!(log.verify(None).unwrap().records, 63);
    assert_eq!(log.verify(None).unwrap().records, 64, "the first check was recorded");
}

#[test]
fn an_old_checkpoint_finds_a_directory_rolled_back_as_a_whole() {
    let dir = made();
    let earlier = copy(dir.path());
    let log = open(dir.path()).unwrap();
    let anchor: Anchor = log.checkpoint().unwrap().parse().unwrap();
    drop(log);
    assert!(verify_dir(dir.path(), Some(&anchor)).is_ok());
    assert!(verify_dir(earlier.path(), None).is_ok(), "consistent in itself");
    assert_eq!(place(&verify_dir(earlier.path(), Some(&anchor))), Place::Record(62));
}

#[test]
fn making_a_directory_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), options()).unwrap();
    drop(log);
    // As if it had stopped after the first checkpoint: nothing was recorded yet.
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    fs::remove_file(dir.path().join("format.json")).unwrap();
    for entry in fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_str().unwrap().ends_with("00000000000000000000.checkpoint") {
            fs::remove_file(path).unwrap();
        }
    }
    let (log, opened) = Log::open(dir.path(), options()).unwrap();
    assert!(opened.created);
    drop(log);
    assert!(verify_dir(dir.path(), None).is_ok());
}
