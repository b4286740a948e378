//! Labels follow data into tables: what statements copied from labelled columns, kept with the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use stepgate_sql::{Facts, Flow, TEMPORARY, Taints, TooMany, anywhere};
use stepgate_store::{Change, Log, LogError, MAX_CHANGES, Side, Vault};
use stepgate_types::{ColumnName, RelationName};

/// The longest entry, in bytes, before it is sealed; the store takes 4,096.
pub(crate) const MAX_ENTRY: usize = 3_900;

/// What entries are sealed as.
const LABEL: &str = "taint";

/// How often flows under way are followed on to others; what is beyond is unknown.
const MAX_ROUNDS: usize = 16;

/// The taints of one database. Only its own sessions see a temporary relation, so those are not here.
#[derive(Default)]
pub(crate) struct SharedTaints {
    held: RwLock<Held>,
    /// How often they have changed.
    version: AtomicU64,
}

#[derive(Default)]
struct Held {
    taints: Taints,
    /// What statements under way store, by numbers: what comes to be held where that is taken from comes along.
    under_way: BTreeMap<u64, Arc<Flows>>,
    last: u64,
}

/// A statement under way that stores what it reads, until it is done and judged.
pub(crate) struct Storing {
    taints: Arc<SharedTaints>,
    number: u64,
    flows: Arc<Flows>,
}

impl Storing {
    /// Whether it brings along what it did not by these, by which it was judged: that has come to be held since.
    pub(crate) fn brings_more(&self, judged: &Taints) -> bool {
        let now = self.taints.now();
        if now.is(judged) {
            return false;
        }
        // What it stores itself has come to be held by now.
        let mut known = judged.clone();
        for (into, flow) in self.flows.iter() {
            // Without room, it was not let through.
            let _ = known.add(into.clone(), flow.clone());
        }
        self.flows.iter().any(|(_, flow)| now.brings_more_than(&known, flow))
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        self.taints.held_mut().under_way.remove(&self.number);
    }
}

/// Relations, and what is stored in each.
pub(crate) type Flows = Vec<(RelationName, Flow)>;

/// That stands among them for whatever lies open to others: notifications, settings, locks. No relation has such a name.
fn outlet() -> RelationName {
    RelationName::new("", "\0")
}

/// What a statement takes from somewhere and stores elsewhere, or lays open.
pub(crate) fn flows_of(facts: &[Facts]) -> Flows {
    let copies = facts.iter().flat_map(Facts::copies).map(|(into, flow)| (into.clone(), flow));
    let opens =
        |facts: &&Facts| facts.sinks.iter().any(|sink| sink.kind.is_open()) && !facts.columns.is_empty();
    let laid_open = facts.iter().filter(opens).map(|facts| {
        let all = facts.columns.keys().cloned().collect();
        (outlet(), Flow { all, ..Flow::default() })
    });
    copies.chain(laid_open).collect()
}

/// What is stored once more is labelled.
pub(crate) struct Followed {
    pub(crate) flows: Flows,
    /// Some of it would lie open to others, which nobody could take back.
    pub(crate) lies_open: bool,
}

/// What one statement stores.
#[derive(Default)]
pub(crate) struct Stored {
    /// In relations of the session's own.
    pub(crate) own: Flows,
    /// Elsewhere.
    pub(crate) shared: Flows,
}

impl Stored {
    pub(crate) fn add(&mut self, relation: &RelationName, flow: Flow) {
        if relation.schema.starts_with("pg_temp") {
            self.own.push((RelationName::new(TEMPORARY, &relation.name), flow));
        } else {
            self.shared.push((relation.clone(), flow));
        }
    }
}

/// An entry of the store: a part of what a relation holds.
#[derive(Serialize, Deserialize)]
struct Entry {
    database: String,
    relation: RelationName,
    flow: Flow,
}

impl SharedTaints {
    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Taints {
        self.held().taints.clone()
    }

    /// A statement is about to be sent that stores this.
    pub(crate) fn storing(self: &Arc<Self>, flows: Flows) -> Storing {
        let mut held = self.held_mut();
        held.last = held.last.saturating_add(1);
        let (number, flows) = (held.last, Arc::new(flows));
        held.under_way.insert(number, Arc::clone(&flows));
        Storing { taints: Arc::clone(self), number, flows }
    }

    /// With what is about to be stored, or has been since `before`, what statements under way take from there and store elsewhere,
    /// before anybody hears of them again: whoever lets their replies wait has them do it unheard.
    pub(crate) fn with_followers(&self, before: &Taints, stored: Flows) -> Followed {
        let mut flows = self.followed(before, stored);
        let all = flows.len();
        flows.retain(|(into, _)| *into != outlet());
        Followed { lies_open: flows.len() < all, flows }
    }

    fn followed(&self, before: &Taints, stored: Flows) -> Flows {
        let (mut all, under_way) = {
            let held = self.held();
            (held.taints.clone(), held.under_way.values().cloned().collect::<Vec<_>>())
        };
        if under_way.is_empty() {
            return stored;
        }
        for (relation, flow) in &stored {
            if all.add(relation.clone(), flow.clone()).is_err() {
                // Nor has it room later.
                return stored;
            }
        }
        // By their names alone: schemas may stand for any.
        let mut changed: BTreeSet<String> =
            stored.iter().map(|(relation, _)| relation.name.clone()).collect();
        let mut followed = stored;
        for round in 0..=MAX_ROUNDS {
            let from = std::mem::take(&mut changed);
            let comes_from = |flow: &Flow| {
                let mut columns = flow.each.values().flatten().chain(&flow.all);
                from.contains("") || columns.any(|column| from.contains(&column.relation.name))
            };
            for (into, flow) in under_way.iter().flat_map(|flows| flows.iter()) {
                if !comes_from(flow) {
                    continue;
                }
                // What it brought along before, it was let through for.
                let brought =
                    all.through(flow).filter(|brought| before.through(flow).as_ref() != Some(brought));
                let Some(mut brought) = brought else { continue };
                if round == MAX_ROUNDS {
                    brought = Flow { unknown: true, ..Flow::default() };
                }
                match all.add(into.clone(), brought.clone()) {
                    Ok(false) => {}
                    // What has no room is found not to have it where it is added.
                    Ok(true) | Err(_) => {
                        changed.insert(into.name.clone());
                        followed.push((into.clone(), brought));
                    }
                }
            }
            if changed.is_empty() {
                break;
            }
        }
        followed
    }

    /// What is to be written with the record of a statement that is about to store this.
    pub(crate) fn changes(
        &self,
        vault: &Vault,
        database: &str,
        stored: &[(RelationName, Flow)],
    ) -> Result<Vec<Change>, TooMuch> {
        let changes = self.all_changes(vault, database, stored)?;
        if changes.len() > MAX_CHANGES { Err(TooMuch) } else { Ok(changes) }
    }

    /// The same, however many.
    pub(crate) fn all_changes(
        &self,
        vault: &Vault,
        database: &str,
        stored: &[(RelationName, Flow)],
    ) -> Result<Vec<Change>, TooMuch> {
        let (mut taints, mut changes) = (self.now(), Vec::new());
        for (relation, flow) in stored {
            if taints.add(relation.clone(), flow.clone()).map_err(|_| TooMuch)? {
                for flow in parts(flow) {
                    let entry = Entry { database: database.to_owned(), relation: relation.clone(), flow };
                    changes.push(entry.change(vault).ok_or(TooMuch)?);
                }
            }
        }
        Ok(changes)
    }

    /// How often they have changed: known after they have.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn add_one(&self, relation: RelationName, flow: Flow) -> Result<(), TooMany> {
        let added = self.held_mut().taints.add(relation, flow);
        self.version.fetch_add(1, Ordering::SeqCst);
        added.map(drop)
    }

    /// There is no room for more of what a relation holds: anything may be in it; where there is none for it either, in all.
    fn add_unknown(&self, relation: RelationName) {
        let unknown = || Flow { unknown: true, ..Flow::default() };
        if self.add_one(relation, unknown()).is_err() {
            // It has a place of its own.
            let _ = self.add_one(anywhere(), unknown());
        }
    }

    /// Adds what was written. What there is no room for, others having been quicker, is unknown.
    pub(crate) fn add(&self, stored: Flows) -> Result<(), TooMuch> {
        let mut all = Ok(());
        for (relation, flow) in stored {
            if self.add_one(relation.clone(), flow).is_err() {
                self.add_unknown(relation);
                all = Err(TooMuch);
            }
        }
        all
    }
}

/// More than can be remembered.
pub(crate) struct TooMuch;

/// Why what a statement stores cannot be kept track of.
pub(crate) enum Unstorable {
    TooMuch,
    /// Not by the columns themselves, whatever their names.
    Unbound,
    /// A statement under way lays it open to others.
    LiesOpen,
}

impl From<TooMuch> for Unstorable {
    fn from(_: TooMuch) -> Self {
        Self::TooMuch
    }
}

impl From<TooMuch> for LogError {
    fn from(_: TooMuch) -> Self {
        Self::TooLarge("more was copied from labelled columns than can be kept track of".to_owned())
    }
}

impl Entry {
    /// Sealed: names of new tables and columns are whatever somebody typed.
    fn change(&self, vault: &Vault) -> Option<Change> {
        let entry = serde_json::to_vec(self).ok()?;
        // The same again is the same entry.
        let key = vault.hmac_hex(LABEL, &entry).into_bytes();
        Some(Change::Put { side: Side::Taints, key, value: vault.seal(LABEL, &entry).ok()? })
    }
}

/// The taints of all databases, as the store has them.
pub(crate) fn load(log: &Log, vault: &Vault) -> Result<BTreeMap<String, SharedTaints>, LogError> {
    let mut all: BTreeMap<String, SharedTaints> = BTreeMap::new();
    for (_, value) in log.load(Side::Taints)? {
        let unreadable =
            || LogError::Io("an entry of what tables hold of labelled columns is damaged".to_owned());
        let entry = vault.unseal(LABEL, &value).map_err(|_| unreadable())?;
        let Entry { database, relation, flow } = serde_json::from_slice(&entry).map_err(|_| unreadable())?;
        let taints = all.entry(database).or_default();
        if taints.add_one(relation.clone(), flow).is_err() {
            taints.add_unknown(relation);
        }
    }
    Ok(all)
}

/// A flow in parts that fit into an entry each.
fn parts(flow: &Flow) -> Vec<Flow> {
    let each = flow.each.iter().flat_map(|(to, from)| from.iter().map(move |from| (Some(to), from)));
    let pairs = each.chain(flow.all.iter().map(|from| (None, from)));
    let mut parts = vec![Flow { unknown: flow.unknown, ..Flow::default() }];
    let mut size = 0_usize;
    for (to, from) in pairs {
        let weight = to.map_or(0, |to| escaped(to)) + weight(from);
        if size + weight > MAX_ENTRY / 2 {
            parts.push(Flow::default());
            size = 0;
        }
        size += weight;
        let Some(part) = parts.last_mut() else { break };
        let into = match to {
            Some(to) => part.each.entry(to.clone()).or_default(),
            None => &mut part.all,
        };
        into.insert(from.clone());
    }
    parts
}

/// An upper bound of the bytes that a column takes in an entry.
fn weight(column: &ColumnName) -> usize {
    escaped(&column.relation.schema) + escaped(&column.relation.name) + escaped(&column.column) + 64
}

fn escaped(text: &str) -> usize {
    text.len() * 2 + 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_copy_is_kept_in_entries_that_fit_and_nothing_of_it_is_lost() {
        let column = |at: usize| {
            ColumnName::new(RelationName::new("s".repeat(63), "\"".repeat(63)), format!("{at:ä>60}"))
        };
        let mut flow = Flow { unknown: true, ..Flow::default() };
        for at in 0..40 {
            flow.each.entry(format!("{at:\">63}")).or_default().insert(column(at));
            flow.all.insert(column(at + 100));
        }
        let parts = parts(&flow);
        let relation = RelationName::new("\\".repeat(63), "t".repeat(63));
        let mut together = Taints::default();
        for part in &parts {
            let entry = Entry { database: "d".repeat(63), relation: relation.clone(), flow: part.clone() };
            let size = serde_json::to_vec(&entry).unwrap().len();
            assert!(size <= MAX_ENTRY, "{size}");
            together.add(relation.clone(), part.clone()).unwrap();
        }
        let mut whole = Taints::default();
        whole.add(relation, flow).unwrap();
        assert_eq!(together, whole);
        assert!(parts.len() > 5);
    }

    #[test]
    fn what_there_is_no_room_for_is_unknown_and_none_of_what_comes_behind_it_is_lost() {
        let flow = |columns: std::ops::Range<usize>| {
            let from = |at| ColumnName::new(RelationName::new("public", "customers"), format!("c{at}"));
            Flow { all: columns.map(from).collect(), ..Flow::default() }
        };
        let (full, other) = (RelationName::new("z", "full"), RelationName::new("z", "other"));
        let taints = SharedTaints::default();
        // However often it is said, and in which parts, it is as much.
        for parts in [0..4_096, 4_000..4_096, 0..1, 1..4_000] {
            assert!(taints.add(vec![(full.clone(), flow(parts))]).is_ok());
        }
        let unknown = |of: &RelationName| taints.now().of(of).any(|flow| flow.unknown);
        assert!(!unknown(&full));
        let more = vec![(full.clone(), flow(4_096..4_097)), (other.clone(), flow(0..1))];
        assert!(taints.add(more).is_err());
        assert!(unknown(&full) && !unknown(&other));
        let mut known = taints.now();
        assert!(!known.add(other, flow(0..1)).unwrap(), "it is there");
        assert!(!known.add(full, flow(0..4_096)).unwrap());
        // Where there is no room for any other relation, all are.
        let relation = |at: usize| RelationName::new("many", format!("t{at}"));
        for at in 0..10_000 {
            let _ = taints.add(vec![(relation(at), flow(0..1))]);
        }
        assert!(unknown(&relation(20_000)));
    }
}
