//! The state of a session that facts depend on.

use std::collections::{BTreeMap, BTreeSet};

use stepgate_types::{ColumnName, RelationName};

use crate::creations::Creations;
use crate::encoding::ClientEncoding;
use crate::taint::{Flow, Taints};

/// As whom a session's statements run: whose rights they have, and which rows row security shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunsAs {
    /// As whom the session began: nothing that could change it was sent.
    #[default]
    AsBegun,
    /// As the server says.
    Told {
        /// `session_user`.
        session: String,
        /// `current_user`.
        current: String,
    },
    /// Something was sent that may have changed it.
    Unsure,
}

/// What facts depend on besides the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionState {
    /// `pg_catalog.current_schemas(true)`: the effective path, implicit schemas included.
    /// `None`: not known at present, and every statement that names a relation or function is unknown.
    pub search_path: Option<Vec<String>>,
    /// The open transaction changed what there is in a way that is not followed: what depends on names is unknown.
    pub moved: bool,
    /// The setting of that name, as reported by ParameterStatus. `false` makes every statement
    /// unreadable, since quotes would mean something else.
    pub standard_conforming_strings: bool,
    /// `DateStyle`, `IntervalStyle` and `TimeZone`, as reported: how literals and values of times are read. No facts depend
    /// on them.
    pub times: [String; 3],
    /// `stepgate.purpose`: what the client says it wants the data for, where that is known and plain. No facts depend on
    /// it, and no rule may take it for true.
    pub purpose: Option<String>,
    /// As whom statements run. No facts depend on it.
    pub runs_as: RunsAs,
    /// A setting may have another value by now than was reported. No facts depend on it.
    pub unsettled: bool,
    /// Settings may have values that no other session has, and that nobody reports. No facts depend on it.
    pub has_settings: bool,
    /// The open transaction may have bound code to a table, which no catalog shows: it runs by whatever is made now.
    pub bound: bool,
    /// Settings that the session began with and that shape results, of which nobody reports the values. No facts depend on
    /// them.
    pub began_with: BTreeMap<String, String>,
    /// The catalog in use may not be what this session's statements see: its open transaction has changed it, or it has not
    /// been read since. No facts depend on it.
    pub altered: bool,
    /// `client_encoding`.
    pub encoding: ClientEncoding,
    /// What relations that all can read hold of labelled columns.
    pub taints: Taints,
    /// What this session's own temporary relations hold.
    pub own_taints: Taints,
    /// Names of temporary relations that this session made, or tried to.
    pub temporaries: BTreeSet<String>,
    /// What its open transaction has made, which no catalog shows.
    pub created: Creations,
}

impl SessionState {
    /// The state of a fresh session with this effective search path.
    #[must_use]
    pub fn with_search_path(path: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            search_path: Some(path.into_iter().map(Into::into).collect()),
            standard_conforming_strings: true,
            encoding: ClientEncoding::Utf8,
            ..Self::default()
        }
    }

    /// What a column holds besides its own.
    pub fn held_by<'s>(&'s self, column: &'s ColumnName) -> impl Iterator<Item = &'s ColumnName> {
        let of_column =
            |flow: &'s Flow| flow.all.iter().chain(flow.each.get(&column.column).into_iter().flatten());
        self.tainted(&column.relation).flat_map(of_column)
    }

    /// What a relation holds besides its own.
    pub(crate) fn tainted<'s>(&'s self, relation: &RelationName) -> impl Iterator<Item = &'s Flow> + use<'s> {
        self.taints.of(relation).chain(self.own_taints.of(relation))
    }
}
