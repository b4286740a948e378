//! What a statement does to which column: kinds, uses, certainty, bulk shape (DESIGN §2).

use serde::{Deserialize, Serialize};

/// What a statement is, coarsely; the word that policy files, records and `analyze` use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant is the SQL command of its name")]
pub enum Kind {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    CopyOut,
    CopyIn,
    /// DECLARE, FETCH, MOVE, CLOSE.
    Cursor,
    Prepare,
    Execute,
    Call,
    Do,
    Explain,
    Ddl,
    /// BEGIN, COMMIT, ROLLBACK, SAVEPOINT and kin.
    Transaction,
    /// SET, RESET, SHOW, DISCARD, DEALLOCATE, LISTEN and kin.
    Session,
    /// VACUUM, ANALYZE, REINDEX and kin.
    Utility,
    /// Changes who may do what: roles, passwords, grants, publications, subscriptions, servers, user
    /// mappings. Denied unless a rule names it.
    Control,
    /// No statement at all: white space, comments, a lone semicolon.
    Empty,
    /// Could not be read.
    Unknown,
}

impl Kind {
    /// Every kind, in the order of DESIGN §2.
    pub const ALL: [Self; 20] = [
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Merge,
        Self::CopyOut,
        Self::CopyIn,
        Self::Cursor,
        Self::Prepare,
        Self::Execute,
        Self::Call,
        Self::Do,
        Self::Explain,
        Self::Ddl,
        Self::Transaction,
        Self::Session,
        Self::Utility,
        Self::Control,
        Self::Empty,
        Self::Unknown,
    ];

    /// Whether PREPARE takes it: a query, or what writes rows.
    #[must_use]
    pub const fn is_preparable(self) -> bool {
        matches!(self, Self::Select | Self::Insert | Self::Update | Self::Delete | Self::Merge)
    }

    /// Whether there is a statement within one of this kind, or may be, by its form; besides, what is preparable may write in a
    /// WITH.
    #[must_use]
    pub const fn holds_others(self) -> bool {
        matches!(self, Self::CopyOut | Self::Cursor | Self::Execute | Self::Explain | Self::Ddl)
    }

    /// Whether one of this kind may run within another.
    #[must_use]
    pub const fn runs_within(self) -> bool {
        self.is_preparable() || matches!(self, Self::Execute | Self::Ddl)
    }

    /// The word used in files and records, for example `copy-out`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::CopyOut => "copy-out",
            Self::CopyIn => "copy-in",
            Self::Cursor => "cursor",
            Self::Prepare => "prepare",
            Self::Execute => "execute",
            Self::Call => "call",
            Self::Do => "do",
            Self::Explain => "explain",
            Self::Ddl => "ddl",
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Utility => "utility",
            Self::Control => "control",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a statement uses a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Its value, or something computed from it, can reach the result.
    Output,
    /// It decides which rows take part (WHERE, JOIN … ON, HAVING, LIMIT), or whether a write fails (keys, checks).
    Predicate,
    /// GROUP BY, DISTINCT, PARTITION BY, set operations.
    Grouping,
    /// ORDER BY, also of windows and aggregates.
    Ordering,
    /// It is assigned (INSERT, UPDATE, COPY FROM); nothing of it is read.
    Write,
    /// Read without showing: a constraint check, a trigger, an index expression, an error text.
    Hidden,
}

impl Use {
    /// The word used in files and records, for example `output`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Predicate => "predicate",
            Self::Grouping => "grouping",
            Self::Ordering => "ordering",
            Self::Write => "write",
            Self::Hidden => "hidden",
        }
    }
}

/// How far the facts of a statement can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The columns are exactly those PostgreSQL reads.
    Exact,
    /// A sound over-approximation: nothing read is missing.
    Over,
    /// Something could not be read or resolved; risky by definition.
    Unknown,
}

impl Certainty {
    /// The word used in records and `analyze`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Over => "over",
            Self::Unknown => "unknown",
        }
    }
}

/// Who estimated how many rows a statement returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// The gate, from the catalog's row counts and the statement's shape: an upper bound of what was last counted.
    #[default]
    Catalog,
    /// Whoever wrote the statement: by LIMIT, FETCH or the number of rows in VALUES.
    Statement,
    /// The server's planner, by its statistics of columns.
    Planner,
}

/// Why a statement counts as an export in bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BulkShape {
    /// It does not.
    #[default]
    None,
    /// COPY … TO.
    Copy,
    /// Reads a table with neither restriction nor small limit.
    WholeTable,
    /// A cursor over such a query.
    Cursor,
    /// A LIMIT too large to count as one.
    LargeLimit,
}

impl BulkShape {
    /// The word used in records and `analyze`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Copy => "copy",
            Self::WholeTable => "whole-table",
            Self::Cursor => "cursor",
            Self::LargeLimit => "large-limit",
        }
    }
}
