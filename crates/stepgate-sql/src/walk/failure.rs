//! What a write tells by failing, and what it runs besides.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::Walker;
use super::scope::folded;
use super::uses::Uses;
use crate::catalog::{ColumnRef, Relation, RelationIndex};

impl Walker<'_> {
    /// What the errors of an UPDATE of these columns can show (`execMain.c`, `ExecConstraints`: `Failing
    /// row contains (…)` prints the whole row).
    pub(super) fn failures(&mut self, index: RelationIndex, written: &[usize], may_be_null: &[usize]) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return };
        let touches = |key: &[usize]| key.iter().any(|at| written.contains(at));
        let null_fails =
            may_be_null.iter().any(|at| relation.columns.get(*at).is_some_and(|column| column.not_null));
        let check_fails = relation.checks.iter().any(|check| touches(check));
        if null_fails || check_fails || relation.bounded {
            self.touch_all((0..relation.columns.len()).map(|at| (index, at)), Uses::HIDDEN);
        }
        let mut told: Vec<ColumnRef> = Vec::new();
        for key in relation.unique.iter().filter(|key| touches(key)) {
            told.extend(key.iter().map(|at| (index, *at)));
        }
        for (own, theirs) in relation.refers.iter().chain(&relation.referred) {
            if touches(own) {
                told.extend(theirs);
            }
        }
        self.cascades(&told);
        self.touch_all(told, Uses::HIDDEN);
    }

    /// ON DELETE and ON UPDATE CASCADE write referring tables, and so run their triggers.
    pub(super) fn cascades(&mut self, referring: &[ColumnRef]) {
        if referring.iter().any(|(at, _)| self.catalog.relation(*at).is_some_and(|it| it.writes_run_code)) {
            self.doubt_function("trigger-or-rule");
        }
    }
}

/// Whether a value is certainly not NULL: literals, columns that never are (where `alone` is the only
/// relation in sight), and strict arithmetic over them.
pub(super) fn is_never_null(value: &Expr, alone: Option<&Relation>) -> bool {
    match value {
        Expr::Value(value) => {
            matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_))
        }
        Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
            is_never_null(inner, alone)
        }
        Expr::Identifier(name) => alone.is_some_and(|relation| {
            let column = relation.column(&folded(name)).and_then(|at| relation.columns.get(at));
            column.is_some_and(|column| column.not_null)
        }),
        Expr::BinaryOp {
            left,
            op:
                BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::StringConcat,
            right,
        } => is_never_null(left, alone) && is_never_null(right, alone),
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(folded);
            matches!(name.as_deref(), Some("now" | "current_timestamp" | "current_date" | "localtimestamp"))
        }
        _ => false,
    }
}
