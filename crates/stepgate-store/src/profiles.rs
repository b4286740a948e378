//! What is usual for each person, as the log tells it: a projection, made by a thread of its own.
//!
//! It reads records once they are on disk, so that nothing that waits for the log waits for it, and hands on what they
//! tell to the [`Profile`] of whom they concern (`take.rs`). Networks and clients are in records as commitments: they are
//! opened here and become keyed tokens at once. What was erased opens no more, and teaches no more when profiles are made
//! anew; a session whose address was erased is one of an unknown network. A person who was erased has no profile: it lies
//! beside the log, sealed by their own key (`kept.rs`), and goes with that.
//!
//! Profiles are kept now and then, with the number of the next record, so that a start reads little. They are a cache
//! like the indexes: if what was kept is missing, broken or of another log, they are made anew from the first record
//! there is.

mod kept;
mod take;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stepgate_policy::{Origin, OriginKey, Places, Profile, Teaching};
use stepgate_types::{PersonName, SubjectKind, Who};

use crate::wait::block_on_unless;
use crate::{Log, LogError};
use take::Taking;

/// Records that are read at a time, before anybody sees what they taught.
const AT_ONCE: u64 = 4096;

/// Profiles are kept once so many records were read since …
const KEEP_RECORDS: u64 = 200_000;

/// … or so long after the first of them.
const KEEP_EVERY: Duration = Duration::from_secs(10 * 60);

/// After each round, so that busy times make few rounds of many records.
const BREATH: Duration = Duration::from_millis(5);

/// What cannot be read now is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The profiles of all people. Cheap to clone; the last that is dropped keeps them and ends their thread.
#[derive(Clone)]
pub struct Profiles(Arc<Hand>);

struct Hand {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is shared with the thread.
struct Shared {
    log: Log,
    key: OriginKey,
    /// Whether anybody wants to know: otherwise nothing is read.
    settings: RwLock<Settings>,
    people: RwLock<HashMap<Who, Arc<Slot>>>,
    /// The number of the next record.
    next: AtomicU64,
    reached: Arc<Reached>,
    wanted: AtomicBool,
    stop: AtomicBool,
}

/// Whether profiles have come as far as the log since somebody last began to ask for them: until then, what they tell
/// may be of long ago, or nothing.
#[derive(Default)]
struct Reached {
    /// How often somebody has begun to ask.
    begun: AtomicU64,
    /// How often that was when all that there was had been read.
    read: AtomicU64,
}

impl Reached {
    fn is_now(&self) -> bool {
        let begun = self.begun.load(Ordering::Acquire);
        begun > 0 && self.read.load(Ordering::Acquire) == begun
    }
}

#[derive(Clone)]
struct Settings {
    teaching: Option<Teaching>,
    places: Arc<dyn Places>,
}

/// Where one person's profile is to be found.
#[derive(Default)]
struct Slot(RwLock<Arc<Profile>>);

impl Slot {
    fn get(&self) -> Arc<Profile> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, profile: Arc<Profile>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = profile;
    }
}

/// One person's profile, whatever it becomes: for a session.
#[derive(Clone)]
pub struct ProfileOf {
    // Not all that is shared: whoever has one of these keeps no log open.
    reached: Arc<Reached>,
    slot: Arc<Slot>,
}

impl ProfileOf {
    /// As it is now; `None` where the log has not been read yet: nobody can tell then what is usual.
    #[must_use]
    pub fn now(&self) -> Option<Arc<Profile>> {
        self.reached.is_now().then(|| self.slot.get())
    }
}

impl Profiles {
    /// Of this log. Nothing is read until [`Profiles::teach`] says how.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn open(log: &Log) -> Result<Self, LogError> {
        let key = OriginKey::new(*log.shared().vault.key("profiles"));
        let settings = Settings { teaching: None, places: Arc::new(()) };
        let shared = Arc::new(Shared {
            log: log.clone(),
            key,
            settings: RwLock::new(settings),
            people: RwLock::default(),
            next: AtomicU64::new(0),
            reached: Arc::default(),
            wanted: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name("profiles".to_owned());
            thread.spawn(move || run(&shared)).map_err(|error| LogError::Io(error.to_string()))?
        };
        Ok(Self(Arc::new(Hand { shared, thread: Mutex::new(Some(thread)) })))
    }

    /// From now on records teach so, and addresses are there; `None`: nobody asks for profiles (the policy has no
    /// `risk:`), and nothing is read until somebody does, who then waits until all was. What was learned stays as it is.
    pub fn teach(&self, teaching: Option<Teaching>, places: Arc<dyn Places>) {
        let shared = &self.0.shared;
        *shared.settings.write().unwrap_or_else(PoisonError::into_inner) = Settings { teaching, places };
        if teaching.is_some() && !shared.wanted.load(Ordering::Acquire) {
            shared.reached.begun.fetch_add(1, Ordering::AcqRel);
        }
        shared.wanted.store(teaching.is_some(), Ordering::Release);
        self.0.wake();
    }

    /// The profile of a person, for a session of theirs: once that was recorded.
    #[must_use]
    pub fn of(&self, person: &PersonName) -> ProfileOf {
        let shared = &self.0.shared;
        let who = shared.log.subjects().who(SubjectKind::Person, person.as_str());
        ProfileOf { reached: Arc::clone(&shared.reached), slot: shared.slot(&who) }
    }

    /// Where a session comes from, as profiles know it: `client` and fingerprints as its record says them.
    #[must_use]
    pub fn origin(
        &self,
        address: IpAddr,
        client: &str,
        startup: Option<&str>,
        hello: Option<&str>,
    ) -> Origin {
        self.0.shared.origin(Some(address), Some(client), startup, hello)
    }

    /// How many records have not been read yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.0.shared.log.len().saturating_sub(self.0.shared.next.load(Ordering::Acquire))
    }

    /// Whether anybody asks for them.
    #[must_use]
    pub fn are_asked_for(&self) -> bool {
        self.0.shared.wanted.load(Ordering::Acquire)
    }

    /// Whether all that there was has been read since somebody began to ask; before that, nobody is known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.shared.reached.is_now()
    }
}

impl Hand {
    fn wake(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.iter().for_each(|thread| thread.thread().unpark());
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn slot(&self, who: &Who) -> Arc<Slot> {
        let people = self.people.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = people.get(who) {
            return Arc::clone(slot);
        }
        drop(people);
        let mut people = self.people.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(people.entry(who.clone()).or_default())
    }

    fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn origin(
        &self,
        address: Option<IpAddr>,
        client: Option<&str>,
        startup: Option<&str>,
        hello: Option<&str>,
    ) -> Origin {
        let place = address.and_then(|address| self.settings().places.place(address));
        let origin = Origin::new(&self.key, address, place).fingerprints(startup, hello);
        client.map_or(origin, |client| origin.client(&self.key, client))
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether there is something to read from that record on, or to say that there is not. While nobody asks, nothing is
    /// read, however far behind that is.
    fn has_work(&self, next: u64) -> bool {
        let is_behind = || next < self.log.len() || !self.reached.is_now();
        self.wanted.load(Ordering::Acquire) && is_behind()
    }
}

/// Reads until it is told to stop.
fn run(shared: &Arc<Shared>) {
    while !shared.wanted.load(Ordering::Acquire) {
        if shared.stops() {
            return;
        }
        thread::park();
    }
    let mut taking = kept::load(shared).unwrap_or_else(|why| {
        tracing::info!(%why, "profiles are made anew from the log");
        Taking::new(shared.log.floor())
    });
    shared.next.store(taking.next(), Ordering::Release);
    taking.publish(shared);
    let mut watch = shared.log.watch();
    let (mut kept, mut since) = (taking.next(), Instant::now());
    let mut complained = None;
    while !shared.stops() {
        // Before the end is looked at: whoever begins to ask after that is answered in the next round.
        let begun = shared.reached.begun.load(Ordering::Acquire);
        let wanted = shared.wanted.load(Ordering::Acquire);
        let end = *watch.borrow_and_update();
        if wanted && taking.next() < end {
            if let Err(error) = catch_up(shared, &mut taking, end) {
                let why = error.to_string();
                if complained.as_ref() != Some(&why) {
                    tracing::warn!(%why, "profiles learn nothing for now");
                    complained = Some(why);
                }
                thread::park_timeout(TRY_AGAIN);
                continue;
            }
            complained = None;
            let is_due = taking.next() - kept >= KEEP_RECORDS || since.elapsed() >= KEEP_EVERY;
            if is_due {
                kept::keep(shared, &taking);
                (kept, since) = (taking.next(), Instant::now());
            }
            thread::park_timeout(BREATH);
            continue;
        }
        if wanted {
            shared.reached.read.store(begun, Ordering::Release);
        }
        if shared.log.poisoned().is_some() {
            thread::park_timeout(TRY_AGAIN);
            continue;
        }
        block_on_unless(watch.changed(), &|| shared.stops() || shared.has_work(taking.next()));
    }
    if taking.next() > kept {
        kept::keep(shared, &taking);
    }
}

/// Takes the records before `end`.
fn catch_up(shared: &Shared, taking: &mut Taking, end: u64) -> Result<(), LogError> {
    // Retention may have deleted what would have come next.
    taking.skip_to(shared.log.floor());
    let settings = shared.settings();
    while taking.next() < end && !shared.stops() {
        let until = taking.next().saturating_add(AT_ONCE).min(end);
        for stored in shared.log.read(taking.next(), until) {
            let stored = stored?;
            taking.take(shared, &settings, stored.seq, &stored.bytes);
        }
        shared.next.store(taking.next(), Ordering::Release);
        taking.publish(shared);
    }
    Ok(())
}
