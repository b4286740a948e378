//! Conditions of which a planner with statistics knows how many rows meet them.

use std::collections::{BTreeMap, BTreeSet};

use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, SQLValueFunctionOp};
use pg_raw_parse::{ConstValue, Node};

use super::{MAX_DEPTH, NOW, Reader};
use crate::catalog::ColumnType;

/// The most comparisons of one statement.
const MAX_CONDITIONS: u32 = 64;

// OIDs of types (pg_type.dat).
const BOOL: u32 = 16;
const FLOAT8: u32 = 701;
const NUMERIC: u32 = 1700;
/// `int8`, `int2`, `int4`, `float8`, `numeric`: a whole number is compared with these as they are. Where the column had
/// to be cast instead (`id > 0.5`), there are no statistics of what is compared.
const NUMBERS: [u32; 5] = [20, 21, 23, FLOAT8, NUMERIC];
/// `text`, `varchar`, `bpchar`, `uuid` and the numbers: a literal in quotes becomes a value of the column's type, and the
/// same under all settings.
const IN_QUOTES: [u32; 4] = [25, 1043, 1042, 2950];
/// `date`, `timestamp`, `timestamptz`: compared with each other as they are.
const TIMES: [u32; 3] = [1082, 1114, 1184];

/// Conditions on the columns of one table, joined by AND and OR.
#[derive(Default)]
pub(super) struct Conditions {
    of: BTreeMap<String, Counts>,
    leaves: u32,
}

/// How often a column is compared.
#[derive(Default)]
struct Counts {
    /// By `>` or `>=`, and by `<` or `<=`: one of each is one range to the planner.
    from: u32,
    to: u32,
    other: u32,
}

/// What a comparison is to the planner.
#[derive(Clone, Copy)]
enum Sense {
    From,
    To,
    Other,
}

impl Conditions {
    /// Those of a WHERE. `None`: there are none, or some are of another kind.
    pub(super) fn of(reader: &Reader<'_>, condition: Node<'_>) -> Option<Self> {
        let mut all = Self::default();
        all.add(reader, condition, 0)?;
        Some(all)
    }

    /// How many there are that the planner multiplies.
    pub(super) fn count(&self) -> u32 {
        self.of.values().map(|it| it.from.max(it.to) + it.other).sum()
    }

    pub(super) fn into_columns(self) -> BTreeSet<String> {
        self.of.into_keys().collect()
    }

    fn add(&mut self, reader: &Reader<'_>, node: Node<'_>, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match node {
            Node::BoolExpr(it) if it.boolop != BoolExprType::NOT_EXPR => {
                it.args().iter().try_for_each(|it| self.add(reader, it, depth + 1))
            }
            Node::A_Expr(it) => {
                let mut name = it.name().iter().map(Node::as_str);
                let (Some(Some(name)), None) = (name.next(), name.next()) else { return None };
                match it.kind {
                    A_Expr_Kind::AEXPR_OP => self.compare(reader, name, it.lexpr(), it.rexpr()),
                    A_Expr_Kind::AEXPR_IN if matches!(name, "=" | "<>") => {
                        self.among(reader, it.lexpr(), it.rexpr(), Sense::Other, None)
                    }
                    A_Expr_Kind::AEXPR_BETWEEN => {
                        self.among(reader, it.lexpr(), it.rexpr(), Sense::From, Some(Sense::To))
                    }
                    _ => None,
                }
            }
            Node::NullTest(it) => self.note(reader, it.arg(), Sense::Other).map(drop),
            Node::ColumnRef(_) => (self.note(reader, node, Sense::Other)?.0 == BOOL).then_some(()),
            _ => None,
        }
    }

    fn compare(&mut self, reader: &Reader<'_>, name: &str, left: Node<'_>, right: Node<'_>) -> Option<()> {
        let (sense, turned) = match name {
            "=" | "<>" => (Sense::Other, Sense::Other),
            "<" | "<=" => (Sense::To, Sense::From),
            ">" | ">=" => (Sense::From, Sense::To),
            _ => return None,
        };
        let (column, literal, sense) = match left {
            Node::ColumnRef(_) => (left, right, sense),
            _ => (right, left, turned),
        };
        let of = self.note(reader, column, sense)?;
        is_literal(literal, of, reader).then_some(())
    }

    /// A comparison with each of a list.
    fn among(
        &mut self,
        reader: &Reader<'_>,
        column: Node<'_>,
        list: Node<'_>,
        sense: Sense,
        also: Option<Sense>,
    ) -> Option<()> {
        let Node::NodeList(list) = list else { return None };
        let of = self.note(reader, column, sense)?;
        if let Some(also) = also {
            self.note(reader, column, also)?;
        }
        list.iter().all(|it| is_literal(it, of, reader)).then_some(())
    }

    /// Counts a comparison of that column, and gives its type.
    fn note(&mut self, reader: &Reader<'_>, column: Node<'_>, sense: Sense) -> Option<ColumnType> {
        let column = reader.relation.columns.get(reader.column(column)?)?;
        self.leaves += 1;
        if self.leaves > MAX_CONDITIONS {
            return None;
        }
        let counts = self.of.entry(column.name.clone()).or_default();
        match sense {
            Sense::From => counts.from += 1,
            Sense::To => counts.to += 1,
            Sense::Other => counts.other += 1,
        }
        Some(column.of)
    }
}

/// Whether a literal is compared with a column of that type without casting the column, and is the same value
/// whatever the session has set.
fn is_literal(node: Node<'_>, ColumnType(of, _): ColumnType, reader: &Reader<'_>) -> bool {
    match node {
        Node::A_Const(it) => match it.val() {
            Some(ConstValue::Integer(_)) => NUMBERS.contains(&of),
            // Digits beyond int4 are int8, and beyond that numeric (`make_const`).
            Some(ConstValue::Float(text)) if text.parse::<i64>().is_ok() => NUMBERS.contains(&of),
            Some(ConstValue::Float(_)) => matches!(of, FLOAT8 | NUMERIC),
            Some(ConstValue::Boolean(_)) => of == BOOL,
            Some(ConstValue::String(text)) => {
                of == BOOL
                    || NUMBERS.contains(&of)
                    || IN_QUOTES.contains(&of)
                    || (TIMES.contains(&of) && is_iso(text))
            }
            _ => false,
        },
        // date '2026-01-31'
        Node::TypeCast(it) => {
            let Some(name) = it.type_name().filter(|it| !it.pct_type && it.array_bounds().is_empty()) else {
                return false;
            };
            let names: Vec<_> = name.names().iter().map(|it| it.sval()).collect();
            let is_time = matches!(names.last(), Some(Some("date" | "timestamp" | "timestamptz")));
            let Node::A_Const(literal) = it.arg() else { return false };
            is_time
                && reader.is_type_of_server(&names)
                && TIMES.contains(&of)
                && matches!(literal.val(), Some(ConstValue::String(text)) if is_iso(text))
        }
        _ => TIMES.contains(&of) && is_moment(node, reader, 0),
    }
}

/// `now()`, `current_date` and kin, or some time before or after: the planner works it out when it is asked.
fn is_moment(node: Node<'_>, reader: &Reader<'_>, depth: usize) -> bool {
    match node {
        Node::SQLValueFunction(it) => matches!(
            it.op,
            SQLValueFunctionOp::SVFOP_CURRENT_DATE
                | SQLValueFunctionOp::SVFOP_CURRENT_TIMESTAMP
                | SQLValueFunctionOp::SVFOP_LOCALTIMESTAMP
        ),
        Node::FuncCall(it) => {
            let is_now = it.funcname().iter().next_back().and_then(Node::as_str) == Some(NOW);
            is_now && it.args().is_empty() && reader.calls(it).is_some()
        }
        Node::A_Expr(it) if it.kind == A_Expr_Kind::AEXPR_OP && depth < MAX_DEPTH => {
            let mut name = it.name().iter().map(Node::as_str);
            let known = matches!((name.next(), name.next()), (Some(Some("+" | "-")), None));
            known && is_moment(it.lexpr(), reader, depth + 1) && is_span(it.rexpr(), reader)
        }
        _ => false,
    }
}

/// A number of days, or an interval that is the same in every IntervalStyle, as `-1 2:03` is not.
fn is_span(node: Node<'_>, reader: &Reader<'_>) -> bool {
    let Node::TypeCast(it) = node else {
        return matches!(node, Node::A_Const(it) if matches!(it.val(), Some(ConstValue::Integer(_))));
    };
    let Some(name) = it.type_name().filter(|it| !it.pct_type && it.array_bounds().is_empty()) else {
        return false;
    };
    let names: Vec<_> = name.names().iter().map(|it| it.sval()).collect();
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    let Node::A_Const(literal) = it.arg() else { return false };
    names.last() == Some(&Some("interval"))
        && reader.is_type_of_server(&names)
        && matches!(literal.val(), Some(ConstValue::String(text)) if is_plain(text))
}

/// `2026-01-31`, with or without a time: the same day in every DateStyle, as `01/02/2026` is not.
fn is_iso(text: &str) -> bool {
    let mut bytes = text.bytes();
    let day = *b"0000-00-00";
    let is_day = day.iter().all(|like| {
        bytes.next().is_some_and(|byte| if *like == b'-' { byte == b'-' } else { byte.is_ascii_digit() })
    });
    is_day && bytes.all(|byte| byte.is_ascii_digit() || b" :.T+-".contains(&byte))
}
