//! The sessions that are open now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use stepgate_types::{PersonName, SessionId};
use tokio::sync::Notify;

/// One open session, as listed.
#[derive(Debug, Clone, Serialize)]
pub struct SessionInfo {
    /// Its id.
    pub session: SessionId,
    /// Who.
    pub person: PersonName,
    /// Database, by its name at the gate.
    pub database: String,
    /// Peer address, without port.
    pub address: String,
    /// `application_name`.
    pub client: String,
    /// RFC 3339.
    pub opened: String,
    /// The server's process id.
    pub pid: i32,
}

struct Entry {
    info: SessionInfo,
    kill: Arc<Notify>,
}

/// All open sessions. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<SessionId, Entry>>>);

/// Keeps a session listed; dropping it takes it out.
pub(crate) struct Listed {
    sessions: Sessions,
    id: SessionId,
    /// Rings when the session is to be ended.
    pub(crate) kill: Arc<Notify>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sessions.entries().remove(&self.id);
    }
}

impl Sessions {
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, info: SessionInfo) -> Listed {
        let kill = Arc::new(Notify::new());
        let id = info.session;
        self.entries().insert(id, Entry { info, kill: Arc::clone(&kill) });
        Listed { sessions: self.clone(), id, kill }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<SessionInfo> {
        let mut list: Vec<_> = self.entries().values().map(|entry| entry.info.clone()).collect();
        list.sort_by(|a, b| a.opened.cmp(&b.opened));
        list
    }

    /// Ends a session; `false` if there is none of this id.
    #[must_use]
    pub fn kill(&self, id: SessionId) -> bool {
        match self.entries().get(&id) {
            Some(entry) => {
                entry.kill.notify_one();
                true
            }
            None => false,
        }
    }

    /// Ends all sessions of a person (their name or groups were taken away).
    pub fn kill_person(&self, person: &PersonName) {
        for entry in self.entries().values().filter(|entry| entry.info.person == *person) {
            entry.kill.notify_one();
        }
    }
}
