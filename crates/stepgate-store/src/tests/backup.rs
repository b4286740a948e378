//! Backups, made while records are appended; restored, and refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stepgate_record::Event;
use stepgate_record::verify::Anchor;

use super::log::event;
use super::sealing::fill;
use crate::testing::{open, open_sealing, options, vault, wait_for_seals};
use crate::{BackupError, Change, Log, LogOptions, RestoreError, Side, verify_dir};

const SEGMENT: u64 = 32;

/// Entries that do not change.
const STILL: u64 = 3_000;

fn restored(backup: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    Log::restore(backup, to.path(), options()).unwrap();
    to
}

#[test]
fn a_backup_during_which_the_key_is_replaced_is_signed_by_the_one_that_it_holds() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    let replaces = {
        let log = log.clone();
        std::thread::spawn(move || {
            while log.keys().count() < 40 {
                log.rotate_key().unwrap();
            }
        })
    };
    let mut counts = std::collections::BTreeSet::new();
    while !replaces.is_finished() {
        log.backup(to.path(), None).unwrap();
        let copy = restored(to.path());
        verify_dir(copy.path(), None).unwrap();
        counts.insert(open(copy.path()).unwrap().keys().count());
    }
    replaces.join().unwrap();
    assert!(counts.len() > 2, "{counts:?}");
}

#[test]
fn a_backup_of_a_log_that_is_written_to_is_of_one_moment() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    // Each record comes with an entry beside the log that names it.
    let writes = {
        let (log, stop) = (log.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut n = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let key = n.to_be_bytes().to_vec();
                let change = Change::Put { side: Side::Taints, key, value: vec![1] };
                log.append_blocking(vec![event(n)], vec![change]).unwrap();
                n += 1;
            }
        })
    };
    let mut sizes = Vec::new();
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(60));
        let done = log.backup(to.path(), None).unwrap();
        sizes.push(done.size);
        let copy = restored(to.path());
        let verified = verify_dir(copy.path(), None).unwrap();
        // Started, restored, stopped.
        assert_eq!(verified.records, done.size + 3);
        let copy = open(copy.path()).unwrap();
        assert_eq!(copy.frontier_at(done.size).unwrap().root(), Some(done.root));
        let mut events = 0;
        copy.replay(0, &mut |seq, record| {
            let completed = matches!(record.event, Event::StatementCompleted { .. });
            events += u64::from(seq < done.size && completed);
        })
        .unwrap();
        assert_eq!(copy.load(Side::Taints).unwrap().len() as u64, events);
    }
    stop.store(true, Ordering::Relaxed);
    writes.join().unwrap();
    wait_for_seals(&log);
    assert!(sizes.is_sorted() && sizes[5] > 3 * SEGMENT, "{sizes:?}");
    // What is sealed is copied once.
    let first = log.backup(to.path(), None).unwrap();
    let again = log.backup(to.path(), None).unwrap();
    assert!(again.there >= first.there && again.there > 2 && again.bytes < first.bytes + 4096);
}

#[test]
fn the_policies_that_are_kept_are_in_a_backup_and_come_back() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(dir.path()).unwrap();
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    // A map may be larger than what else is small.
    let map = "#\n".repeat(1024 * 1024);
    fs::write(policies.join("ab.map.yaml"), &map).unwrap();
    fs::write(policies.join(".tmpXyZ"), "half").unwrap();
    log.backup(to.path(), None).unwrap();
    let whole = restored(to.path());
    let copy = whole.path().join("policies");
    assert_eq!(fs::read_to_string(copy.join("ab.map.yaml")).unwrap(), map);
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 1);
}

#[test]
fn what_changes_beside_the_log_while_that_is_copied_is_as_it_was_at_that_moment() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    let put = |key: u64, value: u64| Change::Put {
        side: Side::Taints,
        key: key.to_be_bytes().to_vec(),
        value: value.to_be_bytes().to_vec(),
    };
    for first in (0..STILL).step_by(500) {
        let changes = (first..first + 500).map(|key| put(2 * key + 1, 0)).collect();
        log.append_blocking(vec![event(1)], changes).unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    // One entry moves on, through all of the tree, with each record; and one counts.
    let begin = log.append_blocking(vec![event(1)], vec![put(0, 0), put(u64::MAX, 0)]).unwrap();
    let writes = {
        let (log, stop) = (log.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut n = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let place = |n: u64| 2 * (n * 577 % STILL);
                let gone = Change::Delete { side: Side::Taints, key: place(n).to_be_bytes().to_vec() };
                n += 1;
                log.append_blocking(vec![event(n)], vec![gone, put(place(n), n), put(u64::MAX, n)]).unwrap();
            }
        })
    };
    for _ in 0..5 {
        let done = log.backup(to.path(), None).unwrap();
        let copy = restored(to.path());
        let copy = open(copy.path()).unwrap();
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
        let entries = copy.load(Side::Taints).unwrap();
        assert_eq!(entries.len() as u64, STILL + 2);
        let moving: Vec<_> = entries.iter().filter(|(key, _)| number(key).is_multiple_of(2)).collect();
        let count = number(&entries.last().unwrap().1);
        assert_eq!(moving.len(), 1);
        assert_eq!(number(&moving[0].1), count);
        let mut events = 0;
        copy.replay(begin, &mut |seq, record| {
            let completed = matches!(record.event, Event::StatementCompleted { .. });
            events += u64::from(seq < done.size && completed);
        })
        .unwrap();
        assert_eq!(events, count + 1);
    }
    stop.store(true, Ordering::Relaxed);
    writes.join().unwrap();
}

#[test]
fn a_checkpoint_from_after_the_backup_says_what_happened() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 70);
    let before: Anchor = log.checkpoint().unwrap().parse().unwrap();
    let size = log.backup(to.path(), None).unwrap().size;
    fill(&log, 30);
    let later: Anchor = log.checkpoint().unwrap().parse().unwrap();
    let copy = restored(to.path());
    verify_dir(copy.path(), Some(&before)).unwrap();
    for grown in [false, true] {
        if grown {
            let copy = open(copy.path()).unwrap();
            fill(&copy, 90);
        }
        let failure = verify_dir(copy.path(), Some(&later)).unwrap_err().to_string();
        assert!(failure.contains(&format!("restored from a backup at record {size}")), "{failure}");
    }
}

#[test]
fn what_was_pruned_stays_pruned_and_provable() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 200);
    wait_for_seals(&log);
    log.retention(Duration::from_secs(1), false, None).unwrap();
    assert!(log.floor() > 0);
    let size = log.backup(to.path(), None).unwrap().size;
    let copy = restored(to.path());
    let copied = open(copy.path()).unwrap();
    assert_eq!(copied.floor(), log.floor());
    assert_eq!(copied.inclusion(3, size).unwrap(), log.inclusion(3, size).unwrap());
}

#[test]
fn a_byte_changed_or_a_file_lost_in_a_backup_is_refused_and_nothing_is_left() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 70);
    wait_for_seals(&log);
    let done = log.backup(to.path(), None).unwrap();
    let mut files = Vec::new();
    let mut dirs = vec![to.path().join("segments"), done.path.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 15);
    for file in files {
        let good = fs::read(&file).unwrap();
        let target = tempfile::tempdir().unwrap();
        let restore = || Log::restore(to.path(), &target.path().join("data"), options());
        let places = [0, good.len() / 3, good.len().saturating_sub(1)];
        for at in places.into_iter().filter(|at| *at < good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            assert!(restore().is_err(), "{} byte {at}", file.display());
        }
        fs::remove_file(&file).unwrap();
        assert!(restore().is_err(), "{} is gone", file.display());
        assert!(!target.path().join("data").exists());
        fs::write(&file, &good).unwrap();
    }
    restored(to.path());
}

#[test]
fn other_keys_other_logs_and_full_targets_are_refused() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 10);
    log.backup(to.path(), None).unwrap();
    let target = tempfile::tempdir().unwrap();
    let other = LogOptions { vault: vault(2), ..options() };
    assert!(matches!(Log::restore(to.path(), target.path(), other), Err(RestoreError::WrongKey)));
    fs::write(target.path().join("mine"), b"x").unwrap();
    let refused = Log::restore(to.path(), target.path(), options());
    assert!(matches!(refused, Err(RestoreError::NotEmpty(_))));
    assert_eq!(fs::read(target.path().join("mine")).unwrap(), b"x");
    assert!(matches!(log.backup(target.path(), None), Err(BackupError::Directory(..))));
    let second = tempfile::tempdir().unwrap();
    let (second, _) = Log::open(second.path(), LogOptions { vault: vault(3), ..options() }).unwrap();
    if second.id() != log.id() {
        assert!(matches!(second.backup(to.path(), None), Err(BackupError::Directory(..))));
    }
}
