//! People who may connect, with what checks their passwords.

mod barred;
mod blocking;
mod elsewhere;
mod known;
mod minted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use stepgate_record::Event;
use stepgate_types::{Actor, Clock, GroupName, PersonName, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

pub use elsewhere::{Account, MAX_SUPPLIED, Said, Source, Supplied};
use known::Known;
pub use minted::{MAX_MINTED, MAX_MINTED_LIFE, Minted, MintedInfo, Secret};

use crate::delegations::Loan;
use crate::factors::about;
use crate::subjects::{Old, Place};
use crate::{Change, Entry, Factors, Log, LogError, ScramSecret, Side, Vault, VaultError};

/// How many people a gate keeps: all of them are in memory, at less than 1 KiB each.
pub(crate) const MAX_PEOPLE: usize = 100_000;

/// A password should have at least as many characters (NIST SP 800-63B-4 section 3.1.1.2, for passwords that
/// a second factor stands beside). Not enforced: passwords of service accounts are moved here as they are.
pub const RECOMMENDED_PASSWORD: usize = 8;

/// The longest password, in bytes: what clients of PostgreSQL send.
const MAX_PASSWORD: usize = 1024;

/// How many names a person's certificates may have, and how long each, in bytes: an e-mail address is 254 at most.
const MAX_CERTIFICATES: usize = 8;
const MAX_CERTIFICATE: usize = 254;

/// A person (or service) that the gate knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: PersonName,
    /// Groups: their own, and those that count at this moment of what others say of them.
    pub groups: Vec<GroupName>,
    /// Since when they are in those of them that they were not added with.
    pub joined: BTreeMap<GroupName, Timestamp>,
    /// A service: never asked to verify itself.
    pub service: bool,
    /// What a certificate of theirs may be for, where not for their own name.
    pub certificates: Vec<String>,
    /// Rights to answer requests that they have lent.
    pub loans: Vec<Loan>,
    /// Checks the password.
    pub scram: ScramSecret,
    /// When added.
    pub added: Timestamp,
}

impl Person {
    /// The groups that they have been in all along since then, as far as is known.
    pub(crate) fn groups_since(&self, then: Timestamp) -> impl Iterator<Item = &GroupName> {
        self.groups.iter().filter(move |group| self.joined(group) <= then)
    }

    /// Since when they are in a group of theirs.
    fn joined(&self, group: &GroupName) -> Timestamp {
        self.joined.get(group).copied().unwrap_or(self.added)
    }
}

/// A person to be added.
pub struct NewPerson<'a> {
    /// Name.
    pub name: PersonName,
    /// Groups.
    pub groups: Vec<GroupName>,
    /// A service.
    pub service: bool,
    /// Password.
    pub password: &'a str,
}

/// Why people could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// The name is taken.
    #[error("{0} exists already")]
    Exists(PersonName),
    /// There is no such person.
    #[error("there is no {0}")]
    Unknown(PersonName),
    /// They have no such factor.
    #[error("{person} has no {kind}")]
    NoFactor {
        /// Who.
        person: PersonName,
        /// Which factor.
        kind: String,
    },
    /// Not acceptable as a password.
    #[error("a password is not empty, and at most {MAX_PASSWORD} bytes long")]
    Password,
    /// Not acceptable as the name in a certificate.
    #[error(
        "a certificate's name is 1 to {MAX_CERTIFICATE} bytes without control characters; at most {MAX_CERTIFICATES} a person"
    )]
    Certificate,
    /// An account elsewhere cannot be theirs.
    #[error("{0}")]
    Account(&'static str),
    /// An operator has removed that name or account, and has not added it again.
    #[error("the operator has removed this name or account")]
    Barred,
    /// A right cannot be lent.
    #[error("{0}")]
    Loan(&'static str),
    /// There are as many people as the gate keeps, or the entry is too large.
    #[error("{0}")]
    Limit(String),
    /// A stored entry does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The people, read from memory, written through the log. Cheap to clone.
#[derive(Clone)]
pub struct People {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    vault: Vault,
    clock: Arc<dyn Clock>,
    factors: Factors,
    known: RwLock<Known>,
    /// When the first of the groups that count by what others say ends to, in microseconds since the Unix epoch.
    ends: AtomicI64,
    /// Who of them has lent a right.
    lending: RwLock<BTreeSet<PersonName>>,
    /// How often any of them was changed.
    version: AtomicU64,
    /// One change at a time, so that none is made on what another has changed meanwhile. Factors take it
    /// too.
    changing: Arc<Mutex<()>>,
}

/// What is stored of a person, sealed.
#[derive(Serialize, Deserialize)]
struct Stored {
    groups: Vec<GroupName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    joined_us: BTreeMap<GroupName, Timestamp>,
    service: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    loans: Vec<Loan>,
    salt: Vec<u8>,
    iterations: u32,
    stored_key: [u8; 32],
    server_key: [u8; 32],
    added_us: i64,
}

impl People {
    /// Loads the people (and their factors) of `log`.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub fn open(log: &Log, vault: &Vault) -> Result<Self, PersonError> {
        let mut known = Known::default();
        let now = log.clock().now();
        let (mut old, mut beside) = (Vec::new(), Vec::new());
        for entry in log.load(Side::People)? {
            if known.barred.take(&entry) {
                continue;
            }
            match unseal(log, vault, entry)? {
                Found::Person(found) => {
                    let (person, moves) = *found;
                    known.set(Arc::new(person), now);
                    old.extend(moves);
                }
                Found::Beside(name, what, json) => beside.push((name, what, json)),
            }
        }
        for (name, what, json) in beside {
            take_beside(&mut known, &name, &what, &json, now).ok_or(VaultError::DoesNotOpen)?;
        }
        log.subjects().move_in(log, vault, Side::People, old)?;
        let changing = Arc::new(Mutex::new(()));
        let factors = Factors::open(log, vault, Arc::clone(&changing))?;
        let (log, vault, clock) = (log.clone(), vault.clone(), Arc::clone(log.clock()));
        let lending = known.all.values().filter(|entry| !entry.own.loans.is_empty());
        let lending = RwLock::new(lending.map(|entry| entry.own.name.clone()).collect());
        let (ends, known) = (known.first_end().into(), RwLock::new(known));
        Ok(Self {
            inner: Arc::new(Inner {
                log,
                vault,
                clock,
                factors,
                known,
                ends,
                lending,
                version: AtomicU64::new(0),
                changing,
            }),
        })
    }

    /// Their factors.
    #[must_use]
    pub fn factors(&self) -> Factors {
        self.inner.factors.clone()
    }

    /// Another number whenever anybody was changed, added or removed, and once a group that counted by what others say
    /// does not any more: after that, so that who asks first for this and then for somebody has them at least as it stands
    /// for.
    #[must_use]
    pub fn version(&self) -> u64 {
        let ends = self.inner.ends.load(Ordering::SeqCst);
        // Without any such group, which is how most gates are, this costs no look at the clock.
        if ends != i64::MAX && ends <= self.now().micros() {
            self.change(Known::renew);
        }
        self.inner.version.load(Ordering::SeqCst)
    }

    /// Looks somebody up.
    #[must_use]
    pub fn get(&self, name: &PersonName) -> Option<Arc<Person>> {
        self.read(|known| known.all.get(name).map(|entry| entry.seen(|| self.now())))
    }

    /// Everybody, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Person>> {
        self.read(|known| known.all.values().map(|entry| entry.seen(|| self.now())).collect())
    }

    /// What a name that nobody has is challenged with: the same each time, so that unknown names cannot
    /// be told from wrong passwords. No password fits it.
    #[must_use]
    pub fn mock_secret(&self, name: &str) -> ScramSecret {
        let vault = &self.inner.vault;
        let mut salt = vault.hmac("scram mock salt", name.as_bytes()).to_vec();
        salt.truncate(16);
        ScramSecret {
            salt,
            iterations: ScramSecret::ITERATIONS,
            stored_key: *vault.hmac("scram mock stored key", name.as_bytes()),
            server_key: *vault.hmac("scram mock server key", name.as_bytes()),
        }
    }

    /// The person of this name and password; unknown names take as long as known ones. Computes for a few
    /// milliseconds.
    #[must_use]
    pub fn verify_password(&self, name: &PersonName, password: &str) -> Option<Arc<Person>> {
        let mock = self.mock_secret(name.as_str());
        let person = self.get(name);
        let right = person.as_ref().map_or(&mock, |person| &person.scram).verify_password(password);
        person.filter(|_| right)
    }

    /// Adds somebody. `by` is who does it; `None` is the operator at the gate's own machine.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn add(&self, new: NewPerson<'_>, by: impl Into<Actor>) -> Result<(), PersonError> {
        let _changing = self.inner.changing.lock().await;
        let NewPerson { name, groups, service, password } = new;
        if self.get(&name).is_some() {
            return Err(PersonError::Exists(name));
        }
        if self.read(|known| known.all.len()) >= MAX_PEOPLE {
            return Err(PersonError::Limit(format!("a gate keeps at most {MAX_PEOPLE} people")));
        }
        let scram = self.secret(password)?;
        let added = self.inner.clock.now();
        let (joined, certificates, loans) = (BTreeMap::new(), Vec::new(), Vec::new());
        let person = Person { name, groups, joined, service, certificates, loans, scram, added };
        // The operator has them again.
        let (lifts, lifting) = self.lifting(Some(&person.name), None);
        self.put_and("user.added", person, by, lifts).await?;
        self.change(|known, _| known.barred.lift(lifting.name.as_ref(), None));
        Ok(())
    }

    /// Removes somebody and their factors.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn remove(&self, name: &PersonName, by: impl Into<Actor>) -> Result<(), PersonError> {
        let _changing = self.inner.changing.lock().await;
        self.known(name)?;
        let by = by.into();
        let (mut changes, removed) = self.inner.factors.removal_of_all(name);
        changes.push(Change::Delete { side: Side::People, key: self.inner.log.subjects().key_of(name, "") });
        let mut events = vec![event("user.removed", name, &by, Vec::new())];
        events.extend(removed.iter().map(|id| about("factor.removed", name, &by, id)));
        let (more_events, more_changes) = self.removal_beside(name, &by);
        events.extend(more_events);
        changes.extend(more_changes);
        let (bars, more_changes) = self.bars(name, true, &self.accounts(name));
        changes.extend(more_changes);
        let lenders = self.without_loans_to(name);
        let mut places = Vec::new();
        for lender in &lenders {
            let (change, place) = self.stored(lender)?;
            changes.push(change);
            places.push(place);
        }
        self.inner.log.append(events, changes).await?;
        lenders.into_iter().for_each(|lender| self.remember(lender));
        self.lending().write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.change(|known, _| {
            known.remove(name);
            known.barred.add(bars);
        });
        self.inner.factors.forget(name);
        Ok(())
    }

    /// Sets a password.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn set_password(
        &self,
        name: &PersonName,
        password: &str,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.inner.changing.lock().await;
        let mut person = Person::clone(&*self.known(name)?);
        person.scram = self.secret(password)?;
        let by = by.into();
        // Whoever had the old one may have minted others by it.
        let (revoked, mut changes) = self.revocations(name, "password-set", &by, |_| true);
        let (change, _place) = self.stored(&person)?;
        changes.push(change);
        let mut events = vec![event("user.password_set", name, &by, person.groups.clone())];
        events.extend(revoked);
        self.inner.log.append(events, changes).await?;
        self.change(|known, _| known.without_minted(name, |_| true));
        self.remember(person);
        Ok(())
    }

    /// Sets groups.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn set_groups(
        &self,
        name: &PersonName,
        groups: Vec<GroupName>,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.inner.changing.lock().await;
        let mut person = Person::clone(&*self.known(name)?);
        let joined = groups.iter().filter(|group| !person.groups.contains(group));
        let joined: Vec<_> = joined.map(|group| (group.clone(), self.now())).collect();
        person.joined.retain(|group, _| groups.contains(group));
        person.joined.extend(joined);
        person.groups = groups;
        self.put("user.groups_set", person, by).await
    }

    /// Sets what a certificate of theirs may be for; nothing is their own name again.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn set_certificates(
        &self,
        name: &PersonName,
        certificates: Vec<String>,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.inner.changing.lock().await;
        let good = |name: &String| {
            (1..=MAX_CERTIFICATE).contains(&name.len()) && !name.chars().any(char::is_control)
        };
        if certificates.len() > MAX_CERTIFICATES || !certificates.iter().all(good) {
            return Err(PersonError::Certificate);
        }
        let mut person = Person::clone(&*self.known(name)?);
        person.certificates = certificates;
        self.put("user.certificates_set", person, by).await
    }

    /// Somebody as they were made here, without what others say of them: to be changed and stored.
    pub(crate) fn known(&self, name: &PersonName) -> Result<Arc<Person>, PersonError> {
        let own = self.read(|known| known.all.get(name).map(|entry| Arc::clone(&entry.own)));
        own.ok_or_else(|| PersonError::Unknown(name.clone()))
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.inner.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is in memory, as it is on disk by now.
    fn change(&self, change: impl FnOnce(&mut Known, Timestamp)) {
        let now = self.now();
        {
            let mut known = self.inner.known.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut known, now);
            self.inner.ends.store(known.first_end(), Ordering::SeqCst);
        }
        self.inner.version.fetch_add(1, Ordering::SeqCst);
    }

    fn secret(&self, password: &str) -> Result<ScramSecret, PersonError> {
        if password.is_empty() || password.len() > MAX_PASSWORD {
            return Err(PersonError::Password);
        }
        Ok(ScramSecret::new(password, &self.inner.vault.random()?))
    }

    async fn put(&self, action: &str, person: Person, by: impl Into<Actor>) -> Result<(), PersonError> {
        self.put_and(action, person, by, Vec::new()).await
    }

    /// The same, with more changes in the same write.
    async fn put_and(
        &self,
        action: &str,
        mut person: Person,
        by: impl Into<Actor>,
        more: Vec<Change>,
    ) -> Result<(), PersonError> {
        person.groups.sort();
        person.groups.dedup();
        let event = event(action, &person.name, &by.into(), person.groups.clone());
        self.put_all(person, event, more).await
    }

    /// Stores a person as they are now, with its record.
    pub(crate) async fn put_with(&self, person: Person, event: Event) -> Result<(), PersonError> {
        self.put_all(person, event, Vec::new()).await
    }

    async fn put_all(&self, person: Person, event: Event, more: Vec<Change>) -> Result<(), PersonError> {
        let (change, _place) = self.stored(&person)?;
        let changes = std::iter::once(change).chain(more).collect();
        self.inner.log.append(vec![event], changes).await.map_err(|error| match error {
            LogError::TooLarge(_) => PersonError::Limit("too many groups for one person".to_owned()),
            other => other.into(),
        })?;
        self.remember(person);
        Ok(())
    }

    /// What is stored of them, with a place that must live until that is queued.
    fn stored(&self, person: &Person) -> Result<(Change, Place), PersonError> {
        let Inner { log, vault, .. } = &*self.inner;
        let place = log.subjects().place_for(&person.name, log, vault)?;
        let value = seal(place.vault(), person)?;
        Ok((Change::Put { side: Side::People, key: place.key(""), value }, place))
    }

    /// It is on disk.
    fn remember(&self, person: Person) {
        let (name, lends) = (person.name.clone(), !person.loans.is_empty());
        self.change(|known, now| known.set(Arc::new(person), now));
        let mut lending = self.lending().write().unwrap_or_else(PoisonError::into_inner);
        if lends {
            lending.insert(name)
        } else {
            lending.remove(&name)
        };
    }

    pub(crate) fn lending(&self) -> &RwLock<BTreeSet<PersonName>> {
        &self.inner.lending
    }

    /// No other change is made while this is held.
    pub(crate) async fn changing(&self) -> MutexGuard<'_, ()> {
        self.inner.changing.lock().await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

/// The event of a change to a person.
pub(crate) fn event(action: &str, person: &PersonName, by: &Actor, groups: Vec<GroupName>) -> Event {
    Event::AdminAction {
        action: action.to_owned(),
        person: Some(person.into()),
        by: by.by(),
        groups,
        operator: by.operator(),
        authenticator: None,
        session: None,
    }
}

fn label(name: &PersonName) -> String {
    format!("people/{}", name.as_str())
}

/// Of what is kept of somebody besides themselves.
fn label_of(name: &PersonName, what: &str) -> String {
    format!("beside {what}/{}", name.as_str())
}

/// An entry that was found.
enum Found {
    /// A person, and what is to be moved if an older stepgate left it.
    Person(Box<(Person, Option<Old>)>),
    /// Something of a person, by what its key says besides.
    Beside(PersonName, String, zeroize::Zeroizing<Vec<u8>>),
}

/// What is kept of somebody besides themselves; `None`: it cannot be read.
fn take_beside(known: &mut Known, name: &PersonName, what: &str, json: &[u8], now: Timestamp) -> Option<()> {
    known.all.get(name)?;
    if what == elsewhere::ACCOUNTS {
        known.set_accounts(name, serde_json::from_slice(json).ok()?, now);
    } else if let Some(source) = what.strip_prefix(elsewhere::GROUPS) {
        let source = Source::ALL.into_iter().find(|known| known.as_str() == source)?;
        known.set_supplied(name, source, Some(serde_json::from_slice(json).ok()?), now);
    } else {
        what.strip_prefix(minted::PASSWORD)?;
        known.all.get_mut(name)?.minted.push(serde_json::from_slice(json).ok()?);
    }
    Some(())
}

fn seal(vault: &Vault, person: &Person) -> Result<Vec<u8>, PersonError> {
    let stored = Stored {
        groups: person.groups.clone(),
        joined_us: person.joined.clone(),
        service: person.service,
        certificates: person.certificates.clone(),
        loans: person.loans.clone(),
        salt: person.scram.salt.clone(),
        iterations: person.scram.iterations,
        stored_key: person.scram.stored_key,
        server_key: person.scram.server_key,
        added_us: person.added.micros(),
    };
    let json = serde_json::to_vec(&stored).map(zeroize::Zeroizing::new);
    let json = json.map_err(|error| PersonError::Limit(error.to_string()))?;
    Ok(vault.seal(&label(&person.name), &json)?)
}

fn unseal(log: &Log, vault: &Vault, entry: Entry) -> Result<Found, PersonError> {
    let (key, sealed) = &entry;
    let (name, json, is_old) = match log.subjects().kept(key, vault) {
        Some(kept) => {
            let kept = kept?;
            if !kept.what.is_empty() {
                let json = kept.vault.unseal(&label_of(&kept.person, &kept.what), sealed)?;
                return Ok(Found::Beside(kept.person, kept.what, json));
            }
            let json = kept.vault.unseal(&label(&kept.person), sealed)?;
            (kept.person, json, false)
        }
        None => {
            let name = std::str::from_utf8(key).ok().and_then(|name| name.parse::<PersonName>().ok());
            let name = name.ok_or(VaultError::DoesNotOpen)?;
            let json = vault.unseal(&label(&name), sealed)?;
            (name, json, true)
        }
    };
    let stored: Stored = serde_json::from_slice(&json).map_err(|_| VaultError::DoesNotOpen)?;
    let old = is_old.then(|| Old {
        person: name.clone(),
        what: String::new(),
        label: label(&name),
        plain: json,
        entry,
    });
    let person = Person {
        name,
        groups: stored.groups,
        joined: stored.joined_us,
        service: stored.service,
        certificates: stored.certificates,
        loans: stored.loans,
        scram: ScramSecret {
            salt: stored.salt,
            iterations: stored.iterations,
            stored_key: stored.stored_key,
            server_key: stored.server_key,
        },
        added: Timestamp::from_micros(stored.added_us),
    };
    Ok(Found::Person(Box::new((person, old))))
}
