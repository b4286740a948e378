//! Stops in the middle of writing: what was not acknowledged is cut off, and said; nothing else is.

use std::fs;
use std::path::Path;

use stepgate_record::{Event, Started};
use stepgate_types::Timestamp;

use super::damage::{copy, first_file, refused, written};
use super::log::event;
use crate::check::verify_records;
use crate::frame::{Builder, HEADER_BYTES};
use crate::testing::open;
use crate::{Change, Log, Side, verify_dir};

const BATCH: u64 = 3;

/// A log whose last batch of three records no checkpoint covers, as after a kill: the directory, where the last
/// frame begins, and all that is written.
fn killed() -> (tempfile::TempDir, usize, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 0..5 {
        log.append_blocking(vec![event(n)], vec![]).unwrap();
    }
    log.checkpoint().unwrap();
    let before = written(dir.path()).len();
    let kept = copy(dir.path());
    log.append_blocking((0..BATCH).map(event).collect(), vec![]).unwrap();
    let all = written(dir.path());
    // The checkpoints are those from before, whenever the log signs the next.
    fs::write(first_file(kept.path()), &all).unwrap();
    (kept, before, all)
}

fn records(log: &Log) -> Vec<Event> {
    let mut events = Vec::new();
    log.replay(0, &mut |_, record| events.push(record.event.clone())).unwrap();
    events
}

/// The log opens without the last batch, says so, and goes on.
fn is_cut(dir: &Path, case: &str) {
    let verified = verify_dir(dir, None).unwrap_or_else(|failure| panic!("{case}: {failure}"));
    assert_eq!(verified.records, 6, "{case}");
    let log = open(dir).unwrap_or_else(|error| panic!("{case}: {error}"));
    let events = records(&log);
    assert!(matches!(events[6..], [Event::LogStarted(_), Event::LogTailCut { .. }]), "{case}");
    assert_eq!(log.append_blocking(vec![event(7)], vec![]), Ok(8), "{case}");
    log.close().unwrap();
    drop(log);
    assert_eq!(verify_dir(dir, None).unwrap().records, 10, "{case}");
    // It was said once.
    let log = open(dir).unwrap();
    let cuts = records(&log).iter().filter(|event| matches!(event, Event::LogTailCut { .. })).count();
    assert_eq!(cuts, 1, "{case}");
}

#[test]
fn a_whole_batch_stays_though_no_checkpoint_covers_it() {
    let (dir, _, all) = killed();
    fs::write(first_file(dir.path()), &all).unwrap();
    let log = open(dir.path()).unwrap();
    let events = records(&log);
    assert_eq!(events[6..9], (0..BATCH).map(event).collect::<Vec<_>>());
    assert!(matches!(events[9..], [Event::LogStarted(_)]));
}

#[test]
fn a_batch_torn_at_any_byte_is_cut_off() {
    let (dir, begin, all) = killed();
    // The beginning of it is there, the rest is not: neither its bytes nor room for them, or zeros.
    for end in begin + 1..all.len() {
        for room in [0, 5, 4096] {
            let case = format!("up to byte {}, room {room}", end - begin);
            let copy = copy(dir.path());
            let mut torn = all[..end].to_vec();
            torn.resize(end + room, 0);
            fs::write(first_file(copy.path()), &torn).unwrap();
            if (end + room) % 16 == 0 || end == all.len() - 1 || end == begin + HEADER_BYTES {
                is_cut(copy.path(), &case);
            } else {
                assert_eq!(
                    verify_records(copy.path(), None).map(|verified| verified.records),
                    Ok(6),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn a_batch_of_which_any_part_is_missing_or_garbage_is_cut_off() {
    let (dir, begin, all) = killed();
    let length = all.len() - begin;
    // As a disk leaves it that wrote some sectors and not others.
    for (from, to) in [(0, 1), (0, HEADER_BYTES), (0, length - 1), (1, 9), (HEADER_BYTES, 300), (200, 201)] {
        for garbage in [Some(0), Some(0xff), Some(b'\n'), None] {
            let copy = copy(dir.path());
            let mut torn = all.clone();
            for (at, byte) in torn[begin + from..begin + to].iter_mut().enumerate() {
                // Other bytes than were there, and other than the same each time.
                *byte = garbage.unwrap_or((at as u8).wrapping_mul(31) ^ *byte ^ 0x55);
            }
            assert_ne!(torn, all);
            torn.resize(torn.len() + 8192, 0);
            fs::write(first_file(copy.path()), &torn).unwrap();
            is_cut(copy.path(), &format!("bytes {from} to {to}, {garbage:?}"));
        }
    }
}

#[test]
fn what_lies_before_a_whole_batch_is_never_taken_for_torn() {
    let (dir, begin, all) = killed();
    // The frame before the last one: it was acknowledged, since the last one was written after it.
    let frame = all[..begin].windows(3).rposition(|window| window == b"\n# ").unwrap() + 1;
    // No checkpoint covers anything.
    for entry in fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("latest") && !name.starts_with("00000000000000000000.") {
            fs::remove_file(&path).unwrap();
        }
    }
    let none = fs::read(dir.path().join("checkpoints/00000000000000000000.checkpoint")).unwrap();
    fs::write(dir.path().join("checkpoints/latest.checkpoint"), none).unwrap();
    assert_eq!(verify_dir(dir.path(), None).unwrap().records, 9);
    for (from, to) in [(0, 1), (0, begin - frame), (0, HEADER_BYTES), (HEADER_BYTES + 9, HEADER_BYTES + 10)] {
        let copy = copy(dir.path());
        let mut bad = all.clone();
        bad[frame + from..frame + to].fill(0);
        fs::write(first_file(copy.path()), &bad).unwrap();
        assert!(verify_dir(copy.path(), None).is_err(), "bytes {from} to {to}");
        refused(copy.path());
        assert_eq!(fs::read(first_file(copy.path())).unwrap(), bad, "the evidence is kept as it was");
    }
}

#[test]
fn a_batch_that_a_checkpoint_covers_is_never_cut_off() {
    let (dir, begin, all) = killed();
    {
        let log = open(dir.path()).unwrap();
        log.checkpoint().unwrap();
    }
    for end in [begin, begin + 1, begin + HEADER_BYTES, all.len() - 1] {
        let copy = copy(dir.path());
        fs::write(first_file(copy.path()), &all[..end]).unwrap();
        let failure = verify_dir(copy.path(), None).unwrap_err();
        assert!(failure.to_string().contains("record 6"), "{failure}");
        assert!(refused(copy.path()).contains("record 6"));
    }
}

/// Directories as they are before a batch with changes, and after it.
fn before_and_after() -> (tempfile::TempDir, tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let put = |value: u8| Change::Put { side: Side::Desk, key: vec![1], value: vec![value] };
    log.append_blocking(vec![event(1)], vec![put(1)]).unwrap();
    log.checkpoint().unwrap();
    let before = copy(dir.path());
    log.append_blocking(vec![event(2)], vec![put(2)]).unwrap();
    let after = copy(dir.path());
    drop(log);
    // What the journal held on the way.
    let changes = crate::journal::encode(&[put(2)]);
    let journal = crate::journal::Journal::open(&after.path().join("on-the-way")).unwrap();
    journal.write(2, &changes, crate::frame::digest_of(&changes)).unwrap();
    let journal = fs::read(after.path().join("on-the-way")).unwrap();
    (before, after, journal)
}

fn replace(from: &Path, to: &Path, sub: &str) {
    let from = copy(from);
    fs::remove_dir_all(to.join(sub)).unwrap();
    fs::rename(from.path().join(sub), to.join(sub)).unwrap();
}

#[test]
fn a_stop_between_any_two_steps_leaves_both_records_and_changes_or_neither() {
    let (before, after, journal) = before_and_after();
    let desk = |dir: &Path| open(dir).unwrap().load(Side::Desk).unwrap();
    let value = |value: u8| vec![(vec![1], vec![value])];
    let count = |dir: &Path| verify_dir(dir, None).unwrap().records;

    // Nothing but the journal is there, or a part of it.
    for length in [1, journal.len() / 2, journal.len()] {
        let dir = copy(before.path());
        fs::write(dir.path().join("journal"), &journal[..length]).unwrap();
        assert_eq!((count(dir.path()), desk(dir.path())), (2, value(1)));
    }
    // Half of the frame.
    let dir = copy(before.path());
    fs::write(dir.path().join("journal"), &journal).unwrap();
    let all = written(after.path());
    fs::write(first_file(dir.path()), &all[..all.len() - 5]).unwrap();
    assert_eq!((count(dir.path()), desk(dir.path())), (2, value(1)));
    // All of the frame; sled does not have it yet.
    let dir = copy(after.path());
    replace(before.path(), dir.path(), "beside");
    fs::write(dir.path().join("journal"), &journal).unwrap();
    assert_eq!((count(dir.path()), desk(dir.path())), (3, value(2)));
    assert_eq!(desk(dir.path()), value(2), "and again");
    // Sled has it, the journal is not wiped.
    let dir = copy(after.path());
    fs::write(dir.path().join("journal"), &journal).unwrap();
    assert_eq!((count(dir.path()), desk(dir.path())), (3, value(2)));
    let left = fs::read(dir.path().join("journal")).unwrap();
    assert!(left.iter().all(|byte| *byte == 0), "nothing lingers in the journal");
}

#[test]
fn changes_whose_journal_is_gone_are_missed() {
    let (before, after, journal) = before_and_after();
    for left in [vec![], journal[..journal.len() - 1].to_vec(), vec![0; journal.len()]] {
        let dir = copy(after.path());
        replace(before.path(), dir.path(), "beside");
        fs::write(dir.path().join("journal"), left).unwrap();
        assert!(refused(dir.path()).contains("beside the log"));
    }
}

#[test]
fn records_that_are_cut_off_leave_room_for_others_of_the_same_number() {
    let (before, after, journal) = before_and_after();
    let dir = copy(before.path());
    fs::write(dir.path().join("journal"), &journal).unwrap();
    let all = written(after.path());
    fs::write(first_file(dir.path()), &all[..all.len() - 5]).unwrap();
    {
        let log = open(dir.path()).unwrap();
        let at: Vec<Timestamp> = log.tail(2).unwrap().into_iter().map(|record| record.at).collect();
        assert_eq!(at[0], at[1], "started, and cut");
    }
    // The journal's changes are not made by mistake later.
    let log = open(dir.path()).unwrap();
    assert_eq!(log.load(Side::Desk).unwrap(), [(vec![1], vec![1])]);
}

#[test]
fn a_frame_in_the_garbage_of_a_torn_one_does_not_save_it() {
    // Somebody could have a record hold what looks like a frame; a line's end, it cannot.
    let mut frame = Builder::default();
    frame.begin();
    frame.add_record(b"{}");
    let text = String::from_utf8(frame.finish(6, None).to_vec()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.checkpoint().unwrap();
    let kept = copy(dir.path());
    let begin = written(dir.path()).len();
    log.append_blocking(vec![Event::LogStarted(Started::new(text))], vec![]).unwrap();
    let all = written(dir.path());
    drop(log);
    let torn = &all[..all.len() - 3];
    fs::write(first_file(kept.path()), torn).unwrap();
    assert!(torn.len() > begin + 2 * HEADER_BYTES);
    assert_eq!(verify_dir(kept.path(), None).unwrap().records, 1);
    assert!(open(kept.path()).is_ok());
}
