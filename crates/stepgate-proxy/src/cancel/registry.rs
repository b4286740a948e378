use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use stepgate_types::SessionId;
use stepgate_wire::startup::CancelKey;
use subtle::ConstantTimeEq as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::guesses::Guesses;
use super::notices::{self, Notices, Post};
use crate::peer;

/// The most sessions that can be registered: far above what the gate takes.
const MAX_SESSIONS: usize = 65_536;
/// How long a request waits for its session to deal with it, before its connection is closed all the same.
const DEALT_WITH_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of the secret in protocol 3.0 and in 3.2.
const SHORT_SECRET: usize = 4;
const LONG_SECRET: usize = 32;

/// Tells a session that its client wants its statement cancelled. The client's cancel connection stays open
/// until this is dropped: by then either the held statement is over, or the server has dealt with the request.
#[derive(Debug)]
pub struct CancelNotice {
    /// When it came.
    pub(crate) at: Instant,
    pub(super) _done: oneshot::Sender<()>,
}

/// A session cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// There are as many sessions as can be.
    #[error("too many sessions")]
    Full,
    /// There is no randomness for a secret.
    #[error("no randomness: {0}")]
    Entropy(getrandom::Error),
}

/// The sessions that can be cancelled. Cheap to clone.
#[derive(Clone, Default)]
pub struct CancelRegistry {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By process id: several, since each server counts its own.
    sessions: HashMap<i32, Vec<Entry>>,
    count: usize,
}

struct Entry {
    session: SessionId,
    secret: Bytes,
    address: IpAddr,
    notices: Post,
    guesses: Guesses,
}

/// A session's entry; dropping it takes it out.
pub struct Registration {
    /// What the client gets in BackendKeyData.
    pub key: CancelKey,
    /// Where notices arrive.
    pub notices: Notices,
    session: SessionId,
    registry: CancelRegistry,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.remove(self.key.pid, self.session);
    }
}

impl CancelRegistry {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a session under the server's process id, with a random secret as long as the client's minor
    /// version of the protocol has it.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register(
        &self,
        session: SessionId,
        pid: i32,
        minor: u16,
        peer: SocketAddr,
    ) -> Result<Registration, RegisterError> {
        let mut secret = vec![0; if minor >= 2 { LONG_SECRET } else { SHORT_SECRET }];
        getrandom::fill(&mut secret).map_err(RegisterError::Entropy)?;
        let secret = Bytes::from(secret);
        let (post, notices) = notices::pair();
        let mut state = self.lock();
        if state.count >= MAX_SESSIONS {
            return Err(RegisterError::Full);
        }
        let (address, guesses) = (peer::address(peer), Guesses::none(Instant::now()));
        let entry = Entry { session, secret: secret.clone(), address, notices: post, guesses };
        // Room for one: there is seldom another, and for four is what a vector takes.
        state.sessions.entry(pid).or_insert_with(|| Vec::with_capacity(1)).push(entry);
        state.count = state.count.saturating_add(1);
        drop(state);
        Ok(Registration { key: CancelKey { pid, secret }, notices, session, registry: self.clone() })
    }

    /// Deals with a CancelRequest: tells the session, and returns once it is dealt with. `false`: unknown key,
    /// other address, or too many guesses; the client must not learn which.
    pub async fn cancel(&self, key: &CancelKey, peer: SocketAddr) -> bool {
        let Some(notices) = self.find(key, peer::address(peer), Instant::now()) else { return false };
        let (done, dealt_with) = oneshot::channel();
        // A full queue: so many are asked for already that this one is among them. A closed one: too late.
        if notices.send(CancelNotice { at: Instant::now(), _done: done }) {
            // However it ends: dropped, or not dealt with in time.
            let _ = timeout(DEALT_WITH_LIMIT, dealt_with).await;
        }
        true
    }

    /// A right key is found however many wrong ones come for other sessions, or from elsewhere: whoever sends those keeps
    /// nobody from cancelling. Only guesses that could have been right are counted.
    fn find(&self, key: &CancelKey, address: IpAddr, now: Instant) -> Option<Post> {
        let mut state = self.lock();
        let mut found = None;
        for entry in state.sessions.get_mut(&key.pid).into_iter().flatten() {
            // Always compared, so that time tells neither the secret nor the address.
            let same = bool::from(entry.secret.ct_eq(&key.secret));
            let here = entry.address == address;
            // A long secret is beyond guessing, and a guess of another length is none.
            let can_be_guessed = entry.secret.len() != LONG_SECRET && key.secret.len() == entry.secret.len();
            let looks = !can_be_guessed || !entry.guesses.are_spent(now);
            if same & here & looks {
                found = Some(entry.notices.clone());
            } else if here & looks & can_be_guessed && entry.guesses.count(now) {
                tracing::warn!(session = %entry.session, "somebody guesses cancel keys: none counts for a moment");
            }
        }
        found
    }

    fn remove(&self, pid: i32, session: SessionId) {
        let mut state = self.lock();
        let Some(entries) = state.sessions.get_mut(&pid) else { return };
        let before = entries.len();
        entries.retain(|entry| entry.session != session);
        let removed = before.saturating_sub(entries.len());
        if entries.is_empty() {
            state.sessions.remove(&pid);
        }
        state.count = state.count.saturating_sub(removed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; if it did, the map would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], port))
    }

    fn session(number: u8) -> SessionId {
        SessionId::from_bytes([number; 16])
    }

    #[tokio::test]
    async fn a_cancel_request_reaches_its_session_and_waits_until_it_is_dealt_with() {
        let registry = CancelRegistry::new();
        let mut registration = registry.register(session(1), 42, 0, peer(1, 1000)).unwrap();
        let key = registration.key.clone();
        let asked = tokio::spawn({
            let registry = registry.clone();
            async move { registry.cancel(&key, peer(1, 2000)).await }
        });
        let notice = registration.notices.recv().await;
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
        drop(notice);
        assert!(asked.await.unwrap());
    }

    #[tokio::test]
    async fn a_guessed_key_or_one_from_another_address_cancels_nothing() {
        let registry = CancelRegistry::new();
        let registration = registry.register(session(1), 42, 2, peer(1, 1000)).unwrap();
        let key = registration.key.clone();
        assert_eq!(key.secret.len(), LONG_SECRET);
        let guess = |pid, secret| CancelKey { pid, secret };
        assert!(!registry.cancel(&guess(42, Bytes::from(vec![0; LONG_SECRET])), peer(1, 1)).await);
        assert!(!registry.cancel(&guess(42, key.secret.slice(..4)), peer(1, 1)).await);
        assert!(!registry.cancel(&guess(42, Bytes::new()), peer(1, 1)).await);
        assert!(!registry.cancel(&guess(43, key.secret.clone()), peer(1, 1)).await);
        assert!(!registry.cancel(&key, peer(2, 1)).await);
        assert!(registration.notices.is_empty());
    }

    #[test]
    fn guesses_keep_nobody_from_their_own_key_until_they_could_find_it() {
        let registry = CancelRegistry::new();
        let short = registry.register(session(1), 42, 0, peer(1, 1)).unwrap();
        let other = registry.register(session(2), 43, 0, peer(1, 1)).unwrap();
        let long = registry.register(session(3), 42, 2, peer(1, 1)).unwrap();
        let now = Instant::now();
        let from =
            |host: u8, key: &CancelKey| registry.find(key, peer::address(peer(host, 1)), now).is_some();
        let guess = |pid, length| CancelKey { pid, secret: Bytes::from(vec![0; length]) };
        // Those that cannot be right: of no session, too long, from elsewhere.
        for _ in 0..100_000 {
            assert!(!from(1, &guess(44, SHORT_SECRET)) && !from(1, &guess(42, LONG_SECRET)));
            assert!(!from(2, &guess(42, SHORT_SECRET)) && !from(2, &short.key));
        }
        let all_found = || [&short, &other, &long].map(|session| from(1, &session.key));
        assert_eq!(all_found(), [true; 3]);
        for _ in 0..30_000 {
            assert!(!from(1, &guess(42, SHORT_SECRET)));
        }
        assert_eq!(all_found(), [true; 3]);
        for _ in 0..40_000 {
            assert!(!from(1, &guess(42, SHORT_SECRET)));
        }
        assert_eq!(all_found(), [false, true, true]);
    }

    #[tokio::test]
    async fn two_servers_with_the_same_process_id_do_not_mix() {
        let registry = CancelRegistry::new();
        let first = registry.register(session(1), 42, 2, peer(1, 1)).unwrap();
        let second = registry.register(session(2), 42, 2, peer(1, 1)).unwrap();
        let key = second.key.clone();
        drop(second);
        assert!(!registry.cancel(&key, peer(1, 1)).await);
        assert!(first.notices.is_empty());
        assert_eq!(registry.lock().count, 1);
        drop(first);
        assert!(registry.lock().sessions.is_empty());
    }

    #[tokio::test]
    async fn a_flood_of_requests_for_one_session_waits_for_nobody() {
        let registry = CancelRegistry::new();
        let registration = registry.register(session(1), 42, 0, peer(1, 1)).unwrap();
        let asked: Vec<_> = (0..notices::MAX_WAITING)
            .map(|_| {
                let (registry, key) = (registry.clone(), registration.key.clone());
                tokio::spawn(async move { registry.cancel(&key, peer(1, 1)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(registry.cancel(&registration.key, peer(1, 1)).await);
        drop(registration);
        for each in asked {
            assert!(each.await.unwrap());
        }
    }
}
