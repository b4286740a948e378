//! Expressions. Precedence does not matter here: every part of an expression has the use of the whole.

use sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, CaseWhen, CeilFloorKind, DataType, Expr, Ident,
    Interval, Subscript, TypedString, Value, ValueWithSpan,
};

use super::Walker;
use super::compare::{Asked, Sense};
use super::operand::is_collation;
use super::scope::{Place, folded};
use super::uses::Uses;
use crate::builtin;
use crate::predicate::Comparison;

/// Words that the grammar reads as values, unless quoted.
pub(super) const VALUE_WORDS: [&str; 12] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "localtime",
    "localtimestamp",
    "session_user",
    "user",
];

impl Walker<'_> {
    pub(super) fn expr(&mut self, expr: &Expr, place: Place<'_>, uses: Uses) {
        if !self.budget.spend(1) {
            return self.doubt("too-complex");
        }
        match expr {
            // Chains of binary operators are the deep ones: keep their frame small.
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                self.expr(left, place, uses);
                self.expr(right, place, uses);
            }
            Expr::BinaryOp { left, op, right } => {
                self.operator(left, op, right, Asked { sense: Sense::Either, place, uses })
            }
            Expr::Nested(inner) => self.expr(inner, place, uses),
            Expr::Identifier(ident) => {
                if ident.quote_style.is_some() || !VALUE_WORDS.contains(&folded(ident).as_ref()) {
                    self.name(&[ident], place, uses);
                }
            }
            Expr::CompoundIdentifier(parts) => self.name(&parts.iter().collect::<Vec<_>>(), place, uses),
            Expr::Value(ValueWithSpan { value, span: _ }) => self.value(value),
            Expr::Function(function) => self.function(function, place, uses),
            Expr::Cast { kind: _, expr, data_type, format } => {
                if format.is_some() {
                    self.doubt("unsupported-expression");
                }
                self.expr(expr, place, uses);
                self.data_type(data_type);
            }
            other => self.rarer_expr(other, place, uses),
        }
    }

    fn rarer_expr(&mut self, expr: &Expr, place: Place<'_>, uses: Uses) {
        match expr {
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::IsNormalized { expr: inner, form: _, negated: _ }
            | Expr::IsJson { expr: inner, kind: _, unique_keys: _, negated: _ }
            | Expr::UnaryOp { op: _, expr: inner }
            | Expr::Collate { expr: inner, collation: _ }
            | Expr::Extract { field: _, syntax: _, expr: inner } => {
                self.expr(inner, place, uses);
            }
            // These are plain functions to the server, which others may overload.
            Expr::Ceil { expr: inner, field: CeilFloorKind::DateTimeField(_) } => {
                self.function_name(&["ceil".to_owned()]);
                self.expr(inner, place, uses);
            }
            Expr::Floor { expr: inner, field: CeilFloorKind::DateTimeField(_) } => {
                self.function_name(&["floor".to_owned()]);
                self.expr(inner, place, uses);
            }
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. }
            | Expr::InList { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. } => self.comparison(expr, Asked { sense: Sense::Either, place, uses }),
            Expr::AtTimeZone { timestamp: left, time_zone: right }
            | Expr::Position { expr: left, r#in: right } => {
                self.expr(left, place, uses);
                self.expr(right, place, uses);
            }
            Expr::InSubquery { expr, subquery, negated: _ } => {
                let asked = Asked { sense: Sense::Either, place, uses };
                self.in_subquery(expr, &[Comparison::In, Comparison::Ne], asked);
                self.turned(|walker| walker.somehow(|walker| walker.query(subquery, place, uses)));
            }
            Expr::Exists { subquery, negated: _ } => {
                self.exists(|walker| drop(walker.turned(|walker| walker.query(subquery, place, uses))));
            }
            Expr::Subquery(subquery) => {
                self.turned(|walker| walker.query(subquery, place, uses));
            }
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand } => {
                self.function_name(&[if *shorthand { "substr" } else { "substring" }.to_owned()]);
                self.expr(expr, place, uses);
                self.exprs(substring_from.as_deref(), place, uses);
                self.exprs(substring_for.as_deref(), place, uses);
            }
            Expr::Trim { trim_where: _, trim_what, expr, trim_characters } => {
                self.function_name(&["btrim".to_owned()]);
                self.expr(expr, place, uses);
                self.exprs(trim_what.as_deref(), place, uses);
                self.exprs(trim_characters.iter().flatten(), place, uses);
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.function_name(&["overlay".to_owned()]);
                self.exprs([&**expr, &**overlay_what, &**overlay_from], place, uses);
                self.exprs(overlay_for.as_deref(), place, uses);
            }
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                let compares = operand.is_some();
                self.somehow(|walker| walker.exprs(operand.as_deref(), place, uses));
                for CaseWhen { condition, result } in conditions {
                    if compares {
                        self.somehow(|walker| walker.expr(condition, place, uses));
                    } else {
                        self.expr(condition, place, uses);
                    }
                    self.expr(result, place, uses);
                }
                self.exprs(else_result.as_deref(), place, uses);
            }
            Expr::Tuple(parts) => self.exprs(parts, place, uses),
            Expr::Array(Array { elem, named: _ }) => self.exprs(elem, place, uses),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                self.exprs(sets.iter().flatten(), place, uses);
            }
            Expr::Interval(Interval {
                value,
                leading_field: _,
                leading_precision: _,
                last_field: _,
                fractional_seconds_precision: _,
            }) => self.expr(value, place, uses),
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax }) => {
                if *uses_odbc_syntax {
                    self.doubt("unsupported-expression");
                }
                self.data_type(data_type);
                self.value(&value.value);
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, place, uses),
            Expr::QualifiedWildcard(name, _) => drop(self.row(name, place, uses)),
            _ => self.doubt("unsupported-expression"),
        }
    }

    /// `a[1]`, `t.a[1:2]`, `(row).field`.
    fn access(&mut self, root: &Expr, chain: &[AccessExpr], place: Place<'_>, uses: Uses) {
        let chain = match named(root) {
            // All up to the first subscript is one name (gram.y, `columnref`); what stands in brackets is a value.
            Some(mut name) => {
                let fields = chain.iter().map_while(|access| match access {
                    AccessExpr::Dot(Expr::Identifier(field)) => Some(field),
                    _ => None,
                });
                let own = name.len();
                name.extend(fields);
                self.name(&name, place, uses);
                chain.get(name.len() - own..).unwrap_or_default()
            }
            None => {
                self.expr(root, place, uses);
                chain
            }
        };
        for access in chain {
            match access {
                AccessExpr::Dot(Expr::Identifier(field)) => {
                    // `(x).f` calls f(x) where x has no field f.
                    let field = folded(field);
                    self.cast_by_field(&field);
                    if self.catalog.is_function(&field) {
                        self.function_name(&[field.into_owned()]);
                    }
                }
                AccessExpr::Dot(_) => self.doubt("unsupported-expression"),
                AccessExpr::Subscript(Subscript::Index { index }) => self.expr(index, place, uses),
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                    self.exprs(lower_bound, place, uses);
                    self.exprs(upper_bound, place, uses);
                    self.exprs(stride, place, uses);
                }
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => {}
            Value::Placeholder(placeholder) if placeholder.starts_with('$') => {}
            _ => self.doubt("unsupported-expression"),
        }
    }

    /// A cast to, or literal of, that type: harmless where it is the server's own.
    pub(super) fn data_type(&mut self, data_type: &DataType) {
        if is_collation(data_type) {
            return;
        }
        self.runs_casts();
        let mut element = data_type;
        while let DataType::Array(array) = element {
            match array {
                ArrayElemTypeDef::AngleBracket(of)
                | ArrayElemTypeDef::SquareBracket(of, _)
                | ArrayElemTypeDef::Parenthesis(of)
                | ArrayElemTypeDef::Qualified(of, _) => element = of,
                ArrayElemTypeDef::None => return self.doubt_function("unknown-type"),
            }
        }
        if let DataType::Custom(name, _) = element {
            let parts = self.parts(name);
            return match parts.as_slice() {
                // `int` is grammar, `"int"` whatever the path finds.
                [name] => self.type_named(name, None),
                [schema, name] | [_, schema, name] => self.type_named(name, Some(schema)),
                _ => self.doubt_function("unknown-type"),
            };
        }
        let shown = element.to_string().to_ascii_lowercase();
        let name = shown.split(['(', '[']).next().unwrap_or_default().trim();
        // Several words (`double precision`) are grammar.
        let first = name.split(' ').next().unwrap_or_default();
        if first.len() < name.len() || builtin::grammar_type(first) {
            if !builtin::builtin_type(first) {
                self.doubt_function("unknown-type");
            }
        } else {
            self.type_named(first, None);
        }
    }

    /// `x.f` makes x a value of the type f where it has no such field, and there is no such function (parse_func.c,
    /// `func_get_detail`). The server's own types run nothing.
    pub(super) fn cast_by_field(&mut self, field: &str) {
        if self.catalog.is_user_type(field) {
            self.type_named(field, None);
        }
    }

    /// A type by its name. Which of several the path finds is not looked for: all of them count.
    pub(super) fn type_named(&mut self, name: &str, schema: Option<&str>) {
        // An array's own name is `_text`.
        let of_server = schema.is_none_or(|schema| schema == "pg_catalog")
            && builtin::builtin_type(name.strip_prefix('_').unwrap_or(name));
        let named = self.catalog.user_types(name);
        let types: Vec<_> =
            named.iter().filter(|it| schema.is_none_or(|schema| it.schema == schema)).collect();
        if types.is_empty() {
            if !of_server {
                self.doubt_function("unknown-type");
            }
            return;
        }
        let may_hide = schema.is_none() && self.body.body.is_none();
        if may_hide && types.iter().any(|it| self.hides_others(&it.schema, of_server)) {
            // The words of the statement do not say so, and whoever approves it reads another type in them.
            self.doubt_function("temporary-type");
        }
        self.runs_type(&types, schema, name);
    }

    /// Whether a type in that schema is found by a bare name before others that people know: a temporary one, or one before
    /// the server's own.
    fn hides_others(&self, schema: &String, of_server: bool) -> bool {
        let Some(path) = &self.session.search_path else { return false };
        let at = path.iter().position(|it| it == schema);
        let server = path.iter().position(|it| it == "pg_catalog");
        at.is_some_and(|at| {
            schema.starts_with("pg_temp") || of_server && server.is_none_or(|server| at < server)
        })
    }
}

/// The parts of a name that stands there alone.
fn named(expr: &Expr) -> Option<Vec<&Ident>> {
    match expr {
        Expr::Identifier(ident) => Some(vec![ident]),
        Expr::CompoundIdentifier(parts) => Some(parts.iter().collect()),
        _ => None,
    }
}
