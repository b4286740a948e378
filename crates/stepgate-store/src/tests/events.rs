//! What the log does with events by itself: it splits those that are too long, and tells of a clock that steps back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use stepgate_record::{Event, Joiner, Record};
use stepgate_types::{Clock, GroupName, SessionId, StatementId, Timestamp};

use super::log::event;
use crate::testing::options;
use crate::{Log, LogOptions};

/// Shows what it is set to, and how much time has passed, in microseconds.
#[derive(Default)]
struct SetClock(AtomicI64, AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.1.load(Ordering::SeqCst))
    }
}

fn all(log: &Log) -> Vec<Record> {
    let mut records = Vec::new();
    log.replay(0, &mut |_, record| records.push(record.clone())).unwrap();
    records
}

/// An event that takes three records.
fn long() -> Event {
    let groups: Vec<GroupName> = (0..200).map(|n| format!("group-{n:040}").parse().unwrap()).collect();
    Event::AdminAction {
        action: "user.groups_set".to_owned(),
        person: Some("dana".into()),
        by: None,
        groups,
        operator: None,
        authenticator: None,
        session: None,
    }
}

#[test]
fn an_event_that_is_too_long_goes_on_in_the_same_write_and_permits_by_its_own_record() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), options()).unwrap();
    let first = log.append_blocking(vec![event(1), long(), event(2)], vec![]).unwrap();
    let after_all = log.len();
    let statement = StatementId { session: SessionId::from_bytes([1; 16]), number: 1 };
    let permit = crate::wait::block_on(log.permit(statement, vec![event(3), long()], vec![])).unwrap();
    log.note(long()).unwrap();
    log.close().unwrap();
    let records = all(&log);
    assert_eq!(records[usize::try_from(first).unwrap()].event, event(1));
    let seq = usize::try_from(permit.seq()).unwrap();
    assert!(permit.seq() > after_all, "what comes before it has a record, too");
    assert!(matches!(records[seq].event, Event::AdminAction { .. }), "{:?}", records[seq].event);
    assert!(records.iter().filter(|it| matches!(it.event, Event::RecordContinued(_))).count() >= 6);

    let mut joiner = Joiner::default();
    let mut whole: Vec<_> = records.into_iter().flat_map(|record| joiner.take(record)).collect();
    whole.extend(joiner.finish());
    let mut found = 0;
    for mut record in whole {
        assert!(!matches!(record.event, Event::RecordContinued(_)));
        record.event.open(log.subjects());
        if matches!(record.event, Event::AdminAction { .. }) {
            found += 1;
            assert_eq!(record.event, long());
        }
    }
    assert_eq!(found, 3);
    drop(log);
    assert!(crate::verify_dir(dir.path(), None).is_ok());
}

#[test]
fn a_clock_that_steps_back_is_told_of_once_and_one_that_is_slewed_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::default());
    clock.0.store(100_000_000, Ordering::SeqCst);
    let (log, _) = Log::open(dir.path(), LogOptions { clock: clock.clone(), ..options() }).unwrap();
    for at in [100_500_000, 99_600_000, 50_000_000, 50_100_000] {
        clock.0.store(at, Ordering::SeqCst);
        log.append_blocking(vec![event(1)], vec![]).unwrap();
    }
    assert_eq!(anomalies(&log), [(50_000_000, 99_600_000, 50_000_000)]);
}

/// Times of records that say that the clock has stepped, from when, and to when.
fn anomalies(log: &Log) -> Vec<(i64, i64, i64)> {
    let of = |record: &Record| match record.event {
        Event::ClockAnomaly { before_us, after_us } => Some((record.at.micros(), before_us, after_us)),
        _ => None,
    };
    all(log).iter().filter_map(of).collect()
}

#[test]
fn a_clock_that_steps_ahead_of_the_time_that_has_passed_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::default());
    let (log, _) = Log::open(dir.path(), LogOptions { clock: clock.clone(), ..options() }).unwrap();
    // A long time without records; a little ahead; a day ahead; and on from there.
    let day = 86_400_000_000;
    for (at, passed) in [(day, 86_400_000_000), (day + 5_000_000, 86_400_000_000), (2 * day, 86_500_000_000)]
    {
        clock.0.store(at, Ordering::SeqCst);
        clock.1.store(passed, Ordering::SeqCst);
        log.append_blocking(vec![event(1)], vec![]).unwrap();
    }
    log.append_blocking(vec![event(2)], vec![]).unwrap();
    assert_eq!(anomalies(&log), [(2 * day, day + 5_000_000, 2 * day)]);
}

#[test]
fn a_clock_that_was_set_back_while_no_gate_ran_is_told_of_and_time_that_has_passed_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::default());
    let options = || LogOptions { clock: clock.clone(), ..options() };
    for (at, expected) in [(100_000_000, 0), (900_000_000, 0), (899_500_000, 0), (500_000_000, 1)] {
        clock.0.store(at, Ordering::SeqCst);
        let (log, _) = Log::open(dir.path(), options()).unwrap();
        log.append_blocking(vec![event(1)], vec![]).unwrap();
        let found = anomalies(&log);
        assert_eq!(found.len(), expected, "{at}: {found:?}");
        if let [found] = found[..] {
            assert_eq!(found, (500_000_000, 899_500_000, 500_000_000));
            // Before the start says anything.
            let records = all(&log);
            let at = records.iter().position(|it| matches!(it.event, Event::ClockAnomaly { .. })).unwrap();
            assert!(matches!(records[at + 1].event, Event::LogStarted(_)));
        }
    }
}
