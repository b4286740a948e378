//! Everything that holds rows of its own, for who compares one catalog with another.

use stepgate_types::RelationName;

use super::{Catalog, Relation};

/// A table, foreign table or materialised view.
#[derive(Debug, Clone, Copy)]
pub struct ListedTable<'c> {
    relation: &'c Relation,
}

/// A column of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedColumn<'c> {
    /// `attnum`.
    pub number: i32,
    /// `attname`.
    pub name: &'c str,
    /// OID of its type, and the type's modifier.
    pub of: (u32, i32),
}

impl Catalog {
    /// All of them but the server's own, temporary ones, and partitions and inheriting tables, which hold what their
    /// parents hold.
    pub fn tables(&self) -> impl Iterator<Item = ListedTable<'_>> {
        self.base_relations()
            .map(|(_, relation)| relation)
            .filter(|relation| relation.family.len() <= relation.children.len())
            .filter(|relation| !relation.name.0.schema.starts_with("pg_toast"))
            .map(|relation| ListedTable { relation })
    }
}

impl<'c> ListedTable<'c> {
    /// `pg_class.oid`.
    #[must_use]
    pub const fn oid(&self) -> u32 {
        self.relation.oid
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'c RelationName {
        &self.relation.name.0
    }

    /// Its columns.
    pub fn columns(&self) -> impl Iterator<Item = ListedColumn<'c>> + use<'c> {
        self.relation.columns.iter().map(|column| ListedColumn {
            number: column.number,
            name: &column.name,
            of: (column.of.0, column.of.1),
        })
    }
}
