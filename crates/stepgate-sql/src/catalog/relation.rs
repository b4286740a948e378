use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use stepgate_types::RelationName;

use super::index::Index;
use super::routine::Body;
use super::trigger::Trigger;
use crate::predicate::Pair;

/// Position of a relation in the snapshot.
pub(crate) type RelationIndex = usize;

/// A base column: relation and position of the column in it.
pub(crate) type ColumnRef = (RelationIndex, usize);

/// A row of pg_class, with all that analysis asks about it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Relation {
    /// 0 where a session made it and the server did not say.
    pub(crate) oid: u32,
    pub(crate) name: Name,
    pub(crate) kind: RelationKind,
    /// `reltuples`, where it was ever counted.
    pub(crate) rows: Option<u64>,
    pub(crate) columns: Vec<Column>,
    pub(crate) column_index: HashMap<String, usize>,
    /// Ancestors and descendants by partitioning or inheritance: they hold the same data.
    pub(crate) family: Vec<RelationIndex>,
    /// Descendants alone.
    pub(crate) children: Vec<RelationIndex>,
    /// What it tells of a row that it is among the partitions or children: what those beneath keep apart.
    pub(crate) parts: Vec<ColumnRef>,
    /// What it tells of a row that it is here: what those above keep apart, or its own checks as a child.
    pub(crate) apart: Vec<ColumnRef>,
    /// Base columns that the definition of a view or materialised view names, views seen through; of a table
    /// that a session made, those it was filled from.
    pub(crate) reads: Vec<ColumnRef>,
    /// Of a view whose columns are told apart (`Column::reads`): `reads` is what it reads besides.
    pub(crate) split: bool,
    /// The server makes the view part of the query that reads it: none of its columns is computed unless that asks for it.
    pub(crate) merged: bool,
    /// Views that the definition of a view names. `None`: it is not known which.
    pub(crate) views: Option<Vec<RelationIndex>>,
    /// How such a view compares what it reads besides: all of it.
    pub(crate) compared: Vec<(ColumnRef, Vec<Pair>)>,
    /// Base relations that it names.
    pub(crate) reads_relations: Vec<RelationIndex>,
    /// Columns that its row security policies read, its own among them.
    pub(crate) policy_reads: Vec<ColumnRef>,
    /// A view or policy whose definition calls or reads what is not known to be harmless.
    pub(crate) doubtful: bool,
    /// Writing it runs rules, triggers or functions that are not known.
    pub(crate) writes_run_code: bool,
    /// What writing it runs, and stores in it: defaults and generated columns that call something.
    pub(crate) on_write: Vec<Arc<Body>>,
    /// What writing it runs besides: checks, its own and its types', expressions of indexes.
    pub(crate) on_check: Vec<Arc<Body>>,
    /// Its triggers, those that are not known apart.
    pub(crate) triggers: Vec<Trigger>,
    /// An index, constraint or partition key computes an expression over what is written, which may fail by it.
    pub(crate) computes: bool,
    /// Functions of the server's that the definition of a view calls, views seen through, by which it gives in each session
    /// what was set or done there.
    pub(crate) of_session: BTreeSet<&'static str>,
    /// The definition of a view locks rows, or may, views seen through.
    pub(crate) locks: bool,
    /// What the definition of a view or materialised view runs, views seen through.
    pub(crate) on_show: Vec<Arc<Body>>,
    /// What reading it runs: its policies and, where a literal becomes a value of one of its columns' types, the checks of
    /// domains.
    pub(crate) on_read: Vec<Arc<Body>>,
    /// Of that, what its columns' types run.
    pub(crate) on_literal: Vec<Arc<Body>>,
    /// Of that, what its policies run.
    pub(crate) on_policy: Vec<Arc<Body>>,
    /// An UPDATE may fail on a partition bound or policy, with an error that shows the row.
    pub(crate) bounded: bool,
    /// Columns (positions) of each unique or exclusion constraint: writing them tells whether a value is there.
    pub(crate) unique: Vec<Unique>,
    /// Of those, the columns of such as are unique no sooner than at the end of a statement or transaction.
    pub(crate) deferred: Vec<Vec<usize>>,
    /// Columns of its indexes, also in expressions and conditions.
    pub(crate) indexed: Vec<usize>,
    /// Indexes in whose order rows may come though nobody names all of their columns.
    pub(crate) indexes: Vec<Index>,
    /// Columns of each check constraint: a failure shows the row.
    pub(crate) checks: Vec<Vec<usize>>,
    /// What each expression of an index or a stored column is computed from, where that may fail: the error shows it.
    pub(crate) computed: Vec<Vec<usize>>,
    /// The same of statistics, which ANALYZE computes.
    pub(crate) sampled: Vec<usize>,
    /// What expressions of its indexes, checks and statistics name.
    pub(crate) reread: Reread,
    /// Names of indexes that are not valid, and whose building fails by what is in the rows, and shows it.
    pub(crate) invalid: Vec<String>,
    /// Foreign keys from this relation: own columns, and those referred to.
    pub(crate) refers: Vec<(Vec<usize>, Vec<ColumnRef>)>,
    /// Foreign keys to this relation.
    pub(crate) referred: Vec<Referred>,
}

/// What stored expressions name of which somebody has another by the name. Where a column gets another type, the server
/// prints those that are over it, and parses them anew (tablecmds.c, `ATPostAlterTypeParse`).
#[derive(Debug, Default, Clone)]
pub(crate) struct Reread {
    /// Functions.
    pub(crate) functions: BTreeSet<Box<str>>,
    /// Operators.
    pub(crate) operators: BTreeSet<Box<str>>,
    /// They cast, and there are casts of somebody's own.
    pub(crate) casts: bool,
}

/// A unique or exclusion constraint.
#[derive(Debug, Clone)]
pub(crate) struct Unique {
    /// Positions of the columns that it names, also in expressions and conditions.
    pub(crate) columns: Vec<usize>,
    /// It compares columns, and by the server's own `=` alone.
    pub(crate) plain: bool,
}

/// A foreign key, from the side of what it refers to.
#[derive(Debug, Clone)]
pub(crate) struct Referred {
    /// Columns referred to, and those that refer, in the same order.
    pub(crate) own: Vec<usize>,
    pub(crate) theirs: Vec<ColumnRef>,
    pub(crate) on_delete: Action,
    pub(crate) on_update: Action,
}

/// What becomes of rows that refer (`pg_constraint.confdeltype`, `confupdtype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// NO ACTION, RESTRICT: the statement fails.
    Refuse,
    Cascade,
    /// SET NULL, SET DEFAULT.
    Set,
}

impl Action {
    pub(crate) fn of(code: &str) -> Self {
        match code {
            "c" => Self::Cascade,
            "n" | "d" => Self::Set,
            _ => Self::Refuse,
        }
    }
}

/// A name that exists from the start (for `Default`).
#[derive(Debug, Clone)]
pub(crate) struct Name(pub(crate) RelationName);

impl Default for Name {
    fn default() -> Self {
        Self(RelationName::new("", ""))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `attnum`; columns may have been dropped before it.
    pub(crate) number: i32,
    pub(crate) not_null: bool,
    pub(crate) of: ColumnType,
    /// What it has where an INSERT does not say, as the server prints it; of a column that is NOT NULL.
    pub(crate) default: Option<Arc<str>>,
    /// Of a generated column: positions of the columns it is computed from.
    pub(crate) sources: Vec<usize>,
    /// Of a view or materialised view: the columns that it shows, or is computed from.
    pub(crate) reads: Vec<ColumnRef>,
    /// How its expression compares them.
    pub(crate) compared: Vec<(ColumnRef, Vec<Pair>)>,
    /// The only one of them, if it is shown as it is.
    pub(crate) shows: Option<ColumnRef>,
}

impl Column {
    /// One of which nothing is known but what pg_attribute has.
    pub(super) fn new(name: &str, number: i32, not_null: bool, of: ColumnType) -> Self {
        let (name, sources, reads, compared) = (name.to_owned(), Vec::new(), Vec::new(), Vec::new());
        Self { name, number, not_null, of, default: None, sources, reads, compared, shows: None }
    }
}

/// The type of a column, by OID, and its modifier (a length, a precision), -1 if it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ColumnType(pub(crate) u32, pub(crate) i32);

/// OIDs of pg_type.dat.
const TEXTS: [ColumnType; 2] = [ColumnType(25, -1), ColumnType(1043, -1)];
const JSON: [ColumnType; 2] = [ColumnType(114, -1), ColumnType(3802, -1)];

impl ColumnType {
    /// Whether it is text of any length: every value can be stored in it.
    pub(crate) fn is_text(self) -> bool {
        TEXTS.contains(&self)
    }

    /// Whether a number, stored in it, is the same number, apart from digits that it rounds: integers, floats, numeric
    /// of no negative scale, text.
    pub(crate) fn keeps_numbers(self) -> bool {
        const NUMERIC: u32 = 1700;
        // numeric.c, `numeric_typmod_scale`.
        let has_scale_below_zero = |modifier: i32| modifier >= 4 && (modifier - 4) & 0x400 != 0;
        match self {
            Self(NUMERIC, modifier) => !has_scale_below_zero(modifier),
            Self(of, _) => matches!(of, 20 | 21 | 23 | 25 | 700 | 701 | 1043),
        }
    }

    pub(crate) fn is_json(self) -> bool {
        JSON.contains(&self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RelationKind {
    /// Table, partitioned table, foreign table.
    #[default]
    Table,
    View,
    MaterialisedView,
    Sequence,
}

impl Relation {
    /// Whether it belongs to the server itself.
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.name.0.schema.as_str(), "pg_catalog" | "information_schema")
    }

    /// Whether its columns are base columns (DESIGN §7).
    pub(crate) fn is_base(&self) -> bool {
        matches!(self.kind, RelationKind::Table | RelationKind::MaterialisedView) && !self.is_system()
    }

    /// Whether writing it runs anybody's code.
    pub(crate) fn runs_code(&self) -> bool {
        self.writes_run_code
            || !self.on_write.is_empty()
            || !self.on_check.is_empty()
            || !self.triggers.is_empty()
    }

    /// Whether writing it, or planning a query of it, runs code.
    pub(crate) fn has_code(&self) -> bool {
        self.runs_code() || !self.on_read.is_empty()
    }

    /// Whether what is computed of the rows that it has runs code: expressions and conditions of indexes, statistics. Neither
    /// triggers nor defaults, which only rows that are written have run.
    pub(crate) fn computes_by_code(&self) -> bool {
        !self.on_check.is_empty() || !self.on_read.is_empty()
    }

    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.column_index.get(name).copied()
    }

    /// Whether the columns have the same names and numbers.
    pub(crate) fn has_same_columns(&self, other: &Self) -> bool {
        let named = |it: &Self| {
            it.columns.iter().map(|column| (column.number, column.name.clone())).collect::<Vec<_>>()
        };
        named(self) == named(other)
    }

    /// Positions of these attribute numbers; all columns where one is an expression (0) that names none.
    pub(crate) fn positions(&self, numbers: &[i32]) -> Vec<usize> {
        let mut found: Vec<usize> = (0..self.columns.len())
            .filter(|at| self.columns.get(*at).is_some_and(|column| numbers.contains(&column.number)))
            .collect();
        if found.is_empty() {
            found = (0..self.columns.len()).collect();
        }
        found
    }
}
