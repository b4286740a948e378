//! Factors that people have enrolled, and what is kept beside them.

mod keeping;
mod stored;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stepgate_approval::{AuthenticatorId, Credential, Enrolled, Method};
use stepgate_record::{Event, Record};
use stepgate_types::{Actor, Clock, GroupName, PersonName, Timestamp};
use tokio::sync::{Mutex, MutexGuard};
use zeroize::Zeroizing;

pub(crate) use keeping::{EnrolCode, Keeping};
use stored::{Entered, KEEPING, unseal};

use crate::people::event;
use crate::subjects::Place;
use crate::{Change, Log, LogError, PersonError, Side, Vault};

/// How long a new factor waits before it counts for approvals of others, unless configured.
const NEW_FACTOR_DELAY: Duration = Duration::from_secs(24 * 3600);

/// Authenticators of one person: more are nobody's.
const MAX_OF_PERSON: usize = 32;

/// What is configured of factors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactorRules {
    /// How long a new factor waits before it counts for approvals of what others ask.
    pub new_factor_delay: Duration,
    /// Whose members confirm that somebody's factors are reset.
    pub reset_group: Option<GroupName>,
}

impl Default for FactorRules {
    fn default() -> Self {
        Self { new_factor_delay: NEW_FACTOR_DELAY, reset_group: None }
    }
}

type Key = (PersonName, AuthenticatorId);

/// The factors, read from memory, sealed on disk. Cheap to clone.
#[derive(Clone)]
pub struct Factors {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    vault: Vault,
    clock: Arc<dyn Clock>,
    rules: RwLock<FactorRules>,
    state: RwLock<State>,
    /// Shared with the people: a factor must not be enrolled for somebody who is being removed.
    changing: Arc<Mutex<()>>,
}

#[derive(Default)]
struct State {
    factors: BTreeMap<Key, Arc<Credential>>,
    keeping: BTreeMap<PersonName, Arc<Keeping>>,
    /// When the gate began, once that was looked up.
    began: Option<Timestamp>,
}

/// What an append is to write of factors. Lives until that is queued.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) changes: Vec<Change>,
    places: Vec<Place>,
}

impl Writes {
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.changes.extend(other.changes);
        self.places.extend(other.places);
        self
    }
}

impl Factors {
    pub(crate) fn open(log: &Log, vault: &Vault, changing: Arc<Mutex<()>>) -> Result<Self, PersonError> {
        let mut state = State::default();
        let mut old = Vec::new();
        for entry in log.load(Side::Factors)? {
            let (person, entered, moves) = unseal(log, vault, entry)?;
            match entered {
                Entered::Credential(credential) => {
                    state.factors.insert((person, credential.id.clone()), Arc::new(credential));
                }
                Entered::Keeping(keeping) => {
                    state.keeping.insert(person, Arc::new(keeping));
                }
            }
            old.extend(moves);
        }
        log.subjects().move_in(log, vault, Side::Factors, old)?;
        let (log, vault, clock) = (log.clone(), vault.clone(), Arc::clone(log.clock()));
        let (rules, state) = (RwLock::default(), RwLock::new(state));
        Ok(Self { inner: Arc::new(Inner { log, vault, clock, rules, state, changing }) })
    }

    /// What is configured of them.
    #[must_use]
    pub fn rules(&self) -> FactorRules {
        self.inner.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Configures them, from now on.
    pub fn set_rules(&self, rules: FactorRules) {
        *self.inner.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inner.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.inner.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// A person's authenticators.
    #[must_use]
    pub fn list(&self, name: &PersonName) -> Vec<Arc<Credential>> {
        self.state(|state| {
            // The least of all ids.
            let from = (name.clone(), AuthenticatorId::only(Method::Email));
            let own = state.factors.range(from..).take_while(|((of, _), _)| of == name);
            own.map(|(_, credential)| Arc::clone(credential)).collect()
        })
    }

    /// Those of one method.
    #[must_use]
    pub fn of(&self, name: &PersonName, method: Method) -> Vec<Arc<Credential>> {
        self.list(name).into_iter().filter(|credential| credential.method() == method).collect()
    }

    /// Whether somebody else is verified by the very same.
    pub(crate) fn is_anothers(&self, name: &PersonName, method: Method, secret: &[u8]) -> bool {
        let same = |credential: &Credential| credential.method() == method && *credential.secret == secret;
        self.state(|state| state.factors.iter().any(|((of, _), credential)| of != name && same(credential)))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &PersonName, id: &AuthenticatorId) -> Option<Arc<Credential>> {
        self.state(|state| state.factors.get(&(name.clone(), id.clone())).cloned())
    }

    /// A person's TOTP authenticator, if they have one.
    #[must_use]
    pub fn totp(&self, name: &PersonName) -> Option<Arc<Credential>> {
        self.of(name, Method::Totp).into_iter().next()
    }

    /// Enrols (or replaces) a person's only TOTP secret, as older versions had it. No code was checked.
    ///
    /// # Errors
    /// See [`PersonError`]; the person must exist.
    pub async fn enrol_totp(
        &self,
        name: &PersonName,
        secret: &[u8],
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        let enrolled = Enrolled {
            secret: Zeroizing::new(secret.to_vec()),
            state: Vec::new(),
            strength: Method::Totp.strength(),
            counter: 0,
        };
        let id = AuthenticatorId::only(Method::Totp);
        let credential = self.credential(name, id, "totp".to_owned(), enrolled)?;
        let writes = self.enrolment(name, &credential)?;
        self.inner
            .log
            .append(vec![about("factor.enrolled", name, &by.into(), &credential.id)], writes.changes)
            .await?;
        self.take(name, credential);
        Ok(())
    }

    /// Removes one of a person's authenticators.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn remove(&self, name: &PersonName, id: &str, by: impl Into<Actor>) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        let no_factor = || PersonError::NoFactor { person: name.clone(), kind: id.to_owned() };
        let id: AuthenticatorId = id.parse().map_err(|_| no_factor())?;
        self.get(name, &id).ok_or_else(no_factor)?;
        let event = about("factor.removed", name, &by.into(), &id);
        self.inner.log.append(vec![event], vec![self.removal(name, &id)]).await?;
        self.let_go(name, &id);
        Ok(())
    }

    /// Until this is dropped, nobody else changes people or factors.
    pub(crate) async fn changing(&self) -> MutexGuard<'_, ()> {
        self.inner.changing.lock().await
    }

    /// An authenticator that this person may be given now. Looks whether they exist.
    pub(crate) fn credential(
        &self,
        name: &PersonName,
        id: AuthenticatorId,
        called: String,
        enrolled: Enrolled,
    ) -> Result<Credential, PersonError> {
        let log = &self.inner.log;
        // The people are on disk before anybody can enrol, and removed under the same lock.
        let known = log.load_one(Side::People, &log.subjects().key_of(name, ""))?;
        known.ok_or_else(|| PersonError::Unknown(name.clone()))?;
        if self.list(name).len() >= MAX_OF_PERSON {
            return Err(PersonError::Limit(format!("a person has at most {MAX_OF_PERSON} authenticators")));
        }
        let now = self.inner.clock.now();
        let delay = self.rules().new_factor_delay;
        let is_first = !self.keeping(name).had && self.list(name).is_empty();
        let counts_from = if is_first && self.is_young(now, delay) { now } else { now.plus(delay) };
        let Enrolled { secret, state, strength, .. } = enrolled;
        Ok(Credential { id, name: called, enrolled: now, counts_from, strength, state, secret })
    }

    /// Whether the gate itself is younger than a new factor must be: then nobody has one that is older, and first
    /// ones count at once.
    fn is_young(&self, now: Timestamp, delay: Duration) -> bool {
        let began = self.state(|state| state.began).or_else(|| {
            let log = &self.inner.log;
            // Where the first record is gone, the gate is old.
            if log.floor() > 0 {
                return None;
            }
            let first = log.read(0, 1).next()?.ok()?;
            let began = Record::decode(&first.bytes).ok()?.at;
            self.change(|state| state.began = Some(began));
            Some(began)
        });
        began.is_some_and(|began| now.since(began) < delay)
    }

    /// What writes a new authenticator, and that its person has had one.
    pub(crate) fn enrolment(
        &self,
        name: &PersonName,
        credential: &Credential,
    ) -> Result<Writes, PersonError> {
        let mut keeping = self.keeping(name);
        keeping.had = true;
        keeping.enrol_code = None;
        keeping.reset_until_us = None;
        Ok(self.put(name, credential)?.and(self.keep(name, keeping)?))
    }

    /// What writes an authenticator as it is.
    pub(crate) fn put(&self, name: &PersonName, credential: &Credential) -> Result<Writes, PersonError> {
        let Inner { log, vault, .. } = &*self.inner;
        let place = log.subjects().place_for(name, log, vault)?;
        let value = stored::seal(place.vault(), name, credential)?;
        let change = Change::Put { side: Side::Factors, key: place.key(&credential.id.to_string()), value };
        Ok(Writes { changes: vec![change], places: vec![place] })
    }

    /// It is on disk, or about to be.
    pub(crate) fn take(&self, name: &PersonName, credential: Credential) {
        let key = (name.clone(), credential.id.clone());
        self.change(|state| state.factors.insert(key, Arc::new(credential)));
    }

    /// What is kept of a person beside their authenticators.
    pub(crate) fn keeping(&self, name: &PersonName) -> Keeping {
        self.state(|state| state.keeping.get(name).map(|keeping| Keeping::clone(keeping)).unwrap_or_default())
    }

    /// Everybody of whom something is kept.
    pub(crate) fn all_keeping(&self) -> Vec<(PersonName, Arc<Keeping>)> {
        self.state(|state| {
            state.keeping.iter().map(|(name, kept)| (name.clone(), Arc::clone(kept))).collect()
        })
    }

    /// Keeps this of a person from now on, and what writes it.
    pub(crate) fn keep(&self, name: &PersonName, keeping: Keeping) -> Result<Writes, PersonError> {
        let Inner { log, vault, .. } = &*self.inner;
        let place = log.subjects().place_for(name, log, vault)?;
        let value = stored::seal_keeping(place.vault(), name, &keeping)?;
        let change = Change::Put { side: Side::Factors, key: place.key(KEEPING), value };
        self.change(|state| state.keeping.insert(name.clone(), Arc::new(keeping)));
        Ok(Writes { changes: vec![change], places: vec![place] })
    }

    /// What removes an authenticator.
    pub(crate) fn removal(&self, name: &PersonName, id: &AuthenticatorId) -> Change {
        Change::Delete { side: Side::Factors, key: self.inner.log.subjects().key_of(name, &id.to_string()) }
    }

    /// After [`Factors::removal`] is on disk.
    pub(crate) fn let_go(&self, name: &PersonName, id: &AuthenticatorId) {
        self.change(|state| state.factors.remove(&(name.clone(), id.clone())));
    }

    /// What removes all that is kept of a person, and which authenticators that are.
    pub(crate) fn removal_of_all(&self, name: &PersonName) -> (Vec<Change>, Vec<AuthenticatorId>) {
        let ids: Vec<_> = self.list(name).iter().map(|credential| credential.id.clone()).collect();
        let mut changes: Vec<_> = ids.iter().map(|id| self.removal(name, id)).collect();
        if self.state(|state| state.keeping.contains_key(name)) {
            let key = self.inner.log.subjects().key_of(name, KEEPING);
            changes.push(Change::Delete { side: Side::Factors, key });
        }
        (changes, ids)
    }

    /// After [`Factors::removal_of_all`] is on disk.
    pub(crate) fn forget(&self, name: &PersonName) {
        self.change(|state| {
            state.factors.retain(|(of, _), _| of != name);
            state.keeping.remove(name);
        });
    }
}

/// The event of a change to an authenticator.
pub(crate) fn about(action: &str, person: &PersonName, by: &Actor, id: &AuthenticatorId) -> Event {
    let mut event = event(action, person, by, Vec::new());
    if let Event::AdminAction { authenticator, .. } = &mut event {
        *authenticator = Some(id.to_string());
    }
    event
}

impl From<PersonError> for LogError {
    /// Of what cannot be written, for those who write for other reasons.
    fn from(error: PersonError) -> Self {
        match error {
            PersonError::Log(error) => error,
            other => Self::Io(other.to_string()),
        }
    }
}
