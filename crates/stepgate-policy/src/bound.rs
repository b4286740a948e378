use std::collections::BTreeSet;

use serde::Serialize;
use stepgate_types::RelationName;

/// What the map needs to know of a catalog.
pub trait Columns {
    /// The columns of this relation, or `None` where there is no such relation.
    fn columns(&self, relation: &RelationName) -> Option<Vec<&str>>;
}

/// How the map's entries for one database fit its catalog. Made anew whenever the catalog or the rules
/// are loaded, and handed to every decision on that database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// What does not fit; each is to be logged loudly.
    pub alarms: Vec<Alarm>,
    /// Relations of which something is labelled that is not there: statements that reach them are
    /// unknown until map or table is mended.
    pub(crate) doubtful: BTreeSet<RelationName>,
}

/// An entry of the map that names nothing in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The database, as the gate's configuration names it.
    pub database: String,
    /// The relation the entry names.
    pub relation: RelationName,
    /// The column that is missing; `None`: the relation itself is.
    pub column: Option<String>,
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { database, relation, column } = self;
        match column {
            Some(column) => write!(
                f,
                "the map labels {relation}.{} of database {database}, and there is no such column: \
                 statements that reach {relation} are treated as unknown until map or table is mended",
                stepgate_types::quote_ident(column)
            ),
            None => {
                write!(f, "the map names {relation} of database {database}, and there is no such relation")
            }
        }
    }
}
