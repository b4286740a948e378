//! Memory for large messages, which all sessions share.
//!
//! A statement is judged once its message is there in whole, and a message may have up to a gigabyte. What has come of a
//! large one, and what of it has not been written to the server yet, is counted here: over all sessions, and for each
//! person, who may take half of it. Small messages are not ([`stepgate_wire::LARGE`]).
//!
//! Attack: to announce the largest message there may be in each of fifty sessions costs the attacker five bytes for each;
//! so what is announced counts for nothing. To send them but for the last byte fills a person's half, and whoever needs
//! more waits for a while and is refused: nobody whose messages are ordinary notices anything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepgate_types::PersonName;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// What all large messages share.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The most that they may have together, in bytes.
    limit: AtomicUsize,
    /// The most of it that is always one person's to take: a message of the largest size.
    message: AtomicUsize,
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    each: HashMap<PersonName, usize>,
}

impl Memory {
    pub(crate) fn new(message: usize, limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            message: AtomicUsize::new(message),
            used: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Takes other limits into use. What is there already stays.
    pub(crate) fn set(&self, message: usize, limit: usize) {
        self.message.store(message, Relaxed);
        self.limit.store(limit, Relaxed);
        self.freed.notify_waiters();
    }

    /// The largest message that is let through, in bytes.
    pub(crate) fn message(&self) -> usize {
        self.message.load(Relaxed)
    }

    /// How much is in use, in bytes.
    pub(crate) fn in_use(&self) -> usize {
        self.used().all
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, used: &Used, person: &PersonName, more: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        let of_one = (limit / 2).max(self.message()).min(limit);
        let own = used.each.get(person).copied().unwrap_or_default();
        used.all.saturating_add(more) <= limit && own.saturating_add(more) <= of_one
    }

    /// Takes `more` for a person, or nothing.
    fn take(&self, person: &PersonName, more: usize) -> bool {
        let mut used = self.used();
        let fits = self.has_room(&used, person, more);
        if fits {
            used.add(person, more);
        }
        fits
    }

    fn give_back(&self, person: &PersonName, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut used = self.used();
        used.all = used.all.saturating_sub(bytes);
        if let Some(own) = used.each.get_mut(person) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                used.each.remove(person);
            }
        }
        drop(used);
        self.freed.notify_waiters();
    }
}

impl Used {
    fn add(&mut self, person: &PersonName, more: usize) {
        self.all = self.all.saturating_add(more);
        match self.each.get_mut(person) {
            Some(own) => *own = own.saturating_add(more),
            None => _ = self.each.insert(person.clone(), more),
        }
    }
}

/// What one session has of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<Memory>,
    person: PersonName,
    bytes: usize,
}

impl Share {
    /// Nothing yet.
    pub(crate) const fn new(memory: Arc<Memory>, person: PersonName) -> Self {
        Self { memory, person, bytes: 0 }
    }

    /// Makes sure that so many bytes are its own, where there is room for what is missing.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = more == 0 || self.memory.take(&self.person, more);
        if taken {
            self.bytes = self.bytes.saturating_add(more);
        }
        taken
    }

    /// The session has so many bytes: room or not, that is what counts.
    pub(crate) fn has(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.memory.used().add(&self.person, bytes.saturating_sub(self.bytes));
        }
        self.memory.give_back(&self.person, self.bytes.saturating_sub(bytes));
        self.bytes = bytes;
    }

    /// Waits until there is room for so many bytes in all, or until then; whether there is.
    pub(crate) fn waits(&self, bytes: usize, until: Instant) -> impl Future<Output = bool> + Send + use<> {
        let (memory, person) = (Arc::clone(&self.memory), self.person.clone());
        let more = bytes.saturating_sub(self.bytes);
        let room = async move {
            loop {
                let freed = memory.freed.notified();
                tokio::pin!(freed);
                freed.as_mut().enable();
                if memory.has_room(&memory.used(), &person, more) {
                    return;
                }
                freed.await;
            }
        };
        async move { timeout_at(until, room).await.is_ok() }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.give_back(&self.person, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn person(name: &str) -> PersonName {
        name.parse().unwrap()
    }

    fn share(memory: &Arc<Memory>, name: &str) -> Share {
        Share::new(Arc::clone(memory), person(name))
    }

    #[test]
    fn one_person_takes_half_and_all_together_no_more_than_there_is() {
        let memory = Arc::new(Memory::new(10, 100));
        let (mut first, mut second) = (share(&memory, "dana"), share(&memory, "dana"));
        assert!(first.grow_to(30) && second.grow_to(20));
        assert!(!second.grow_to(21), "the person's other half is others'");
        let (mut other, mut third) = (share(&memory, "olga"), share(&memory, "omar"));
        assert!(other.grow_to(50) && !third.grow_to(1));
        first.has(29);
        assert!(third.grow_to(1) && !third.grow_to(2));
        drop((first, second, other, third));
        assert_eq!(memory.in_use(), 0);
        assert!(memory.used().each.is_empty(), "nobody is remembered");
    }

    #[test]
    fn one_message_of_the_largest_size_always_fits_into_ones_own_share() {
        let memory = Arc::new(Memory::new(90, 100));
        let mut only = share(&memory, "dana");
        assert!(only.grow_to(90) && !only.grow_to(91));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_goes_on_when_something_is_given_back_and_not_for_ever() {
        let memory = Arc::new(Memory::new(10, 100));
        let (mut first, second) = (share(&memory, "dana"), share(&memory, "dana"));
        assert!(first.grow_to(50));
        let until = Instant::now() + Duration::from_secs(10);
        let waits = tokio::spawn(second.waits(5, until));
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        first.has(45);
        assert!(waits.await.unwrap());
        assert!(!second.waits(6, until).await);
    }
}
