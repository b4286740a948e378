//! The databases behind a gate: those that its configuration names, for as long as it does, and those that a wildcard
//! stands for, for as long as somebody uses them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stepgate_policy::Ruleset;
use stepgate_store::{Log, LogError, Vault};
use stepgate_types::{best_for, is_wildcard};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::binding;
use crate::database::{Database, Past};
use crate::taint::{self, SharedTaints};
use crate::{UpstreamConfig, announced};

/// Databases of wildcards that are open at a time: each is a catalog of some megabytes and two connections.
const MAX_WILD: usize = 64;

/// How long one of them stays open that nobody uses.
const KEEP: Duration = Duration::from_secs(5 * 60);

/// The longest name, in bytes: PostgreSQL's NAMEDATALEN - 1.
const MAX_NAME: usize = 63;

/// Of the server's own; connections to them are in the way of CREATE DATABASE.
const TEMPLATES: [&str; 2] = ["template0", "template1"];

/// Why somebody cannot have a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoDatabase {
    /// None of that name is behind the gate.
    Unknown,
    /// As many of wildcards are in use as there may be.
    TooMany,
}

/// A database that somebody uses; it stays open until this is dropped.
pub(crate) struct InUse(Arc<Database>);

impl InUse {
    fn of(database: &Arc<Database>) -> Self {
        database.usage.begins();
        Self(Arc::clone(database))
    }

    /// Which.
    pub(crate) const fn database(&self) -> &Arc<Database> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.usage.ends();
    }
}

/// How many use a database, and since when nobody does.
pub(crate) struct Use(Mutex<(usize, Instant)>);

impl Default for Use {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

impl Use {
    fn now(&self) -> MutexGuard<'_, (usize, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begins(&self) {
        let mut now = self.now();
        now.0 = now.0.saturating_add(1);
    }

    fn ends(&self) {
        let mut now = self.now();
        *now = (now.0.saturating_sub(1), Instant::now());
    }

    /// Does this, if nobody has used it for so long; before anybody can begin to.
    pub(crate) fn if_unused_for(&self, long: Duration, then: impl FnOnce()) -> bool {
        let now = self.now();
        let unused = now.0 == 0 && now.1.elapsed() >= long;
        if unused {
            then();
        }
        unused
    }

    /// Since when nobody uses it.
    fn idle_since(&self) -> Option<Instant> {
        let (many, since) = *self.now();
        (many == 0).then_some(since)
    }
}

/// All of them.
pub(crate) struct Databases {
    log: Log,
    vault: Vault,
    rules: watch::Receiver<Arc<Ruleset>>,
    state: Mutex<State>,
    /// One was opened, and nobody looks after it yet.
    opened: Notify,
}

struct State {
    /// As configured, wildcards among them.
    configs: BTreeMap<String, UpstreamConfig>,
    open: BTreeMap<String, Arc<Database>>,
    /// Those that were closed, until the last that they may write is written.
    leaving: BTreeMap<String, Arc<Database>>,
    /// What tables hold, of every database that there ever was.
    taints: BTreeMap<String, Arc<SharedTaints>>,
}

impl Databases {
    /// Those of a configuration; the named ones are open from the beginning.
    ///
    /// # Errors
    /// The store cannot say what tables hold.
    pub(crate) fn new(
        configs: Vec<UpstreamConfig>,
        rules: watch::Receiver<Arc<Ruleset>>,
        log: &Log,
        vault: &Vault,
    ) -> Result<Self, LogError> {
        let taints = taint::load(log, vault)?.into_iter().map(|(name, taints)| (name, Arc::new(taints)));
        let names = configs.iter().map(|config| config.name.clone());
        let mut bindings = binding::load(log, vault, names)?;
        let mut state = State {
            configs: by_name(configs),
            open: BTreeMap::new(),
            leaving: BTreeMap::new(),
            taints: taints.collect(),
        };
        let named: Vec<_> = state.named().cloned().collect();
        for config in named {
            if let Some(bindings) = bindings.remove(&config.name) {
                state.open(config, rules.clone(), Past::Known(bindings));
            }
        }
        let (log, vault) = (log.clone(), vault.clone());
        Ok(Self { log, vault, rules, state: Mutex::new(state), opened: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are open and known to be there, by name: names that somebody only tries are nobody's business.
    pub(crate) fn known(&self) -> Vec<Arc<Database>> {
        let state = self.lock();
        let is_known = |name: &String, database: &Database| {
            state.configs.contains_key(name) || database.view().is_some()
        };
        let known = state.open.iter().filter(|(name, database)| is_known(name, database));
        known.map(|(_, database)| Arc::clone(database)).collect()
    }

    /// This name, if it may be written down: the configuration has it, or a database of it has been found to be there.
    pub(crate) fn known_name(&self, name: &str) -> Option<String> {
        let state = self.lock();
        let is_named = !is_wildcard(name) && state.configs.contains_key(name);
        let is_there = || state.open.get(name).is_some_and(|database| database.view().is_some());
        (is_named || is_there()).then(|| name.to_owned())
    }

    /// The one of this name, if it is open.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Database>> {
        self.lock().open.get(name).cloned()
    }

    /// One has turned out to be there.
    pub(crate) fn is_there(&self, database: &Database) {
        if !database.is_watched() {
            self.opened.notify_one();
        }
    }

    /// The database that clients ask for by this name. Whether the server has it is not known yet.
    pub(crate) fn get(&self, name: &str) -> Result<InUse, NoDatabase> {
        let mut state = self.lock();
        if let Some(database) = state.open.get(name) {
            return Ok(InUse::of(database));
        }
        let config = state.config_of(name).ok_or(NoDatabase::Unknown)?;
        if !state.configs.contains_key(name) {
            state.make_room()?;
        }
        let database = state.open(config, self.rules.clone(), self.past());
        Ok(InUse::of(&database))
    }

    /// Takes one back that the server turned out not to have, or not under this name alone.
    pub(crate) fn forget(&self, database: &Arc<Database>) {
        let mut state = self.lock();
        let name = &database.config.name;
        let is_named = state.configs.contains_key(name);
        let is_it = state.open.get(name).is_some_and(|open| Arc::ptr_eq(open, database));
        if is_it && !is_named {
            state.close(name);
            // One that was never there has nothing in it: names that clients come up with are not kept.
            if database.view().is_none() && database.taints.now().is_empty() {
                state.taints.remove(name);
            }
        }
    }

    /// Whether another open database is the same one of the same server: by this name its labels would not be known.
    /// One that is named with the same dbname does not come so far; a pooler may have one by two.
    pub(crate) fn is_another(&self, database: &Database) -> bool {
        let Some(identity) = database.identity() else { return false };
        let state = self.lock();
        let is_named = state.configs.contains_key(&database.config.name);
        let is_it = |other: &Arc<Database>| {
            other.config.name != database.config.name && other.identity().as_ref() == Some(&identity)
        };
        !is_named && identity.is_certain() && state.open.values().any(is_it)
    }

    /// How many the configuration names, and whether any can be used at this moment.
    pub(crate) fn named(&self) -> (usize, bool) {
        let state = self.lock();
        let named: Vec<_> = state.named().map(|config| config.name.clone()).collect();
        let reachable =
            |name: &String| state.open.get(name).is_some_and(|database| database.view().is_some());
        (named.len(), named.iter().any(reachable))
    }

    /// Takes other ones into use. Where nothing but passwords has changed, all goes on; else the database is closed, and
    /// opened anew if it is still there. The names of those that were closed.
    pub(crate) fn replace(&self, configs: Vec<UpstreamConfig>) -> Vec<String> {
        let mut state = self.lock();
        state.configs = by_name(configs);
        let mut closed = Vec::new();
        let open: Vec<_> = state.open.values().cloned().collect();
        for database in open {
            let name = database.config.name.clone();
            match state.config_of(&name) {
                Some(now) if database.config.is_same(&now) => database.config.take_passwords(&now),
                _ => {
                    state.close(&name);
                    closed.push(name);
                }
            }
        }
        let missing: Vec<_> =
            state.named().filter(|config| !state.open.contains_key(&config.name)).cloned().collect();
        for config in missing {
            state.open(config, self.rules.clone(), self.past());
        }
        self.opened.notify_one();
        closed
    }

    fn past(&self) -> Past {
        Past::Stored { log: self.log.clone(), vault: self.vault.clone(), before: None }
    }

    /// Closes what nobody has used for long.
    pub(crate) fn tidy(&self) {
        let mut state = self.lock();
        for (since, name) in state.unused() {
            if since.elapsed() >= KEEP {
                state.close(&name);
            }
        }
        state.leaving.retain(|_, database| database.is_busy());
    }

    /// Looks after those that are open, until `shutdown`: their catalogs, and what announces DDL.
    pub(crate) async fn keep(&self, mut shutdown: watch::Receiver<bool>) {
        let mut watchers = JoinSet::new();
        loop {
            for database in self.known().into_iter().filter(|database| database.begin_watch()) {
                watchers.spawn(announced::listen(Arc::clone(&database), database.closing()));
                let tells = Arc::clone(&database);
                watchers.spawn(async move { tells.tell_changes(tells.closing()).await });
                watchers.spawn(async move { database.watch(database.closing()).await });
            }
            tokio::select! {
                // In a block of its own: the guard it returns must not live across another arm's await.
                () = async { let _ = shutdown.wait_for(|down| *down).await; } => break,
                () = self.opened.notified() => {}
                Some(_) = watchers.join_next() => {}
            }
        }
        self.known().iter().for_each(|database| database.close());
        while watchers.join_next().await.is_some() {}
    }
}

fn by_name(configs: Vec<UpstreamConfig>) -> BTreeMap<String, UpstreamConfig> {
    configs.into_iter().map(|config| (config.name.clone(), config)).collect()
}

/// What the server makes of a name. One that it cuts within a letter is none that a wildcard stands for anyway.
fn as_cut(dbname: &str) -> &str {
    dbname.get(..dbname.floor_char_boundary(MAX_NAME)).unwrap_or(dbname)
}

impl State {
    fn named(&self) -> impl Iterator<Item = &UpstreamConfig> {
        self.configs.values().filter(|config| !is_wildcard(&config.name))
    }

    /// How the database of this name is reached, whether it is named or a wildcard stands for it.
    fn config_of(&self, name: &str) -> Option<UpstreamConfig> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        // It comes to stand in records, and a longer one would be cut by the server.
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(harmless) {
            return None;
        }
        let best = self.configs.get(best_for(self.configs.keys().map(String::as_str), name)?)?;
        if !is_wildcard(&best.name) {
            return Some(best.clone());
        }
        // What the configuration calls by another name has its labels by that one. Whatever its host: a server goes by
        // many, and whether two are one cannot be known while one of them is out of reach, or does not say.
        let is_named = |named: &UpstreamConfig| as_cut(&named.dbname) == name;
        if TEMPLATES.contains(&name) || self.named().any(is_named) {
            return None;
        }
        Some(UpstreamConfig { name: name.to_owned(), dbname: name.to_owned(), ..best.clone() })
    }

    fn open(
        &mut self,
        config: UpstreamConfig,
        rules: watch::Receiver<Arc<Ruleset>>,
        past: Past,
    ) -> Arc<Database> {
        let name = config.name.clone();
        let taints = Arc::clone(self.taints.entry(name.clone()).or_default());
        let past = past.after(self.leaving.remove(&name));
        let database = Arc::new(Database::new(config, rules, taints, past));
        self.open.insert(name, Arc::clone(&database));
        database
    }

    fn close(&mut self, name: &str) {
        if let Some(database) = self.open.remove(name) {
            database.close();
            self.leaving.insert(name.to_owned(), database);
        }
    }

    /// Those of wildcards that nobody uses, and since when, the first one first.
    fn unused(&self) -> Vec<(Instant, String)> {
        let wild = self.open.iter().filter(|(name, _)| !self.configs.contains_key(*name));
        let unused = wild.filter_map(|(name, database)| Some((database.usage.idle_since()?, name.clone())));
        let mut unused: Vec<_> = unused.collect();
        unused.sort();
        unused
    }

    fn make_room(&mut self) -> Result<(), NoDatabase> {
        let wild = self.open.keys().filter(|name| !self.configs.contains_key(*name)).count();
        if wild >= MAX_WILD {
            let (_, first) = self.unused().into_iter().next().ok_or(NoDatabase::TooMany)?;
            self.close(&first);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
