//! Asking the server's planner how many rows a statement gives, where a rule hangs on it.
//!
//! Over connections of its own, as the role that runs people's statements: should planning ever run what it must not
//! run, it does so with no more rights than that role has, and in a transaction that only reads. Nothing of a statement
//! or its plan is logged or kept, and no error of the server's, which may quote literals. Whatever goes wrong, the
//! catalog's bound stands.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stepgate_sql::Question;
use stepgate_types::quote_ident;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::upstream::single_statement;
use crate::{Credentials, Upstream, UpstreamConfig, UpstreamError, connect, simple_query};

/// How long a statement waits for an answer. Planning a query of one table takes a millisecond.
const BOUND: Duration = Duration::from_millis(250);
/// How many questions are asked of one server at a time; whoever finds no turn in time goes without an answer.
const AT_A_TIME: usize = 2;
/// How long an answer that nobody waits for any more may keep its turn: the server gives up after 200 ms.
const GIVE_UP: Duration = Duration::from_secs(5);
/// After a connection could not be made, nobody waits for another one so soon.
const RECENTLY: Duration = Duration::from_secs(1);
/// How long a connection is kept that nobody uses.
const KEEP: Duration = Duration::from_secs(60);

/// The settings of the connections. No constraint and no parallel worker is looked at: the first may run functions, the
/// second divides the rows that a plan shows.
const SETTINGS: [(&str, &str); 13] = [
    ("application_name", "stepgate planner"),
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    ("search_path", "pg_catalog"),
    ("plan_cache_mode", "force_generic_plan"),
    ("statement_timeout", "200"),
    ("lock_timeout", "200"),
    ("idle_in_transaction_session_timeout", "5000"),
    ("default_transaction_read_only", "on"),
    ("constraint_exclusion", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
];

/// The planner of one database.
pub struct Planner {
    turns: Arc<Semaphore>,
    /// Since when, whose, and which.
    idle: Mutex<Vec<(Instant, String, Upstream)>>,
    /// When no connection could be made.
    failed: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").finish_non_exhaustive()
    }
}

impl Default for Planner {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            idle: Mutex::new(Vec::new()),
            failed: Mutex::new(None),
        }
    }
}

impl Planner {
    /// The most rows that the statement gives, as far as the planner knows; `None` if it does not say so in time. `path`
    /// is the effective search path under which the question was put together.
    pub async fn ask(
        self: &Arc<Self>,
        config: &UpstreamConfig,
        role: &Arc<Credentials>,
        question: Question,
        path: &[String],
        sql: &str,
    ) -> Option<u64> {
        let until = Instant::now() + BOUND;
        let turn = timeout_at(until, Arc::clone(&self.turns).acquire_owned()).await.ok()?.ok()?;
        if locked(&self.failed).is_some_and(|failed| failed.elapsed() < RECENTLY) {
            return None;
        }
        let (done, answer) = oneshot::channel();
        let planner = Arc::clone(self);
        let (config, check, sql) = (config.clone(), check(&question, path), explain(sql));
        let role = Arc::clone(role);
        // In a task of its own: a connection that is slow today is there for the next question.
        tokio::spawn(async move {
            let answered = timeout(GIVE_UP, planner.answer((&config, &role), &question, &check, &sql)).await;
            let (rows, connection) = answered.ok().flatten().unzip();
            // Nobody listens any more if it took too long.
            let _ = done.send(rows.flatten());
            if let Some(mut connection) = connection
                && simple_query(&mut connection, "ROLLBACK").await.is_ok()
            {
                locked(&planner.idle).push((Instant::now(), role.user.clone(), connection));
            }
            drop(turn);
        });
        timeout_at(until, answer).await.ok()?.ok().flatten()
    }

    /// Closes what nobody uses.
    pub(crate) fn let_go(&self) {
        locked(&self.idle).clear();
    }

    /// Closes what nobody has used for long.
    pub(crate) fn tidy(&self) {
        locked(&self.idle).retain(|(used, ..)| used.elapsed() < KEEP);
    }

    /// The answer, if there is one, and the connection that it came over, whose transaction is still open.
    async fn answer(
        &self,
        (config, role): (&UpstreamConfig, &Credentials),
        question: &Question,
        check: &str,
        sql: &str,
    ) -> Option<(Option<u64>, Upstream)> {
        loop {
            let known = self.idle_of(&role.user);
            let is_known = known.is_some();
            let mut connection = match known {
                Some(connection) => connection,
                None => self.connect(config, role).await?,
            };
            match estimate(&mut connection, question, check, sql).await {
                Ok(rows) => return Some((rows, connection)),
                // The server has closed it in the meantime.
                Err(_) if is_known => {}
                Err(_) => return None,
            }
        }
    }

    fn idle_of(&self, user: &str) -> Option<Upstream> {
        let mut idle = locked(&self.idle);
        let place = idle.iter().rposition(|(_, whose, _)| whose == user)?;
        Some(idle.swap_remove(place).2)
    }

    async fn connect(&self, config: &UpstreamConfig, role: &Credentials) -> Option<Upstream> {
        let settings: Vec<_> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let connection = async {
            let mut connection = connect(config, role, &settings).await?;
            // Planned once: that takes ten times as long as running it.
            simple_query(&mut connection, CHECK).await.map(|_| connection)
        };
        let connection = connection.await;
        *locked(&self.failed) = connection.is_err().then(Instant::now);
        if let Err(error) = &connection {
            tracing::warn!(database = %config.name, %error, "no connection to ask the planner over");
        }
        connection.ok()
    }
}

/// Asks over a connection, which is of no use after an error.
async fn estimate(
    connection: &mut Upstream,
    question: &Question,
    check: &str,
    sql: &str,
) -> Result<Option<u64>, UpstreamError> {
    let rows = known(simple_query(connection, check).await)?;
    Ok(match cell(rows).and_then(|rows| rows.parse().ok()) {
        Some(rows) => {
            let plan = cell(known(single_statement(connection, sql).await)?);
            plan.and_then(|plan| planned(&plan)).map(|planned| question.at_most(planned, rows))
        }
        None => None,
    })
}

type Rows = Vec<Vec<Option<String>>>;

/// No rows where the server refused. What it said is not kept.
fn known(rows: Result<Rows, UpstreamError>) -> Result<Rows, UpstreamError> {
    match rows {
        Err(UpstreamError::Server { .. }) => Ok(Vec::new()),
        rows => rows,
    }
}

fn cell(rows: Rows) -> Option<String> {
    rows.into_iter().flatten().next().flatten()
}

fn explain(sql: &str) -> String {
    // A comment at the end of the text must not take anything of ours with it: nothing follows.
    format!("EXPLAIN (FORMAT JSON) {sql}")
}

/// The most rows of any node of a plan: LIMIT, OFFSET and grouping make them fewer, and what they leave is known from
/// the statement, or asks for more than a share of the table.
fn planned(plan: &str) -> Option<u64> {
    let plan: serde_json::Value = serde_json::from_str(plan).ok()?;
    most(plan.get(0)?.get("Plan")?)
}

fn most(node: &serde_json::Value) -> Option<u64> {
    let rows = node.get("Plan Rows")?.as_u64()?;
    let below = node.get("Plans").and_then(serde_json::Value::as_array).into_iter().flatten();
    below.map(most).try_fold(rows, |rows, below| Some(rows.max(below?)))
}

/// Begins a transaction, and gives the table's number of rows if all that it brings into planning is the server's own
/// and there are statistics of what is compared. From then on names are found by `path`.
///
/// Not waited for: whoever has locked the table, since a question that is cut short would be in the server's log as an
/// error, with its text.
fn check(question: &Question, path: &[String]) -> String {
    let relation = &question.relation;
    let table = format!("{}.{}", quote_ident(&relation.schema), quote_ident(&relation.name));
    let path: Vec<_> = path.iter().map(|schema| quoted_ident(schema)).collect();
    format!(
        "BEGIN READ ONLY; LOCK TABLE {table} IN ACCESS SHARE MODE NOWAIT; \
         EXECUTE is_known ({}, {}, {}, {}, {}); SET LOCAL search_path = {}",
        literal(&table),
        literal(&relation.schema),
        literal(&relation.name),
        array(&question.columns),
        array(&question.functions),
        path.join(", "),
    )
}

/// What planning a query of one table runs besides what the query says: policies, types, expressions of indexes and
/// statistics, access methods. 16384 is the first OID that is not initdb's (`FirstNormalObjectId`). And of all columns that
/// are compared, values were counted: there are none of long ones (`WIDTH_THRESHOLD` of analyze.c). Nor is a plan believed
/// that takes the table for half as large as it is.
const CHECK: &str = "\
prepare is_known (text, name, name, name[], name[]) as \
select (c.reltuples * greatest(1, pg_relation_size(c.oid)::float8 / current_setting('block_size')::float8 \
    / greatest(c.relpages, 1)))::int8 \
from pg_class c \
where c.oid = $1::regclass and c.relkind in ('r', 'm') and c.relpersistence <> 't' \
    and c.reltuples * 2 >= pg_stat_get_live_tuples(c.oid) and not c.relrowsecurity and not c.relhassubclass and not c.relispartition and c.reltuples > 0 \
    and not exists (select from pg_inherits i where i.inhrelid = c.oid) \
    and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
        and (a.atttypid >= 16384 or a.attgenerated = 'v')) \
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid \
        and d.refclassid not in ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_namespace'::regclass)) \
    and not exists (select from pg_index x, pg_depend d where x.indrelid = c.oid \
        and d.classid = 'pg_class'::regclass and d.objid = x.indexrelid \
        and d.refclassid not in ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_namespace'::regclass)) \
    and not exists (select from pg_statistic_ext x, pg_depend d where x.stxrelid = c.oid \
        and d.classid = 'pg_statistic_ext'::regclass and d.objid = x.oid \
        and d.refclassid not in ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_namespace'::regclass)) \
    and not exists (select from pg_operator o where o.oid >= 16384 and o.oprleft < 16384 and o.oprright < 16384) \
    and not exists (select from pg_cast k where k.oid >= 16384 and k.castsource < 16384 \
        and (k.castcontext = 'i' or k.casttarget < 16384)) \
    and not exists (select from pg_proc p where p.oid >= 16384 and p.proname = any ($5)) \
    and (select count(*) from pg_stats s where s.schemaname = $2 and s.tablename = $3 and not s.inherited \
        and s.attname = any ($4) and s.avg_width < 512 \
        and (s.histogram_bounds is not null or s.most_common_vals is not null or s.null_frac = 1)) \
        = cardinality($4)";

fn array(names: &BTreeSet<String>) -> String {
    let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
    format!("array[{}]::name[]", names.join(", "))
}

/// By `standard_conforming_strings`, which the connection has on.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn quoted_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A panic elsewhere leaves a list or a moment behind, either of which is as good as before.
fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_rows_of_a_plan_are_those_below_its_limit() {
        let plan = r#"[{"Plan": {"Node Type": "Limit", "Plan Rows": 5, "Plans": [
            {"Node Type": "Bitmap Heap Scan", "Plan Rows": 70, "Plans": [
                {"Node Type": "Bitmap Index Scan", "Plan Rows": 90}]}]}}]"#;
        assert_eq!(planned(plan), Some(90));
        for unreadable in ["", "[]", r#"[{"Plan": {}}]"#, r#"[{"Plan": {"Plan Rows": 1, "Plans": [{}]}}]"#] {
            assert_eq!(planned(unreadable), None, "{unreadable}");
        }
    }
}
