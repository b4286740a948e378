//! Statements under way that do more than their reply says, and that cannot be taken back by keeping it from the client:
//! they run somebody's code, store what they read, send, lock or set something. What they hang on must not be changed beneath them: whoever comes
//! second, they or the DDL, is refused. Each is written down here or among the commits before it looks for the other.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use stepgate_sql::{By, Catalog, Facts, Mentioned, SinkKind, TEMPORARY};
use stepgate_types::{Kind, RelationName};

use super::Database;
use super::made::{Made, Transaction};

/// How many texts of others, and bytes of them and of what they call, are looked through for one statement of DDL. Of more, whoever pipelines them
/// would keep a thread busy with each DDL that anybody sends: it is refused.
const MAX_LOOKED_AT: usize = 4_096;
const MAX_BYTES_LOOKED_AT: usize = 8 << 20;

/// All that a database's sessions have under way, by numbers.
pub(super) type Acts = BTreeMap<u64, Act>;

/// One of them.
pub(super) struct Act {
    session: u64,
    text: Named,
}

/// What a statement says, and by what its names are resolved.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) sql: Bytes,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) by: By,
}

impl Named {
    /// The names that it hangs on.
    pub(crate) fn mentioned(&self) -> Mentioned {
        Mentioned::of(&self.sql, &self.catalog, &self.by)
    }
}

/// Such a statement, until it is done.
pub(crate) struct Acting {
    database: Arc<Database>,
    number: u64,
}

impl Drop for Acting {
    fn drop(&mut self) {
        self.database.acts().remove(&self.number);
    }
}

/// Whether a statement runs somebody's code, or puts something where it lies open.
pub(crate) fn runs(facts: &Facts) -> bool {
    let is_open = |kind: SinkKind| kind.is_open() || kind == SinkKind::LargeObject;
    facts.runs_code() || facts.sinks.iter().any(|sink| is_open(sink.kind))
}

/// Whether statements do more than their reply says. `unheard`: the gate may hear of them long after they are done.
pub(crate) fn act(facts: &[Facts], unheard: bool) -> bool {
    let unheard = unheard || facts.len() > 1;
    facts.iter().any(|facts| runs(facts) || stores(facts, unheard))
}

/// Whether it stores, where others see it, what hangs on names. If the gate hears of it at once, what somebody has put in the
/// place of what it names is seen in time, but for what it takes from elsewhere.
fn stores(facts: &Facts, unheard: bool) -> bool {
    // What has another name from now on is DDL itself.
    let renames = facts.kind == Kind::Ddl && facts.effect.creates.is_none();
    if facts.read_only || renames {
        return false;
    }
    let is_shared = |into: &&RelationName| !into.schema.starts_with(TEMPORARY);
    let mut into = facts.stores_in().filter(is_shared).peekable();
    if into.peek().is_none() {
        return false;
    }
    let into: BTreeSet<&RelationName> = into.collect();
    let takes = facts.relations.iter().any(|from| !into.contains(from)) || facts.copies().next().is_some();
    // A row of no column, or of the one that it is stored in, is another's once the table is.
    takes || (unheard && (facts.kind != Kind::Insert || !facts.functions.is_empty()))
}

impl Database {
    fn acts(&self) -> MutexGuard<'_, Acts> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session is about to send such a statement, of this text.
    pub(crate) fn acting(self: &Arc<Self>, session: u64, text: Named) -> Acting {
        let number = self.number();
        self.acts().insert(number, Act { session, text });
        Acting { database: Arc::clone(self), number }
    }

    /// Whether such a statement of another session hangs on what a transaction changes.
    pub(crate) fn is_hung_on(&self, transaction: &Transaction) -> bool {
        let changes = transaction.seen();
        if changes.is_nothing() {
            return false;
        }
        let others = {
            let acts = self.acts();
            let others = acts.values().filter(|act| act.session != transaction.session);
            others.map(|act| act.text.clone()).collect::<Vec<Named>>()
        };
        if others.is_empty() {
            return false;
        }
        let bytes = others.iter().map(|text| text.sql.len()).fold(0, usize::saturating_add);
        if others.len() > MAX_LOOKED_AT || bytes > MAX_BYTES_LOOKED_AT {
            return true;
        }
        let (mut makers, anything) = self.makers(transaction.since);
        makers.push(transaction.seen());
        let made = Made::by(&makers, anything);
        let (mut known, mut read) = (HashSet::new(), 0_usize);
        others.iter().filter(|text| known.insert((&text.sql, Arc::as_ptr(&text.catalog)))).any(|text| {
            let mentioned = text.mentioned();
            read = read.saturating_add(mentioned.read());
            read > MAX_BYTES_LOOKED_AT || made.takes(&changes, &mentioned)
        })
    }

    /// Whether another session is changing what hangs on names, and has not committed it. Who has done so for long and need not
    /// is ended.
    pub(crate) fn is_being_changed(&self, session: u64, text: impl FnOnce() -> Named) -> bool {
        let others = self.changing(session);
        if others.is_empty() {
            return false;
        }
        let mentioned = text().mentioned();
        let (makers, anything) = self.makers(u64::MAX);
        let made = Made::by(&makers, anything);
        let change = others.iter().filter(|by| made.changes(by, &mentioned));
        let change: BTreeSet<u64> = change.map(|by| by.session).collect();
        self.urges(|_, it| change.contains(&it.transaction.session));
        !change.is_empty()
    }
}
