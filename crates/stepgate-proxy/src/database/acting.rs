//! Statements under way that do more than their reply says, and that cannot be taken back by keeping it from the client:
//! they run somebody's code, send, lock or set something. What they hang on must not be changed beneath them: whoever comes
//! second, they or the DDL, is refused. Each is written down here or among the commits before it looks for the other.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use stepgate_sql::{Catalog, Facts, Mentioned, SinkKind, Touched};

use super::Database;

/// How many texts of others, and bytes of them, are looked through for one statement of DDL. Of more, whoever pipelines them
/// would keep a thread busy with each DDL that anybody sends: it is refused.
const MAX_LOOKED_AT: usize = 4_096;
const MAX_BYTES_LOOKED_AT: usize = 8 << 20;

/// All that a database's sessions have under way, by numbers.
pub(super) type Acts = BTreeMap<u64, Act>;

/// One of them.
pub(super) struct Act {
    session: u64,
    sql: Bytes,
    catalog: Arc<Catalog>,
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

/// Whether statements do more than their reply says.
pub(crate) fn act(facts: &[Facts]) -> bool {
    let is_open = |kind: SinkKind| kind.is_open() || kind == SinkKind::LargeObject;
    facts.iter().any(|facts| facts.runs_code() || facts.sinks.iter().any(|sink| is_open(sink.kind)))
}

impl Database {
    fn acts(&self) -> MutexGuard<'_, Acts> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session is about to send such a statement, of this text.
    pub(crate) fn acting(self: &Arc<Self>, session: u64, sql: &Bytes, catalog: &Arc<Catalog>) -> Acting {
        let number = self.number();
        let act = Act { session, sql: sql.clone(), catalog: Arc::clone(catalog) };
        self.acts().insert(number, act);
        Acting { database: Arc::clone(self), number }
    }

    /// Whether such a statement of another session hangs on these names.
    pub(crate) fn is_hung_on(&self, session: u64, touched: &Touched) -> bool {
        if *touched == Touched::Nothing {
            return false;
        }
        let others = self.acts();
        let others: Vec<(Bytes, Arc<Catalog>)> = others
            .values()
            .filter(|act| act.session != session)
            .map(|act| (act.sql.clone(), Arc::clone(&act.catalog)))
            .collect();
        let bytes = others.iter().map(|(sql, _)| sql.len()).fold(0, usize::saturating_add);
        if others.len() > MAX_LOOKED_AT || bytes > MAX_BYTES_LOOKED_AT {
            return true;
        }
        others.iter().any(|(sql, catalog)| Mentioned::of(sql, catalog).hangs_on(touched))
    }

    /// Whether another session is changing what hangs on names, and has not committed it.
    pub(crate) fn is_being_changed(&self, session: u64, mentioned: impl FnOnce() -> Mentioned) -> bool {
        let others = self.changing(session);
        !others.is_empty() && {
            let mentioned = mentioned();
            others.iter().any(|touched| mentioned.hangs_on(&touched.touched))
        }
    }
}
