//! Expressions of DDL, and of COPY … WHERE, by PostgreSQL's own tree.
//!
//! What they say calls nothing but what the grammar itself brings and what only computes; anything else is not known. What
//! they do not say runs in them as it does in a query, and counts so: operators that a construct uses (BETWEEN, IN, LIKE,
//! CASE x WHEN), casts that apply by themselves, and those that are written.

use std::collections::BTreeSet;

use pg_raw_parse::list::NodeList;
use pg_raw_parse::{ConstValue, Node};

use super::{Context, ddl};
use crate::builtin;
use crate::catalog::Catalog;
use crate::facts::Facts;
use crate::grammar;
use crate::walk;

/// What the expressions of a command run, all together.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// Something is computed, or converted.
    any: bool,
    /// A cast is written.
    casts: bool,
    /// What becomes of a value is stored.
    stores: bool,
    /// Names of the functions that are called.
    pub(super) calls: BTreeSet<String>,
    /// The last names of `a.b`: a column, or a function of the row (parse_expr.c, `transformColumnRef`).
    fields: BTreeSet<String>,
}

impl Expressions {
    /// One more, if there is one. None: it may run what is not known.
    pub(super) fn add(&mut self, expression: Node<'_>, catalog: &Catalog) -> Option<()> {
        self.any |= !matches!(expression, Node::None);
        grammar::all(expression, |node| self.takes(node, catalog)).then_some(())
    }

    /// One whose value is stored.
    pub(super) fn store(&mut self, expression: Node<'_>, catalog: &Catalog) -> Option<()> {
        self.stores |= !matches!(expression, Node::None);
        self.add(expression, catalog)
    }

    /// Values of one type become values of another, or are compared with them, which nobody writes out.
    pub(super) fn converts(&mut self) {
        self.any = true;
    }

    /// What is stored becomes values of another type.
    pub(super) fn converts_stored(&mut self) {
        self.converts();
        self.stores = true;
    }

    /// Those over a row of these columns, as far as they are known here. None: one may call a function of the row.
    pub(super) fn are_of(&self, columns: &[String], catalog: &Catalog) -> Option<()> {
        let is_call = |name: &String| {
            !columns.contains(name) && (catalog.is_user_function(name) || catalog.is_user_type(name))
        };
        (!self.fields.iter().any(is_call)).then_some(())
    }

    /// Adds what all of them run; `table` is where values are stored that are.
    pub(super) fn count(&self, table: Option<&[String]>, context: Context<'_>, facts: &mut Facts) {
        if self.any {
            walk::computes(self.casts, table.filter(|_| self.stores), context, facts);
        }
    }

    /// Whether what a node of an expression does by itself is known.
    fn takes(&mut self, node: Node<'_>, catalog: &Catalog) -> bool {
        match node {
            Node::FuncCall(it) => {
                let name = names(it.funcname()).unwrap_or_default();
                self.calls.extend(name.last().cloned());
                only_computes(&name, catalog)
            }
            Node::TypeName(it) => ddl::is_plain_type(it, catalog),
            Node::A_Expr(it) => match names(it.name()).as_deref() {
                // Those that a construct may use are counted, whoever has others by the name.
                Some([name]) => !catalog.is_user_operator(name) || Catalog::is_implied_operator(name),
                _ => false,
            },
            Node::TypeCast(it) => {
                // A literal in quotes is read by the type itself.
                self.casts |= !is_text(it.arg());
                true
            }
            Node::ColumnRef(it) => {
                let last = it.fields().iter().skip(1).last();
                self.fields.extend(last.and_then(|field| field.as_str().map(str::to_owned)));
                true
            }
            Node::A_Const(_)
            | Node::BoolExpr(_)
            | Node::NullTest(_)
            | Node::BooleanTest(_)
            | Node::SQLValueFunction(_)
            | Node::CoalesceExpr(_)
            | Node::CollateClause(_)
            | Node::A_ArrayExpr(_)
            | Node::CaseExpr(_)
            | Node::NodeList(_)
            | Node::String(_)
            | Node::Integer(_) => true,
            _ => false,
        }
    }
}

fn is_text(node: Node<'_>) -> bool {
    matches!(node, Node::A_Const(it) if matches!(it.val(), Some(ConstValue::String(_))))
}

fn is_harmless(name: &str, catalog: &Catalog) -> bool {
    catalog.is_pure_function(name) || builtin::harmless_writer(name)
}

/// Whether a call by that name runs nothing of somebody's own.
fn only_computes(name: &[String], catalog: &Catalog) -> bool {
    match name {
        [name] if catalog.is_user_type(name) => false,
        [name] if catalog.is_user_function(name) => {
            catalog.only_computes(None, name)
                && (is_harmless(name, catalog) || !catalog.is_server_function(name))
        }
        [name] => is_harmless(name, catalog),
        [schema, name] if schema == "pg_catalog" => is_harmless(name, catalog),
        [schema, name] => !catalog.is_user_type(name) && catalog.only_computes(Some(schema), name),
        _ => false,
    }
}

pub(super) fn names(list: &NodeList) -> Option<Vec<String>> {
    list.iter().map(|it| it.as_str().map(str::to_owned)).collect()
}

/// Names of the columns that an expression refers to.
pub(super) fn columns(expression: Node<'_>) -> Option<Vec<String>> {
    let mut columns = Some(Vec::new());
    grammar::all(expression, |node| {
        if let Node::ColumnRef(it) = node {
            let column = it.fields().iter().next_back().and_then(|it| it.as_str().map(str::to_owned));
            match (&mut columns, column) {
                (Some(columns), Some(column)) => columns.push(column),
                _ => columns = None,
            }
        }
        true
    });
    columns
}
