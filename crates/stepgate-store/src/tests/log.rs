//! Writing, reading and opening again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use stepgate_record::{Event, MAX_RECORD_BYTES, Started};
use stepgate_types::{SessionId, StatementId};

use crate::testing::{open, options, vault};
use crate::wait::block_on;
use crate::{Change, Log, LogError, LogOptions, OpenError, Side};

pub(super) fn event(n: u64) -> Event {
    Event::StatementCompleted {
        session: SessionId::from_bytes([7; 16]),
        statement: n,
        sqlstate: None,
        rows: n,
        bytes: 0,
        duration_us: 0,
        suspended: false,
    }
}

fn statement(number: u64) -> StatementId {
    StatementId { session: SessionId::from_bytes([7; 16]), number }
}

fn all(log: &Log) -> Vec<Event> {
    let mut events = Vec::new();
    log.replay(0, &mut |seq, record| {
        assert_eq!(seq, u64::try_from(events.len()).unwrap());
        assert_eq!(record.seq, seq);
        events.push(record.event.clone());
    })
    .unwrap();
    events
}

#[test]
fn what_is_appended_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let (log, opened) = Log::open(dir.path(), options()).unwrap();
    assert!(opened.created);
    assert_eq!(log.append_blocking(vec![event(1), event(2)], vec![]), Ok(1));
    assert_eq!(log.append_blocking(vec![event(3)], vec![]), Ok(3));
    let id = log.id().to_owned();
    log.close().unwrap();
    drop(log);

    let (log, opened) = Log::open(dir.path(), options()).unwrap();
    assert_eq!((opened.created, opened.records), (false, 5));
    assert_eq!(log.id(), id);
    // The first time there was nothing to check; the second time all of it was.
    let created = Event::LogStarted(Started::new("test"));
    let (checked_from, records, checkpoint_size) = (Some(0), Some(5), Some(5));
    let started =
        Event::LogStarted(Started { checked_from, records, checkpoint_size, ..Started::new("test") });
    assert_eq!(all(&log), [created, event(1), event(2), event(3), Event::LogStopped {}, started.clone()]);
    let tail: Vec<Event> = log.tail(2).unwrap().into_iter().map(|record| record.event).collect();
    assert_eq!(tail, [Event::LogStopped {}, started]);
    assert_eq!(log.len(), 6);
}

#[test]
fn a_closed_log_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.close().unwrap();
    assert_eq!(log.append_blocking(vec![event(1)], vec![]), Err(LogError::Closed));
    assert_eq!(log.note(event(1)), Err(LogError::Closed));
    assert!(block_on(log.permit(statement(1), vec![event(1)], Vec::new())).is_err());
}

#[test]
fn many_writers_get_each_its_own_numbers_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|writer| {
            let log = log.clone();
            thread::spawn(move || {
                (0..50)
                    .map(|n| log.append_blocking(vec![event(writer * 1000 + n)], vec![]).unwrap())
                    .collect::<Vec<u64>>()
            })
        })
        .collect();
    let mut numbers: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=400).collect::<Vec<u64>>());
    assert_eq!(all(&log).len(), 401);
    assert_eq!(log.verify(None).unwrap().records, 401);
}

#[test]
fn a_permit_is_had_only_once_its_record_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let permit = block_on(log.permit(statement(5), vec![event(5)], Vec::new())).unwrap();
    assert_eq!(permit.statement(), statement(5));
    assert!(permit.seq() < log.len());

    log.shared().records.break_sync();
    let refused = block_on(log.permit(statement(6), vec![event(6)], Vec::new()));
    assert!(matches!(refused, Err(LogError::Poisoned(_))));
}

#[test]
fn after_a_failed_sync_nothing_passes_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.shared().records.break_sync();
    let (ticket, mut release) = block_on(log.ticket(statement(1), event(1))).unwrap();
    drop(ticket);
    let outcome = block_on(&mut release);
    assert!(matches!(outcome, Err(LogError::Poisoned(_))), "{outcome:?}");
    assert_eq!(log.len(), 1, "the record does not count as durable");
    assert!(log.poisoned().is_some());
    assert!(matches!(log.append_blocking(vec![event(2)], vec![]), Err(LogError::Poisoned(_))));
    assert!(matches!(log.note(event(2)), Err(LogError::Poisoned(_))));
    assert!(block_on(log.ticket(statement(2), event(2))).is_err());
    assert!(log.checkpoint().is_err());
    assert!(log.close().is_err());
}

#[test]
fn a_failed_checkpoint_poisons_too() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking(vec![event(1)], vec![]).unwrap();
    std::fs::remove_dir_all(dir.path().join("checkpoints")).unwrap();
    assert!(log.checkpoint().is_err());
    assert!(log.append_blocking(vec![event(2)], vec![]).is_err());
}

#[test]
fn a_release_waits_for_the_disk_in_durable_mode_and_not_in_buffered_mode() {
    for ordinary_durable in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { ordinary_durable, ..options() };
        let (log, _) = Log::open(dir.path(), options).unwrap();
        // Holds the writer up: it cannot publish while the tree is locked.
        let held = log.shared().frontier.lock().unwrap();
        let (ticket, mut release) = block_on(log.ticket(statement(1), event(1))).unwrap();
        assert_eq!(ticket.statement(), statement(1));
        let early = Pin::new(&mut release).poll(&mut Context::from_waker(Waker::noop()));
        drop(held);
        if ordinary_durable {
            assert!(matches!(early, Poll::Pending));
            let release = block_on(release).unwrap();
            assert!(release.seq() < log.len());
            assert_eq!(release.statement(), statement(1));
        } else {
            assert!(matches!(early, Poll::Ready(Ok(_))));
        }
    }
}

#[test]
fn a_second_opener_is_told_that_the_directory_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let Err(error @ OpenError::InUse { .. }) = open(dir.path()) else { panic!("opened twice") };
    let pid = std::process::id().to_string();
    assert!(error.to_string().contains(&pid), "{error}");
    assert_eq!(log.append_blocking(vec![event(1)], vec![]), Ok(1));
    drop(log);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn another_master_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let other = LogOptions { vault: vault(2), ..options() };
    assert!(matches!(Log::open(dir.path(), other), Err(OpenError::WrongKey { .. })));
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_newer_store_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let path = dir.path().join("format.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"version\":2", "\"version\":3");
    std::fs::write(&path, text).unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::Newer { found: 3, known: 2, .. })));
}

#[test]
fn changes_beside_the_log_come_and_go_with_their_events() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let put =
        |key: &[u8], value: &[u8]| Change::Put { side: Side::Desk, key: key.to_vec(), value: value.to_vec() };
    log.append_blocking(vec![event(1)], vec![put(b"a", b"1"), put(b"b", b"2")]).unwrap();
    let delete = Change::Delete { side: Side::Desk, key: b"a".to_vec() };
    log.append_blocking(vec![event(2)], vec![delete]).unwrap();
    drop(log);
    let log = open(dir.path()).unwrap();
    assert_eq!(log.load(Side::Desk).unwrap(), [(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(log.load_one(Side::Desk, b"b").unwrap(), Some(b"2".to_vec()));
    assert_eq!(log.load(Side::People).unwrap(), []);

    let large = put(b"a", &[0; MAX_RECORD_BYTES + 1]);
    assert!(matches!(log.append_blocking(vec![event(3)], vec![large]), Err(LogError::TooLarge(_))));
    assert!(matches!(log.append_blocking(vec![], vec![put(b"a", b"1")]), Err(LogError::TooLarge(_))));
    assert_eq!(log.append_blocking(vec![event(3)], vec![put(b"a", &[0; MAX_RECORD_BYTES])]), Ok(4));
}

#[test]
fn an_event_that_cannot_be_recorded_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let large = Event::LogStarted(Started::new("x".repeat(5000)));
    assert!(matches!(log.append_blocking(vec![event(1), large], vec![]), Err(LogError::TooLarge(_))));
    assert_eq!(log.append_blocking(vec![event(1)], vec![]), Ok(1));
}

#[test]
fn whoever_follows_the_log_hears_of_each_record() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let mut watch = log.watch();
    assert_eq!(*watch.borrow_and_update(), 1);
    log.append_blocking(vec![event(1)], vec![]).unwrap();
    block_on(watch.changed()).unwrap();
    assert_eq!(*watch.borrow(), 2);
}

#[test]
fn what_nobody_waits_for_is_on_disk_soon_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let mut durable = log.watch();
    let before = *durable.borrow();
    log.note(event(1)).unwrap();
    block_on(durable.wait_for(|count| *count > before)).unwrap();
    // And it does not wait for company that somebody else is waiting for.
    log.note(event(2)).unwrap();
    log.append_blocking(vec![event(3)], vec![]).unwrap();
    assert_eq!(log.len(), before + 3);
}

#[test]
fn noted_events_are_written_when_the_log_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 0..100 {
        log.note(event(n)).unwrap();
    }
    drop(log);
    let log = open(dir.path()).unwrap();
    assert_eq!(log.len(), 102);
}

#[test]
fn a_dirty_log_is_signed_within_a_second_or_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking(vec![event(1)], vec![]).unwrap();
    let path = dir.path().join("checkpoints/latest.checkpoint");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let size = std::fs::read_to_string(&path).unwrap().lines().nth(1).unwrap().to_owned();
        if size == "2" {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "still {size}");
        thread::yield_now();
    }
}

#[test]
fn dropping_the_future_does_not_undo_what_was_queued() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let mut append = Box::pin(log.append(vec![event(1)], vec![]));
    let _ = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(append);
    assert_eq!(log.append_blocking(vec![event(2)], vec![]), Ok(2));
    assert_eq!(all(&log)[1..], [event(1), event(2)]);
}

#[test]
fn a_log_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Log>();
    shared::<Arc<crate::People>>();
    shared::<crate::PendingRelease>();
}

#[test]
fn only_what_may_tell_of_an_account_is_read_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let begun = log.len();
    assert_eq!(log.of_accounts_from(0), begun);
    log.append_blocking((0..9).map(event).collect(), vec![]).unwrap();
    assert_eq!(log.of_accounts_from(begun), begun + 9);
    log.note(Event::AdminAction {
        action: "factor.enrolled".to_owned(),
        person: None,
        by: None,
        groups: vec![],
        operator: None,
        authenticator: None,
        session: None,
    })
    .unwrap();
    log.append_blocking(vec![event(9)], vec![]).unwrap();
    // The one just now, wherever reading has come to before it; and nothing after it.
    assert_eq!(log.of_accounts_from(begun), begun);
    assert_eq!(log.of_accounts_from(begun + 9), begun + 9);
    assert_eq!(log.of_accounts_from(begun + 10), log.len());
    log.close().unwrap();
    drop(log);
    // What was there before may tell of one.
    let log = open(dir.path()).unwrap();
    assert_eq!(log.of_accounts_from(3), 3);
}
