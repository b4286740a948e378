//! What stands on either side of a comparison.

use sqlparser::ast::{CastKind, DataType, ExactNumberInfo, Expr, ObjectNamePart, UnaryOperator, Value};

use super::Walker;
use super::compare::SOMEHOW;
use super::expr::VALUE_WORDS;
use super::scope::folded;
use crate::marker;
use crate::predicate::{Comparison, Operand, OperandClass, Pair, ValuePlace, ValueSource};

/// A column with nothing around it that changes how it compares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Itself,
    /// To the nearest whole number, or the nearest that a type has: in the same order.
    Rounded,
    /// As text: equal where it is equal, in another order.
    AsText,
}

/// What a cast makes of a number.
enum Cast {
    Exact,
    Rounded,
    Text,
    Boolean,
    DateTime,
    Unknown,
}

impl Walker<'_> {
    /// What a column is compared with.
    pub(super) fn operand(&self, expr: &Expr) -> Operand {
        match expr {
            Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } => {
                self.operand(inner)
            }
            Expr::Collate { expr: inner, collation: _ } => self.operand(inner),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner }
                if !matches!(**inner, Expr::BinaryOp { .. }) =>
            {
                let Operand { class, value } = self.operand(inner);
                let value = value.map(|place| ValuePlace { negated: !place.negated, ..place });
                match class {
                    OperandClass::Number | OperandClass::Text | OperandClass::Parameter(_) => {
                        Operand { class, value }
                    }
                    _ => Operand::EXPRESSION,
                }
            }
            Expr::Value(value) => {
                let class = match &value.value {
                    Value::Number(..) => OperandClass::Number,
                    Value::SingleQuotedString(_) => OperandClass::Text,
                    Value::Boolean(_) => return Operand::of(OperandClass::Boolean),
                    Value::Null => return Operand::of(OperandClass::Null),
                    Value::Placeholder(name) => return parameter(name),
                    _ => return Operand::EXPRESSION,
                };
                let at = self.literals.and_then(|literals| literals.offset(value.span));
                let source = at.and_then(|at| u32::try_from(at).ok()).map(ValueSource::Literal);
                let value = source.map(|source| ValuePlace { source, negated: false, rounded: false });
                Operand { class, value }
            }
            Expr::Cast { expr, data_type, .. } if is_collation(data_type) => self.operand(expr),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
                cast(self.operand(expr), data_type)
            }
            Expr::TypedString(typed) => {
                cast(self.operand(&Expr::Value(typed.value.clone())), &typed.data_type)
            }
            Expr::Interval(_) => Operand::of(OperandClass::DateTime),
            expr if plain(expr).is_some() => Operand::of(OperandClass::Column),
            _ => Operand::EXPRESSION,
        }
    }
}

/// A column, through brackets, collations and casts that keep how it compares.
pub(super) fn plain(expr: &Expr) -> Option<Plain> {
    match expr {
        Expr::Identifier(ident) => {
            let is_value = ident.quote_style.is_none() && VALUE_WORDS.contains(&folded(ident).as_ref());
            (!is_value).then_some(Plain::Itself)
        }
        Expr::CompoundIdentifier(_) => Some(Plain::Itself),
        Expr::Nested(inner) | Expr::Collate { expr: inner, collation: _ } => plain(inner),
        Expr::Cast { expr, data_type, .. } if is_collation(data_type) => plain(expr),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
            match (plain(expr)?, cast_to(data_type)) {
                (inner, Cast::Exact) if inner != Plain::AsText => Some(inner),
                (Plain::Itself | Plain::Rounded, Cast::Rounded) => Some(Plain::Rounded),
                (Plain::Itself | Plain::AsText, Cast::Text) => Some(Plain::AsText),
                _ => None,
            }
        }
        _ => None,
    }
}

/// How a column itself compares that does so through such a cast.
pub(super) fn through(plain: Plain, (op, operand): Pair) -> Pair {
    let equality = matches!(op, Comparison::Eq | Comparison::Ne | Comparison::In);
    match plain {
        Plain::Itself => (op, operand),
        // Several numbers are rounded to the same.
        Plain::Rounded if equality => (op, Operand { value: None, ..operand }),
        Plain::Rounded => (op, operand),
        Plain::AsText if equality || matches!(op, Comparison::Like | Comparison::IsNull) => (op, operand),
        Plain::AsText => SOMEHOW,
    }
}

fn parameter(name: &str) -> Operand {
    let number = name.strip_prefix('$').and_then(|digits| digits.parse().ok());
    let Some(number) = number else { return Operand::EXPRESSION };
    let source = ValueSource::Parameter(number);
    let value = Some(ValuePlace { source, negated: false, rounded: false });
    Operand { class: OperandClass::Parameter(number), value }
}

fn cast(operand: Operand, data_type: &DataType) -> Operand {
    let Operand { class, value } = operand;
    let is_value = matches!(class, OperandClass::Number | OperandClass::Text | OperandClass::Parameter(_));
    let of = |literal: OperandClass| match class {
        OperandClass::Parameter(_) => class,
        _ => literal,
    };
    match cast_to(data_type) {
        _ if !is_value => match class {
            OperandClass::Null | OperandClass::Column => Operand::of(class),
            _ => Operand::EXPRESSION,
        },
        Cast::Exact => Operand { class: of(OperandClass::Number), value },
        Cast::Rounded => {
            let value = value.map(|place| ValuePlace { rounded: true, ..place });
            Operand { class: of(OperandClass::Number), value }
        }
        Cast::Text => Operand { class: of(OperandClass::Text), value },
        Cast::Boolean => Operand::of(of(OperandClass::Boolean)),
        Cast::DateTime => Operand::of(of(OperandClass::DateTime)),
        Cast::Unknown => Operand::of(of(OperandClass::Expression)),
    }
}

/// Whether a cast stands for COLLATE (`normalise::clause`).
pub(super) fn is_collation(data_type: &DataType) -> bool {
    let DataType::Custom(name, _) = data_type else { return false };
    let first = name.0.first().and_then(ObjectNamePart::as_ident);
    first.is_some_and(|first| marker::named(&first.value).is_some())
}

/// What a type makes of a number. A type of somebody's own with such a name is a doubt of its own.
fn cast_to(data_type: &DataType) -> Cast {
    match data_type {
        DataType::Numeric(ExactNumberInfo::None)
        | DataType::Decimal(ExactNumberInfo::None)
        | DataType::Dec(ExactNumberInfo::None) => Cast::Exact,
        DataType::Numeric(modifier) | DataType::Decimal(modifier) | DataType::Dec(modifier) => match modifier
        {
            // With a negative scale, 50000 may become 100000.
            ExactNumberInfo::PrecisionAndScale(_, scale) if *scale < 0 => Cast::Unknown,
            _ => Cast::Rounded,
        },
        DataType::Int2(None)
        | DataType::Int4(None)
        | DataType::Int8(None)
        | DataType::SmallInt(None)
        | DataType::Int(None)
        | DataType::Integer(None)
        | DataType::BigInt(None)
        | DataType::Float4
        | DataType::Float8
        | DataType::Real
        | DataType::Float(_)
        | DataType::DoublePrecision => Cast::Rounded,
        DataType::Text
        | DataType::Varchar(None)
        | DataType::CharacterVarying(None)
        | DataType::CharVarying(None) => Cast::Text,
        DataType::Bool | DataType::Boolean => Cast::Boolean,
        DataType::Date | DataType::Time(..) | DataType::Timestamp(..) | DataType::Interval { .. } => {
            Cast::DateTime
        }
        _ => Cast::Unknown,
    }
}
