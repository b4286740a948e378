//! Everybody, in memory: who they are, and what counts of what others say of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepgate_types::{GroupName, PersonName, Timestamp};

use super::Person;
use super::barred::Barred;
use super::elsewhere::{Account, Source, Supplied};
use super::minted::Verifier;

/// Never: there is nothing that ends.
const NEVER: i64 = i64::MAX;

/// Somebody.
pub(super) struct Entry {
    /// As they were made here.
    pub(super) own: Arc<Person>,
    pub(super) accounts: Vec<Account>,
    /// When those at a provider last changed, or were loaded.
    pub(super) linked: Timestamp,
    pub(super) supplied: BTreeMap<Source, Supplied>,
    pub(super) minted: Vec<Verifier>,
    /// With the groups besides that count until `until_us`.
    seen: Arc<Person>,
    until_us: i64,
}

impl Entry {
    fn new(own: Arc<Person>, now: Timestamp) -> Self {
        let (accounts, supplied, minted) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { seen: Arc::clone(&own), own, accounts, linked: now, supplied, minted, until_us: NEVER }
    }

    /// As they are at this moment.
    pub(super) fn seen(&self, now: impl FnOnce() -> Timestamp) -> Arc<Person> {
        if self.until_us == NEVER {
            return Arc::clone(&self.seen);
        }
        let now = now();
        if now.micros() < self.until_us { Arc::clone(&self.seen) } else { self.look(now).0 }
    }

    /// Whether something of theirs is over that was not recorded to be.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        let supplied = self.supplied.values().map(|said| said.until_us);
        let mut ends = supplied.chain(self.minted.iter().map(|it| it.until_us));
        ends.any(|until| until <= now.micros())
    }

    fn look(&self, now: Timestamp) -> (Arc<Person>, i64) {
        let good = self.supplied.values().filter(|said| now.micros() < said.until_us);
        let until = good.clone().map(|said| said.until_us).min().unwrap_or(NEVER);
        if until == NEVER {
            return (Arc::clone(&self.own), until);
        }
        let more = good.flat_map(|said| {
            let joined = |group: &GroupName| said.joined_us.get(group).copied().unwrap_or(self.own.added);
            said.groups.iter().map(move |group| (group, joined(group)))
        });
        let mut person = Person::clone(&self.own);
        for (group, at) in more {
            // Of several that say it, the first.
            let at = if person.groups.contains(group) { at.min(person.joined(group)) } else { at };
            person.joined.insert(group.clone(), at);
            person.groups.push(group.clone());
        }
        person.groups.sort();
        person.groups.dedup();
        (Arc::new(person), until)
    }

    fn renew(&mut self, now: Timestamp) {
        (self.seen, self.until_us) = self.look(now);
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Known {
    pub(super) all: BTreeMap<PersonName, Entry>,
    pub(super) by_account: BTreeMap<Account, PersonName>,
    /// Whom an operator has removed.
    pub(super) barred: Barred,
}

impl Known {
    /// Puts somebody in as they were made here, with what is known of them besides.
    pub(super) fn set(&mut self, person: Arc<Person>, now: Timestamp) {
        let entry =
            self.all.entry(person.name.clone()).or_insert_with(|| Entry::new(Arc::clone(&person), now));
        entry.own = person;
        entry.renew(now);
    }

    pub(super) fn remove(&mut self, name: &PersonName) {
        self.all.remove(name);
        self.by_account.retain(|_, of| of != name);
    }

    pub(super) fn set_accounts(&mut self, name: &PersonName, accounts: Vec<Account>, now: Timestamp) {
        self.by_account.retain(|_, of| of != name);
        self.by_account.extend(accounts.iter().map(|account| (account.clone(), name.clone())));
        if let Some(entry) = self.all.get_mut(name) {
            let at_provider = |account: &&Account| account.source == Source::Oidc;
            if !entry.accounts.iter().filter(at_provider).eq(accounts.iter().filter(at_provider)) {
                entry.linked = now;
            }
            entry.accounts = accounts;
        }
    }

    pub(super) fn set_supplied(
        &mut self,
        name: &PersonName,
        source: Source,
        said: Option<Supplied>,
        now: Timestamp,
    ) {
        let Some(entry) = self.all.get_mut(name) else { return };
        match said {
            Some(said) => entry.supplied.insert(source, said),
            None => entry.supplied.remove(&source),
        };
        entry.renew(now);
    }

    pub(super) fn without_minted(&mut self, name: &PersonName, which: impl Fn(&Verifier) -> bool) {
        if let Some(entry) = self.all.get_mut(name) {
            entry.minted.retain(|it| !which(it));
        }
    }

    /// When the first of what counts now will not any more, as it is known.
    pub(super) fn first_end(&self) -> i64 {
        self.all.values().map(|entry| entry.until_us).min().unwrap_or(NEVER)
    }

    /// Takes out what has ended.
    pub(super) fn renew(&mut self, now: Timestamp) {
        self.all.values_mut().filter(|entry| entry.until_us <= now.micros()).for_each(|it| it.renew(now));
    }
}
