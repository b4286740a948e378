//! The thread that keeps the log: seals what is full, deletes what need not be kept any more, and reads again what
//! nobody has read for long. It never holds the writer up; whatever it cannot do now it tries again later.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stepgate_record::{
    Checkpoint, Event, Fitted, Frontier, Hash, IntegrityFailed, Seal as _, Sealed, SignedNote,
};
use stepgate_types::{Clock, SessionId, Timestamp};

use crate::archive::{Carry, beside};
use crate::files::write_atomic;
use crate::gather::{CHECKPOINT, HASHES, Made, OFFSETS, SEAL, Seal, gather, hex_digest, name};
use crate::log::MAX_CHANGES;
use crate::queue::Parcel;
use crate::scan::{file_name, files};
use crate::slim::{Live, MAX_OPEN, time_of};
use crate::tape::SEGMENT_RECORDS;
use crate::writer::Shared;
use crate::{Change, Log, LogError, Side, keys};

/// So often it looks for what is to be done.
const EVERY: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(1) };

/// What fails is tried again this long after at the latest.
const LATEST: Duration = Duration::from_secs(60);

/// So often it looks for records that need not be kept any more; first so long after the start, in which somebody may
/// notice that the clock is wrong.
const PRUNE_EVERY: Duration =
    if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(60 * 60) };

/// Where the tree of the desk's own says how far back a desk must be rebuilt from.
const FLOOR: &[u8] = b"floor";

/// Keys of the last TOTP step that a person has spent before that begin so.
const STEP: &[u8] = b"step/";

/// Keys of sessions that were open when that was written, as many a value as fit, begin so. The first says how many there
/// are: values with others may be left from before.
const OPEN: &[u8] = b"open/";

/// Sessions of one such value: 16 bytes each, and no value is longer than 4 KiB.
const OPEN_AT_ONCE: usize = 248;

/// Bytes of a session's id.
const SESSION_BYTES: usize = 16;

/// Where it says when all sealed segments were checked last, in microseconds since the Unix epoch.
const CHECKED: &[u8] = b"checked";

/// What is to be done by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Records older than this are deleted; their hashes stay.
    pub keep: Option<Duration>,
    /// All sealed segments are read again, and held against their hashes, so often.
    pub verify_every: Option<Duration>,
}

/// Appends records on behalf of the log itself.
pub(crate) struct Hand<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) clock: &'a dyn Clock,
    /// It is to give up: the log is being closed.
    pub(crate) stop: &'a AtomicBool,
}

impl Hand<'_> {
    /// Whether the log is being closed.
    pub(crate) fn stops(&self) -> Result<(), LogError> {
        if self.stop.load(Ordering::Acquire) { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Appends a record, and returns when it is on disk; not while the disk is full, and not once the log is closed.
    pub(crate) fn append(&self, event: &Event, mut changes: Vec<Change>) -> Result<u64, LogError> {
        let Shared { queue, marks, subjects, .. } = self.shared;
        // Who asked for it stands in it as a commitment, as anybody does anywhere.
        let mut named = [event.clone()];
        let staged = subjects.commit(&mut named, marks.durable())?;
        changes.extend(staged.changes().iter().cloned());
        let [event] = &named;
        let events = [Fitted::new(event).map_err(|error| LogError::TooLarge(error.to_string()))?];
        let seq = loop {
            self.stops()?;
            let changes = &mut changes;
            let parcel = Parcel {
                events: &events,
                changes,
                urgent: true,
                waits: None,
                last: false,
                happened: false,
                of_accounts: false,
            };
            match queue.push(parcel, marks, self.clock)? {
                Some(seq) => {
                    staged.queued(seq);
                    break seq;
                }
                None => thread::park_timeout(EVERY),
            }
        };
        let mut watch = marks.watch();
        while *watch.borrow_and_update() <= seq {
            marks.check()?;
            self.stops()?;
            thread::park_timeout(Duration::from_millis(2));
        }
        Ok(seq)
    }
}

/// While others record, reading a full file goes on a little at a time, so that it takes an eightieth of a core, a tenth
/// once much is left to be sealed, and all of one before that is too much for a start to read.
pub(crate) struct Breath {
    began: Instant,
    records: u32,
    durable: u64,
    /// When that was last seen to have grown.
    grew: Instant,
}

impl Breath {
    /// Records between two rests.
    const RECORDS: u32 = 256;

    /// So many times as long as the reading took, a rest lasts …
    const REST: u32 = 79;

    /// … or so many times, once so many records are left …
    const SHORT: u32 = 9;
    const MANY: u64 = 16 * SEGMENT_RECORDS;

    /// … and none, once so many are …
    const TOO_MANY: u64 = 64 * SEGMENT_RECORDS;

    /// … and no longer than this.
    const LONGEST: Duration = Duration::from_millis(200);

    /// Where nothing came for so long, nobody records: what nobody waits for is written every 50 ms.
    const SILENCE: Duration = Duration::from_millis(200);

    pub(crate) fn new(hand: &Hand<'_>) -> Self {
        let now = Instant::now();
        Self { began: now, records: 0, durable: hand.shared.marks_durable(), grew: now }
    }

    /// A record was read.
    pub(crate) fn after_one(&mut self, hand: &Hand<'_>) {
        self.records += 1;
        if self.records < Self::RECORDS {
            return;
        }
        let durable = hand.shared.marks_durable();
        if durable != self.durable {
            (self.durable, self.grew) = (durable, Instant::now());
        }
        if self.grew.elapsed() < Self::SILENCE && hand.stops().is_ok() {
            let left = durable.saturating_sub(hand.shared.archive.sealed_to());
            let rest = match left {
                _ if left > Self::TOO_MANY => 0,
                _ if left > Self::MANY => Self::SHORT,
                _ => Self::REST,
            };
            // Whoever closes the log wakes it.
            thread::park_timeout((self.began.elapsed() * rest).min(Self::LONGEST));
        }
        (self.began, self.records) = (Instant::now(), 0);
    }
}

/// What the thread knows between two looks.
struct Keeper {
    live: Live,
    /// Up to here `live` has seen the records; unknown before it has begun.
    seen: Option<u64>,
    pruned: Option<Instant>,
    /// Sealing has failed: not before then it is tried again, and after how long the next time.
    again: Option<(Instant, Duration)>,
    /// A round of checks: the next segment, and what was found so far.
    round: Option<(usize, bool)>,
}

/// Keeps the log until told to stop.
pub(crate) fn run(shared: &Arc<Shared>, clock: &dyn Clock, stop: &AtomicBool) {
    let hand = Hand { shared, clock, stop };
    let mut keeper =
        Keeper { live: Live::default(), seen: None, pruned: Some(Instant::now()), again: None, round: None };
    while hand.stops().is_ok() {
        for (what, done) in [
            ("sealed", keeper.seal(&hand)),
            ("pruned", keeper.prune(&hand)),
            ("checked", keeper.check(&hand)),
        ] {
            if let Err(error) = done.or_else(|error| if hand.stops().is_err() { Ok(()) } else { Err(error) })
            {
                tracing::warn!(%error, "the log is not {what} for now");
            }
        }
        thread::park_timeout(EVERY);
    }
}

impl Keeper {
    /// Seals all full files that are not sealed.
    fn seal(&mut self, hand: &Hand<'_>) -> Result<(), LogError> {
        let shared = hand.shared;
        #[cfg(test)]
        if !shared.seals.load(Ordering::Acquire) {
            return Ok(());
        }
        // Nobody records: there is nothing new, and no room for what stands beside a segment.
        if shared.marks.is_full() || self.again.is_some_and(|(when, _)| Instant::now() < when) {
            return Ok(());
        }
        let done = self.seal_all(hand);
        self.again = done.is_err().then(|| {
            let wait = self.again.map_or(EVERY, |(_, wait)| (wait * 2).min(LATEST));
            (Instant::now() + wait, wait)
        });
        done
    }

    fn seal_all(&mut self, hand: &Hand<'_>) -> Result<(), LogError> {
        let shared = hand.shared;
        let dir = shared.records.dir();
        let (current, _) = shared.records.place();
        let mut first = shared.archive.sealed_to();
        if first >= current {
            return Ok(());
        }
        self.catch_up(hand, first)?;
        let all = files(dir).map_err(|error| LogError::Io(format!("records cannot be listed: {error}")))?;
        for end in all.into_iter().filter(|end| *end > first && *end <= current).collect::<Vec<_>>() {
            // The file was begun before the last batch of the one before it was acknowledged.
            if end > shared.marks_durable() {
                return Ok(());
            }
            self.seal_one(hand, first, end)?;
            first = end;
        }
        Ok(())
    }

    /// Sees all records that a desk would be rebuilt from, up to the first that is not sealed.
    fn catch_up(&mut self, hand: &Hand<'_>, end: u64) -> Result<(), LogError> {
        let from = match self.seen {
            Some(seen) => seen,
            None => {
                let open = open_sessions(hand.shared)?;
                open.iter().for_each(|session| self.live.was_open(session.to_string()));
                floor(hand.shared)?
            }
        };
        let mut breath = Breath::new(hand);
        for stored in hand.shared.read(from, end)? {
            hand.stops()?;
            let stored = stored?;
            self.live.take(stored.seq, &stored.bytes);
            breath.after_one(hand);
        }
        self.seen = Some(end.max(from));
        Ok(())
    }

    fn seal_one(&mut self, hand: &Hand<'_>, first: u64, end: u64) -> Result<(), LogError> {
        let shared = hand.shared;
        let dir = shared.records.dir();
        let carry = Carry::after(&shared.archive.seals())
            .ok_or_else(|| LogError::Io("a seal is malformed".to_owned()))?;
        let live = &mut self.live;
        let mut breath = Breath::new(hand);
        let mut each = |seq: u64, record: &[u8]| {
            let at = live.take(seq, record);
            breath.after_one(hand);
            at
        };
        let made =
            gather(dir, &shared.log_id, (first, end), carry.changes, &mut each).map_err(LogError::Io)?;
        self.seen = Some(end);
        hand.stops()?;
        let Made { seal, hashes, offsets } = made;
        let malformed = || LogError::Io(format!("the seal of record {first} is malformed"));
        let mut frontier = carry.frontier;
        seal.range().and_then(|range| frontier.extend(&range)).ok_or_else(malformed)?;
        let root = frontier.root().ok_or_else(malformed)?;
        let note = sign_past(shared, end, root)?;
        let write = |what: &str, bytes: &[u8]| {
            let path = beside(dir, first, what);
            write_atomic(&path, bytes).map_err(|error| LogError::Io(format!("{}: {error}", name(&path))))
        };
        write(HASHES, &hashes)?;
        write(OFFSETS, &offsets)?;
        write(CHECKPOINT, note.to_string().as_bytes())?;
        crate::fault::point("seal: recorded");
        let sealed = Event::LogSealed(Sealed { first, end, root, bytes: seal.bytes });
        let changes = self.desk_changes(first);
        let keeps_steps = !changes.is_empty();
        hand.append(&sealed, changes)?;
        if keeps_steps {
            self.live.steps_are_kept();
        }
        crate::fault::point("seal: finished");
        let text = seal.text().map_err(|error| LogError::Io(error.to_string()))?;
        write(SEAL, text.as_bytes())?;
        shared.archive.push(seal);
        Ok(())
    }

    /// What lets a desk be rebuilt from a later record on. At least one segment stays, so that listings are not empty.
    fn desk_changes(&mut self, first: u64) -> Vec<Change> {
        let floor = self.live.floor(first);
        let Some(floor) = floor else { return Vec::new() };
        let put = |key: &[u8], value: Vec<u8>| Change::Put { side: Side::Desk, key: key.to_vec(), value };
        let step = |(person, step): (&str, u64)| {
            let hash = hex_digest(person.as_bytes());
            put(&[STEP, hash.as_bytes()].concat(), [&step.to_be_bytes()[..], person.as_bytes()].concat())
        };
        let mut changes = vec![put(FLOOR, floor.to_be_bytes().to_vec())];
        // As of the end of what is sealed, not of the floor: whatever has ended in between is read again.
        let open: Vec<SessionId> = self.live.open_sessions().filter_map(|it| it.parse().ok()).collect();
        let mut value = u32::try_from(open.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        for (place, ids) in (0_u16..).zip(open.chunks(OPEN_AT_ONCE).chain(open.is_empty().then_some(&[][..])))
        {
            ids.iter().for_each(|id| value.extend_from_slice(&id.bytes()));
            changes.push(put(&[OPEN, &place.to_be_bytes()].concat(), std::mem::take(&mut value)));
        }
        let steps = self.live.newest_steps(MAX_CHANGES.saturating_sub(changes.len()));
        changes.extend(steps.into_iter().map(step));
        changes
    }

    /// Deletes what need not be kept any more.
    fn prune(&mut self, hand: &Hand<'_>) -> Result<(), LogError> {
        let Some(keep) = hand.shared.upkeep().keep else { return Ok(()) };
        if self.pruned.is_some_and(|last| last.elapsed() < PRUNE_EVERY) {
            return Ok(());
        }
        let archive = &hand.shared.archive;
        if archive.is_being_read() {
            return Ok(());
        }
        self.pruned = Some(Instant::now());
        let oldest = before(hand.clock, keep).micros();
        if archive.seals().last().is_some_and(|newest| newest.newest_us < oldest) {
            // Everything that is sealed would go, and that is what a wrong clock looks like.
            tracing::warn!(
                "all full files of records are older than audit.retention.keep: is the clock right? If it is: stepgate audit retention"
            );
            return Ok(());
        }
        let pruned = crate::retention::prune(hand, keep, false, None)?;
        if pruned.end > pruned.first {
            hand.shared.subjects.sweep(hand)?;
        }
        Ok(())
    }

    /// Checks a segment, if it is time.
    fn check(&mut self, hand: &Hand<'_>) -> Result<(), LogError> {
        let shared = hand.shared;
        let Some(every) = shared.upkeep().verify_every else { return Ok(()) };
        let seals = shared.archive.seals();
        let (index, ok) = match self.round {
            Some(round) => round,
            None => {
                let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
                let last = number(shared, CHECKED)?.map_or(0, |last| i64::try_from(last).unwrap_or(0));
                if seals.is_empty() || hand.clock.now().micros().saturating_sub(last) < every {
                    return Ok(());
                }
                (0, true)
            }
        };
        let Some(seal) = seals.get(index) else {
            self.round = None;
            let now = u64::try_from(hand.clock.now().micros()).unwrap_or(0);
            let change =
                Change::Put { side: Side::Desk, key: CHECKED.to_vec(), value: now.to_be_bytes().to_vec() };
            let records = seals.last().map_or(0, |seal| seal.end);
            return hand
                .append(&Event::IntegrityChecked { records, ok, first: None }, vec![change])
                .map(drop);
        };
        let _kept = shared.archive.keep_files();
        let checked = check_one(shared, &seals, index);
        if let Err(place) = &checked {
            tracing::error!(
                first = seal.first,
                end = seal.end,
                place,
                "records on disk are not what was sealed"
            );
            let (first, end, place) = (seal.first, seal.end, place.clone());
            hand.append(&Event::IntegrityFailed(IntegrityFailed { first, end, place }), Vec::new())?;
        }
        self.round = Some((index.saturating_add(1), ok && checked.is_ok()));
        Ok(())
    }
}

/// The checkpoint of a tree as it was, signed by the key of its time.
pub(crate) fn sign_past(shared: &Shared, size: u64, root: Hash) -> Result<SignedNote, LogError> {
    let keys = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).keys().clone();
    for n in (0..keys.count()).rev() {
        let signer = keys::signer(&shared.vault, keys.name(), n)?;
        let note = Checkpoint { origin: keys.name().to_owned(), size, root }.sign(&signer);
        if keys.verified(&note).is_ok() {
            return Ok(note);
        }
    }
    Err(LogError::Io(format!("no key signs the tree over {size} records")))
}

/// Holds a sealed segment against what was sealed. The error names the place.
pub(crate) fn check_one(shared: &Shared, seals: &[Seal], index: usize) -> Result<(), String> {
    let Some(seal) = seals.get(index) else { return Ok(()) };
    let dir = shared.records.dir();
    if seal.first >= shared.archive.floor() {
        let before = seals.get(..index).unwrap_or_default();
        let carry = Carry::after(before).ok_or("a seal is malformed")?;
        let made = gather(dir, &shared.log_id, (seal.first, seal.end), carry.changes, &mut |_, record| {
            time_of(record)
        })?;
        return match compare(dir, &made, seal)? {
            true => Ok(()),
            false => Err(without_offsets(dir, seal.first)),
        };
    }
    compare_hashes(dir, seal).map(drop)
}

/// What is said of a segment whose offsets are gone.
pub(crate) fn without_offsets(dir: &Path, first: u64) -> String {
    format!("{} is missing", name(&beside(dir, first, OFFSETS)))
}

/// Holds a seal, and the files beside it, against what its records say. `false`: where its records begin is gone, and all
/// else is as it was.
pub(crate) fn compare(dir: &Path, made: &Made, seal: &Seal) -> Result<bool, String> {
    if made.seal.roots != seal.roots || made.seal.end != seal.end {
        return Err(format!("the records of {} are not those that were sealed", file_name(seal.first)));
    }
    let mut is_whole = true;
    for (what, bytes) in [(HASHES, &made.hashes), (OFFSETS, &made.offsets)] {
        let path = beside(dir, seal.first, what);
        match std::fs::read(&path) {
            Ok(found) if found == *bytes => {}
            Ok(_) => return Err(format!("{} was altered", name(&path))),
            Err(error) if what == OFFSETS && error.kind() == std::io::ErrorKind::NotFound => is_whole = false,
            Err(error) => return Err(format!("{}: {error}", name(&path))),
        }
    }
    if made.seal == *seal {
        Ok(is_whole)
    } else {
        Err(format!("{} was altered", name(&beside(dir, seal.first, SEAL))))
    }
}

/// Holds the hashes of a pruned segment against its seal; returns those of its records.
pub(crate) fn compare_hashes(dir: &Path, seal: &Seal) -> Result<Vec<Hash>, String> {
    let path = beside(dir, seal.first, HASHES);
    let found = std::fs::read(&path).map_err(|error| format!("{}: {error}", name(&path)))?;
    let count = usize::try_from(seal.end.saturating_sub(seal.first)).unwrap_or(usize::MAX);
    let leaves = found.as_chunks::<32>().0.iter().take(count);
    let leaves: Vec<Hash> = leaves.map(|leaf| Hash::from_bytes(*leaf)).collect();
    let mut frontier = Frontier::starting_at(seal.first);
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    let sound = hex_digest(&found) == seal.hashes_sha256 && frontier.hashes() == seal.roots;
    if sound { Ok(leaves) } else { Err(format!("{} was altered", name(&path))) }
}

fn number(shared: &Shared, key: &[u8]) -> Result<Option<u64>, LogError> {
    let value = shared.beside.side_value(Side::Desk, key).map_err(LogError::Io)?;
    Ok(value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes))
}

/// The record from which on a desk must be rebuilt.
pub(crate) fn floor(shared: &Shared) -> Result<u64, LogError> {
    number(shared, FLOOR).map(Option::unwrap_or_default)
}

/// The sessions that were open when that was written last.
fn open_sessions(shared: &Shared) -> Result<Vec<SessionId>, LogError> {
    let value = |place: u16| {
        let key = [OPEN, &place.to_be_bytes()].concat();
        shared.beside.side_value(Side::Desk, &key).map_err(LogError::Io)
    };
    let Some(first) = value(0)? else { return Ok(Vec::new()) };
    let Some((many, ids)) = first.split_first_chunk::<4>() else { return Ok(Vec::new()) };
    let many = usize::try_from(u32::from_be_bytes(*many)).unwrap_or(MAX_OPEN).min(MAX_OPEN);
    let mut all = ids.to_vec();
    for place in 1..u16::try_from(many.div_ceil(OPEN_AT_ONCE)).unwrap_or(u16::MAX) {
        all.extend_from_slice(&value(place)?.unwrap_or_default());
    }
    let ids = all.as_chunks::<SESSION_BYTES>().0.iter().take(many);
    Ok(ids.map(|id| SessionId::from_bytes(*id)).collect())
}

impl Log {
    /// What is to be done by itself from now on: nothing but sealing before this was called.
    pub fn set_upkeep(&self, upkeep: Upkeep) {
        *self.shared().upkeep.lock().unwrap_or_else(PoisonError::into_inner) = upkeep;
    }

    /// The record from which on what people asked and were granted must be read again.
    pub(crate) fn desk_floor(&self) -> Result<u64, LogError> {
        floor(self.shared())
    }

    /// The sessions that had begun before that, and had not ended when it was written.
    pub(crate) fn sessions_before(&self) -> Result<Vec<SessionId>, LogError> {
        open_sessions(self.shared())
    }

    /// The last TOTP steps that people had spent before that: names as records have them, in JSON.
    pub(crate) fn spent_steps(&self) -> Result<Vec<(String, u64)>, LogError> {
        let entries = self.load(Side::Desk)?;
        let steps = entries.into_iter().filter(|(key, _)| key.starts_with(STEP)).filter_map(|(_, value)| {
            let (step, person) = value.split_first_chunk::<8>()?;
            Some((String::from_utf8(person.to_vec()).ok()?, u64::from_be_bytes(*step)))
        });
        Ok(steps.collect())
    }
}

impl Shared {
    pub(crate) fn upkeep(&self) -> Upkeep {
        *self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records are on disk.
    pub(crate) fn marks_durable(&self) -> u64 {
        self.marks.durable()
    }
}

/// The time so long before now.
pub(crate) fn before(clock: &dyn Clock, ago: Duration) -> Timestamp {
    let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(clock.now().micros().saturating_sub(micros))
}
