use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use stepgate_types::{RelationName, quote_ident};

/// What the map needs to know of a catalog.
pub trait Columns {
    /// The columns of this relation, or `None` where there is no such relation.
    fn columns(&self, relation: &RelationName) -> Option<Vec<&str>>;
}

impl Columns for stepgate_sql::Catalog {
    fn columns(&self, relation: &RelationName) -> Option<Vec<&str>> {
        self.columns(relation).map(Iterator::collect)
    }
}

/// How the map's entries for one database fit its catalog. Made anew whenever the catalog or the rules
/// are loaded, and handed to every decision on that database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    pub(crate) alarms: Vec<Alarm>,
    /// Relations of which something is labelled that is not there: statements that reach them are
    /// unknown until map or table is mended.
    pub(crate) doubtful: BTreeSet<RelationName>,
}

impl Bound {
    /// What does not fit; each is to be logged loudly.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// What these relations hold is not known.
    pub fn doubt(&mut self, relations: &BTreeSet<RelationName>) {
        self.doubtful.extend(relations.iter().cloned());
    }
}

/// An entry of the map or the policy that names nothing in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The database, as the gate's configuration names it.
    pub database: String,
    /// The relation that the entry names.
    pub relation: RelationName,
    /// What is missing.
    pub missing: Missing,
}

/// What an entry names in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The relation itself.
    Relation,
    /// This column of it, which has a label.
    Column(String),
    /// This column of it, or the relation itself where none is said; what it labels was renamed, and keeps its labels
    /// under its new name.
    Renamed(Option<String>),
    /// The column that tells whom a row is about.
    SubjectKey(String),
    /// A column that has thresholds.
    Threshold(String),
    /// A column that a rule's `predicate` names, which never matches then.
    Compared {
        /// The column.
        column: String,
        /// The rule.
        rule: String,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, relation, missing } = self;
        write!(f, "database {database}: ")?;
        match missing {
            Missing::Relation => {
                write!(f, "the map lists {relation}, and there is no such relation; was it renamed?")
            }
            Missing::Column(column) => write!(
                f,
                "the map labels {relation}.{}, and there is no such column; until map or table is mended, \
                 statements that reach {relation} are treated as unknown",
                quote_ident(column)
            ),
            Missing::Renamed(None) => {
                write!(
                    f,
                    "{relation} was renamed; what the map labels keeps its labels, but name it anew in the map"
                )
            }
            Missing::Renamed(Some(column)) => write!(
                f,
                "{relation}.{} was renamed and keeps its label, but name it anew in the map",
                quote_ident(column)
            ),
            Missing::Compared { column, rule } => write!(
                f,
                "rule {rule} has a `predicate` on {relation}.{}, and there is no such column; it never matches",
                quote_ident(column)
            ),
            Missing::Threshold(column) => write!(
                f,
                "the map has a threshold of {relation}.{}, and there is no such column; no record tells on which \
                 side of it a statement asks",
                quote_ident(column)
            ),
            Missing::SubjectKey(column) => {
                write!(
                    f,
                    "the subject_key of {relation} is {}, and there is no such column",
                    quote_ident(column)
                )
            }
        }
    }
}
