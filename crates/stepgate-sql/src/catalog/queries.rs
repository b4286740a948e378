/// A query whose answer [`super::Catalog::from_rows`] needs.
#[derive(Debug, Clone, Copy)]
pub struct CatalogQuery {
    /// By which the answer is handed back.
    pub name: &'static str,
    /// Selects text columns only.
    pub sql: &'static str,
}

/// To be run in ONE repeatable-read, read-only transaction with `search_path = pg_catalog`
/// (view definitions are qualified by it). Any role may; PostgreSQL 13 to 18.
pub const CATALOG_QUERIES: &[CatalogQuery] = &[];

/// One text value that changes when anything that [`CATALOG_QUERIES`] reads changes, statistics apart.
pub const CATALOG_FINGERPRINT_QUERY: &str = "select ''::text";
