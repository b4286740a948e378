//! From those who record to the one who writes, and back.

use std::convert::Infallible;
use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use stepgate_record::{Event, Fitted, Seal as _, Started, Template};
use stepgate_testkit::FakeClock;
use stepgate_types::{SessionId, StatementId};

use super::log::event;
use crate::pace::{IDLE, Pace};
use crate::queue::{Batch, Parcel, Queue, Taken};
use crate::seal::Watermarks;
use crate::testing::{open, options, until};
use crate::wait::block_on;
use crate::{Bell, Log, LogError, LogOptions, PendingRelease};

fn statement(number: u64) -> StatementId {
    StatementId { session: SessionId::from_bytes([7; 16]), number }
}

/// How often somebody was woken.
#[derive(Default)]
pub(super) struct Counts(AtomicU64);

impl Counts {
    pub(super) fn woken(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_statement_has_one_release_however_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for by_future in [false, true] {
        let (_ticket, mut release) = log.try_ticket(statement(1), &event(1)).unwrap().unwrap();
        if by_future {
            assert!(block_on(&mut release).is_ok());
        } else {
            while release.try_release().is_none() {
                thread::yield_now();
            }
        }
        // The loop above has taken it.
        assert!(matches!(release.try_release(), Some(Err(LogError::Closed))));
        let polled = Pin::new(&mut release).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(LogError::Closed))));
    }
}

#[test]
fn a_decision_made_before_is_recorded_as_if_it_were_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let template = Template::new(&event(1)).unwrap();
    let (ticket, release) = log.try_ticket_again(statement(77), &template).unwrap().unwrap();
    assert_eq!(ticket.statement(), statement(77));
    let _release = block_on(release).unwrap();
    let Event::StatementCompleted { statement, rows, .. } = log.tail(1).unwrap()[0].event else {
        panic!("another event")
    };
    assert_eq!((statement, rows), (77, 1));
}

#[test]
fn in_buffered_mode_a_release_is_there_at_once_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { ordinary_durable: false, ..options() };
    let (log, _) = Log::open(dir.path(), options).unwrap();
    let before = log.len();
    for n in 0..50 {
        let (_ticket, mut release) = log.try_ticket(statement(n), &event(n)).unwrap().unwrap();
        assert!(matches!(release.try_release(), Some(Ok(_))));
    }
    assert_eq!(log.shared().marks.waiters(), 0);
    drop(log);
    assert_eq!(open(dir.path()).unwrap().len(), before + 51);
}

/// Tickets of `sessions` in turns, each waited for before the next round.
fn rounds(log: &Log, sessions: u8, many: u64) {
    for number in 0..many {
        let tickets: Vec<_> = (0..sessions)
            .map(|last| {
                let session = SessionId::from_bytes([last; 16]);
                log.try_ticket(StatementId { session, number }, &event(number)).unwrap().unwrap()
            })
            .collect();
        tickets.into_iter().for_each(|(_ticket, release)| drop(block_on(release).unwrap()));
    }
}

/// As the writer takes it, which here is this thread.
#[test]
fn one_that_goes_on_alone_does_not_wait_for_those_who_were_there_before() {
    let (queue, marks, clock) = (Queue::new(0, None), Watermarks::new(0, true), FakeClock::default());
    let mut pace = Pace::default();
    (0..100).for_each(|_| pace.wrote(Duration::from_millis(10)));
    let event = Fitted::new(&event(1)).unwrap();
    // How often the writer puts off what these wait for.
    let waits = |sessions: u8| {
        for last in 0..sessions {
            let parcel = Parcel {
                events: slice::from_ref(&event),
                changes: &mut Vec::new(),
                urgent: true,
                waits: Some(SessionId::from_bytes([last; 16])),
                last: false,
                happened: false,
                of_accounts: false,
            };
            queue.push(parcel, &marks, &clock).unwrap().unwrap();
        }
        let (mut batch, before) = (Batch::default(), queue.kept_waiting());
        assert_eq!(queue.take(&mut batch, &pace), Taken::Batch);
        queue.kept_waiting() - before
    };
    assert_eq!(waits(16), 0, "they are all there");
    assert!(waits(7) > 0, "there were more a moment ago");
    let alone: Vec<u64> = (0..100).map(|_| waits(1)).collect();
    // Until the others are forgotten, some batches later.
    assert!(alone[0] > 0 && alone[10..].iter().all(|waits| *waits == 0), "{alone:?}");
}

#[test]
fn who_comes_when_nobody_has_for_a_while_is_woken_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    rounds(&log, 16, 5);
    thread::sleep(Duration::from_millis(20));
    rounds(&log, 1, 1);
    assert_eq!(log.shared().marks.waiters(), 0);
}

#[test]
fn a_burst_leaves_a_log_that_goes_on_once_its_memory_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 0..2_000 {
        log.note(event(n)).unwrap();
    }
    rounds(&log, 1, 1);
    thread::sleep(IDLE + Duration::from_millis(300));
    rounds(&log, 8, 3);
    assert_eq!(log.len(), log.shared().marks.queued());
}

#[test]
fn who_waits_is_woken_once_and_who_has_left_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    // Holds the writer up: it cannot publish while the tree is locked.
    let held = log.shared().frontier.lock().unwrap();
    let mut waiting = Vec::new();
    let counts: Vec<Arc<Counts>> = (0..20).map(|_| Arc::default()).collect();
    for (n, counts) in (0..).zip(&counts) {
        let (_ticket, mut release) = log.try_ticket(statement(n), &event(n)).unwrap().unwrap();
        // Asked twice, it waits once.
        for _ in 0..2 {
            let waker = Waker::from(Arc::clone(counts));
            let polled = Pin::new(&mut release).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        waiting.push(release);
    }
    assert_eq!(log.shared().marks.waiters(), 20);
    // In the middle, and at both ends.
    let (first, last) = (waiting.remove(0), waiting.pop().unwrap());
    let middle = waiting.remove(9);
    drop((first, middle, last));
    assert_eq!(log.shared().marks.waiters(), 17);
    drop(held);
    for release in waiting {
        let _release = block_on(release).unwrap();
    }
    let woken: Vec<u64> = counts.iter().map(|counts| counts.woken()).collect();
    assert!(woken.iter().all(|count| *count <= 1), "{woken:?}");
    assert_eq!((woken[0], woken[10], woken[19]), (0, 0, 0), "who has left");
    assert_eq!(log.shared().marks.waiters(), 0);
}

/// Those of some statements, asked for once, and how often each was woken.
pub(super) fn asked(log: &Log, bell: &Bell, many: u64) -> Vec<(PendingRelease, Arc<Counts>)> {
    let ask = |n| {
        let (_ticket, release) = log.try_ticket(statement(n), &event(n)).unwrap().unwrap();
        let (mut release, counts) = (release.wait_for(bell), Arc::<Counts>::default());
        assert!(poll(&mut release, &counts).is_pending());
        (release, counts)
    };
    (0..many).map(ask).collect()
}

pub(super) fn poll<F: Future + Unpin>(future: &mut F, counts: &Arc<Counts>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(counts))))
}

/// A bell, what answers it, and how often that was woken.
pub(super) fn answered(log: &Log) -> (Bell, Pin<Box<impl Future<Output = Infallible>>>, Arc<Counts>) {
    let (bell, rung) = (log.bell(), Arc::<Counts>::default());
    let mut answer = Box::pin(bell.clone().answer());
    assert!(poll(&mut answer, &rung).is_pending());
    (bell, answer, rung)
}

#[test]
fn where_a_bell_is_answered_it_is_rung_in_place_of_those_who_wait() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let (bell, mut answer, rung) = answered(&log);
    let held = log.shared().frontier.lock().unwrap();
    let mut waiting = asked(&log, &bell, 10);
    let (left, never) = waiting.remove(4);
    drop(left);
    assert_eq!(log.shared().marks.waiters(), 9);
    drop(held);
    let end = log.shared().marks.queued();
    until("the bell", || log.len() >= end && rung.woken() > 0);
    assert!(waiting.iter().all(|(_, counts)| counts.woken() == 0));
    assert!(poll(&mut answer, &rung).is_pending());
    assert!(waiting.iter().all(|(_, counts)| counts.woken() == 1));
    assert_eq!((never.woken(), log.shared().marks.waiters()), (0, 0));
    for (mut release, counts) in waiting {
        assert!(matches!(poll(&mut release, &counts), Poll::Ready(Ok(_))));
    }
}

#[test]
fn of_many_who_wait_for_a_bell_none_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let runtimes = [(); 2].map(|()| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    });
    let bells = [(); 2].map(|()| log.bell());
    let mut tasks = Vec::new();
    for (runtime, bell) in runtimes.iter().zip(&bells) {
        runtime.spawn(bell.clone().answer());
        for last in 0..24 {
            let (log, bell) = (log.clone(), bell.clone());
            tasks.push(runtime.spawn(async move {
                for number in 0..100 {
                    let statement = StatementId { session: SessionId::from_bytes([last; 16]), number };
                    let (_ticket, release) = log.try_ticket(statement, &event(number)).unwrap().unwrap();
                    let _release = release.wait_for(&bell).await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        let ended = runtimes[0].block_on(async { tokio::time::timeout(Duration::from_secs(60), task).await });
        ended.unwrap().unwrap();
    }
    assert_eq!(log.shared().marks.waiters(), 0);
}

#[test]
fn where_nobody_answers_a_bell_any_more_those_who_wait_are_woken_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let (bell, answer, _rung) = answered(&log);
    let held = log.shared().frontier.lock().unwrap();
    let mut waiting = asked(&log, &bell, 10);
    drop(answer);
    // It may have been rung for them already: they look for themselves.
    for (release, counts) in &mut waiting {
        assert_eq!(counts.0.swap(0, Ordering::SeqCst), 1);
        assert!(poll(release, counts).is_pending());
    }
    drop(held);
    until("those who wait", || waiting.iter().all(|(_, counts)| counts.woken() == 1));
}

#[test]
fn a_log_that_is_poisoned_lets_nobody_wait_for_a_bell() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let (bell, _answer, _rung) = answered(&log);
    let held = log.shared().frontier.lock().unwrap();
    let mut waiting = asked(&log, &bell, 10);
    log.shared().marks.poison("a disk that is gone".to_owned());
    for (release, counts) in &mut waiting {
        assert_eq!(counts.woken(), 1);
        assert!(matches!(poll(release, counts), Poll::Ready(Err(LogError::Poisoned(_)))));
    }
    drop(held);
}

#[test]
fn who_finds_no_room_waits_for_it_and_nothing_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let held = log.shared().frontier.lock().unwrap();
    let mut noted = 0;
    // The writer may have taken some already.
    while log.note(event(noted)).is_ok() {
        noted += 1;
        assert!(noted < 50_000, "it is bounded");
    }
    assert!(matches!(log.note(event(0)), Err(LogError::Full)));
    assert!(log.try_ticket(statement(1), &event(1)).unwrap().is_none());
    let mut append = Box::pin(log.append(vec![event(noted)], vec![]));
    let counts = Arc::new(Counts::default());
    let waker = Waker::from(Arc::clone(&counts));
    assert!(append.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held);
    let seq = block_on(append).unwrap();
    assert_eq!(seq, noted + 1, "after all that was there before");
    assert_eq!(log.len(), noted + 2);
}

#[test]
fn who_waits_for_room_is_told_that_there_will_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let held = log.shared().frontier.lock().unwrap();
    while log.note(event(1)).is_ok() {}
    let waits = {
        let log = log.clone();
        thread::spawn(move || log.append_blocking(vec![event(1)], vec![]))
    };
    // What comes next is not written.
    log.shared().records.break_sync();
    drop(held);
    assert!(matches!(waits.join().unwrap(), Err(LogError::Poisoned(_))));
    assert!(log.poisoned().is_some());
}

#[test]
fn what_one_call_appends_is_not_split_however_full_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let large = Event::LogStarted(Started::new("x".repeat(3_700)));
    assert!(Fitted::new(&large).is_ok());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (log, large) = (log.clone(), large.clone());
            thread::spawn(move || log.append_blocking(vec![large; 1024], vec![]).unwrap())
        })
        .collect();
    let mut firsts: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, [1, 1025, 2049, 3073]);
    assert_eq!(log.verify(None).unwrap().records, 4097);
}
