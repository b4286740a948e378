//! Transactions that are committed in two phases, by whatever session says the name under which each was prepared: what it
//! has changed is known by that name.
//!
//! PREPARE TRANSACTION succeeds where nothing has its name. So once the server has said that it did, what has that name came
//! through the gate, and was under way then or was sent later: it changes no more than all of those do. Of any other name
//! nothing is known: what has it was prepared beside the gate, or before the gate was started.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use stepgate_sql::{Changes, Touched};

use super::Database;

/// The most that are remembered, and the most names of one: of what has more, anything.
const MAX: usize = 1_024;
const MAX_NAMES: usize = 256;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Phases {
    by_name: HashMap<Box<str>, OfName>,
    kept: usize,
    /// How many are under way that may give any name to anything.
    unknown: usize,
}

/// What may have one name.
#[derive(Debug, Default)]
struct OfName {
    /// What is to be prepared, by number.
    under_way: BTreeMap<u64, Changes>,
    /// What was, each with a number that was given once that was known.
    prepared: Vec<(u64, Changes)>,
}

/// A statement under way that prepares a transaction, or commits or undoes a prepared one. One that is dropped was not heard
/// of, and never will be.
pub(crate) struct Phase {
    database: Arc<Database>,
    number: u64,
    what: What,
    has_prepared: bool,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
}

enum What {
    Prepares(Box<str>),
    /// Under which name, nobody knows, or there is no room for it.
    PreparesAny,
    Ends(Box<str>),
}

impl OfName {
    fn len(&self) -> usize {
        self.under_way.len().saturating_add(self.prepared.len())
    }
}

impl Phases {
    fn change(&mut self, name: &str, change: impl FnOnce(&mut OfName)) {
        let Some(of) = self.by_name.get_mut(name) else { return };
        let before = of.len();
        change(of);
        let after = of.len();
        self.kept = self.kept.saturating_sub(before).saturating_add(after);
        if after == 0 {
            self.by_name.remove(name);
        }
    }
}

impl Database {
    fn phases(&self) -> MutexGuard<'_, Phases> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is prepared under that name changes no more than this; `None`: that is not known.
    pub(crate) fn prepared(&self, name: &str) -> Option<Changes> {
        let phases = self.phases();
        let of = phases.by_name.get(name).filter(|of| phases.unknown == 0 && !of.prepared.is_empty())?;
        let all = of.under_way.values().chain(of.prepared.iter().map(|(_, changes)| changes));
        Some(all.cloned().fold(Changes::default(), |mut all, changes| {
            all.add(changes);
            all
        }))
    }

    /// A statement is about to be sent that prepares what changes this, under that name; `None`: whichever.
    pub(crate) fn prepares(self: &Arc<Self>, name: Option<&str>, changes: Changes) -> Phase {
        let number = self.number();
        let mut phases = self.phases();
        let what = match name.filter(|_| phases.kept < MAX) {
            Some(name) => {
                let changes = if changes.names() > MAX_NAMES { anything() } else { changes };
                phases.kept = phases.kept.saturating_add(1);
                phases.by_name.entry(name.into()).or_default().under_way.insert(number, changes);
                What::Prepares(name.into())
            }
            None => {
                phases.unknown = phases.unknown.saturating_add(1);
                What::PreparesAny
            }
        };
        Phase { database: Arc::clone(self), number, what, has_prepared: false, outcome: None }
    }

    /// The same of one that commits or undoes what has that name.
    pub(crate) fn ends_prepared(self: &Arc<Self>, name: &str) -> Phase {
        let (number, what) = (0, What::Ends(name.into()));
        Phase { database: Arc::clone(self), number, what, has_prepared: false, outcome: None }
    }
}

impl Phase {
    pub(super) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// The server says that it has prepared a transaction.
    pub(crate) fn has_prepared(&mut self) {
        self.has_prepared = true;
    }

    /// It is done, or has failed.
    pub(crate) fn ends(mut self, failed: bool) {
        self.outcome = Some(if failed { Outcome::Failed } else { Outcome::Done });
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        let now = self.database.number();
        let (heard, has_prepared) = (self.outcome.is_some(), self.has_prepared);
        let mut phases = self.database.phases();
        match &self.what {
            What::Prepares(name) => phases.change(name, |of| {
                let changes = of.under_way.remove(&self.number);
                match changes.filter(|_| has_prepared) {
                    Some(changes) => {
                        // What was known before this one was sent was gone when this one was prepared.
                        of.prepared.retain(|(since, _)| *since > self.number);
                        of.prepared.push((now, changes));
                    }
                    None if heard => {}
                    None => of.prepared.clear(),
                }
            }),
            What::PreparesAny => {
                phases.unknown = phases.unknown.saturating_sub(1);
                if has_prepared || !heard {
                    let names: Vec<Box<str>> = phases.by_name.keys().cloned().collect();
                    names.iter().for_each(|name| phases.change(name, |of| of.prepared.clear()));
                }
            }
            What::Ends(name) if self.outcome == Some(Outcome::Done) => {
                phases.change(name, |of| of.prepared.clear());
            }
            What::Ends(_) => {}
        }
    }
}

/// What is not known to be less.
pub(crate) fn anything() -> Changes {
    Changes { touched: Touched::Anything, code: true, ..Changes::default() }
}
