//! Wildcards of the configuration, and the databases that they stand for.

use stepgate_proxy::{UpstreamConfig, connect, simple_query};

use crate::upstreams;

/// A database that is there on every server unless somebody has dropped it: from there the others are listed.
const MAINTENANCE: &str = "postgres";

/// One that this wildcard stands for at its server, the first by name.
///
/// # Errors
/// The server does not say which there are.
pub(crate) async fn one_of(
    wild: &UpstreamConfig,
    upstreams: &[UpstreamConfig],
) -> Result<Option<UpstreamConfig>, String> {
    let there = upstreams::named(wild, MAINTENANCE);
    let said = |error: stepgate_proxy::UpstreamError| error.to_string();
    let mut connection = connect(&there, &wild.catalog, &[]).await.map_err(said)?;
    let sql = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate \
               AND pg_catalog.has_database_privilege(datname, 'CONNECT') ORDER BY 1";
    let names = simple_query(&mut connection, sql).await.map_err(said)?;
    let names = names.into_iter().filter_map(|row| row.into_iter().next().flatten());
    // A database that an entry of its own has by another name is not the wildcard's.
    let is_free = |name: &str| upstreams.iter().all(|other| other.dbname != name);
    let mut stands_for = names.filter(|name| {
        is_free(name) && upstreams::entry(upstreams, name).is_some_and(|entry| entry.name == wild.name)
    });
    Ok(stands_for.next().map(|name| upstreams::named(wild, &name)))
}
