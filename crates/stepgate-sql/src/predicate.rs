//! How a statement compares a column, and with what: never the value, only where in the statement it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};
use stepgate_types::{ColumnName, Use};

use crate::lexer::{Token, TokenKind};

/// The most comparisons of one column that are told apart; one more, and all that is known of the column is that
/// it is compared somehow. Nobody lists more by hand, and a rule looks at each.
pub(crate) const MAX_OF_COLUMN: usize = 64;

/// A comparison of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Predicate {
    /// The base column; views, subqueries and CTEs seen through where they show just that column.
    pub column: ColumnName,
    /// How it is compared, with the column on the left.
    pub op: Comparison,
    /// With what.
    pub operand: Operand,
}

impl Predicate {
    /// No comparison of that column comes before this one.
    const fn first(column: ColumnName) -> Self {
        Self { column, op: Comparison::Eq, operand: Operand::of(OperandClass::Number) }
    }

    /// A comparison that is not understood.
    #[must_use]
    pub const fn other(column: ColumnName) -> Self {
        Self { column, op: Comparison::Other, operand: Operand::EXPRESSION }
    }
}

/// How something is compared with what.
pub(crate) type Pair = (Comparison, Operand);

/// How a column is compared.
///
/// A comparison whose truth may be turned around (under anything but AND and OR of a condition) is there twice, as
/// itself and as its opposite; BETWEEN is two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `=`, IS NOT DISTINCT FROM, USING.
    Eq,
    /// `<>`, IS DISTINCT FROM, NOT IN.
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// IN, `= ANY`: as [`Self::Eq`], one for each member that can be told.
    In,
    /// LIKE, ILIKE, SIMILAR TO, `~` and their opposites: from equality to any range.
    Like,
    /// IS NULL, IS NOT NULL.
    IsNull,
    /// Any other way, perhaps one of the above.
    Other,
}

impl Comparison {
    /// The word in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::In => "in",
            Self::Like => "like",
            Self::IsNull => "is-null",
            Self::Other => "other",
        }
    }

    /// What holds where this does not.
    pub(crate) const fn opposite(self) -> Self {
        match self {
            Self::Eq | Self::In => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
            same @ (Self::Like | Self::IsNull | Self::Other) => same,
        }
    }

    /// The same with its sides exchanged.
    pub(crate) const fn swapped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a column is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operand {
    /// What it is.
    pub class: OperandClass,
    /// Where its value is, if it has one that could be a number.
    pub value: Option<ValuePlace>,
}

/// What a column is compared with, by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperandClass {
    /// A number, or a literal cast to one.
    Number,
    /// A literal in quotes.
    Text,
    /// TRUE or FALSE.
    Boolean,
    /// NULL.
    Null,
    /// A literal of a type of dates or times.
    DateTime,
    /// `$n`, cast or not.
    Parameter(u16),
    /// Another column.
    Column,
    /// Anything else.
    Expression,
}

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValuePlace {
    /// Of what it is the value.
    pub source: ValueSource,
    /// A minus stands before it.
    pub negated: bool,
    /// It is cast to a type that may round it: only a whole number of few digits is what it is compared with.
    pub rounded: bool,
}

/// What has the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueSource {
    /// A literal, by its number among the string and number literals of the message, from 0.
    Literal(u32),
    /// A parameter, by its number, from 1.
    Parameter(u16),
}

impl Operand {
    /// Something of which nothing more is known.
    pub const EXPRESSION: Self = Self { class: OperandClass::Expression, value: None };

    pub(crate) const fn of(class: OperandClass) -> Self {
        Self { class, value: None }
    }

    /// Where its text is another one than the statement's.
    pub(crate) const fn elsewhere(self) -> Self {
        match self.class {
            OperandClass::Parameter(_) => Self::EXPRESSION,
            class => Self { class, value: None },
        }
    }
}

impl fmt::Display for OperandClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("number"),
            Self::Text => f.write_str("text"),
            Self::Boolean => f.write_str("boolean"),
            Self::Null => f.write_str("null"),
            Self::DateTime => f.write_str("date/time"),
            Self::Parameter(number) => write!(f, "${number}"),
            Self::Column => f.write_str("column"),
            Self::Expression => f.write_str("expression"),
        }
    }
}

impl Serialize for OperandClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The predicates of a statement. For each column either all of its comparisons, or one that stands for any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Predicates {
    all: BTreeSet<Predicate>,
    /// Columns of which there were more.
    full: BTreeSet<ColumnName>,
}

impl Predicates {
    /// In order of columns.
    pub fn iter(&self) -> impl Iterator<Item = &Predicate> {
        self.all.iter()
    }

    /// Whether that is one of them.
    #[must_use]
    pub fn contains(&self, predicate: &Predicate) -> bool {
        self.all.contains(predicate)
    }

    /// Whether nothing is compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds one.
    pub fn insert(&mut self, predicate: Predicate) {
        if self.full.contains(&predicate.column) {
            return;
        }
        if self.of(&predicate.column).count() < MAX_OF_COLUMN {
            self.all.insert(predicate);
        } else if !self.all.contains(&predicate) {
            self.all.retain(|it| it.column != predicate.column);
            self.full.insert(predicate.column.clone());
            self.all.insert(Predicate::other(predicate.column));
        }
    }

    /// Those of one column.
    pub fn of<'p>(&'p self, column: &'p ColumnName) -> impl Iterator<Item = &'p Predicate> {
        self.all.range(Predicate::first(column.clone())..).take_while(move |it| it.column == *column)
    }

    /// Sees to it that there is one for each of these that is used as a predicate.
    pub(crate) fn cover(&mut self, columns: &BTreeMap<ColumnName, BTreeSet<Use>>) {
        for (column, _) in columns.iter().filter(|(_, uses)| uses.contains(&Use::Predicate)) {
            if self.of(column).next().is_none() {
                self.insert(Predicate::other(column.clone()));
            }
        }
    }

    pub(crate) fn extend(&mut self, more: &Self) {
        self.full.extend(more.full.iter().cloned());
        self.all.retain(|it| !more.full.contains(&it.column));
        // That of a full column stands for all.
        for predicate in &more.all {
            if more.full.contains(&predicate.column) {
                self.all.insert(predicate.clone());
            } else {
                self.insert(predicate.clone());
            }
        }
    }

    /// Those of a text that is not the message's: where its values are says nothing there.
    pub(crate) fn elsewhere(&self) -> Self {
        let of = |it: &Predicate| Predicate { operand: it.operand.elsewhere(), ..it.clone() };
        Self { all: self.all.iter().map(of).collect(), full: self.full.clone() }
    }

    /// Literals, known by their offsets so far, by their numbers among these tokens: offsets differ between texts
    /// that share facts.
    pub(crate) fn number_literals(&mut self, tokens: &[Token<'_>]) {
        if self.all.iter().all(|it| it.operand.value.is_none()) {
            return;
        }
        let literals: Vec<usize> = literals(tokens).map(|(token, _)| token.at).collect();
        let numbered = |mut it: Predicate| {
            it.operand.value = it.operand.value.and_then(|mut place| {
                if let ValueSource::Literal(at) = place.source {
                    let number = literals.binary_search(&usize::try_from(at).ok()?).ok()?;
                    place.source = ValueSource::Literal(u32::try_from(number).ok()?);
                }
                Some(place)
            });
            it
        };
        self.all = std::mem::take(&mut self.all).into_iter().map(numbered).collect();
    }
}

/// The string and number literals among tokens, each with the token after it.
pub(crate) fn literals<'t, 'a>(
    tokens: &'t [Token<'a>],
) -> impl Iterator<Item = (&'t Token<'a>, Option<&'t Token<'a>>)> {
    let is_literal = |token: &Token<'_>| matches!(token.kind, TokenKind::Text(_) | TokenKind::Number(_));
    tokens
        .iter()
        .enumerate()
        .filter(move |(_, token)| is_literal(token))
        .map(|(at, token)| (token, tokens.get(at + 1)))
}
