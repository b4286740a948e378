//! A disk without space: what is queued is kept, nothing new is taken, and the log goes on by itself.

use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use stepgate_record::{Event, Started};
use stepgate_types::{SessionId, StatementId};

use super::damage::copy;
use super::hand_over::{answered, asked, poll};
use super::log::event;
use crate::testing::{open, until};
use crate::wait::block_on;
use crate::{Change, Log, LogError, Side, verify_dir};

/// So many events at once do not fit into what was written ahead.
const MANY: u64 = 400;

fn statement(number: u64) -> StatementId {
    StatementId { session: SessionId::from_bytes([7; 16]), number }
}

/// All but what the log tells of its own space.
fn events(log: &Log) -> Vec<Event> {
    let mut events = all(log);
    events.retain(|event| !matches!(event, Event::StoreDegraded(_) | Event::StoreRecovered(_)));
    events
}

fn all(log: &Log) -> Vec<Event> {
    let mut events = Vec::new();
    log.replay(0, &mut |_, record| events.push(record.event.clone())).unwrap();
    events
}

/// A log whose first file of records is full.
fn at_the_end_of_a_file(log: &Log) {
    while log.len() < 64 {
        log.append_blocking(vec![event(0)], vec![]).unwrap();
    }
}

#[test]
fn what_there_is_no_space_for_is_kept_and_written_without_a_gap_once_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking(vec![event(1)], vec![]).unwrap();
    log.shared().records.fill(true);
    let appends = |from: u64, count: u64| {
        let log = log.clone();
        thread::spawn(move || block_on(log.append((from..from + count).map(event).collect(), vec![])))
    };
    let kept = appends(2, MANY);
    until("no space", || log.has_no_space());
    // Nothing new is taken, and said at once.
    let begun = Instant::now();
    assert_eq!(block_on(log.append(vec![event(0)], vec![])), Err(LogError::NoSpace));
    assert_eq!(log.append_blocking(vec![event(0)], vec![]), Err(LogError::NoSpace));
    assert!(matches!(block_on(log.permit(statement(1), vec![event(0)], vec![])), Err(LogError::NoSpace)));
    assert!(matches!(log.try_ticket(statement(1), &event(0)), Err(LogError::NoSpace)));
    assert!(matches!(block_on(log.ticket(statement(1), event(0))), Err(LogError::NoSpace)));
    assert!(begun.elapsed() < Duration::from_secs(10), "nothing is waited for: there may never be space");
    // What has happened is.
    for n in 0..10 {
        log.note(event(2 + MANY + n)).unwrap();
    }
    let happened = {
        let log = log.clone();
        thread::spawn(move || block_on(log.append_happened(vec![event(12 + MANY)])))
    };
    // Tried more than once by then.
    thread::sleep(Duration::from_millis(900));
    assert!(!kept.is_finished() && !happened.is_finished(), "they wait for how it ends");
    assert_eq!((log.len(), log.poisoned()), (2, None));
    // A sound log is no evidence of anything only because that it was verified cannot be recorded.
    let (outcome, unrecorded) = log.verify_now(None).unwrap();
    assert_eq!((outcome.unwrap().records, unrecorded), (2, Some(LogError::NoSpace)));
    // A kill now: whoever opens it finds what was acknowledged, and goes on.
    let killed = copy(dir.path());
    {
        let log = open(killed.path()).unwrap();
        assert_eq!(events(&log)[..2], [Event::LogStarted(Started::new("test")), event(1)]);
        log.append_blocking(vec![event(9)], vec![]).unwrap();
        assert!(log.verify(None).is_ok());
    }
    log.shared().records.fill(false);
    assert_eq!(kept.join().unwrap(), Ok(2));
    // With that the log had no space, when it was noticed.
    assert_eq!(happened.join().unwrap(), Ok(13 + MANY));
    assert!(!log.has_no_space());
    assert_eq!(log.append_blocking(vec![event(13 + MANY)], vec![]), Ok(15 + MANY));
    let told = all(&log);
    let place = |is: fn(&Event) -> bool| told.iter().position(is).unwrap() as u64;
    assert_eq!(place(|event| matches!(event, Event::StoreDegraded(_))), 2 + MANY);
    assert_eq!(place(|event| matches!(event, Event::StoreRecovered(_))), 14 + MANY);
    assert_eq!(events(&log)[1..], (1..=13 + MANY).map(event).collect::<Vec<_>>());
    assert_eq!(log.verify(None).unwrap().records, 16 + MANY);
    log.close().unwrap();
    drop(log);
    assert!(verify_dir(dir.path(), None).is_ok());
    open(dir.path()).unwrap();
}

#[test]
fn who_hurries_is_told_before_long_and_what_was_queued_is_written_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    at_the_end_of_a_file(&log);
    log.shared().records.fill(true);
    let (ticket, release) = block_on(log.ticket(statement(1), event(1))).unwrap();
    drop(ticket);
    let (told, permit) = thread::scope(|scope| {
        let told = scope.spawn(|| block_on(release));
        until("no space", || log.has_no_space());
        (told.join().unwrap(), log.try_ticket(statement(2), &event(2)))
    });
    assert!(matches!(told, Err(LogError::Late)), "{told:?}");
    assert!(matches!(permit, Err(LogError::NoSpace)));
    log.shared().records.fill(false);
    until("space", || !log.has_no_space() && log.backlog() == 0);
    assert_eq!(events(&log)[64..], [event(1)]);
    log.close().unwrap();
}

#[test]
fn who_waits_for_a_bell_is_told_before_long_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    at_the_end_of_a_file(&log);
    log.shared().records.fill(true);
    let (bell, _answer, _rung) = answered(&log);
    let (mut release, woken) = asked(&log, &bell, 1).pop().unwrap();
    until("it is told", || woken.woken() > 0);
    assert!(matches!(poll(&mut release, &woken), Poll::Ready(Err(LogError::Late))));
    assert_eq!((woken.woken(), log.shared().marks.waiters()), (1, 0));
}

#[test]
fn changes_are_made_once_with_their_records() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    at_the_end_of_a_file(&log);
    log.shared().records.fill(true);
    let change = Change::Put { side: Side::Desk, key: vec![1], value: vec![2] };
    assert_eq!(log.append_blocking(vec![event(1)], vec![change]), Err(LogError::Late));
    assert_eq!(log.load(Side::Desk).unwrap(), []);
    // A kill now: neither the records nor the change, though the journal has it.
    let killed = copy(dir.path());
    {
        let log = open(killed.path()).unwrap();
        assert_eq!(log.load(Side::Desk).unwrap(), []);
        assert_eq!(log.len(), 65);
    }
    log.shared().records.fill(false);
    until("space", || !log.has_no_space() && log.backlog() == 0);
    assert_eq!(log.load(Side::Desk).unwrap(), [(vec![1], vec![2])]);
    log.close().unwrap();
    drop(log);
    let log = open(dir.path()).unwrap();
    assert_eq!(log.load(Side::Desk).unwrap(), [(vec![1], vec![2])]);
    assert!(log.verify(None).is_ok());
}

#[test]
fn a_gate_that_ends_without_space_ends() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    at_the_end_of_a_file(&log);
    log.shared().records.fill(true);
    assert_eq!(log.append_blocking(vec![event(1)], vec![]), Err(LogError::Late));
    assert_eq!(log.close(), Err(LogError::NoSpace));
    drop(log);
    assert_eq!(events(&open(dir.path()).unwrap()).len(), 65, "nothing of it was written");
}
