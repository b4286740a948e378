//! Full files: sealed, trusted, proven from, and held against what was sealed.

use std::fs;
use std::path::Path;

use stepgate_record::{Event, Tree, consistency_holds, inclusion_holds};

use super::damage::{copy, refused};
use super::log::event;
use crate::testing::{open, open_sealing, until, wait_for_seals};
use crate::{Change, Log, Side, verify_dir};

const SEGMENT: u64 = 32;

/// A closed log of some segments, written in batches of all sizes, some with changes.
pub(super) fn sealed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 150);
    wait_for_seals(&log);
    log.close().unwrap();
    dir
}

/// Appends at least so many records.
pub(super) fn fill(log: &Log, records: u64) {
    let mut n = 0;
    while n < records {
        let batch = 1 + n % 7;
        let change = (n % 3 == 0).then(|| Change::Put {
            side: Side::Taints,
            key: n.to_be_bytes().to_vec(),
            value: vec![7; 9],
        });
        log.append_blocking((n..n + batch).map(event).collect(), change.into_iter().collect()).unwrap();
        n += batch;
    }
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.join("records"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_end_at_multiples_and_each_full_one_is_sealed_and_said_to_be() {
    let dir = sealed();
    let log = open(dir.path()).unwrap();
    let segments = log.segments();
    let (last, full) = segments.split_last().unwrap();
    assert!(full.len() >= 4 && !last.sealed && last.end == log.len());
    for (segment, first) in full.iter().zip((0..).step_by(32)) {
        assert_eq!((segment.first, segment.end, segment.sealed), (first, first + SEGMENT, true));
        for ending in ["log", "hashes", "offsets", "checkpoint", "seal"] {
            assert!(segment.path.with_extension(ending).exists(), "{ending}");
        }
    }
    let mut said = Vec::new();
    log.replay(0, &mut |_, record| {
        if let Event::LogSealed(sealed) = &record.event {
            assert_eq!(log.frontier_at(sealed.end).unwrap().root(), Some(sealed.root));
            said.push((sealed.first, sealed.end));
        }
    })
    .unwrap();
    assert_eq!(said, full.iter().map(|segment| (segment.first, segment.end)).collect::<Vec<_>>());
    // Records that lie in one that was not read at the start.
    for from in [0, 1, 31, 32, 33, 63, 64, 90] {
        let read: Vec<u64> = log.read(from, log.len()).map(|stored| stored.unwrap().seq).collect();
        assert_eq!(read, (from..log.len()).collect::<Vec<_>>());
    }
    let noted = verify_dir(copy(dir.path()).path(), None).unwrap();
    assert_eq!(noted.records, log.len());
    assert!(log.verify(None).is_ok());
}

#[test]
fn proofs_over_segments_and_tail_are_those_of_the_tree() {
    let dir = sealed();
    let log = open(dir.path()).unwrap();
    let size = log.len();
    let leaves = log.leaf_hashes(0, size).unwrap();
    let mut tree = Tree::new();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    for stored in log.read(0, size) {
        let stored = stored.unwrap();
        assert_eq!(leaves[stored.seq as usize], stored.hash);
    }
    for end in [1, 31, 32, 33, 64, 100, size - 1, size] {
        let root = tree.root(end).unwrap();
        assert_eq!(log.frontier_at(end).unwrap().root(), Some(root));
        for seq in (0..end).step_by(3) {
            let path = log.inclusion(seq, end).unwrap();
            assert_eq!(path, tree.inclusion_proof(seq, end).unwrap());
            assert!(inclusion_holds(&leaves[seq as usize], seq, end, &path, &root));
        }
        for old in 0..=end {
            let proof = log.consistency(old, end).unwrap();
            assert_eq!(proof, tree.consistency_proof(old, end).unwrap(), "{old} {end}");
            assert!(consistency_holds(old, &tree.root(old).unwrap(), end, &root, &proof));
        }
    }
    assert!(log.leaf_hashes(0, size + 1).is_err());
    assert!(log.inclusion(size, size).is_err());
    assert!(log.consistency(5, 4).is_err());
}

#[test]
fn a_byte_changed_beside_a_sealed_file_is_named_and_changes_no_record() {
    let dir = sealed();
    let records = verify_dir(dir.path(), None).unwrap().records;
    for (first, ending) in [0, 32, 64, 96]
        .into_iter()
        .flat_map(|first| ["hashes", "offsets", "checkpoint", "seal"].map(|ending| (first, ending)))
    {
        let name = format!("{first:020}.{ending}");
        let good = fs::read(dir.path().join("records").join(&name)).unwrap();
        for at in (0..good.len()).step_by(if ending == "checkpoint" || ending == "seal" { 17 } else { 211 }) {
            let copy = copy(dir.path());
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(copy.path().join("records").join(&name), &bad).unwrap();
            let failure = verify_dir(copy.path(), None).unwrap_err();
            assert!(failure.why.contains(&format!("{first:020}")), "{name} byte {at}: {failure}");
            // A start does not read all of it; what it opens is the same log, or it refuses.
            if at % 5 == 0
                && let Ok(log) = open(copy.path())
            {
                assert!(ending != "checkpoint", "{name} byte {at}");
                let read: Result<Vec<_>, _> = log.read(0, records).collect();
                assert_eq!(read.unwrap().len() as u64, records);
            }
        }
    }
}

#[test]
fn files_of_sealed_segments_that_are_removed_or_swapped_are_found() {
    let dir = sealed();
    let path = |dir: &Path, first: u64, ending: &str| dir.join(format!("records/{first:020}.{ending}"));
    for ending in ["log", "hashes", "offsets", "checkpoint", "seal"] {
        for first in [0, 32, 64] {
            let without = copy(dir.path());
            fs::remove_file(path(without.path(), first, ending)).unwrap();
            assert!(verify_dir(without.path(), None).is_err(), "{first} {ending}");
            if ending == "log" {
                assert!(refused(without.path()).contains("is missing"), "{first}");
            }
        }
        let swapped = copy(dir.path());
        fs::rename(path(swapped.path(), 0, ending), path(swapped.path(), 999, ending)).unwrap();
        fs::rename(path(swapped.path(), 32, ending), path(swapped.path(), 0, ending)).unwrap();
        fs::rename(path(swapped.path(), 999, ending), path(swapped.path(), 32, ending)).unwrap();
        assert!(verify_dir(swapped.path(), None).is_err(), "{ending}");
    }
}

#[test]
fn seals_that_are_lost_are_made_again() {
    let dir = sealed();
    for path in names(dir.path()) {
        if !path.ends_with(".log") {
            fs::remove_file(dir.path().join("records").join(path)).unwrap();
        }
    }
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    wait_for_seals(&log);
    log.close().unwrap();
    drop(log);
    verify_dir(dir.path(), None).unwrap();
}

#[test]
fn a_batch_over_the_end_of_a_file_counts_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing is sealed: the record of a seal would come between the parts of a copy.
    let (log, _) = Log::open_with_segments(dir.path(), crate::testing::options(), SEGMENT).unwrap();
    let change = |key: u8| vec![Change::Put { side: Side::Taints, key: vec![key], value: vec![1] }];
    log.append_blocking((0..28).map(event).collect(), change(0)).unwrap();
    log.checkpoint().unwrap();
    let before = copy(dir.path());
    // From record 29 on, over two ends.
    log.append_blocking((0..80).map(event).collect(), change(1)).unwrap();
    let after = copy(dir.path());
    drop(log);
    assert_eq!(names(after.path()).iter().filter(|name| name.ends_with(".log")).count(), 4);
    let opened = |dir: &Path| {
        let log = Log::open_with_segments(dir, crate::testing::options(), SEGMENT).unwrap().0;
        let kept = (log.len(), log.load(Side::Taints).unwrap().len());
        drop(log);
        verify_dir(dir, None).unwrap();
        kept
    };
    // As a stop leaves it: what was written of the files, and what is beside the log as it was before.
    for (files, last) in [(1, false), (2, false), (3, false), (4, true), (4, false)] {
        let torn = copy(before.path());
        for name in names(after.path()).iter().filter(|name| name.ends_with(".log")).take(files) {
            let mut bytes = fs::read(after.path().join("records").join(name)).unwrap();
            if files == 4 && name.contains("96.") && !last {
                let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
                bytes.truncate(written - 100);
            }
            fs::write(torn.path().join("records").join(name), bytes).unwrap();
        }
        fs::copy(after.path().join("journal"), torn.path().join("journal")).unwrap();
        let verified = verify_dir(torn.path(), None);
        if last {
            // The journal was wiped when the change was made: here, that is undone.
            assert!(verified.is_err());
            continue;
        }
        assert_eq!(verified.unwrap().records, 29, "{files} files");
        let (records, changes) = opened(torn.path());
        // That it was opened, and that something was cut off.
        assert_eq!((records, changes), (31, 1), "{files} files");
    }
    assert_eq!(opened(after.path()), (29 + 80 + 1, 2));
}

#[test]
fn what_changes_on_disk_is_found_by_the_rounds_of_checks_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 150);
    wait_for_seals(&log);
    log.set_upkeep(crate::Upkeep { keep: None, verify_every: Some(std::time::Duration::from_micros(1)) });
    let said = |what: &str, wanted: &dyn Fn(&Event) -> bool| {
        until(what, || {
            let mut found = false;
            log.replay(0, &mut |_, record| found |= wanted(&record.event)).unwrap();
            found
        });
    };
    said("that all is well", &|event| matches!(event, Event::IntegrityChecked { ok: true, .. }));
    let path = dir.path().join(format!("records/{:020}.offsets", 32));
    let mut bytes = fs::read(&path).unwrap();
    bytes[9] ^= 1;
    fs::write(&path, bytes).unwrap();
    said("what is wrong", &|event| matches!(event, Event::IntegrityFailed(failed) if failed.first == 32));
    said("that not all is well", &|event| matches!(event, Event::IntegrityChecked { ok: false, .. }));
}
