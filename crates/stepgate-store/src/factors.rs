//! Factors that people have enrolled.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use stepgate_record::Event;
use stepgate_types::{Actor, Clock, PersonName, Timestamp};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::people::event;
use crate::subjects::Old;
use crate::{Change, Entry, Log, PersonError, Side, Vault, VaultError};

/// The kind of time-based one-time passwords (RFC 6238).
const TOTP: &str = "totp";

/// A factor of one person. So far only TOTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Factor {
    /// Which: `totp`.
    pub kind: String,
    /// The shared secret.
    pub secret: Zeroizing<Vec<u8>>,
    /// When enrolled.
    pub enrolled: Timestamp,
}

impl std::fmt::Debug for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factor").field("kind", &self.kind).finish_non_exhaustive()
    }
}

type Key = (PersonName, String);

/// The factors, read from memory, sealed on disk. Cheap to clone.
#[derive(Clone)]
pub struct Factors {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    vault: Vault,
    clock: Arc<dyn Clock>,
    factors: RwLock<BTreeMap<Key, Arc<Factor>>>,
    /// Shared with the people: a factor must not be enrolled for somebody who is being removed.
    changing: Arc<Mutex<()>>,
}

/// What is stored of a factor, sealed.
#[derive(Serialize, Deserialize)]
struct Stored {
    secret: Vec<u8>,
    enrolled_us: i64,
}

impl Factors {
    pub(crate) fn open(log: &Log, vault: &Vault, changing: Arc<Mutex<()>>) -> Result<Self, PersonError> {
        let mut factors = BTreeMap::new();
        let mut old = Vec::new();
        for entry in log.load(Side::Factors)? {
            let (key, factor, moves) = unseal(log, vault, entry)?;
            factors.insert(key, Arc::new(factor));
            old.extend(moves);
        }
        log.subjects().move_in(log, vault, Side::Factors, old)?;
        let (log, vault, clock) = (log.clone(), vault.clone(), Arc::clone(log.clock()));
        let factors = RwLock::new(factors);
        Ok(Self { inner: Arc::new(Inner { log, vault, clock, factors, changing }) })
    }

    /// A person's TOTP secret, if they have one.
    #[must_use]
    pub fn totp(&self, name: &PersonName) -> Option<Arc<Factor>> {
        let factors = self.inner.factors.read().unwrap_or_else(PoisonError::into_inner);
        factors.get(&(name.clone(), TOTP.to_owned())).cloned()
    }

    /// A person's factors.
    #[must_use]
    pub fn list(&self, name: &PersonName) -> Vec<Arc<Factor>> {
        let factors = self.inner.factors.read().unwrap_or_else(PoisonError::into_inner);
        let from = (name.clone(), String::new());
        factors
            .range(from..)
            .take_while(|((of, _), _)| of == name)
            .map(|(_, factor)| factor.clone())
            .collect()
    }

    /// Enrols (or replaces) a person's TOTP secret.
    ///
    /// # Errors
    /// See [`PersonError`]; the person must exist.
    pub async fn enrol_totp(
        &self,
        name: &PersonName,
        secret: &[u8],
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        self.enrol_totp_with(name, secret, by, Vec::new()).await
    }

    /// [`Factors::enrol_totp`] with further events in the same write: that the confirming code is spent.
    ///
    /// # Errors
    /// As [`Factors::enrol_totp`].
    pub async fn enrol_totp_with(
        &self,
        name: &PersonName,
        secret: &[u8],
        by: impl Into<Actor>,
        with: Vec<Event>,
    ) -> Result<(), PersonError> {
        let _changing = self.inner.changing.lock().await;
        // The people are on disk before anybody can enrol, and removed under the same lock.
        let Inner { log, vault, .. } = &*self.inner;
        let people = log.load_one(Side::People, &log.subjects().key_of(name, ""))?;
        if people.is_none() {
            return Err(PersonError::Unknown(name.clone()));
        }
        let enrolled = self.inner.clock.now();
        let factor = Factor { kind: TOTP.to_owned(), secret: Zeroizing::new(secret.to_vec()), enrolled };
        let place = log.subjects().place_for(name, log, vault)?;
        let value = seal(place.vault(), name, &factor)?;
        let change = Change::Put { side: Side::Factors, key: place.key(TOTP), value };
        let mut events = vec![event("factor.enrolled", name, &by.into(), Vec::new())];
        events.extend(with);
        log.append(events, vec![change]).await?;
        let mut factors = self.inner.factors.write().unwrap_or_else(PoisonError::into_inner);
        factors.insert((name.clone(), TOTP.to_owned()), Arc::new(factor));
        Ok(())
    }

    /// Removes a person's factor of that kind.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn remove(
        &self,
        name: &PersonName,
        kind: &str,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.inner.changing.lock().await;
        let cached = (name.clone(), kind.to_owned());
        if !self.inner.factors.read().unwrap_or_else(PoisonError::into_inner).contains_key(&cached) {
            return Err(PersonError::NoFactor { person: name.clone(), kind: kind.to_owned() });
        }
        let key = self.inner.log.subjects().key_of(name, kind);
        let change = Change::Delete { side: Side::Factors, key };
        self.inner
            .log
            .append(vec![event("factor.removed", name, &by.into(), Vec::new())], vec![change])
            .await?;
        self.inner.factors.write().unwrap_or_else(PoisonError::into_inner).remove(&cached);
        Ok(())
    }

    /// What removes all factors of a person, and their kinds.
    pub(crate) fn removal_of_all(&self, name: &PersonName) -> (Vec<Change>, Vec<String>) {
        let kinds: Vec<String> = self.list(name).iter().map(|factor| factor.kind.clone()).collect();
        let subjects = self.inner.log.subjects();
        let delete = |kind: &String| Change::Delete { side: Side::Factors, key: subjects.key_of(name, kind) };
        (kinds.iter().map(delete).collect(), kinds)
    }

    /// After [`Factors::removal_of_all`] is on disk.
    pub(crate) fn forget(&self, name: &PersonName) {
        let mut factors = self.inner.factors.write().unwrap_or_else(PoisonError::into_inner);
        factors.retain(|(of, _), _| of != name);
    }
}

fn label(name: &PersonName, kind: &str) -> String {
    format!("factors/{}/{kind}", name.as_str())
}

fn seal(vault: &Vault, name: &PersonName, factor: &Factor) -> Result<Vec<u8>, PersonError> {
    let stored = Stored { secret: factor.secret.to_vec(), enrolled_us: factor.enrolled.micros() };
    let json = serde_json::to_vec(&stored).map(Zeroizing::new);
    let json = json.map_err(|error| PersonError::Limit(error.to_string()))?;
    Ok(vault.seal(&label(name, &factor.kind), &json)?)
}

/// A factor, and what is to be moved if an older stepgate left it.
fn unseal(log: &Log, vault: &Vault, entry: Entry) -> Result<(Key, Factor, Option<Old>), PersonError> {
    let (key, sealed) = &entry;
    let (name, kind, json, is_old) = match log.subjects().kept(key, vault) {
        Some(kept) => {
            let kept = kept?;
            let json = kept.vault.unseal(&label(&kept.person, &kept.what), sealed)?;
            (kept.person, kept.what, json, false)
        }
        None => {
            // Names of people hold no control character.
            let key = std::str::from_utf8(key).ok().and_then(|key| key.split_once('\0'));
            let key = key.and_then(|(name, kind)| Some((name.parse::<PersonName>().ok()?, kind.to_owned())));
            let (name, kind) = key.ok_or(VaultError::DoesNotOpen)?;
            let json = vault.unseal(&label(&name, &kind), sealed)?;
            (name, kind, json, true)
        }
    };
    let stored: Stored = serde_json::from_slice(&json).map_err(|_| VaultError::DoesNotOpen)?;
    let factor = Factor {
        kind: kind.clone(),
        secret: Zeroizing::new(stored.secret),
        enrolled: Timestamp::from_micros(stored.enrolled_us),
    };
    let old = is_old.then(|| Old {
        person: name.clone(),
        what: kind.clone(),
        label: label(&name, &kind),
        plain: json,
        entry,
    });
    Ok(((name, kind), factor, old))
}
