//! From those who record to the one who writes: a room that is filled under a lock and taken as a whole.
//!
//! Nobody is woken for a record that nobody waits for: the writer sleeps until it is time, or until something
//! urgent comes, and is told only when it sleeps. Bounded: whoever finds it full waits.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use stepgate_record::{Cuts, Event, Fitted};
use stepgate_types::{Clock, SessionId, Timestamp};

use crate::pace::{Company, IDLE, Pace};
use crate::seal::Watermarks;
use crate::timepiece::{Step, Timepiece};
use crate::{Change, LogError};

/// Full with so many records …
const MAX_RECORDS: usize = 8_192;

/// … or so many bytes of records and changes. What one call appends is never split, and so may bring it above.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// How long records that nobody waits for may stay unwritten: completions, and in `buffered` mode the decisions
/// on ordinary statements, which must be on disk within 100 ms.
const LINGER: Duration = Duration::from_millis(50);

/// What is queued.
#[derive(Default)]
pub(crate) struct Batch {
    /// Number of the first record.
    pub(crate) first: u64,
    /// The encoded events, one after the other.
    bytes: Vec<u8>,
    records: Vec<Queued>,
    pub(crate) changes: Vec<Change>,
    change_bytes: usize,
}

struct Queued {
    end: usize,
    cuts: Cuts,
    at: Timestamp,
}

impl Batch {
    /// The encoded events, with the times they were recorded at.
    pub(crate) fn events(&self) -> impl Iterator<Item = (&[u8], Cuts, Timestamp)> {
        let mut start = 0;
        self.records.iter().map(move |record| {
            let bytes = self.bytes.get(start..record.end).unwrap_or_default();
            start = record.end;
            (bytes, record.cuts, record.at)
        })
    }

    fn is_full(&self, part: usize) -> bool {
        self.records.len() >= MAX_RECORDS / part
            || self.bytes.len().saturating_add(self.change_bytes) >= MAX_BYTES / part
    }

    /// How many bytes of events there are.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.changes = Vec::new();
        self.change_bytes = 0;
    }

    /// Gives back what a burst has taken, but for so many bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.records.shrink_to(bytes / 256);
    }
}

/// What the writer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// It will look by itself.
    Awake,
    /// It sleeps until the records that are there have lingered long enough.
    Lingers,
    /// It sleeps a moment, or until so many wait.
    Gathers(usize),
    /// It sleeps: there is nothing.
    Sleeps,
}

struct Inner {
    batch: Batch,
    /// Number of the next record.
    next: u64,
    times: Timepiece,
    /// So many records are waited for until they are on disk.
    urgent: usize,
    /// By whom, of late.
    company: Company,
    /// Nothing is taken any more.
    closed: bool,
    /// Nobody is left who could record anything.
    ended: bool,
    writer: Writer,
    /// Who waits for room.
    room: Vec<Waker>,
    /// How often the writer has put off what it could have written.
    #[cfg(test)]
    kept_waiting: u64,
}

/// What became of waiting for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There is one.
    Batch,
    /// There is none, for a while now, and memory can be given back.
    Nothing,
    /// Nothing will come any more.
    Over,
}

/// The room.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    writer: OnceLock<Thread>,
}

/// What is to be queued together.
pub(crate) struct Parcel<'p> {
    pub(crate) events: &'p [Fitted],
    /// Taken when it is queued.
    pub(crate) changes: &'p mut Vec<Change>,
    /// Somebody waits until it is on disk.
    pub(crate) urgent: bool,
    /// The session that does, if it is one.
    pub(crate) waits: Option<SessionId>,
    /// Nothing comes after it.
    pub(crate) last: bool,
    /// It tells what has happened, and so is taken also while there is no space on the disk.
    pub(crate) happened: bool,
    /// It tells of what was done to somebody's account.
    pub(crate) of_accounts: bool,
}

impl Queue {
    /// The next record has number `next`, and the last one, if there is one, this time.
    pub(crate) fn new(next: u64, last_at: Option<Timestamp>) -> Self {
        let inner = Inner {
            batch: Batch { first: next, ..Batch::default() },
            next,
            times: Timepiece::new(last_at),
            urgent: 0,
            company: Company::default(),
            closed: false,
            ended: false,
            writer: Writer::Awake,
            room: Vec::new(),
            #[cfg(test)]
            kept_waiting: 0,
        };
        Self { inner: Mutex::new(inner), writer: OnceLock::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a parcel its numbers and queues it; returns the first. `None`: there is no room.
    pub(crate) fn push(
        &self,
        parcel: Parcel<'_>,
        marks: &Watermarks,
        clock: &dyn Clock,
    ) -> Result<Option<u64>, LogError> {
        let Parcel { events, changes, urgent, waits, last, happened, of_accounts } = parcel;
        let mut inner = self.inner();
        marks.check()?;
        if inner.closed {
            return Err(LogError::Closed);
        }
        if marks.is_full() && !happened {
            return Err(LogError::NoSpace);
        }
        if inner.batch.is_full(1) {
            return Ok(None);
        }
        // Under the lock: records are as old as their numbers say.
        let (at, stepped) = inner.times.now(clock);
        let anomaly = stepped.and_then(anomaly);
        let first = inner.next.saturating_add(u64::from(anomaly.is_some()));
        let count = events.len().saturating_add(usize::from(anomaly.is_some()));
        let count = u64::try_from(count).map_err(|_| LogError::Full)?;
        inner.next = inner.next.checked_add(count).ok_or(LogError::Full)?;
        inner.closed = last;
        inner.urgent += usize::from(urgent);
        if let Some(session) = waits.filter(|_| urgent) {
            inner.company.joins(session);
        }
        let batch = &mut inner.batch;
        for event in anomaly.iter().chain(events) {
            batch.bytes.extend_from_slice(event.bytes());
            batch.records.push(Queued { end: batch.bytes.len(), cuts: event.cuts(), at });
        }
        if !changes.is_empty() {
            batch.change_bytes += changes.iter().map(Change::length).sum::<usize>();
            batch.changes.append(changes);
        }
        let wakes = match inner.writer {
            Writer::Awake => false,
            Writer::Lingers => inner.urgent > 0 || inner.batch.is_full(2),
            Writer::Gathers(many) => inner.urgent >= many || inner.batch.is_full(2),
            Writer::Sleeps => true,
        };
        if wakes {
            inner.writer = Writer::Awake;
        }
        if of_accounts {
            marks.of_accounts_to(inner.next);
        }
        marks.queued_to(inner.next);
        drop(inner);
        if wakes {
            self.wake_writer();
        }
        Ok(Some(first))
    }

    /// Ready once there may be room, or there never will be again.
    pub(crate) fn poll_room(&self, happened: bool, marks: &Watermarks, context: &Context<'_>) -> Poll<()> {
        let mut inner = self.inner();
        let over = inner.closed || marks.check().is_err() || (marks.is_full() && !happened);
        if over || !inner.batch.is_full(1) {
            return Poll::Ready(());
        }
        // Woken all at once, and soon: those who do not wait any more need not be taken out.
        if !inner.room.iter().any(|waker| waker.will_wake(context.waker())) {
            inner.room.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Swaps what is queued for `batch`, which is empty; waits for it to be due. For the writer's thread alone.
    pub(crate) fn take(&self, batch: &mut Batch, pace: &Pace) -> Taken {
        self.writer.get_or_init(thread::current);
        let begun = Instant::now();
        let (mut gathers, mut idle, mut since) = (None, None, None);
        loop {
            let mut inner = self.inner();
            let hurries = inner.ended || inner.batch.is_full(2);
            // Also while nobody waits yet: who has just been answered will, in a moment.
            let (many, until) = *gathers.get_or_insert_with(|| pace.gathers(inner.company.many(), begun));
            if !hurries && inner.urgent < many {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    inner.writer = Writer::Gathers(many);
                    #[cfg(test)]
                    {
                        inner.kept_waiting += 1;
                    }
                    drop(inner);
                    thread::park_timeout(left);
                    continue;
                }
            }
            if inner.batch.records.is_empty() {
                if inner.ended {
                    return Taken::Over;
                }
                if pace.has_grown() && idle.is_some_and(|idle: Instant| idle.elapsed() >= IDLE) {
                    return Taken::Nothing;
                }
                inner.company = Company::default();
                inner.writer = Writer::Sleeps;
                drop(inner);
                if pace.has_grown() {
                    idle.get_or_insert_with(Instant::now);
                    thread::park_timeout(IDLE);
                } else {
                    thread::park();
                }
                continue;
            }
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            if inner.urgent > 0 || hurries || waited >= LINGER {
                batch.first = inner.next;
                std::mem::swap(batch, &mut inner.batch);
                inner.urgent = 0;
                inner.company.goes();
                inner.writer = Writer::Awake;
                let room = std::mem::take(&mut inner.room);
                drop(inner);
                room.into_iter().for_each(Waker::wake);
                return Taken::Batch;
            }
            inner.company = Company::default();
            inner.writer = Writer::Lingers;
            #[cfg(test)]
            {
                inner.kept_waiting += 1;
            }
            drop(inner);
            thread::park_timeout(LINGER.saturating_sub(waited));
        }
    }

    /// How often the writer has put off what it could have written, so that more comes along.
    #[cfg(test)]
    pub(crate) fn kept_waiting(&self) -> u64 {
        self.inner().kept_waiting
    }

    /// Gives back what a burst has taken, but for so many bytes.
    pub(crate) fn shrink(&self, bytes: usize) {
        self.inner().batch.shrink(bytes);
    }

    /// Nobody is left who could record anything: the writer ends when it has written what is queued.
    pub(crate) fn end(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        inner.ended = true;
        drop(inner);
        self.wake_writer();
    }

    /// Whether nobody is left who could record anything.
    pub(crate) fn has_ended(&self) -> bool {
        self.inner().ended
    }

    /// The log is poisoned, or has no space: whoever waits for room need not.
    pub(crate) fn give_up(&self) {
        let room = std::mem::take(&mut self.inner().room);
        room.into_iter().for_each(Waker::wake);
    }

    /// Queues what the log itself has to say, if there is room.
    pub(crate) fn tell(&self, event: &Event, marks: &Watermarks, clock: &dyn Clock) {
        let Ok(events) = Fitted::all(event) else { return };
        let parcel = Parcel {
            events: &events,
            changes: &mut Vec::new(),
            urgent: false,
            waits: None,
            last: false,
            happened: true,
            of_accounts: false,
        };
        // A poisoned log takes nothing, and tells so itself.
        let _ = self.push(parcel, marks, clock);
    }

    fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

/// The record of a clock that has stepped.
fn anomaly((before, after): Step) -> Option<Fitted> {
    Fitted::new(&Event::ClockAnomaly { before_us: before.micros(), after_us: after.micros() }).ok()
}
