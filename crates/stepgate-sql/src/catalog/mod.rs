//! An immutable snapshot of what the server's catalog says.

mod queries;

use stepgate_types::RelationName;

pub use queries::{CATALOG_FINGERPRINT_QUERY, CATALOG_QUERIES, CatalogQuery};

/// What the server's catalog said at one moment. Immutable; share it in an `Arc`.
#[derive(Debug, Default)]
pub struct Catalog {
    names: Vec<(RelationName, Vec<String>)>,
}

/// Rows of one query: text or NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// The answers to [`CATALOG_QUERIES`] do not fit them: the loader's mistake.
#[derive(Debug, thiserror::Error)]
#[error("catalog query {query}: unexpected row")]
pub struct CatalogError {
    /// Name of the query whose answer is missing or malformed.
    pub query: &'static str,
}

impl Catalog {
    /// A snapshot from the answers to [`CATALOG_QUERIES`], by query name.
    ///
    /// # Errors
    ///
    /// If an answer is missing or a row does not have the columns the query selects.
    pub fn from_rows(results: &[(&str, Rows)]) -> Result<Self, CatalogError> {
        let _ = results;
        Ok(Self::default())
    }

    /// Whether there is a relation of that name.
    #[must_use]
    pub fn relation_exists(&self, name: &RelationName) -> bool {
        self.names.iter().any(|(known, _)| known == name)
    }

    /// The columns of a relation, in order.
    #[must_use]
    pub fn columns(&self, name: &RelationName) -> Option<impl Iterator<Item = &str>> {
        self.names
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, columns)| columns.iter().map(String::as_str))
    }
}
