//! Reading the catalog.

use stepgate_sql::{CATALOG_FINGERPRINT_QUERY, CATALOG_QUERIES, Catalog, Rows};

use crate::{Upstream, UpstreamConfig, UpstreamError, connect, simple_query};

/// The catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The server did not give it.
    #[error("reading the catalog: {0}")]
    Upstream(#[from] UpstreamError),
    /// It could not be read a moment ago: nobody is made to wait for that again so soon.
    #[error("the catalog could not be read a moment ago")]
    Recently,
    /// It does not make sense.
    #[error("reading the catalog: {0}")]
    Invalid(#[from] stepgate_sql::CatalogError),
}

/// The gate's own settings for reading the catalog: text that reads the same everywhere, and no limit that
/// the database sets for its users.
const SETTINGS: [(&str, &str); 6] = [
    ("application_name", "stepgate catalog"),
    ("client_encoding", "UTF8"),
    ("search_path", "pg_catalog"),
    ("statement_timeout", "30000"),
    // Definitions of views and policies cannot be read while somebody has locked what they are of.
    ("lock_timeout", "1000"),
    // Compiling the queries takes far longer than running them.
    ("jit", "off"),
];

/// Connects as the catalog's reader; for [`load_from`] and [`fingerprint`].
///
/// # Errors
/// See [`UpstreamError`].
pub async fn connect_for_catalog(config: &UpstreamConfig) -> Result<Upstream, UpstreamError> {
    let settings: Vec<_> =
        SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    connect(config, &config.catalog, &settings).await
}

/// Reads the catalog over a connection of its own.
///
/// # Errors
/// See [`CatalogError`].
pub async fn load(config: &UpstreamConfig) -> Result<Catalog, CatalogError> {
    load_from(&mut connect_for_catalog(config).await?).await
}

/// Reads the catalog in one snapshot. Afterwards the connection is to be used no more if this failed.
///
/// # Errors
/// See [`CatalogError`].
pub async fn load_from(upstream: &mut Upstream) -> Result<Catalog, CatalogError> {
    // One snapshot: what one query sees, the next one sees too.
    simple_query(upstream, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut results: Vec<(&str, Rows)> = Vec::with_capacity(CATALOG_QUERIES.len());
    for query in CATALOG_QUERIES {
        results.push((query.name, simple_query(upstream, query.sql).await?));
    }
    simple_query(upstream, "COMMIT").await?;
    Ok(Catalog::from_rows(&results)?)
}

/// What changes whenever the catalog does; cheap enough to ask every second.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn fingerprint(upstream: &mut Upstream) -> Result<String, UpstreamError> {
    let rows = simple_query(upstream, CATALOG_FINGERPRINT_QUERY).await?;
    // However many columns and rows: all of it is the fingerprint.
    let cells = rows.into_iter().map(|row| {
        row.into_iter()
            .map(|cell| cell.unwrap_or_else(|| "\u{1}".to_owned()))
            .collect::<Vec<_>>()
            .join("\u{2}")
    });
    Ok(cells.collect::<Vec<_>>().join("\u{3}"))
}
