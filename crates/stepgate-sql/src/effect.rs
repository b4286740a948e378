//! What a statement changes for those that follow.

use std::collections::BTreeSet;

use serde::Serialize;
use stepgate_types::ColumnName;

use crate::encoding::ClientEncoding;

/// What a statement may change that the analysis of later statements depends on. Over-approximated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// search_path, role, settings: the session's state must be read from the server again.
    pub session: bool,
    /// Objects of the database: the catalog must be loaded again.
    pub catalog: bool,
    /// Ends, begins or partly undoes a transaction.
    pub transaction: bool,
    /// Gives what there is another name, or makes functions: what names mean now says nothing of what they mean
    /// afterwards, until a catalog does.
    #[serde(skip)]
    pub moves: bool,
    /// May bind code of somebody's own to a table that the server runs outside of any session.
    #[serde(skip)]
    pub binds: bool,
    /// Has transactions see one snapshot from their first query to their end, or may have.
    #[serde(skip)]
    pub isolation: Isolation,
    /// Gives settings other values, or may.
    #[serde(skip)]
    pub settings: Settings,
    /// Names a prepared statement or a cursor that the extended protocol could use as well
    /// (PREPARE, DECLARE).
    pub names: BTreeSet<String>,
    /// The prepared statements or cursors that are gone once it has run (DEALLOCATE, CLOSE, DISCARD).
    #[serde(skip)]
    pub closes: Closes,
    /// It is a LISTEN: the server does something of its own in this session for whoever sends a NOTIFY.
    #[serde(skip)]
    pub listens: bool,
    /// It is a PREPARE TRANSACTION: whoever says that name may commit later what its transaction has done.
    #[serde(skip)]
    pub prepares: bool,
    /// It sets `client_encoding`.
    #[serde(skip)]
    pub encoding: Option<ClientEncoding>,
    /// The cursor that it declares outlives the transaction (WITH HOLD).
    #[serde(skip)]
    pub holds: bool,
    /// The prepared statement or cursor that it goes on with (EXECUTE, FETCH, MOVE, WHERE CURRENT OF), where nothing
    /// else in it is unknown: whoever knows what that name stands for knows this statement.
    pub refers: Option<String>,
    /// The relation that it makes, where its columns are known for certain.
    pub creates: Option<Created>,
    /// The relations that it drops and, if that is all it does, nothing with them: their names without schemas.
    #[serde(skip)]
    pub drops: Vec<String>,
    /// The relation, by its name without schema, to which it adds an index of plain columns, if that is all it does.
    #[serde(skip)]
    pub indexes: Option<String>,
}

/// Which settings may have another value by now that the same bytes may mean something else by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Settings {
    /// None: timeouts, costs, and what else changes no result.
    #[default]
    Indifferent,
    /// Those that had their usual values anyway, unless the session began with others.
    Usual,
    /// Those that the server reports, with its next ReadyForQuery (`DateStyle`, `TimeZone`), or all as the session began.
    Reported,
    /// Others, of which nobody hears again.
    Unreported,
}

/// Which transactions may come to see one snapshot from their first query to their end (REPEATABLE READ, SERIALIZABLE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Isolation {
    /// All are as they were.
    #[default]
    AsBefore,
    /// The one that is open or begun.
    This,
    /// That one and those that follow.
    Later,
}

/// Names that a statement gives up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Closes {
    /// None.
    #[default]
    Nothing,
    /// A prepared statement.
    Statement(String),
    /// A cursor.
    Cursor(String),
    /// All prepared statements.
    Statements,
    /// All cursors.
    Cursors,
    /// All of both.
    All,
}

/// A table or view that a statement makes. What it holds is what its statement reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Created {
    /// As named: `schema.name` or `name`.
    pub name: Vec<String>,
    /// A view, not a table.
    pub view: bool,
    /// In the session's temporary schema.
    pub temporary: bool,
    /// By that name there is afterwards this and nothing else: not with IF NOT EXISTS, unless it is temporary.
    #[serde(skip)]
    pub sure: bool,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// The base columns that each holds, as far as they can be told apart; else each holds all that is put out.
    pub holds: Option<Vec<BTreeSet<ColumnName>>>,
    /// Names of the functions that its checks and defaults call.
    #[serde(skip)]
    pub calls: BTreeSet<String>,
}
