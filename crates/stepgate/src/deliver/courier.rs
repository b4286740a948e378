//! One sink's own thread: reads the log from the sink's cursor on, sends, and moves the cursor. The log is the queue, so
//! nothing is lost while a receiver is away, and nobody waits for one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_store::{Cursor, CursorFile, FoundCursor, Place};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::batch::{Batch, MAX_RECORDS, Source};
use super::degraded::Degraded;
use super::status::Status;
use super::trouble::{Backoff, Trouble, chance};

/// It is looked no oftener than this what there is to send, unless there was a full batch: a busy log wakes us hundreds of
/// times a second.
const LINGER: Duration = Duration::from_millis(100);

/// The cursor is written no oftener than this; after a kill, as much is sent twice.
const PERSIST: Duration = Duration::from_secs(1);

/// When so many batches have passed, twice as much is tried where it was once too much.
const PASSED: u32 = 32;

/// How often a receiver is looked after while there is nothing to send.
const IDLE: Duration = Duration::from_secs(1);

/// How records get to one receiver. All of it may block.
pub(super) trait Way: Send {
    /// Gets ready to send from record `from` on, or from a later one where those up to it are found to be there.
    fn open(&mut self, from: u64, place: Option<Place>, source: &Source) -> Result<u64, Trouble>;

    /// The first record from `next` on that need be read for this receiver; those before it count as sent.
    fn skip(&mut self, next: u64, _: &Source) -> u64 {
        next
    }

    /// Sends. After an error it is opened anew before anything else, but for one that it was too much.
    fn send(&mut self, batch: &Batch) -> Result<(), Trouble>;

    /// The first record that is not known to be there, or that what was sent may have been lost.
    fn settled(&mut self) -> Result<u64, Trouble>;

    /// The gate goes down: the first record that is not known to be there, where that is more than was settled.
    fn stop(&mut self) -> Option<u64> {
        None
    }

    /// Where the settled records end, of a file.
    fn place(&self) -> Option<Place> {
        None
    }
}

/// What a courier works with.
pub(super) struct Courier {
    pub(super) source: Source,
    pub(super) file: CursorFile,
    pub(super) status: Arc<Status>,
    pub(super) runtime: Handle,
    pub(super) down: watch::Receiver<bool>,
    pub(super) degraded: Degraded,
}

/// What a step came to.
#[derive(PartialEq)]
enum Turn {
    Opened,
    Sent { more: bool },
    Nothing,
}

/// How far it is.
struct Progress {
    /// The first record not known to be there, and where in a file that is.
    settled: u64,
    place: Option<Place>,
    /// The next to send; `None` until the way is open.
    next: Option<u64>,
    /// The most records at once.
    most: u64,
    /// That was halved just now.
    halved: bool,
    /// How often so many have passed.
    passed: u32,
    written: (u64, Option<Place>),
    written_at: Instant,
}

impl Courier {
    /// Delivers until the gate goes down.
    pub(super) fn run(mut self, mut way: Box<dyn Way>) {
        let mut grown = self.source.log.watch();
        let mut backoff = Backoff::default();
        let mut progress = loop {
            match self.begin() {
                Ok(progress) => break progress,
                Err(trouble) => {
                    let wait = self.failed(&mut backoff, &trouble);
                    if self.wait(wait, None) {
                        return;
                    }
                }
            }
        };
        loop {
            self.take_reset(&mut progress);
            let before = progress.settled;
            let wait = match self.turn(&mut *way, &mut progress) {
                Ok(Turn::Opened) => Duration::ZERO,
                Ok(turn) => {
                    // That something was sent says little of a receiver that never says that it has it.
                    if progress.settled > before || progress.next == Some(progress.settled) {
                        self.works(&mut backoff);
                    }
                    if turn == (Turn::Sent { more: true }) { Duration::ZERO } else { IDLE }
                }
                // Half as much may pass.
                Err(trouble) if trouble.too_large && progress.halved => {
                    self.status.failed(&trouble.why);
                    Duration::ZERO
                }
                Err(trouble) => {
                    progress.next = None;
                    self.failed(&mut backoff, &trouble)
                }
            };
            let looked = Instant::now();
            self.persist(&mut progress, false);
            let failing = progress.next.is_none() && !wait.is_zero();
            let stop = if wait.is_zero() {
                self.is_down()
            } else if failing {
                self.wait(wait, None)
            } else {
                // What comes meanwhile goes along.
                self.wait(wait, Some(&mut grown)) || self.wait(LINGER.saturating_sub(looked.elapsed()), None)
            };
            if stop {
                if let Some(settled) = way.stop().filter(|_| progress.next.is_some()) {
                    self.settle(&mut progress, settled, way.place());
                }
                self.persist(&mut progress, true);
                return;
            }
        }
    }

    /// One step: opens the way, or asks how far it is and sends a batch.
    fn turn(&self, way: &mut dyn Way, progress: &mut Progress) -> Result<Turn, Trouble> {
        let Some(next) = progress.next else {
            let next = way.open(progress.settled, progress.place, &self.source)?;
            progress.next = Some(next);
            self.settle(progress, next, way.place());
            // Before anything is appended: a file must be known to end here.
            self.persist(progress, true);
            return Ok(Turn::Opened);
        };
        let next = way.skip(next, &self.source);
        progress.next = Some(next);
        let settled = way.settled()?;
        self.settle(progress, settled, way.place());
        let Some(batch) = self.source.batch(next, progress.most)? else { return Ok(Turn::Nothing) };
        let (sent, full) = (batch.end().saturating_sub(batch.first()), batch.is_full(progress.most));
        if let Err(trouble) = way.send(&batch) {
            progress.halved = trouble.too_large && sent > 1;
            if progress.halved {
                (progress.most, progress.passed) = (sent / 2, 0);
            }
            return Err(trouble);
        }
        progress.next = Some(batch.end());
        progress.passed = progress.passed.saturating_add(1);
        if progress.passed >= PASSED {
            (progress.most, progress.passed) = (progress.most.saturating_mul(2).min(MAX_RECORDS), 0);
        }
        let settled = way.settled()?;
        self.settle(progress, settled, way.place());
        Ok(Turn::Sent { more: full && batch.end() < self.source.log.len() })
    }

    fn settle(&self, progress: &mut Progress, settled: u64, place: Option<Place>) {
        progress.settled = progress.settled.max(settled);
        progress.place = place;
        self.status.state().next = progress.settled;
    }

    /// Where to go on.
    fn begin(&self) -> Result<Progress, Trouble> {
        let found = self.file.read().map_err(|error| Trouble::io("its cursor cannot be read", &error))?;
        let (oldest, end) = (self.source.log.floor(), self.source.log.len());
        let sink = &self.status.name;
        let (settled, place) = match found {
            FoundCursor::None => (end, None),
            FoundCursor::Damaged => {
                tracing::error!(sink, "its cursor is damaged: all records that there are, are sent again");
                (oldest, None)
            }
            FoundCursor::Cursor(cursor) if cursor.log_id != self.source.log.id() => {
                tracing::error!(sink, "its cursor is of another log: all records are sent");
                (oldest, None)
            }
            FoundCursor::Cursor(cursor) => match self.since_restored(&cursor, oldest)? {
                Some(first) => {
                    tracing::warn!(
                        sink,
                        first,
                        "the log was restored from a backup: sent again from there on"
                    );
                    (first, None)
                }
                None => (cursor.next, cursor.place),
            },
        };
        if settled < oldest {
            tracing::error!(sink, from = settled, to = oldest, "records were deleted before they were sent");
        }
        let settled = settled.max(oldest);
        self.status.state().next = settled;
        let now = Instant::now();
        let long_ago = now.checked_sub(PERSIST).unwrap_or(now);
        Ok(Progress {
            settled,
            place,
            next: None,
            most: MAX_RECORDS,
            halved: false,
            passed: 0,
            written: (u64::MAX, None),
            written_at: long_ago,
        })
    }

    /// Where the log is not the one any more that the cursor is of, the first record of what it has become since: that
    /// before it is the same, and was sent.
    fn since_restored(&self, cursor: &Cursor, oldest: u64) -> Result<Option<u64>, Trouble> {
        let Some(hash) = &cursor.last_hash else { return Ok(None) };
        let end = self.source.log.len();
        if cursor.next <= oldest {
            return Ok(None);
        }
        if cursor.next <= end && self.source.hash_before(cursor.next).as_ref() == Some(hash) {
            return Ok(None);
        }
        let mut first = None;
        self.source.each(oldest, cursor.next.min(end), &mut |line| {
            first = (line.head.kind == "log.restored").then_some(line.head.seq);
            first.is_none()
        })?;
        Ok(Some(first.unwrap_or(oldest)))
    }

    fn take_reset(&self, progress: &mut Progress) {
        let Some(from) = self.status.state().reset.take() else { return };
        (progress.settled, progress.place, progress.next) = (from, None, None);
        progress.written = (u64::MAX, None);
        self.status.state().next = from;
        tracing::info!(sink = self.status.name, from, "sent again from there on");
    }

    /// Writes the cursor, if it has moved and it is time, or `now`.
    fn persist(&self, progress: &mut Progress, now: bool) {
        let reached = (progress.settled, progress.place);
        if progress.written == reached || !(now || progress.written_at.elapsed() >= PERSIST) {
            return;
        }
        let cursor = Cursor {
            log_id: self.source.log.id().to_owned(),
            next: progress.settled,
            last_hash: self.source.hash_before(progress.settled),
            place: progress.place,
        };
        progress.written_at = Instant::now();
        // What an operator has asked for is in the file already, and stays.
        let _writing = self.status.writing();
        if self.status.state().reset.is_some() {
            return;
        }
        match self.file.write(&cursor) {
            Ok(()) => progress.written = reached,
            // More is sent twice after a restart, and none is lost.
            Err(error) => tracing::warn!(sink = self.status.name, %error, "its cursor cannot be written"),
        }
    }

    fn failed(&mut self, backoff: &mut Backoff, trouble: &Trouble) -> Duration {
        let wait = backoff.after(trouble, chance());
        let failing = self.status.failed(&trouble.why);
        let sink = &self.status.name;
        match failing {
            None => tracing::warn!(sink, why = trouble.why, "cannot be sent to; trying on"),
            Some(failing) => self.degraded.failing(&self.source.log, sink, failing),
        }
        wait
    }

    fn works(&mut self, backoff: &mut Backoff) {
        backoff.reset();
        if self.status.works() {
            tracing::info!(sink = self.status.name, "can be sent to again");
        }
        self.degraded.works(&self.source.log, &self.status.name);
    }

    fn is_down(&self) -> bool {
        *self.down.borrow()
    }

    /// Waits so long, or until the log has `grown` or something was asked of us; whether the gate goes down.
    fn wait(&self, time: Duration, grown: Option<&mut watch::Receiver<u64>>) -> bool {
        if self.is_down() {
            return true;
        }
        let mut down = self.down.clone();
        self.runtime.block_on(async {
            let grows = async {
                let changed = match grown {
                    Some(grown) => grown.changed().await.is_ok(),
                    None => false,
                };
                if !changed {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                _ = down.wait_for(|down| *down) => true,
                () = self.status.asked.notified() => false,
                () = grows => false,
                () = tokio::time::sleep(time) => false,
            }
        })
    }
}
