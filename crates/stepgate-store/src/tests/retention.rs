//! What retention deletes, and what still holds afterwards.

use std::fs;
use std::time::Duration;

use stepgate_record::{Event, SessionOpened, inclusion_holds};
use stepgate_types::{SessionId, Who};

use super::damage::{copy, refused};
use super::log::event;
use super::sealing::{fill, names};
use crate::testing::{open_sealing, until, wait_for_seals};
use crate::{Log, Upkeep, verify_dir};

const SEGMENT: u64 = 32;

/// A log of which all but the newest two sealed segments may go; a record is made each second.
pub(super) fn old() -> (tempfile::TempDir, Log) {
    let dir = tempfile::tempdir().unwrap();
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    fill(&log, 200);
    wait_for_seals(&log);
    (dir, log)
}

#[test]
fn what_lay_beside_deleted_records_and_outlived_them_goes_when_the_log_is_opened() {
    let (dir, log) = old();
    prune(&log, 1);
    let floor = log.floor();
    log.close().unwrap();
    drop(log);
    let beside = |first: u64, what| dir.path().join(format!("records/{first:020}.{what}"));
    for what in ["offsets", "index"] {
        fs::write(beside(0, what), b"left by a power cut").unwrap();
    }
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    assert!(["offsets", "index"].into_iter().all(|what| !beside(0, what).exists()));
    assert!(beside(floor, "offsets").exists() && beside(0, "hashes").exists());
    log.close().unwrap();
    drop(log);
    verify_dir(dir.path(), None).unwrap();
}

fn opened(session: u8) -> Event {
    Event::SessionOpened(Box::new(SessionOpened {
        session: SessionId::from_bytes([session; 16]),
        person: "dana".into(),
        database: "shop".to_owned(),
        db_user: "analyst".to_owned(),
        address: "::1".into(),
        client: "psql".into(),
        tls: true,
        method: None,
        certificate_sha256: None,
        password: None,
        startup: None,
        hello: None,
    }))
}

fn closed(session: u8) -> Event {
    let session = SessionId::from_bytes([session; 16]);
    Event::SessionClosed { session, reason: "terminate".to_owned() }
}

#[test]
fn a_session_that_lasts_is_known_to_be_open_when_the_record_of_its_opening_is_long_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let before = |log: &Log| -> Vec<_> {
        log.sessions_before().unwrap().into_iter().map(|session| session.bytes()[0]).collect()
    };
    let all: Vec<u8> = (1..=4).collect();
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    log.append_blocking(all.iter().copied().map(opened).collect(), vec![]).unwrap();
    fill(&log, 200);
    log.append_blocking(vec![closed(2)], vec![]).unwrap();
    fill(&log, 50);
    wait_for_seals(&log);
    assert_eq!(before(&log), [1, 3, 4]);
    // It keeps no record from being deleted.
    prune(&log, 1);
    assert!(log.floor() > 100 && log.desk_floor().unwrap() > 100);
    log.close().unwrap();
    drop(log);
    // A gate that starts in the middle knows them as well.
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    log.append_blocking(vec![closed(3), opened(5)], vec![]).unwrap();
    fill(&log, 100);
    wait_for_seals(&log);
    assert_eq!(before(&log), [1, 4, 5]);
    log.append_blocking([1, 4, 5].map(closed).to_vec(), vec![]).unwrap();
    fill(&log, 100);
    wait_for_seals(&log);
    assert_eq!(before(&log), [] as [u8; 0]);
}

/// Says, and then does.
pub(super) fn prune(log: &Log, seconds: u64) -> crate::Pruning {
    log.retention(Duration::from_secs(seconds), true, None).unwrap();
    log.retention(Duration::from_secs(seconds), false, None).unwrap()
}

#[test]
fn what_is_deleted_is_said_and_everything_else_still_proves() {
    let (dir, log) = old();
    let before = copy(dir.path());
    let (size, root) = (log.len(), log.frontier_at(log.len()).unwrap().root().unwrap());
    let proofs: Vec<_> = (0..size).map(|seq| log.inclusion(seq, size).unwrap()).collect();
    let operator = Some(Who::from("uid:1000"));
    let pruned = log.retention(Duration::from_secs(1), false, operator).unwrap();
    assert!(log.floor() >= 3 * SEGMENT, "{pruned:?}");
    let floor = log.floor();
    assert!(log.read(0, 5).next().unwrap().is_err());
    assert_eq!(log.read(floor, size).count() as u64, size - floor);
    for (seq, before) in (0..size).zip(&proofs) {
        assert_eq!(log.inclusion(seq, size).unwrap(), *before);
        let leaf = log.leaf_hashes(seq, seq + 1).unwrap()[0];
        assert!(inclusion_holds(&leaf, seq, size, before, &root));
    }
    assert!(log.verify(None).is_ok());
    log.close().unwrap();
    drop(log);
    let verified = verify_dir(dir.path(), None).unwrap();
    assert!(verified.notes.iter().any(|note| note.contains("deleted by retention")), "{:?}", verified.notes);
    assert!(!names(dir.path()).contains(&format!("{:020}.log", 0)));
    assert!(names(dir.path()).contains(&format!("{:020}.hashes", 0)));
    // It goes on, and starts again.
    let log = open_sealing(dir.path(), SEGMENT).unwrap();
    assert_eq!(log.floor(), floor);
    let said = log.read(floor, log.len()).filter(|stored| {
        let text = String::from_utf8_lossy(&stored.as_ref().unwrap().bytes).into_owned();
        assert!(!text.contains("uid:1000"), "{text}");
        text.contains("\"retention.pruned\"") && text.contains("\"operator\":\"")
    });
    assert_eq!(said.count(), 1);
    drop(log);
    // Without the record of it, the same looks like what it is.
    for first in [0, 32] {
        fs::remove_file(before.path().join(format!("records/{first:020}.log"))).unwrap();
        fs::remove_file(before.path().join(format!("records/{first:020}.offsets"))).unwrap();
    }
    let failure = verify_dir(before.path(), None).unwrap_err();
    assert!(failure.to_string().contains("record 0: it is missing"), "{failure}");
    assert!(refused(before.path()).contains("not deleted by retention"));
    // More than was recorded.
    let more = copy(dir.path());
    fs::remove_file(more.path().join(format!("records/{floor:020}.log"))).unwrap();
    assert!(verify_dir(more.path(), None).is_err());
    refused(more.path());
    // The hashes of what is gone are under the same checkpoints.
    for at in [0, 32 * 31, 32 * 32 - 1] {
        let altered = copy(dir.path());
        let path = altered.path().join(format!("records/{:020}.hashes", 32));
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(verify_dir(altered.path(), None).unwrap_err().why.contains("00000032.hashes"));
    }
}

/// When the records that are kept were made, in microseconds.
fn times(log: &Log) -> Vec<i64> {
    let mut times = Vec::new();
    log.replay(log.floor(), &mut |_, record| times.push(record.at.micros())).unwrap();
    times
}

#[test]
fn a_clock_by_which_everything_is_old_deletes_nothing_by_itself() {
    let (_dir, log) = old();
    log.set_upkeep(Upkeep { keep: Some(Duration::from_secs(1)), verify_every: None });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(log.floor(), 0);
    // Whoever says so means it.
    assert!(prune(&log, 1).end > 0 && log.floor() > 0);
    let (_dir, log) = old();
    log.set_upkeep(Upkeep { keep: Some(Duration::from_secs(100)), verify_every: None });
    until("something to be deleted", || log.floor() > 0);
}

#[test]
fn nothing_goes_that_is_young_or_needed() {
    let (_dir, log) = old();
    let all = prune(&log, 100_000);
    assert_eq!((all.first, all.end, all.bound), (0, 0, "keep"));
    let made = times(&log);
    let pruned = prune(&log, 25);
    assert!(pruned.end > 0 && pruned.bound == "keep", "{pruned:?}");
    assert_eq!(log.floor(), pruned.end);
    // The last that went was older than that when it was said, and of the first that stayed, one was younger.
    let at = |seq: u64| *made.get(usize::try_from(seq).unwrap()).unwrap();
    let said = times(&log)
        .into_iter()
        .zip(log.floor()..)
        .find(|(_, seq)| *seq >= u64::try_from(made.len()).unwrap());
    assert!(at(pruned.end - 1) + 25_000_000 < said.unwrap().0);
    assert!(at(pruned.end + SEGMENT - 1) + 25_000_000 >= *made.last().unwrap());
    let again = prune(&log, 25);
    assert!(again.first == pruned.end);
    // The next ones go later.
    for n in 0..200 {
        log.append_blocking(vec![event(n)], vec![]).unwrap();
    }
    wait_for_seals(&log);
    let later = prune(&log, 25);
    assert!(later.end > pruned.end, "{later:?}");
    let mut said = Vec::new();
    log.replay(log.floor(), &mut |_, record| {
        if let Event::RetentionPruned(pruned) = &record.event {
            said.push((pruned.first, pruned.end));
        }
    })
    .unwrap();
    assert_eq!(said.last().unwrap().1, log.floor());
    assert!(log.verify(None).is_ok());
}
