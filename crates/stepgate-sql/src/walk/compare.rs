//! How columns are compared, and with what.
//!
//! A column that is compared, or stands in a condition, without being one side of a comparison that is understood here
//! is compared `other`: arithmetic or a function around it may make anything of it. PostgreSQL's precedence counts
//! (gram.y), for `amount > 1 # 30000` is no comparison with 1; where sqlparser's differs, nothing is understood.

use std::collections::HashMap;
use std::mem::replace;

use sqlparser::ast::{Array, BinaryOperator, Expr, ObjectNamePart, UnaryOperator};

use super::Walker;
use super::operand::{Plain, plain, through};
use super::query::is_expanded;
use super::scope::Place;
use super::uses::Uses;
use crate::catalog::ColumnRef;
use crate::marker;
use crate::predicate::{Comparison, MAX_OF_COLUMN, Operand, OperandClass, Pair};

/// Of which nothing more is known.
pub(super) const SOMEHOW: Pair = (Comparison::Other, Operand::EXPRESSION);

/// What is done with the column that is named next.
#[derive(Default)]
pub(super) enum Comparing {
    /// Nothing, unless it stands in a condition.
    #[default]
    Nothing,
    /// It is compared, in whatever way.
    Somehow,
    /// It is compared in these ways.
    By(Vec<Pair>),
}

/// What the truth of a comparison is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// Rows for which it holds.
    Holds,
    /// Rows for which it does not.
    Fails,
    /// Perhaps either.
    Either,
}

impl Sense {
    const fn opposite(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
            Self::Either => Self::Either,
        }
    }

    /// A comparison, and its opposite, as far as either may be meant.
    fn pairs(self, op: Comparison, operand: Operand) -> impl Iterator<Item = Pair> {
        let holds = (self != Self::Fails).then_some((op, operand));
        let fails = (self != Self::Holds).then_some((op.opposite(), operand));
        holds.into_iter().chain(fails)
    }
}

/// What a comparison is asked for, and where.
#[derive(Clone, Copy)]
pub(super) struct Asked<'p> {
    pub(super) sense: Sense,
    pub(super) place: Place<'p>,
    pub(super) uses: Uses,
}

impl Walker<'_> {
    /// Conditions of WHERE, HAVING, ON, FILTER: of which rows are asked for.
    pub(super) fn conditions<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>, place: Place<'_>) {
        for expr in exprs {
            let sense = if self.turned { Sense::Either } else { Sense::Holds };
            self.condition(expr, place, sense);
        }
    }

    /// A condition, through AND, OR and NOT: anything else may turn the truth of what is in it around.
    fn condition(&mut self, expr: &Expr, place: Place<'_>, sense: Sense) {
        let asked = Asked { sense, place, uses: Uses::PREDICATE };
        self.budget.spend(1);
        match expr {
            _ if sense == Sense::Either => self.expr(expr, place, Uses::PREDICATE),
            Expr::Nested(inner) | Expr::IsTrue(inner) | Expr::IsNotFalse(inner) => {
                self.condition(inner, place, sense);
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr: inner }
            | Expr::IsFalse(inner)
            | Expr::IsNotTrue(inner) => self.condition(inner, place, sense.opposite()),
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                self.condition(left, place, sense);
                self.condition(right, place, sense);
            }
            Expr::Exists { subquery, negated } if *negated == (sense == Sense::Fails) => {
                self.exists(|walker| drop(walker.query(subquery, place, Uses::PREDICATE)));
            }
            Expr::InSubquery { expr, subquery, negated } if *negated == (sense == Sense::Fails) => {
                self.in_subquery(expr, &[Comparison::In], asked);
                self.somehow(|walker| walker.query(subquery, place, Uses::PREDICATE));
            }
            comparison if is_comparison(comparison) => self.comparison(comparison, asked),
            other => self.expr(other, place, Uses::PREDICATE),
        }
    }

    /// Walks what may ask for rows that are not what its conditions say: NOT EXISTS, the right side of EXCEPT.
    pub(super) fn turned<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        let before = replace(&mut self.turned, true);
        let result = walk(self);
        self.turned = before;
        result
    }

    /// Walks what is compared in a way that is not followed.
    pub(super) fn somehow<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.comparing(Comparing::Somehow, walk)
    }

    pub(super) fn comparing<T>(&mut self, how: Comparing, walk: impl FnOnce(&mut Self) -> T) -> T {
        let before = replace(&mut self.comparing, how);
        let result = walk(self);
        self.comparing = before;
        result
    }

    /// Operators other than AND and OR.
    pub(super) fn operator(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, asked: Asked<'_>) {
        if is_comparison(left) || is_comparison(right) {
            // Not in brackets: PostgreSQL lets no operator but AND and OR have these as operands.
            self.muddled([left, right], asked);
        } else if let Some(op) = compares(op) {
            self.sides(left, op, right, asked);
        } else if is_pattern(op) {
            self.pattern(left, right, asked);
        } else if computes(op) {
            self.exprs([left, right], asked.place, asked.uses);
        } else {
            self.unfollowed([left, right], asked);
        }
    }

    /// Compared in a way that is not followed.
    fn unfollowed<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>, asked: Asked<'_>) {
        self.somehow(|walker| walker.exprs(exprs, asked.place, asked.uses));
    }

    /// Not grouped as PostgreSQL groups it.
    fn muddled<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>, asked: Asked<'_>) {
        let before = replace(&mut self.muddled, true);
        self.unfollowed(exprs, asked);
        self.muddled = before;
    }

    /// A comparison, by operator or not.
    pub(super) fn comparison(&mut self, expr: &Expr, asked: Asked<'_>) {
        match expr {
            Expr::BinaryOp { left, op, right } => self.operator(left, op, right, asked),
            Expr::IsDistinctFrom(left, right) => self.sides(left, Comparison::Ne, right, asked),
            Expr::IsNotDistinctFrom(left, right) => self.sides(left, Comparison::Eq, right, asked),
            Expr::AnyOp { left, compare_op, right, is_some: _ } => {
                let op = compares(compare_op);
                let op = op.map(|op| if op == Comparison::Eq { Comparison::In } else { op });
                self.members(left, op, right, asked);
            }
            Expr::AllOp { left, compare_op, right } => {
                self.members(left, compares(compare_op), right, asked);
            }
            Expr::InList { expr, list, negated } => {
                let op = if *negated { Comparison::Ne } else { Comparison::In };
                self.list(expr, op, list, asked);
            }
            Expr::Between { expr, negated, low, high } => {
                let sense = if *negated { asked.sense.opposite() } else { asked.sense };
                self.between(expr, low, high, Asked { sense, ..asked });
            }
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                let pair = (Comparison::IsNull, Operand::of(OperandClass::Null));
                self.side(inner, asked, |_| vec![pair]);
            }
            Expr::Like { negated: _, any: _, expr, pattern, escape_char }
            | Expr::ILike { negated: _, any: _, expr, pattern, escape_char }
            | Expr::SimilarTo { negated: _, expr, pattern, escape_char } => {
                self.pattern(expr, pattern, asked);
                self.unfollowed(escape_char.as_deref(), asked);
            }
            other => self.unfollowed([other], asked),
        }
    }

    fn sides(&mut self, left: &Expr, op: Comparison, right: &Expr, asked: Asked<'_>) {
        if is_comparison(left) || is_comparison(right) {
            return self.muddled([left, right], asked);
        }
        if let (Expr::Tuple(ours), Expr::Tuple(theirs)) = (left, right)
            && ours.len() == theirs.len()
            && !ours.iter().chain(theirs).any(is_expanded)
        {
            // Which is greater the first pair decides that differs.
            let op = if matches!(op, Comparison::Eq | Comparison::Ne) { op } else { Comparison::Other };
            let pairs = ours.iter().zip(theirs);
            return pairs.for_each(|(left, right)| self.sides(left, op, right, asked));
        }
        for (side, op, other) in [(left, op, right), (right, op.swapped(), left)] {
            // Under `transform_null_equals`, `a = NULL` is `a IS NULL`; `a IS NOT DISTINCT FROM NULL` always is.
            let operand = self.operand(other);
            let equality = matches!(op, Comparison::Eq | Comparison::Ne);
            let is_null = equality && operand.class == OperandClass::Null;
            let null = is_null.then_some((Comparison::IsNull, operand));
            self.side(side, asked, |_| asked.sense.pairs(op, operand).chain(null).collect());
        }
    }

    /// One side of a comparison.
    fn side(&mut self, expr: &Expr, asked: Asked<'_>, pairs: impl FnOnce(&Self) -> Vec<Pair>) {
        if let Expr::Value(_) = expr {
            return self.expr(expr, asked.place, asked.uses);
        }
        let how = match plain(expr).filter(|_| !self.muddled) {
            None => Comparing::Somehow,
            Some(Plain::Itself) => Comparing::By(pairs(self)),
            Some(plain) => Comparing::By(pairs(self).into_iter().map(|pair| through(plain, pair)).collect()),
        };
        self.comparing(how, |walker| walker.expr(expr, asked.place, asked.uses));
    }

    /// The left side of `IN (SELECT …)`.
    pub(super) fn in_subquery(&mut self, expr: &Expr, ops: &[Comparison], asked: Asked<'_>) {
        let pairs = |_: &Self| ops.iter().map(|op| (*op, Operand::EXPRESSION)).collect();
        match expr {
            expr if is_comparison(expr) => self.muddled([expr], asked),
            Expr::Tuple(parts) => parts.iter().for_each(|part| self.side(part, asked, pairs)),
            expr => self.side(expr, asked, pairs),
        }
    }

    /// `= ANY (…)` and kin.
    fn members(&mut self, left: &Expr, op: Option<Comparison>, right: &Expr, asked: Asked<'_>) {
        match (op, right) {
            _ if is_comparison(left) => self.muddled([left, right], asked),
            _ if Self::is_said(right) => self.unfollowed([left, right], asked),
            (Some(op), Expr::Array(Array { elem, named: _ })) => self.list(left, op, elem, asked),
            (Some(op), _) => {
                self.side(left, asked, |_| asked.sense.pairs(op, Operand::EXPRESSION).collect());
                self.unfollowed([right], asked);
            }
            (None, _) => self.unfollowed([left, right], asked),
        }
    }

    /// Another operator before ANY or ALL than the one that stands there (`marker::may_precede_any`).
    fn is_said(right: &Expr) -> bool {
        let Expr::Function(function) = right else { return false };
        let first = function.name.0.first().and_then(ObjectNamePart::as_ident);
        first
            .and_then(|name| marker::named(&name.value))
            .is_some_and(|it| !it.starts_with(char::is_alphabetic))
    }

    fn list(&mut self, expr: &Expr, op: Comparison, list: &[Expr], asked: Asked<'_>) {
        if is_comparison(expr) {
            return self.muddled(std::iter::once(expr).chain(list), asked);
        }
        if let Expr::Tuple(parts) = expr {
            return self.rows(parts, op, list, asked);
        }
        self.listed(expr, op, list.iter(), asked);
        let op = if op == Comparison::In { Comparison::Eq } else { op.swapped() };
        for member in list {
            self.side(member, asked, |walker| asked.sense.pairs(op, walker.operand(expr)).collect());
        }
    }

    /// `(a, b) IN ((1, 2), …)`.
    fn rows(&mut self, parts: &[Expr], op: Comparison, list: &[Expr], asked: Asked<'_>) {
        let rows = list.iter().map(|row| match row {
            Expr::Tuple(row) if row.len() == parts.len() && !row.iter().chain(parts).any(is_expanded) => {
                Some(row)
            }
            _ => None,
        });
        let equality = matches!(op, Comparison::In | Comparison::Eq | Comparison::Ne);
        match rows.collect::<Option<Vec<_>>>().filter(|_| equality) {
            Some(rows) => {
                for (at, part) in parts.iter().enumerate() {
                    self.listed(part, op, rows.iter().filter_map(|row| row.get(at)), asked);
                }
            }
            None => self.unfollowed(parts, asked),
        }
        self.unfollowed(list, asked);
    }

    fn listed<'e>(
        &mut self,
        expr: &Expr,
        op: Comparison,
        members: impl Iterator<Item = &'e Expr>,
        asked: Asked<'_>,
    ) {
        self.side(expr, asked, |walker| {
            let pairs = members.flat_map(|member| asked.sense.pairs(op, walker.operand(member)));
            pairs.take(MAX_OF_COLUMN + 1).collect()
        });
    }

    /// BETWEEN, also SYMMETRIC, which `normalise` leaves out: where it may fail, either end may be the upper.
    fn between(&mut self, expr: &Expr, low: &Expr, high: &Expr, asked: Asked<'_>) {
        use Comparison::{Ge, Gt, Le, Lt};
        if [expr, low, high].into_iter().any(is_comparison) {
            return self.muddled([expr, low, high], asked);
        }
        self.side(expr, asked, |walker| {
            let (low, high) = (walker.operand(low), walker.operand(high));
            let within = [(Ge, low), (Le, high)];
            let beyond = [(Lt, low), (Gt, high), (Lt, high), (Gt, low)];
            match asked.sense {
                Sense::Holds => within.into(),
                Sense::Fails => beyond.into(),
                Sense::Either => within.into_iter().chain(beyond).collect(),
            }
        });
        for end in [low, high] {
            let any_side = |walker: &Self| [Lt, Le, Gt, Ge].map(|op| (op, walker.operand(expr))).into();
            self.side(end, asked, any_side);
        }
    }

    fn pattern(&mut self, left: &Expr, right: &Expr, asked: Asked<'_>) {
        if is_comparison(left) || is_comparison(right) {
            return self.muddled([left, right], asked);
        }
        self.side(left, asked, |walker| vec![(Comparison::Like, Operand::of(walker.operand(right).class))]);
        self.unfollowed([right], asked);
    }

    /// A column is named: `itself`, or something that may be made of it.
    pub(super) fn named(&mut self, column: ColumnRef, uses: Uses, itself: bool) {
        self.trail.pass(column, itself);
        let pairs = match &self.comparing {
            Comparing::By(pairs) if itself && !self.catalog.has_own_comparisons() => pairs.as_slice(),
            Comparing::Nothing if !uses.are_predicate() => return,
            _ => &[SOMEHOW],
        };
        note(&mut self.compared, column, pairs);
    }

    pub(super) fn merge_compared<'p>(
        &mut self,
        compared: impl IntoIterator<Item = (&'p ColumnRef, &'p Vec<Pair>)>,
    ) {
        for (column, pairs) in compared {
            note(&mut self.compared, *column, pairs);
        }
    }
}

/// How columns are compared.
pub(super) type Compared = HashMap<ColumnRef, Vec<Pair>>;

pub(super) fn note(compared: &mut Compared, column: ColumnRef, pairs: &[Pair]) {
    let known = compared.entry(column).or_default();
    for pair in pairs {
        if known.contains(pair) {
            continue;
        }
        // One more than are told apart says that there were more.
        if known.len() <= MAX_OF_COLUMN {
            known.push(*pair);
        }
    }
}

/// Whether it is a comparison, not in brackets. Only AND, OR, NOT and IS bind less.
fn is_comparison(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op, .. } => compares(op).is_some() || is_pattern(op),
        Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. }
        | Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::SimilarTo { .. } => true,
        _ => false,
    }
}

fn compares(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Eq,
        BinaryOperator::NotEq => Comparison::Ne,
        BinaryOperator::Lt => Comparison::Lt,
        BinaryOperator::LtEq => Comparison::Le,
        BinaryOperator::Gt => Comparison::Gt,
        BinaryOperator::GtEq => Comparison::Ge,
        _ => return None,
    })
}

const fn is_pattern(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
            | BinaryOperator::PGLikeMatch
            | BinaryOperator::PGILikeMatch
            | BinaryOperator::PGNotLikeMatch
            | BinaryOperator::PGNotILikeMatch
    )
}

/// Whether an operator makes a value, rather than to compare. AND and OR do what their operands do.
const fn computes(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::PGExp
            | BinaryOperator::StringConcat
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseOr
            | BinaryOperator::PGBitwiseXor
            | BinaryOperator::PGBitwiseShiftLeft
            | BinaryOperator::PGBitwiseShiftRight
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::HashMinus
    )
}
