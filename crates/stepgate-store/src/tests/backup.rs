//! Backups, made while records are appended; restored, and refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stepgate_record::Event;
use stepgate_record::verify::Anchor;

use super::log::event;
use super::sealing::fill;
use crate::backup::sealed_at;
use crate::testing::{open, open_sealing, options, vault, wait_for_seals};
use crate::{BackupError, Change, Log, LogOptions, RestoreError, Side, is_backup, verify_backup, verify_dir};

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
    let mut counts = std::collections::BTreeSet::new();
    // A log has at most 64 keys.
    for _ in 0..8 {
        let replaces = {
            let log = log.clone();
            std::thread::spawn(move || (0..6).for_each(|_| drop(log.rotate_key().unwrap())))
        };
        log.backup(to.path(), None).unwrap();
        replaces.join().unwrap();
        let copy = restored(to.path());
        verify_dir(copy.path(), None).unwrap();
        counts.insert(open(copy.path()).unwrap().keys().count());
    }
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
                // As a disk would have it, where there is none.
                std::thread::sleep(Duration::from_millis(1));
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

/// Its records of after that moment are not the backup's, and those of before are in no other file.
#[test]
fn a_segment_that_is_sealed_after_the_moment_of_a_backup_is_copied_as_it_was() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    for more in [SEGMENT - 1, SEGMENT, 3 * SEGMENT] {
        fill(&log, 20);
        wait_for_seals(&log);
        let (later, sealed) = (log.clone(), log.shared().archive.sealed_to());
        crate::fault::then("backup: moment", move || {
            fill(&later, more);
            wait_for_seals(&later);
        });
        let done = log.backup(to.path(), None).unwrap();
        assert!(log.shared().archive.sealed_to() > sealed, "nothing was sealed meanwhile");
        let copy = restored(to.path());
        verify_dir(copy.path(), None).unwrap();
        let copy = open(copy.path()).unwrap();
        assert_eq!(copy.frontier_at(done.size).unwrap().root(), Some(done.root));
        assert_eq!(copy.read(0, done.size).filter(Result::is_ok).count() as u64, done.size);
    }
    let seals = log.shared().archive.seals();
    for size in 0..=log.len() {
        let (sealed, rest) = seals.split_at(sealed_at(&seals, size).len());
        assert!(sealed.iter().all(|seal| seal.end <= size) && rest.iter().all(|seal| seal.end > size));
    }
}

/// A way notes what has left by a new file that takes the old one's name, whatever else goes on.
#[test]
fn what_ways_and_sinks_write_meanwhile_fails_no_backup() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(dir.path()).unwrap();
    let sinks = dir.path().join("sinks");
    fs::create_dir(&sinks).unwrap();
    fs::write(sinks.join("file-ab.checkpoint-unfinished"), "half").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writes = {
        let (sinks, stop) = (sinks.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for name in ["file-cd", "webhook-ef", "email-01"] {
                    let unfinished = sinks.join(format!("{name}.checkpoint-unfinished"));
                    fs::write(&unfinished, "{}").unwrap();
                    fs::rename(unfinished, sinks.join(format!("{name}.checkpoint-sent"))).unwrap();
                }
            }
        })
    };
    crate::testing::until("a first one", || sinks.join("email-01.checkpoint-sent").exists());
    let done: Vec<_> = (0..20).map(|_| log.backup(to.path(), None)).collect();
    stop.store(true, Ordering::Relaxed);
    writes.join().unwrap();
    done.into_iter().for_each(|done| drop(done.unwrap()));
    let copy = restored(to.path());
    let names: Vec<_> =
        fs::read_dir(copy.path().join("sinks")).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(!names.is_empty() && names.iter().all(|path| path.extension().unwrap() == "checkpoint-sent"));
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
    let sealed = to.path().join("segments");
    for file in files {
        let good = fs::read(&file).unwrap();
        let target = tempfile::tempdir().unwrap();
        let restore = || Log::restore(to.path(), &target.path().join("data"), options());
        // Where it lies, the same is found without the master key.
        let found = || {
            for named in [to.path(), &done.path] {
                let failure = verify_backup(named, None).unwrap_err();
                assert!(failure.is_finding(), "{}: {failure}", file.display());
                let name = file.file_name().unwrap().to_str().unwrap();
                let is_named = failure.why.contains(name) || file.starts_with(&sealed);
                assert!(is_named || name.starts_with("manifest"), "{name}: {failure}");
            }
        };
        let places = [0, good.len() / 3, good.len().saturating_sub(1)];
        for at in places.into_iter().filter(|at| *at < good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            assert!(restore().is_err(), "{} byte {at}", file.display());
            found();
        }
        fs::remove_file(&file).unwrap();
        assert!(restore().is_err(), "{} is gone", file.display());
        found();
        assert!(!target.path().join("data").exists());
        fs::write(&file, &good).unwrap();
    }
    restored(to.path());
    verify_backup(to.path(), None).unwrap();
}

/// All that a directory holds.
fn listed(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listed(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_backup_is_verified_where_it_lies_against_checkpoints_and_keys_from_elsewhere() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 70);
    let early: Anchor = log.checkpoint().unwrap().parse().unwrap();
    let first = log.backup(to.path(), None).unwrap();
    fill(&log, 70);
    log.rotate_key().unwrap();
    wait_for_seals(&log);
    let second = log.backup(to.path(), None).unwrap();
    let later: Anchor = log.checkpoint().unwrap().parse().unwrap();
    let before = listed(to.path());
    assert!(is_backup(to.path()) && is_backup(&first.path) && !is_backup(dir.path()));
    for (path, size, root) in [
        (to.path(), second.size, second.root),
        (&second.path, second.size, second.root),
        (&first.path, first.size, first.root),
    ] {
        let verified = verify_backup(path, Some(&early)).unwrap();
        assert_eq!((verified.records, verified.root), (size, root), "{}", path.display());
        let notes = verified.notes.join("\n");
        assert!(notes.contains("nothing was restored"), "{notes}");
        assert_eq!(notes.contains("not looked at: at-"), path == to.path(), "{notes}");
    }
    let unanchored = verify_backup(to.path(), None).unwrap().notes.join("\n");
    assert!(unanchored.contains("the key and checkpoints in the backup"), "{unanchored}");
    // One from after it covers more than it can hold, which is said.
    let failure = verify_backup(&first.path, Some(&later)).unwrap_err().to_string();
    assert!(failure.contains(&format!("The backup is of the first {} records", first.size)), "{failure}");
    // Another gate's log, whole and signed by its own key, is not this one.
    let (other_dir, other_to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (other, _) = Log::open(other_dir.path(), LogOptions { vault: vault(3), ..options() }).unwrap();
    fill(&other, 140);
    other.backup(other_to.path(), None).unwrap();
    verify_backup(other_to.path(), None).unwrap();
    assert!(verify_backup(other_to.path(), Some(&early)).is_err());
    assert_eq!(listed(to.path()), before, "verifying writes nothing there");
    // What was deleted by retention before the backup is said, and its hashes are held against the same checkpoints.
    log.retention(Duration::from_secs(1), false, None).unwrap();
    assert!(log.floor() > 0);
    let pruned = log.backup(to.path(), None).unwrap();
    let verified = verify_backup(to.path(), Some(&early)).unwrap();
    assert_eq!(verified.records, pruned.size);
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
