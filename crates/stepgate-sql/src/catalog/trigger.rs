//! Triggers, and what they do step by step.

use std::sync::Arc;

use super::routine::{Body, Path};

/// `pg_trigger.tgtype` (catalog/pg_trigger.h).
const BEFORE: u16 = 2;
pub(crate) const INSERT: u16 = 4;
pub(crate) const DELETE: u16 = 8;
pub(crate) const UPDATE: u16 = 16;
pub(super) const ANY: u16 = INSERT | DELETE | UPDATE;

/// A trigger that is seen through.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) kind: u16,
    /// Schema and name of its function, unless that is the server's own.
    pub(crate) calls: Option<(Box<str>, Box<str>)>,
    /// WHEN, and what its function does: shared by the triggers of one function.
    pub(crate) when: Arc<[Step]>,
    pub(crate) does: Arc<[Step]>,
}

/// Something that a trigger does.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) act: Act,
    /// By which events it may be reached, as far as `TG_OP` tells.
    pub(crate) events: u16,
    /// The statement, or SELECT of the expressions.
    pub(crate) body: Arc<Body>,
}

/// What of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// A statement.
    Sql,
    /// Goes on by a condition.
    Decides,
    /// Compares columns of NEW and OLD, each with itself.
    Compares {
        /// All, if none are named.
        columns: Vec<String>,
        /// By what comes of it, a column that is NULL is told from one that is not.
        tells_null: bool,
    },
    /// RAISE, PERFORM.
    Tells,
    /// RETURN of NULL, or of the row that the event does not write: that it was left out is seen by its count, or by
    /// what comes back of it.
    LeavesOut,
    /// Stores an expression in a column of NEW.
    Assigns {
        column: String,
        /// It is the old value of that column.
        keeps: bool,
        never_null: bool,
    },
}

impl Trigger {
    pub(crate) fn is_after(&self) -> bool {
        self.kind & BEFORE == 0
    }

    /// Whether it does the same, by what it says.
    pub(super) fn does_as(&self, other: &Self) -> bool {
        let said = |it: &Self| it.steps().map(|step| step.body.text.clone()).collect::<Vec<_>>();
        self.kind == other.kind && said(self) == said(other)
    }

    /// Whether any of these fire it.
    pub(crate) fn fires(&self, events: u16) -> bool {
        self.kind & events != 0
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.when.iter().chain(self.does.iter())
    }

    /// Whether it lets see by which way it went, fired by these: it says so, fails, or leaves another row.
    pub(crate) fn tells(&self, events: u16) -> bool {
        self.does.iter().filter(|step| step.events & events != 0).any(|step| match step.act {
            Act::Sql | Act::Tells | Act::Assigns { .. } => true,
            // What a trigger after the fact returns is of no account.
            Act::LeavesOut => !self.is_after(),
            Act::Decides | Act::Compares { .. } => false,
        })
    }
}

/// What every trigger function can name besides NEW and OLD.
const VARIABLES: [&str; 11] = [
    "found",
    "tg_name",
    "tg_when",
    "tg_level",
    "tg_op",
    "tg_relid",
    "tg_relname",
    "tg_table_name",
    "tg_table_schema",
    "tg_nargs",
    "tg_argv",
];

/// Those of them that are never NULL in a row-level trigger.
pub(crate) fn is_set_variable(name: &str) -> bool {
    VARIABLES.contains(&name) && !matches!(name, "tg_argv" | "found")
}

/// The steps of triggers that the server brings itself. `arguments`: as `pg_trigger.tgargs` has them.
pub(crate) fn of_server(function: &str, arguments: &str, columns: &[&str]) -> Option<Arc<[Step]>> {
    let step = |act, text: String| Step::new(act, ANY, text, Path::Bound);
    match function {
        // Whether the row was the same already is seen by the count of rows.
        "suppress_redundant_updates_trigger" => {
            let compares = Act::Compares { columns: Vec::new(), tells_null: false };
            let compares = step(compares, "select null".to_owned());
            Some([compares, step(Act::LeavesOut, "select null".to_owned())].into())
        }
        "tsvector_update_trigger" | "tsvector_update_trigger_column" => {
            let mut arguments = arguments.strip_suffix("\\000")?.split("\\000");
            let column = arguments.next()?.to_owned();
            // The configuration, by name or by a column.
            let configuration = arguments.next().filter(|name| columns.contains(name));
            let named: Option<Vec<String>> = configuration
                .into_iter()
                .chain(arguments)
                .map(|name| columns.contains(&name).then(|| format!("new.\"{}\"", name.replace('"', "\"\""))))
                .collect();
            let named = named?;
            let act = Act::Assigns { column, keeps: false, never_null: true };
            Some([step(act, format!("select {}", named.join(", ")))].into())
        }
        _ => None,
    }
}

impl Step {
    pub(super) fn new(act: Act, events: u16, text: String, path: Path) -> Self {
        let arguments = VARIABLES.map(str::to_owned).into();
        let body = Body { text, path, arguments, is_plpgsql: true, ..Body::default() };
        Self { act, events, body: Arc::new(body) }
    }
}
