//! From whoever brings cancel requests to the session that they are for. There are seldom any, and a session has this for
//! as long as it lives: a channel's room for thirty-two of them would be an eighth of its memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::registry::CancelNotice;

/// How many requests wait for one session. More of them say nothing more.
pub(super) const MAX_WAITING: usize = 4;

#[derive(Default)]
struct Shared {
    /// None: the session has ended.
    waiting: Mutex<Option<Vec<CancelNotice>>>,
    rings: Notify,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Option<Vec<CancelNotice>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where requests are brought.
#[derive(Clone)]
pub(super) struct Post(Arc<Shared>);

/// Where they arrive; dropped, it takes no more, and drops those that wait.
pub struct Notices(Arc<Shared>);

/// Both ends.
pub(super) fn pair() -> (Post, Notices) {
    let shared = Arc::new(Shared { waiting: Mutex::new(Some(Vec::new())), rings: Notify::new() });
    (Post(Arc::clone(&shared)), Notices(shared))
}

impl Post {
    /// Brings one; `false` if there is no room, or nobody to take it.
    pub(super) fn send(&self, notice: CancelNotice) -> bool {
        let mut waiting = self.0.waiting();
        let Some(all) = waiting.as_mut().filter(|all| all.len() < MAX_WAITING) else { return false };
        all.push(notice);
        drop(waiting);
        self.0.rings.notify_one();
        true
    }
}

impl Notices {
    /// The next one. Nothing is lost if this is dropped.
    pub(crate) async fn recv(&mut self) -> CancelNotice {
        loop {
            if let Some(notice) = self.next() {
                return notice;
            }
            self.0.rings.notified().await;
        }
    }

    fn next(&mut self) -> Option<CancelNotice> {
        let mut waiting = self.0.waiting();
        let all = waiting.as_mut().filter(|all| !all.is_empty())?;
        Some(all.remove(0))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.waiting().as_ref().is_none_or(Vec::is_empty)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.0.waiting().take();
    }
}
