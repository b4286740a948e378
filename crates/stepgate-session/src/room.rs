//! Memory for what sessions know of their statements: each has some of its own, and what is beyond that, all sessions of a
//! person share.
//!
//! Attack: of wide tables a few words make a hundred KiB of facts, a session remembers thousands of texts, and a person may
//! have fifty sessions that say nothing more.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::session::Session;

/// What each session may always know, in bytes as its parts count them.
const OWN: usize = 1 << 20;

/// What all sessions of a person may know beyond that.
const SHARED: usize = 64 << 20;

/// It is taken and given back in such steps: most statements of whoever needs it change nothing of it.
const STEP: usize = 64 << 10;

/// The room that a person's sessions share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Room {
    limit: usize,
    taken: Arc<AtomicUsize>,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(SHARED)
    }
}

impl Room {
    /// Room for so many bytes beyond what is each session's own.
    #[must_use]
    pub fn of(limit: usize) -> Self {
        Self { limit, taken: Arc::default() }
    }
}

/// What one session has of it; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Share {
    room: Room,
    bytes: usize,
}

impl Share {
    /// The session knows so much. Whether there is room for it: if not, it has to forget some.
    fn holds(&mut self, known: usize) -> bool {
        let needed = known.saturating_sub(OWN).next_multiple_of(STEP);
        if needed == self.bytes {
            return true;
        }
        let more = needed.saturating_sub(self.bytes);
        let all = self.room.taken.fetch_add(more, Relaxed).saturating_add(more);
        if more > 0 && all > self.room.limit {
            self.room.taken.fetch_sub(more, Relaxed);
            return false;
        }
        self.room.taken.fetch_sub(self.bytes.saturating_sub(needed), Relaxed);
        self.bytes = needed;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Relaxed);
    }
}

impl Session {
    /// Shares this room with others; before anything is known.
    pub fn shares(&mut self, room: Room) {
        self.share = Share { room, bytes: 0 };
    }

    /// Something more is known: where there is no room for it, most of all is forgotten. A statement that is gone on with then
    /// is unknown, and so asked about rather than let through.
    pub(crate) fn keeps_to_its_room(&mut self) {
        if self.share.holds(self.knows()) {
            return;
        }
        self.cache.clear();
        self.registry.forget_beyond(OWN / 2);
        self.share.holds(self.knows());
    }

    fn knows(&self) -> usize {
        self.cache.bytes().saturating_add(self.registry.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_takes_what_is_shared_and_others_keep_their_own_until_it_ends() {
        let room = Room::default();
        let [mut one, mut other] = [(); 2].map(|()| Share { room: room.clone(), bytes: 0 });
        assert!(one.holds(OWN) && one.holds(OWN + SHARED));
        assert!(!one.holds(OWN + SHARED + 1));
        assert!(other.holds(OWN) && !other.holds(OWN + 1));
        assert!(one.holds(SHARED) && other.holds(2 * OWN) && !other.holds(2 * OWN + 1));
        drop(one);
        assert!(other.holds(OWN + SHARED));
        drop(other);
        assert_eq!(room.taken.load(Relaxed), 0);
    }
}
