//! Names of relations and columns, shown as PostgreSQL would print them.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::keyword::is_quoted_keyword;

/// An identifier as PostgreSQL's `quote_ident` prints it: bare where it may be, else in double quotes
/// (`src/backend/utils/adt/ruleutils.c`, `quote_identifier`).
#[must_use]
pub fn quote_ident(name: &str) -> Cow<'_, str> {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_');
    let goes_on_well = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if starts_well && goes_on_well && !is_quoted_keyword(name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{}\"", name.replace('"', "\"\"")))
    }
}

/// A relation of a database, by the names the catalog has for it (never folded or quoted again).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationName {
    /// `pg_namespace.nspname`.
    pub schema: String,
    /// `pg_class.relname`.
    pub name: String,
}

impl RelationName {
    /// The relation `schema.name`.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnName {
    /// Its relation.
    pub relation: RelationName,
    /// `pg_attribute.attname`.
    pub column: String,
}

impl ColumnName {
    /// The column `relation.column`.
    pub fn new(relation: RelationName, column: impl Into<String>) -> Self {
        Self { relation, column: column.into() }
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.relation, quote_ident(&self.column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted_as_postgresql_quotes_them() {
        for (name, shown) in [
            ("customers", "customers"),
            ("Sales Ops", "\"Sales Ops\""),
            ("order", "\"order\""),
            ("a\"b", "\"a\"\"b\""),
            ("", "\"\""),
            ("1st", "\"1st\""),
            ("straße", "\"straße\""),
            ("name", "name"),
            ("user", "\"user\""),
            ("int", "\"int\""),
            ("a$", "\"a$\""),
        ] {
            assert_eq!(quote_ident(name), shown);
        }
    }
}
