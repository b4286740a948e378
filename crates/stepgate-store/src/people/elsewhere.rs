//! People as others know them: accounts that were linked to them, and groups that identity providers and directories
//! say they are in. What these say holds for a while only, and nobody comes to be somebody here by a name alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stepgate_record::{Account as AccountEvent, Event, Membership};
use stepgate_types::{Actor, GroupName, PersonName, Timestamp};

use super::{MAX_PEOPLE, Person, event};
use crate::{Change, People, PersonError, ScramSecret, Side};

/// Accounts of one person.
const MAX_ACCOUNTS: usize = 4;

/// The longest issuer and the longest name of somebody there, in bytes (OpenID Connect Core 1.0 section 2 allows a
/// subject 255).
const MAX_TEXT: usize = 255;

/// Groups of one person that a source supplies.
pub const MAX_SUPPLIED: usize = 64;

/// What follows the person in the key of their accounts.
pub(super) const ACCOUNTS: &str = "~accounts";

/// What follows them in the keys of groups that are supplied, before the source.
pub(super) const GROUPS: &str = "~groups/";

/// Who says something of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An OpenID provider.
    Oidc,
    /// A directory.
    Ldap,
}

impl Source {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Oidc, Self::Ldap];

    /// As records and keys have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Ldap => "ldap",
        }
    }
}

/// Somebody's account elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// What kind of place.
    pub source: Source,
    /// Which: the provider's issuer; empty for the directory, of which there is one.
    pub issuer: String,
    /// Who they are there, in its own, unchanging words: `sub`, or the name by which the directory finds them.
    pub subject: String,
}

/// Groups that a source says somebody is in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Supplied {
    /// Which.
    pub groups: BTreeSet<GroupName>,
    /// Since when it has said so of each without a gap, but of those of which it did before that was kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub joined_us: BTreeMap<GroupName, Timestamp>,
    /// Until when that counts, in microseconds since the Unix epoch.
    pub until_us: i64,
}

/// What a source has just said of somebody's groups.
#[derive(Debug, Clone)]
pub struct Said {
    /// Who says it.
    pub source: Source,
    /// All groups that mean something here.
    pub groups: BTreeSet<GroupName>,
    /// How many more there were.
    pub left_out: u64,
    /// Until when it counts.
    pub until: Timestamp,
}

impl People {
    /// Whose account this is.
    #[must_use]
    pub fn of_account(&self, account: &Account) -> Option<std::sync::Arc<Person>> {
        let name = self.read(|known| known.by_account.get(account).cloned())?;
        self.get(&name)
    }

    /// A person's accounts elsewhere.
    #[must_use]
    pub fn accounts(&self, name: &PersonName) -> Vec<Account> {
        self.read(|known| known.all.get(name).map(|entry| entry.accounts.clone()).unwrap_or_default())
    }

    /// Since when a person's account at the provider is the one that it is: what was begun before may be of one that was
    /// taken from them. Kept in memory alone, as logins are: after a restart, since then.
    #[must_use]
    pub fn linked_since(&self, name: &PersonName) -> Option<Timestamp> {
        self.read(|known| known.all.get(name).map(|entry| entry.linked))
    }

    /// Everybody who has an account there.
    #[must_use]
    pub fn accounts_at(&self, source: Source) -> Vec<(PersonName, Account)> {
        self.read(|known| {
            let at = known.by_account.iter().filter(|(account, _)| account.source == source);
            at.map(|(account, name)| (name.clone(), account.clone())).collect()
        })
    }

    /// What a source has said last of somebody's groups, also where that does not count any more.
    #[must_use]
    pub fn supplied(&self, name: &PersonName, source: Source) -> Option<Supplied> {
        self.read(|known| known.all.get(name)?.supplied.get(&source).cloned())
    }

    /// Adds somebody who has an account elsewhere, and no password here: nothing fits what is kept in its place.
    /// `by`: who does it; `None` in an [`Actor`] of the source itself, which has made them.
    ///
    /// # Errors
    /// See [`PersonError`]; the name and the account must be nobody's.
    pub async fn add_linked(
        &self,
        name: PersonName,
        groups: Vec<GroupName>,
        account: Account,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        self.add_linked_now(name, groups, account, by.into()).await
    }

    /// The same; the caller keeps others from changing anything.
    pub(super) async fn add_linked_now(
        &self,
        name: PersonName,
        groups: Vec<GroupName>,
        account: Account,
        by: Actor,
    ) -> Result<(), PersonError> {
        if self.get(&name).is_some() {
            return Err(PersonError::Exists(name));
        }
        if self.read(|known| known.all.len()) >= MAX_PEOPLE {
            return Err(PersonError::Limit(format!("a gate keeps at most {MAX_PEOPLE} people")));
        }
        self.check_account(&name, &account)?;
        let mut groups = groups;
        groups.sort();
        groups.dedup();
        let scram = ScramSecret::of_nothing(&self.inner.vault.random()?, &self.inner.vault.random()?);
        let person = Person {
            name: name.clone(),
            groups,
            joined: BTreeMap::new(),
            service: false,
            certificates: Vec::new(),
            loans: Vec::new(),
            scram,
            added: self.now(),
        };
        let (change, _place) = self.stored(&person)?;
        let accounts = vec![account.clone()];
        let linked = self.put_beside(&name, ACCOUNTS, &accounts)?;
        let events = vec![
            event("user.added", &name, &by, person.groups.clone()),
            Event::IdentityLinked(account_event(&name, &account, &by)),
        ];
        let (lifts, lifting) = self.lifting(Some(&name), Some(&account));
        let changes = [change, linked.0].into_iter().chain(lifts).collect();
        self.inner.log.append(events, changes).await?;
        self.remember(person);
        self.change(|known, now| {
            known.set_accounts(&name, accounts, now);
            known.barred.lift(lifting.name.as_ref(), lifting.account.as_ref());
        });
        Ok(())
    }

    /// Links an account to somebody who is here. Only an operator decides that: a name that is the same says nothing.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn link(
        &self,
        name: &PersonName,
        account: Account,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        let person = self.known(name)?;
        if person.service {
            return Err(PersonError::Account("a service has no account elsewhere"));
        }
        self.check_account(name, &account)?;
        let mut accounts = self.accounts(name);
        if accounts.iter().any(|known| known.source == account.source && known.issuer == account.issuer) {
            return Err(PersonError::Account("they have another account there: stepgate user unlink"));
        }
        if accounts.len() >= MAX_ACCOUNTS {
            return Err(PersonError::Account("a person has at most 4 accounts elsewhere"));
        }
        accounts.push(account.clone());
        let (change, _place) = self.put_beside(name, ACCOUNTS, &accounts)?;
        let event = Event::IdentityLinked(account_event(name, &account, &by.into()));
        let (lifts, lifting) = self.lifting(None, Some(&account));
        let changes = std::iter::once(change).chain(lifts).collect();
        self.inner.log.append(vec![event], changes).await?;
        self.change(|known, now| {
            known.set_accounts(name, accounts, now);
            known.barred.lift(None, lifting.account.as_ref());
        });
        Ok(())
    }

    /// Takes somebody's account elsewhere away, with the groups that it supplied and the passwords minted by it.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn unlink(
        &self,
        name: &PersonName,
        source: Source,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        self.known(name)?;
        let by = by.into();
        let (gone, left): (Vec<_>, Vec<_>) =
            self.accounts(name).into_iter().partition(|account| account.source == source);
        if gone.is_empty() {
            return Err(PersonError::Account("they have no account there"));
        }
        let (change, _place) = self.put_beside(name, ACCOUNTS, &left)?;
        let mut changes = vec![change, self.delete_beside(name, &groups_key(source))];
        let mut events: Vec<_> =
            gone.iter().map(|it| Event::IdentityUnlinked(account_event(name, it, &by))).collect();
        if self.supplied(name, source).is_some() {
            events.push(Event::IdentityGroups(said_event(name, source, &BTreeSet::new(), self.now(), 0)));
        }
        let (revoked, more) = self.revocations(name, "unlinked", &by, |_| true);
        events.extend(revoked);
        changes.extend(more);
        // Nor does it become somebody else's by a login under another name.
        let (bars, more) = self.bars(name, false, &gone);
        changes.extend(more);
        self.inner.log.append(events, changes).await?;
        self.change(|known, now| {
            known.barred.add(bars);
            known.set_accounts(name, left, now);
            known.set_supplied(name, source, None, now);
            known.without_minted(name, |_| true);
        });
        Ok(())
    }

    /// Takes what a source says of somebody's groups, in place of what it said before. Says whether they have lost one:
    /// then what was approved for them meanwhile is not theirs any more.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn supply(&self, name: &PersonName, said: Said) -> Result<bool, PersonError> {
        let _changing = self.changing().await;
        let person = self.known(name)?;
        if person.service {
            return Err(PersonError::Account("a service has no account elsewhere"));
        }
        let Said { source, groups, left_out, until } = said;
        if groups.len() > MAX_SUPPLIED {
            return Err(PersonError::Limit(format!(
                "a source supplies at most {MAX_SUPPLIED} groups a person"
            )));
        }
        // It may have been taken from them while the source was asked.
        if !self.accounts(name).iter().any(|account| account.source == source) {
            return Err(PersonError::Account("they have no account there"));
        }
        let now = self.now();
        let before = self.supplied(name, source);
        let as_before = before.as_ref().is_some_and(|before| is_as_before(before, &groups, now, until));
        if source == Source::Ldap && as_before {
            return Ok(false);
        }
        let counted = before.clone().filter(|before| now.micros() < before.until_us).unwrap_or_default();
        let joined = |group: &GroupName| match counted.joined_us.get(group) {
            None if counted.groups.contains(group) => None,
            since => Some((group.clone(), since.copied().unwrap_or(now))),
        };
        let joined_us = groups.iter().filter_map(joined).collect();
        let supplied = Supplied { groups, joined_us, until_us: until.micros() };
        let (change, _place) = self.put_beside(name, &groups_key(source), &supplied)?;
        let event = Event::IdentityGroups(said_event(name, source, &supplied.groups, until, left_out));
        self.inner.log.append(vec![event], vec![change]).await?;
        let lost = before.is_some_and(|before| {
            now.micros() < before.until_us
                && before
                    .groups
                    .iter()
                    .any(|group| !supplied.groups.contains(group) && !person.groups.contains(group))
        });
        self.change(|known, now| known.set_supplied(name, source, Some(supplied), now));
        Ok(lost)
    }

    /// Takes away the groups that a source has supplied and that `keep` does not know any more, as when a configuration
    /// names them no longer. Says who has lost one that counted: what was approved for them meanwhile is not theirs any more.
    ///
    /// # Errors
    /// See [`PersonError`]; whoever was before the one of whom it could not be recorded has lost theirs.
    pub async fn retain_supplied(
        &self,
        source: Source,
        keep: impl Fn(&GroupName) -> bool,
    ) -> Result<Vec<PersonName>, PersonError> {
        let _changing = self.changing().await;
        let now = self.now();
        let found: Vec<_> = self.read(|known| {
            let said =
                known.all.iter().filter_map(|(name, entry)| Some((name, entry.supplied.get(&source)?)));
            said.filter(|(_, said)| now.micros() < said.until_us && !said.groups.iter().all(&keep))
                .map(|(name, said)| (name.clone(), said.clone()))
                .collect()
        });
        let mut lost = Vec::new();
        for (name, Supplied { mut groups, mut joined_us, until_us }) in found {
            let own = self.known(&name)?;
            let is_lost = groups.iter().any(|group| !keep(group) && !own.groups.contains(group));
            groups.retain(&keep);
            joined_us.retain(|group, _| groups.contains(group));
            let key = groups_key(source);
            let (change, left, until, _place) = if groups.is_empty() {
                (self.delete_beside(&name, &key), None, now, None)
            } else {
                let left = Supplied { groups: groups.clone(), joined_us, until_us };
                let (change, place) = self.put_beside(&name, &key, &left)?;
                (change, Some(left), Timestamp::from_micros(until_us), Some(place))
            };
            let event = Event::IdentityGroups(said_event(&name, source, &groups, until, 0));
            self.inner.log.append(vec![event], vec![change]).await?;
            self.change(|known, now| known.set_supplied(&name, source, left, now));
            if is_lost {
                lost.push(name);
            }
        }
        Ok(lost)
    }

    fn check_account(&self, name: &PersonName, account: &Account) -> Result<(), PersonError> {
        let good = |text: &str| text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        if account.subject.is_empty() || !good(&account.subject) || !good(&account.issuer) {
            return Err(PersonError::Account(
                "an account is named by 1 to 255 bytes without control characters",
            ));
        }
        match self.of_account(account) {
            Some(other) if other.name != *name => {
                Err(PersonError::Account("this account is somebody else's"))
            }
            Some(_) => Err(PersonError::Account("this account is theirs already")),
            None => Ok(()),
        }
    }

    /// What removes all that is kept of somebody besides themselves.
    pub(super) fn removal_beside(&self, name: &PersonName, by: &Actor) -> (Vec<Event>, Vec<Change>) {
        let (mut events, mut changes) = self.revocations(name, "person-removed", by, |_| true);
        let accounts = self.accounts(name);
        events.extend(accounts.iter().map(|it| Event::IdentityUnlinked(account_event(name, it, by))));
        if !accounts.is_empty() {
            changes.push(self.delete_beside(name, ACCOUNTS));
        }
        for source in Source::ALL {
            if self.supplied(name, source).is_some() {
                changes.push(self.delete_beside(name, &groups_key(source)));
            }
        }
        (events, changes)
    }

    /// Something is kept of a person beside themselves, sealed by their key; with a place that must live until that is
    /// queued.
    pub(super) fn put_beside(
        &self,
        name: &PersonName,
        what: &str,
        value: &impl Serialize,
    ) -> Result<(Change, crate::subjects::Place), PersonError> {
        let super::Inner { log, vault, .. } = &*self.inner;
        let place = log.subjects().place_for(name, log, vault)?;
        let json = serde_json::to_vec(value).map(zeroize::Zeroizing::new);
        let json = json.map_err(|error| PersonError::Limit(error.to_string()))?;
        let value = place.vault().seal(&super::label_of(name, what), &json)?;
        let change = Change::Put { side: Side::People, key: place.key(what), value };
        if !change.fits() {
            return Err(PersonError::Limit("too many groups for one person".to_owned()));
        }
        Ok((change, place))
    }

    pub(super) fn delete_beside(&self, name: &PersonName, what: &str) -> Change {
        Change::Delete { side: Side::People, key: self.inner.log.subjects().key_of(name, what) }
    }
}

/// The same again while most of its time is left is not worth a record, of who is asked again and again.
fn is_as_before(before: &Supplied, groups: &BTreeSet<GroupName>, now: Timestamp, until: Timestamp) -> bool {
    let half = until.micros().saturating_sub(now.micros()) / 2;
    before.groups == *groups && before.until_us.saturating_sub(now.micros()) > half
}

pub(super) fn groups_key(source: Source) -> String {
    format!("{GROUPS}{}", source.as_str())
}

fn account_event(name: &PersonName, account: &Account, by: &Actor) -> AccountEvent {
    AccountEvent {
        person: name.into(),
        source: account.source.as_str().to_owned(),
        account: account.subject.as_str().into(),
        by: by.by(),
        operator: by.operator(),
    }
}

pub(super) fn said_event(
    name: &PersonName,
    source: Source,
    groups: &BTreeSet<GroupName>,
    until: Timestamp,
    left_out: u64,
) -> Membership {
    Membership {
        person: name.into(),
        source: source.as_str().to_owned(),
        groups: groups.iter().cloned().collect(),
        until_us: until.micros(),
        left_out: Some(left_out).filter(|count| *count > 0),
    }
}
