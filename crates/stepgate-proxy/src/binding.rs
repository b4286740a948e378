//! Which columns hold what, by OID and attribute number, kept with the log: so that labels stay with their columns
//! through RENAME, DETACH PARTITION and restarts (`stepgate_sql::Bindings` says how).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stepgate_policy::Ruleset;
use stepgate_record::Event;
use stepgate_sql::{Binding, Bindings, Catalog, Place};
use stepgate_store::{Change, Log, LogError, MAX_CHANGES, Side, Vault};

use stepgate_types::RelationName;

use crate::catalog::ServerIdentity;
use crate::taint::{MAX_ENTRY, SharedTaints};

/// What entries are sealed as.
const LABEL: &str = "binding";

/// The most moved columns that are named in records of their own, for each look at the catalog.
const MAX_NAMED: usize = 256;

/// The bindings of one database of the configuration, of each server that it was found on.
pub(crate) struct StoredBindings {
    database: String,
    of: BTreeMap<ServerIdentity, Bindings>,
    log: Log,
    vault: Vault,
}

/// An entry of the store.
#[derive(Serialize, Deserialize)]
struct Entry {
    database: String,
    server: ServerIdentity,
    place: Place,
    binding: Binding,
}

impl StoredBindings {
    /// Of that server.
    pub(crate) fn of(&self, server: &ServerIdentity) -> Option<&Bindings> {
        self.of.get(server)
    }

    /// Holds what is bound against a catalog that nobody has used yet: labels whose columns have other names now go
    /// with them. All of it is on disk before this returns. Gives the relations for whose labels there was no room:
    /// what they hold is not known.
    ///
    /// # Errors
    /// The catalog must not be used.
    pub(crate) async fn follow(
        &mut self,
        server: &ServerIdentity,
        catalog: &Catalog,
        taints: &SharedTaints,
        rules: &Ruleset,
    ) -> Result<BTreeSet<RelationName>, LogError> {
        let none = Bindings::default();
        let known = self.of.get(server).unwrap_or(&none);
        let followed = known.follow(catalog, &taints.now(), &rules.map().entries(&self.database));
        if !followed.unbound.is_empty() {
            tracing::error!(database = %self.database, "more columns are labelled than can be bound by OID");
        }
        let mut room = taints.now();
        let (mut flows, mut lost) = (Vec::new(), followed.unbound);
        for (relation, flow) in followed.flows {
            match room.add(relation.clone(), flow.clone()) {
                Ok(_) => flows.push((relation, flow)),
                Err(error) => {
                    tracing::error!(database = %self.database, %error, %relation, "labels cannot follow");
                    lost.insert(relation);
                }
            }
        }
        // First what keeps the labels, then what says that they were kept.
        let mut changes = taints.all_changes(&self.vault, &self.database, &flows)?;
        let mut kept = Vec::with_capacity(followed.changes.len());
        for (place, binding) in followed.changes {
            match self.change(server, place, binding.as_ref())? {
                Some(change) => {
                    changes.push(change);
                    kept.push((place, binding));
                }
                // What cannot be kept would be gone at the next start.
                None => lost.extend(catalog.name_of(place.0).cloned()),
            }
        }
        let bound = kept.iter().filter(|(_, binding)| binding.is_some()).count();
        let moved = followed.moved.into_iter().take(MAX_NAMED).map(|(from, to)| Event::LabelFollowed {
            database: self.database.clone(),
            from: from.to_string(),
            to: to.to_string(),
        });
        let mut events: Vec<Event> = moved.collect();
        if !changes.is_empty() {
            events.push(Event::LabelsBound {
                database: self.database.clone(),
                columns: u64::try_from(bound).unwrap_or(u64::MAX),
            });
        }
        write(&self.log, events, changes).await?;
        taints.add(flows)?;
        let bindings = self.of.entry(server.clone()).or_default();
        for change in kept {
            bindings.apply(change);
        }
        Ok(lost)
    }

    /// Sealed: names of columns are whatever somebody typed. None: they are too many, or too long.
    fn change(
        &self,
        server: &ServerIdentity,
        place: Place,
        binding: Option<&Binding>,
    ) -> Result<Option<Change>, LogError> {
        let key = format!("{}\0{server}\0{place:?}", self.database);
        let key = self.vault.hmac_hex(LABEL, key.as_bytes()).into_bytes();
        let Some(binding) = binding else { return Ok(Some(Change::Delete { side: Side::Bindings, key })) };
        let (database, server, binding) = (self.database.clone(), server.clone(), binding.clone());
        let entry = serde_json::to_vec(&Entry { database, server, place, binding })
            .map_err(|error| LogError::Io(error.to_string()))?;
        if entry.len() > MAX_ENTRY {
            return Ok(None);
        }
        let value = self.vault.seal(LABEL, &entry).map_err(|error| LogError::Io(error.to_string()))?;
        Ok(Some(Change::Put { side: Side::Bindings, key, value }))
    }
}

/// In as many writes as it takes.
pub(crate) async fn write(log: &Log, mut events: Vec<Event>, changes: Vec<Change>) -> Result<(), LogError> {
    let Some(last) = events.pop() else { return Ok(()) };
    let mut chunks = changes.chunks(MAX_CHANGES).peekable();
    while let Some(chunk) = chunks.next() {
        let mut with = vec![last.clone()];
        if chunks.peek().is_none() {
            with.append(&mut events);
        }
        log.append(with, chunk.to_vec()).await?;
    }
    Ok(())
}

/// The bindings of all databases, as the store has them.
pub(crate) fn load(
    log: &Log,
    vault: &Vault,
    databases: impl Iterator<Item = String>,
) -> Result<BTreeMap<String, StoredBindings>, LogError> {
    let none = |database: String| StoredBindings {
        database,
        of: BTreeMap::new(),
        log: log.clone(),
        vault: vault.clone(),
    };
    let mut all: BTreeMap<String, StoredBindings> =
        databases.map(|database| (database.clone(), none(database))).collect();
    for (_, value) in log.load(Side::Bindings)? {
        let unreadable = || LogError::Io("an entry of which columns are labelled is damaged".to_owned());
        let entry = vault.unseal(LABEL, &value).map_err(|_| unreadable())?;
        let Entry { database, server, place, binding } =
            serde_json::from_slice(&entry).map_err(|_| unreadable())?;
        if let Some(stored) = all.get_mut(&database) {
            stored.of.entry(server).or_default().apply((place, Some(binding)));
        }
    }
    Ok(all)
}

/// The bindings of one database, as the store has them now.
pub(crate) async fn load_one(log: Log, vault: Vault, database: String) -> Result<StoredBindings, LogError> {
    let read = move || {
        let mut one = load(&log, &vault, std::iter::once(database))?;
        one.pop_first().map(|(_, bindings)| bindings).ok_or(LogError::Closed)
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| LogError::Io(error.to_string()))?
}
