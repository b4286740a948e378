//! Whether a statement was overtaken by DDL while it ran.
//!
//! A statement that waits for a lock means what its names mean once it has it: another session holds
//! `BEGIN; CREATE OR REPLACE VIEW v …`, this one's harmless `SELECT … FROM v` waits, and would show what was put
//! there. So before the first of a reply is taken that was long in coming, or during which some session of the gate
//! may have committed DDL, the catalog is looked at again, and what runs is judged by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_session::Pending;
use stepgate_sql::{Catalog, Facts, SessionState};

/// A reply that comes sooner was not kept waiting by somebody else's transaction, or not by one outside the gate
/// that could time it.
const SOON: Duration = Duration::from_millis(100);

/// The most statements under way of which more than the number is remembered. What a driver pipelines is far less.
const MAX_WATCHED: usize = 1_024;

/// A statement under way that reads relations.
pub(crate) struct Watched {
    pub(crate) pending: Pending,
    /// By which its names were resolved.
    pub(crate) state: SessionState,
    pub(crate) catalog: Arc<Catalog>,
    /// How often some session might have committed DDL before.
    epoch: u64,
}

/// The statements of a session that are under way, by number.
pub(crate) struct UnderWay {
    watched: BTreeMap<u64, Watched>,
    /// When something was last sent to the server or came from it.
    stirred: Instant,
    /// The statement at the front when the catalog was last looked at.
    looked: Option<u64>,
    /// The open transaction has DDL in it: whatever is sent next may commit it.
    has_ddl: bool,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self { watched: BTreeMap::new(), stirred: Instant::now(), looked: None, has_ddl: false }
    }
}

impl UnderWay {
    /// A statement is about to be sent. Says whether it may commit DDL that others can meet.
    pub(crate) fn sends(
        &mut self,
        pending: &Pending,
        state: &SessionState,
        catalog: &Arc<Catalog>,
        epoch: u64,
    ) -> bool {
        self.stirred = Instant::now();
        self.has_ddl &= pending.transaction > stepgate_session::TransactionSoFar::Nothing;
        self.has_ddl |= pending.facts.iter().any(makes_for_others);
        if pending.facts.iter().any(|facts| !facts.relations.is_empty()) && self.watched.len() < MAX_WATCHED {
            let pending = Pending { values: Vec::new(), formats: Vec::new(), ..pending.clone() };
            let watched = Watched { pending, state: state.clone(), catalog: Arc::clone(catalog), epoch };
            self.watched.insert(watched.pending.number, watched);
        }
        self.has_ddl
    }

    /// Its reply is complete.
    pub(crate) fn is_done(&mut self, number: u64) {
        self.watched.remove(&number);
    }

    /// Something came from the server. Says whether the catalog must be looked at before it is taken.
    pub(crate) fn hears(&mut self, epoch: u64) -> bool {
        let silent = self.stirred.elapsed() >= SOON;
        self.stirred = Instant::now();
        let Some((front, watched)) = self.watched.first_key_value() else { return false };
        if self.looked == Some(*front) || !(silent || watched.epoch != epoch) {
            return false;
        }
        self.looked = Some(*front);
        true
    }

    /// Whether some session of the gate may have committed DDL since a statement under way was sent.
    pub(crate) fn may_be_overtaken(&self, epoch: u64) -> bool {
        self.watched.values().any(|watched| watched.epoch != epoch)
    }

    /// What was judged by another catalog than this one.
    pub(crate) fn judged_by_another<'s>(
        &'s self,
        catalog: &'s Arc<Catalog>,
    ) -> impl Iterator<Item = &'s Watched> {
        self.watched.values().filter(move |watched| !Arc::ptr_eq(&watched.catalog, catalog))
    }
}

/// Whether a statement changes what other sessions' names mean.
fn makes_for_others(facts: &Facts) -> bool {
    facts.effect.catalog && facts.effect.creates.as_ref().is_none_or(|created| !created.temporary)
}
