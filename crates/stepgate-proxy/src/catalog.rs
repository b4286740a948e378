//! Reading the catalog.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use stepgate_sql::{
    CATALOG_FINGERPRINT_QUERY, CATALOG_QUERIES, Catalog, LOCKS_QUERY, Rows, SIZES_QUERY,
    TEMPORARY_FINGERPRINT_QUERY, writable_query,
};
use stepgate_store::LogError;
use stepgate_types::RelationName;

use crate::upstream::{connect_at, simple_queries, single_statement};
use crate::{Upstream, UpstreamConfig, UpstreamError, aside, connect, simple_query};

/// The catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The server did not give it.
    #[error("reading the catalog: {0}")]
    Upstream(#[from] UpstreamError),
    /// It could not be read a moment ago: nobody is made to wait for that again so soon.
    #[error("the catalog could not be read a moment ago")]
    Recently,
    /// The database is not behind the gate any more.
    #[error("the database has been closed")]
    Closed,
    /// It does not make sense.
    #[error("reading the catalog: {0}")]
    Invalid(#[from] stepgate_sql::CatalogError),
    /// The gate has failed at it, not the server.
    #[error("reading the catalog: a thread for it cannot be started, or has panicked")]
    Unmade,
    /// Where labels have moved to cannot be kept.
    #[error("keeping labels with their columns: {0}")]
    Bindings(#[from] LogError),
}

impl CatalogError {
    /// Whether somebody else's DDL came between one look and the next: what was about to be read is locked (55P03), or
    /// gone (`could not open relation with OID`, `cache lookup failed`: XX000).
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Upstream(UpstreamError::Server { state, .. }) if matches!(state.as_str(), "55P03" | "XX000"))
    }
}

/// The gate's own settings for reading the catalog: text that reads the same everywhere, and no limit that
/// the database sets for its users.
const SETTINGS: [(&str, &str); 6] = [
    ("application_name", "stepgate catalog"),
    ("client_encoding", "UTF8"),
    ("search_path", "pg_catalog"),
    ("statement_timeout", "30000"),
    // Who locks a view between the look at the locks and the reading of its definition keeps us waiting no longer.
    ("lock_timeout", "1000"),
    // Compiling the queries takes far longer than running them.
    ("jit", "off"),
];

/// Connects as the catalog's reader; for [`load_from`] and [`fingerprint`].
///
/// # Errors
/// See [`UpstreamError`].
pub async fn connect_for_catalog(config: &UpstreamConfig) -> Result<Upstream, UpstreamError> {
    let mut upstream = connect(config, &config.catalog, &settings()).await?;
    refuse_pooler(&mut upstream).await?;
    Ok(upstream)
}

/// The same to the one address that a session is connected to.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn connect_for_catalog_at(
    config: &UpstreamConfig,
    address: SocketAddr,
) -> Result<Upstream, UpstreamError> {
    let mut upstream = connect_at(config, &config.catalog, &settings(), address).await?;
    refuse_pooler(&mut upstream).await?;
    Ok(upstream)
}

fn settings() -> Vec<(String, String)> {
    SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What the gate knows of a session (its search path, prepared statements, temporary tables) is true of one process of
/// the server's. A pooler hands statements of one session to several, and pretends to be a process of its own: the
/// number that it gave at startup is not that of the process that answers. Those that keep a process for each session
/// cannot be told apart from without, and are refused as well.
async fn refuse_pooler(upstream: &mut Upstream) -> Result<(), UpstreamError> {
    let rows = simple_query(upstream, "SELECT pg_catalog.pg_backend_pid()").await?;
    let answers = rows.first().and_then(|row| row.first().cloned().flatten());
    if answers == Some(upstream.pid.to_string()) { Ok(()) } else { Err(UpstreamError::Pooler) }
}

/// Reads the catalog over a connection of its own.
///
/// # Errors
/// See [`CatalogError`].
pub async fn load(config: &UpstreamConfig) -> Result<Catalog, CatalogError> {
    load_from(&mut connect_for_catalog(config).await?, None, None).await
}

/// Reads the catalog in one snapshot. Afterwards the connection is to be used no more if this failed. `before` and `known`:
/// see [`Catalog::from_rows_after`]; `known` was read over this very connection, so that row versions can be compared.
///
/// # Errors
/// See [`CatalogError`].
pub async fn load_from(
    upstream: &mut Upstream,
    before: Option<Arc<Catalog>>,
    known: Option<Arc<Catalog>>,
) -> Result<Catalog, CatalogError> {
    // One snapshot: what one query sees, the next one sees too. And one round trip.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let asked: Vec<_> = CATALOG_QUERIES.iter().map(|query| query.sql_after(known.as_deref())).collect();
    let queries: Vec<&str> =
        [begin].into_iter().chain(asked.iter().map(|sql| &**sql)).chain(["COMMIT"]).collect();
    let answers = simple_queries(upstream, &queries).await?.into_iter().skip(1);
    let results: Vec<(&str, Rows)> = CATALOG_QUERIES.iter().map(|query| query.name).zip(answers).collect();
    let catalog =
        aside::made(move || Catalog::from_rows_after(&results, before.as_deref(), known.as_deref())).await;
    Ok(catalog.ok_or(CatalogError::Unmade)??)
}

/// What changes whenever the catalog does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    relations: String,
    works: String,
    code: String,
    values: String,
    views: String,
}

impl Fingerprint {
    /// Whether functions, types, operators, casts and schemas are the same.
    #[must_use]
    pub fn has_same_code(&self, other: &Self) -> bool {
        self.code == other.code && self.values == other.values
    }

    /// What changes whenever values come to be read, compared or shown otherwise: types, operators, collations.
    #[must_use]
    pub fn values(&self) -> &str {
        &self.values
    }

    /// What changes whenever a view or function becomes another, or its name comes to stand for another.
    #[must_use]
    pub fn definitions(&self) -> String {
        format!("{};{}", self.code, self.views)
    }

    /// What changes whenever any name comes to stand for something else, or what is done with it to something else.
    #[must_use]
    pub fn everything(&self) -> String {
        format!("{};{};{}", self.works, self.code, self.views)
    }
}

/// What changes whenever the catalog does; cheap enough to ask every second.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn fingerprint(upstream: &mut Upstream) -> Result<Fingerprint, UpstreamError> {
    let mut cells = simple_query(upstream, CATALOG_FINGERPRINT_QUERY).await?.into_iter().flatten();
    let mut cell = || cells.next().flatten().unwrap_or_default();
    Ok(Fingerprint { relations: cell(), works: cell(), code: cell(), values: cell(), views: cell() })
}

/// Which server, and which database of it: the same through restarts and failover to a replica, another after
/// `pg_dump` and restore.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ServerIdentity {
    /// `pg_control_system().system_identifier`; empty where the catalog's role may not ask.
    system: String,
    /// `pg_database.oid`.
    database: String,
}

impl ServerIdentity {
    /// Whether no other database has the same one.
    pub(crate) const fn is_certain(&self) -> bool {
        !self.system.is_empty()
    }
}

impl std::fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.system, self.database)
    }
}

/// Asks the server which it is.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn server_identity(upstream: &mut Upstream) -> Result<ServerIdentity, UpstreamError> {
    let system = "select system_identifier::text from pg_catalog.pg_control_system()";
    let system = match one(upstream, system).await {
        Err(UpstreamError::Server { .. }) => String::new(),
        system => system?,
    };
    let database =
        "select oid::text from pg_catalog.pg_database where datname = pg_catalog.current_database()";
    Ok(ServerIdentity { system, database: one(upstream, database).await? })
}

async fn one(upstream: &mut Upstream, query: &str) -> Result<String, UpstreamError> {
    let mut cells = simple_query(upstream, query).await?.into_iter().flatten();
    Ok(cells.next().flatten().unwrap_or_default())
}

/// What changes whenever something temporary does, whosever it is.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn temporary(upstream: &mut Upstream) -> Result<String, UpstreamError> {
    one(upstream, TEMPORARY_FINGERPRINT_QUERY).await
}

/// What somebody has locked for themselves alone.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn locks(upstream: &mut Upstream) -> Result<String, UpstreamError> {
    one(upstream, LOCKS_QUERY).await
}

/// The relations that a role may write.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn writable(
    upstream: &mut Upstream,
    role: &str,
) -> Result<BTreeSet<RelationName>, UpstreamError> {
    let rows = single_statement(upstream, &writable_query(role)).await?;
    let named = rows.into_iter().filter_map(|row| <[Option<String>; 2]>::try_from(row).ok());
    Ok(named.filter_map(|[schema, name]| Some(RelationName::new(&schema?, &name?))).collect())
}

/// For [`in_transaction`]. An id of 32 bits is in progress if the snapshot says so, or has not seen it yet.
const IN_TRANSACTION_QUERY: &str = "SELECT l.pid, pg_catalog.bool_or(l.writes) FROM (\
    SELECT k.pid, k.locktype OPERATOR(pg_catalog.=) 'transactionid' AS has_id, NOT k.granted OR coalesce(\
    k.transactionid::pg_catalog.text::pg_catalog.int8 OPERATOR(pg_catalog.=) ANY (s.xip) OR \
    ((k.transactionid::pg_catalog.text::pg_catalog.int8 OPERATOR(pg_catalog.-) s.xmax OPERATOR(pg_catalog.+) 4294967296) \
    OPERATOR(pg_catalog.%) 4294967296) OPERATOR(pg_catalog.<) 2147483648, false) AS writes \
    FROM pg_catalog.pg_locks k CROSS JOIN (SELECT ARRAY(SELECT x.x::pg_catalog.text::pg_catalog.int8 \
    OPERATOR(pg_catalog.%) 4294967296 FROM pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) x (x)) AS xip, \
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8 \
    OPERATOR(pg_catalog.%) 4294967296 AS xmax) s \
    WHERE k.pid OPERATOR(pg_catalog.=) ANY (ARRAY[{pids}]::pg_catalog.int4[]) AND (NOT k.granted \
    OR (k.mode OPERATOR(pg_catalog.=) 'ExclusiveLock' \
    AND k.locktype OPERATOR(pg_catalog.=) ANY (ARRAY['transactionid', 'virtualxid'])))) l \
    GROUP BY l.pid HAVING pg_catalog.bool_or(l.writes) OR NOT pg_catalog.bool_or(l.has_id)";

/// Those of these server processes that have a transaction of which nothing is seen by others: each holds the lock of its
/// virtual id until it has ended (PostgreSQL documentation, `pg_locks`), and those that have written something that of their
/// transaction's id. The locks outlast the moment at which what is committed is seen, by as much as there is to tell others of
/// (`CommitTransaction` of xact.c), so whether that id is in progress, the snapshot says.
///
/// Whether each has written something, or waits for a lock: who has committed and LISTENs has another transaction, which does
/// neither, before anything is said of the first (`ProcessNotifyInterrupt` of async.c), and has it for as long as others like
/// who NOTIFY.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn in_transaction(
    upstream: &mut Upstream,
    pids: &[i32],
) -> Result<BTreeMap<i32, bool>, UpstreamError> {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let sql = IN_TRANSACTION_QUERY.replace("{pids}", &pids.join(","));
    let rows = single_statement(upstream, &sql).await?;
    let going = |row: Vec<Option<String>>| {
        let [pid, writes] = <[_; 2]>::try_from(row).ok()?;
        Some((pid?.parse().ok()?, writes.as_deref() == Some("t")))
    };
    Ok(rows.into_iter().filter_map(going).collect())
}

/// What changes when tables have grown or shrunk much.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn sizes(upstream: &mut Upstream) -> Result<String, UpstreamError> {
    one(upstream, SIZES_QUERY).await
}
