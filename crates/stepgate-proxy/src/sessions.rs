//! The sessions that are open now.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use stepgate_session::Room;
use stepgate_types::{PersonName, SessionId};
use tokio::sync::Notify;

use crate::Limits;
use crate::doing::{Doing, Teller, Told};

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
    /// The address that the server was reached at.
    #[serde(skip)]
    pub server: SocketAddr,
    /// By which password that a login had minted they came, where by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What it does at this moment: `state`, and where that is `held`, `request`.
    #[serde(flatten)]
    pub doing: Doing,
}

struct Entry {
    info: SessionInfo,
    kill: Arc<Notify>,
    doing: Told,
}

/// A person's right to one more session; dropping it gives it back.
pub(crate) struct Place {
    sessions: Sessions,
    person: PersonName,
    /// For what is known of the statements of all their sessions.
    pub(crate) room: Room,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.sessions.places();
        places.all = places.all.saturating_sub(1);
        if let Some(taken) = places.each.get_mut(&self.person) {
            taken.places = taken.places.saturating_sub(1);
            if taken.places == 0 {
                places.each.remove(&self.person);
            }
        }
    }
}

/// All open sessions. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    entries: Mutex<HashMap<SessionId, Entry>>,
    places: Mutex<Places>,
}

/// How many there are, in all and of each person, those included that are only being opened.
#[derive(Default)]
struct Places {
    all: usize,
    each: HashMap<PersonName, Taken>,
}

/// What the sessions of a person have.
#[derive(Default)]
struct Taken {
    places: usize,
    room: Room,
}

/// Why there is no room for one more session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// There are too many.
    All,
    /// The person has too many.
    Person,
}

/// Keeps a session listed; dropping it takes it out.
pub(crate) struct Listed {
    sessions: Sessions,
    id: SessionId,
    /// Rings when the session is to be ended.
    pub(crate) kill: Arc<Notify>,
    doing: Told,
}

impl Listed {
    /// By which the session tells what it does.
    pub(crate) fn teller(&self) -> Teller {
        self.doing.teller()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.sessions.entries().remove(&self.id);
    }
}

impl Sessions {
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Places> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more session of that person.
    pub(crate) fn place(&self, person: &PersonName, limits: &Limits) -> Result<Place, Full> {
        let mut places = self.places();
        let taken = places.each.get(person).map_or(0, |taken| taken.places);
        if places.all >= limits.sessions {
            return Err(Full::All);
        }
        if taken >= limits.per_person {
            return Err(Full::Person);
        }
        places.all = places.all.saturating_add(1);
        let own = places.each.entry(person.clone()).or_default();
        own.places = taken.saturating_add(1);
        Ok(Place { sessions: self.clone(), person: person.clone(), room: own.room.clone() })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    pub(crate) fn enter(&self, info: SessionInfo) -> Listed {
        let (kill, doing) = (Arc::new(Notify::new()), Told::default());
        let id = info.session;
        self.entries().insert(id, Entry { info, kill: Arc::clone(&kill), doing: doing.clone() });
        Listed { sessions: self.clone(), id, kill, doing }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<SessionInfo> {
        let now = |entry: &Entry| SessionInfo { doing: entry.doing.read(), ..entry.info.clone() };
        let mut list: Vec<_> = self.entries().values().map(now).collect();
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

    /// Ends all sessions of a database.
    pub(crate) fn kill_database(&self, database: &str) {
        for entry in self.entries().values().filter(|entry| entry.info.database == database) {
            entry.kill.notify_one();
        }
    }

    /// Ends all sessions of a person (their name or groups were taken away).
    pub fn kill_person(&self, person: &PersonName) {
        for entry in self.entries().values().filter(|entry| entry.info.person == *person) {
            entry.kill.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_cannot_take_the_sessions_of_all_and_all_have_no_more_than_there_may_be() {
        let (sessions, dana, olga) = (Sessions::default(), "dana".parse().unwrap(), "olga".parse().unwrap());
        let limits = Limits { sessions: 3, per_person: 2, ..Limits::default() };
        let first = sessions.place(&dana, &limits).unwrap();
        let _second = sessions.place(&dana, &limits).unwrap();
        assert_eq!(sessions.place(&dana, &limits).err(), Some(Full::Person));
        let third = sessions.place(&olga, &limits).unwrap();
        assert_eq!(sessions.place(&olga, &limits).err(), Some(Full::All));
        drop(first);
        let _again = sessions.place(&dana, &limits).unwrap();
        drop(third);
        assert!(!sessions.places().each.contains_key(&olga));
        assert_eq!(sessions.places().all, 2);
    }
}
