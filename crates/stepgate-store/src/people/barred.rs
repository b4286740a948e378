//! Whom an operator has removed, or taken an account from: neither their name nor their account becomes somebody again by
//! a login alone. Only keyed hashes are kept: they tell nobody who that was, and go when the person is erased.

use std::collections::{BTreeMap, BTreeSet};

use stepgate_types::{Actor, PersonName};

use super::People;
use super::elsewhere::{Account, Source};
use crate::{Change, Entry, PersonError, Side, Vault};

/// What a key begins with that holds the hash of a name; keys of people begin otherwise (`subjects/keep.rs`).
const NAME: u8 = 2;

/// The same of an account; its value is the hash of whose it was.
const ACCOUNT: u8 = 3;

/// The value of a name's entry: nothing more is known of it.
const SO: [u8; 1] = [1];

/// So many are kept, 64 bytes each. Beyond, logins make nobody at all: whom an operator has removed is not forgotten.
const MAX_BARRED: usize = 100_000;

/// A keyed hash.
type Hash = [u8; 32];

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Barred {
    names: BTreeSet<Hash>,
    accounts: BTreeMap<Hash, Hash>,
}

/// What is kept of one removal.
#[derive(Debug, Default, Clone)]
pub(super) struct Bars {
    name: Option<Hash>,
    accounts: Vec<(Hash, Hash)>,
}

impl Barred {
    /// Takes an entry in that was found beside the log; `false`: it is none of these.
    pub(super) fn take(&mut self, (key, value): &Entry) -> bool {
        let Some((mark, hash)) = key.split_first() else { return false };
        let (Ok(hash), value) = (Hash::try_from(hash), Hash::try_from(value.as_slice())) else {
            return false;
        };
        match (*mark, value) {
            (NAME, _) => self.names.insert(hash),
            (ACCOUNT, Ok(whose)) => self.accounts.insert(hash, whose).is_none(),
            _ => false,
        }
    }

    pub(super) fn add(&mut self, bars: Bars) {
        self.names.extend(bars.name);
        self.accounts.extend(bars.accounts);
    }

    /// An operator has made somebody of them again.
    pub(super) fn lift(&mut self, name: Option<&Hash>, account: Option<&Hash>) {
        name.map(|name| self.names.remove(name));
        account.map(|account| self.accounts.remove(account));
    }

    fn is_full(&self) -> bool {
        self.names.len().saturating_add(self.accounts.len()) >= MAX_BARRED
    }
}

fn key(mark: u8, hash: &Hash) -> Vec<u8> {
    [&[mark], hash.as_slice()].concat()
}

pub(super) fn name_hash(vault: &Vault, name: &PersonName) -> Hash {
    *vault.hmac("barred name", name.as_str().as_bytes())
}

pub(super) fn account_hash(vault: &Vault, account: &Account) -> Hash {
    let Account { source, issuer, subject } = account;
    // Neither can hold a control character.
    let parts = [source.as_str(), issuer, subject].join("\0");
    *vault.hmac("barred account", parts.as_bytes())
}

impl People {
    /// What keeps accounts at a provider, and `name` itself where it goes as well, from becoming somebody by a login; with
    /// what writes that.
    pub(super) fn bars(
        &self,
        name: &PersonName,
        name_too: bool,
        accounts: &[Account],
    ) -> (Bars, Vec<Change>) {
        if self.read(|known| known.barred.is_full()) {
            return (Bars::default(), Vec::new());
        }
        let vault = &self.inner.vault;
        let whose = name_hash(vault, name);
        let at_provider = accounts.iter().filter(|account| account.source == Source::Oidc);
        let accounts: Vec<_> = at_provider.map(|account| (account_hash(vault, account), whose)).collect();
        let put = |key, value: &[u8]| Change::Put { side: Side::People, key, value: value.to_vec() };
        let mut changes: Vec<_> =
            accounts.iter().map(|(hash, whose)| put(key(ACCOUNT, hash), whose)).collect();
        if name_too {
            changes.push(put(key(NAME, &whose), &SO));
        }
        (Bars { name: name_too.then_some(whose), accounts }, changes)
    }

    /// What lifts that, as far as there is anything.
    pub(super) fn lifting(
        &self,
        name: Option<&PersonName>,
        account: Option<&Account>,
    ) -> (Vec<Change>, Lifting) {
        let vault = &self.inner.vault;
        let lifting = Lifting {
            name: name.map(|name| name_hash(vault, name)),
            account: account.map(|account| account_hash(vault, account)),
        };
        let delete = |key| Change::Delete { side: Side::People, key };
        let changes = self.read(|known| {
            let name = lifting.name.filter(|hash| known.barred.names.contains(hash));
            let account = lifting.account.filter(|hash| known.barred.accounts.contains_key(hash));
            let name = name.map(|hash| delete(key(NAME, &hash)));
            name.into_iter().chain(account.map(|hash| delete(key(ACCOUNT, &hash)))).collect()
        });
        (changes, lifting)
    }

    /// Makes somebody of an account at a provider, at its first login there: a name and an account that nobody has, and
    /// that no operator has removed.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn add_by_login(&self, name: PersonName, account: Account) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        let vault = &self.inner.vault;
        let (name_hash, account_hash) = (name_hash(vault, &name), account_hash(vault, &account));
        let is_barred = self.read(|known| {
            let barred = &known.barred;
            barred.is_full()
                || barred.names.contains(&name_hash)
                || barred.accounts.contains_key(&account_hash)
        });
        if is_barred {
            return Err(PersonError::Barred);
        }
        let by = Actor::from(Some(name.clone()));
        self.add_linked_now(name, Vec::new(), account, by).await
    }

    /// What takes all of this out that is known of a name, to be written with its erasure.
    #[must_use]
    pub fn unbar(&self, name: &PersonName) -> Vec<Change> {
        let whose = name_hash(&self.inner.vault, name);
        let delete = |key| Change::Delete { side: Side::People, key };
        self.read(|known| {
            let of = |(hash, of): (&Hash, &Hash)| (*of == whose).then(|| delete(key(ACCOUNT, hash)));
            let accounts = known.barred.accounts.iter().filter_map(of);
            let name = known.barred.names.contains(&whose).then(|| delete(key(NAME, &whose)));
            accounts.chain(name).collect()
        })
    }

    /// That was written.
    pub fn unbarred(&self, name: &PersonName) {
        let whose = name_hash(&self.inner.vault, name);
        self.change(|known, _| {
            known.barred.names.remove(&whose);
            known.barred.accounts.retain(|_, of| *of != whose);
        });
    }
}

/// What an operator gives free again.
pub(super) struct Lifting {
    pub(super) name: Option<Hash>,
    pub(super) account: Option<Hash>,
}
