//! Function calls: an allow-list of pure functions of pg_catalog, all else is a doubt.

use std::mem::replace;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, NamedWindowExpr, ObjectName, OrderByExpr, WindowFrame,
    WindowFrameBound, WindowSpec, WindowType,
};

use super::Walker;
use super::query::is_bare;
use super::scope::{Item, Place};
use super::uses::Uses;
use crate::builtin;
use crate::marker;

impl Walker<'_> {
    pub(super) fn function(&mut self, function: &Function, place: Place<'_>, uses: Uses) {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment: _,
            over,
        } = function;
        if *uses_odbc_syntax || !matches!(parameters, FunctionArguments::None) {
            self.doubt("unsupported-expression");
        }
        let parts = self.parts(name);
        // The server shows settings to whoever asks, and reports some by itself (ParameterStatus).
        let shows = parts.last().and_then(|name| builtin::shows_in(name)).is_some();
        let uses = if shows { uses | Uses::OUTPUT } else { uses };
        if let ([schema, cursor], true) = (parts.as_slice(), is_marked(&parts)) {
            if schema == marker::CURRENT {
                self.current_of = Some(cursor.clone());
            }
            return;
        }
        match args {
            // CURRENT_USER and kin: grammar, not a call.
            FunctionArguments::None => self.function_name(&parts),
            FunctionArguments::Subquery(query) => {
                // ARRAY(SELECT …) is grammar.
                if parts != ["array"] {
                    self.function_name(&parts);
                }
                self.query(query, place, uses);
            }
            FunctionArguments::List(FunctionArgumentList { duplicate_treatment: _, args, clauses }) => {
                let returned_sets = replace(&mut self.returns_sets, false);
                self.function_name(&parts);
                if self.returns_sets {
                    // How many rows there are, if any, may depend on them.
                    self.somehow(|walker| walker.function_args(args, place, uses));
                } else {
                    self.function_args(args, place, uses);
                }
                self.returns_sets |= returned_sets;
                for clause in clauses {
                    self.clause(clause, place);
                }
            }
        }
        self.ordering(within_group, place, uses | Uses::ORDERING);
        self.conditions(filter.as_deref(), place);
        self.has_windows |= over.is_some();
        if let Some(WindowType::WindowSpec(spec)) = over {
            self.window(spec, place);
        }
    }

    fn clause(&mut self, clause: &FunctionArgumentClause, place: Place<'_>) {
        match clause {
            FunctionArgumentClause::OrderBy(order) => self.ordering(order, place, Uses::ORDERING),
            _ => self.doubt("unsupported-expression"),
        }
    }

    pub(super) fn function_args(&mut self, args: &[FunctionArg], place: Place<'_>, uses: Uses) {
        for arg in args {
            let arg = match arg {
                FunctionArg::Named { name: _, arg, operator: _ } | FunctionArg::Unnamed(arg) => arg,
                FunctionArg::ExprNamed {
                    name: Expr::Identifier(_),
                    arg,
                    operator: FunctionArgOperator::RightArrow,
                } => arg,
                FunctionArg::ExprNamed { .. } => {
                    self.doubt("unsupported-expression");
                    continue;
                }
            };
            match arg {
                FunctionArgExpr::Expr(expr) => self.expr(expr, place, uses),
                FunctionArgExpr::QualifiedWildcard(name) => {
                    self.row(name, place, uses);
                }
                FunctionArgExpr::Wildcard => {}
                FunctionArgExpr::WildcardWithOptions(_) => self.doubt("unsupported-expression"),
            }
        }
    }

    /// `p.*` or `schema.p.*`, perhaps with the name of this database before it.
    pub(super) fn row(
        &mut self,
        name: &ObjectName,
        place: Place<'_>,
        uses: Uses,
    ) -> Option<std::rc::Rc<Item>> {
        let parts = self.parts(name);
        let item = match parts.as_slice() {
            [alias] => self.item(alias, place),
            [schema, relation] | [_, schema, relation] => self.schema_item(schema, relation, place),
            _ => None,
        };
        match &item {
            Some(item) => self.whole_row(item, uses),
            None if matches!(parts.as_slice(), [alias] if self.row_of_trigger(alias, None)) => {}
            None => self.doubt("unresolved-name"),
        }
        item
    }

    /// Accounts for a function being called by that name.
    pub(super) fn function_name(&mut self, parts: &[String]) {
        match parts {
            [name] => match marker::named(name) {
                None => self.bare_call(name),
                // Grammar, of its operands.
                Some(name) if self.catalog.has_construct(name) => {}
                // A name, as yet: the server has no function of its own by it, and refuses it where nobody has one.
                Some(name) => drop(self.call_of_user(name)),
            },
            // With the name of this database before it: of any other the server refuses it (namespace.c,
            // `DeconstructQualifiedName`).
            [schema, name] | [_, schema, name] if schema == "pg_catalog" => self.call(name),
            [schema, name] | [_, schema, name] => {
                self.call_as_cast(Some(schema), name);
                self.routine(Some(schema), name);
            }
            _ => self.doubt_function("unknown-function"),
        }
    }

    fn bare_call(&mut self, name: &str) {
        if !self.call_of_user(name) {
            self.call(name);
        }
    }

    /// Accounts for what somebody may have defined that a call by that name alone finds; whether a function may be among it.
    fn call_of_user(&mut self, name: &str) -> bool {
        self.call_as_cast(None, name);
        let may_be = self.may_be_of_user(name);
        if may_be {
            self.routine(None, name);
        }
        may_be
    }

    /// Accounts for what a call that meant another function, or the server's, may mean by now, by that name alone.
    pub(super) fn called_anew(&mut self, name: &str) {
        self.call_of_user(name);
    }

    /// `t('x')` may be a cast to a type of that name, though there are functions of it (parse_func.c, `func_get_detail`).
    fn call_as_cast(&mut self, schema: Option<&str>, name: &str) {
        if self.may_be_type_of_user(schema, name) {
            self.type_named(name, schema);
            self.runs_casts();
        }
    }

    /// Accounts for a function of pg_catalog, or of the grammar, being called.
    pub(super) fn call(&mut self, name: &str) {
        self.is_volatile |= builtin::is_volatile(name);
        if self.large_object(name) {
            return;
        }
        // LISTEN is held wherever there are triggers; what they give away counts.
        let notifies = name == "pg_notify" && self.body.row.is_some();
        self.large.notifies |= name == "pg_notify";
        if builtin::harmless_writer(name) || notifies || (name == "set_config" && self.may_set) {
            self.writes = true;
        } else if !self.catalog.is_pure_function(name) && !VALUE_FUNCTIONS.contains(&name) {
            if name == "set_config" {
                // What it sets is not known, and that it sets something is: whoever executes it later does not say so.
                self.functions.insert(format!("pg_catalog.{name}"));
            }
            return self.doubt_function("unknown-function");
        }
        self.returns_sets |= builtin::returns_a_set(name);
        self.functions.insert(format!("pg_catalog.{name}"));
    }

    pub(super) fn ordering(&mut self, order: &[OrderByExpr], place: Place<'_>, uses: Uses) {
        for OrderByExpr { expr, options: _, with_fill } in order {
            if with_fill.is_some() {
                self.doubt("unsupported-expression");
            }
            self.expr(expr, place, uses);
        }
    }

    pub(super) fn named_window(&mut self, window: &NamedWindowExpr, place: Place<'_>) {
        match window {
            NamedWindowExpr::NamedWindow(_) => {}
            NamedWindowExpr::WindowSpec(spec) => self.window(spec, place),
        }
    }

    /// A key of a window is computed though nobody asks for what is made over it.
    fn window_key(&mut self, key: &Expr, walk: impl FnOnce(&mut Self)) {
        let touched = self.touches(walk);
        if !is_bare(key) || touched.keys().any(|column| self.catalog.is_computed(*column)) {
            self.split.always.extend(touched.keys());
        }
    }

    fn window(&mut self, spec: &WindowSpec, place: Place<'_>) {
        let WindowSpec { window_name: _, partition_by, order_by, window_frame } = spec;
        for key in partition_by {
            self.window_key(key, |walker| walker.expr(key, place, Uses::GROUPING));
        }
        for key in order_by {
            self.window_key(&key.expr, |walker| {
                walker.ordering(std::slice::from_ref(key), place, Uses::ORDERING)
            });
        }
        let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame else { return };
        for bound in [Some(start_bound), end_bound.as_ref()].into_iter().flatten() {
            match bound {
                WindowFrameBound::CurrentRow => {}
                WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => {
                    self.exprs(offset.as_deref(), place, Uses::PREDICATE);
                }
            }
        }
    }
}

fn is_marked(parts: &[String]) -> bool {
    parts.first().is_some_and(|name| marker::named(name).is_some())
}

/// Functions that are grammar, without parentheses.
const VALUE_FUNCTIONS: [&str; 9] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "row",
    "array",
];
