//! Values that are certainly not NULL, so that writing them to a column that must not be fails for no row.

use sqlparser::ast::{BinaryOperator, CaseWhen, DataType, Expr, Function, TypedString, UnaryOperator, Value};

use super::scope::folded;
use super::trigger::arguments;
use crate::builtin;
use crate::catalog::{Catalog, Column, ColumnType, Relation, UserCasts};
use crate::read;

/// Where it is asked whether a value is NULL.
#[derive(Clone, Copy)]
struct Place<'c> {
    /// The only relation in sight.
    alone: Option<&'c Relation>,
    catalog: &'c Catalog,
}

/// Of what type a value is, as far as it matters here: not every operator and function of the server's own makes something
/// of something. `path + path` is NULL where one of them is closed (geo_ops.c, `path_add`), and so is `lower` of an empty
/// range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A literal in quotes: whatever is asked for.
    Quoted,
    Text,
    Number,
    Time,
    Truth,
    Json,
    Uuid,
    /// Of another type of the server's own.
    OfServer,
    Other,
}

/// Whether a value is certainly not NULL: literals, columns that never are (where `alone` is the only relation in sight), and
/// what the server makes of such by operators and functions that make something of everything.
pub(super) fn is_never_null(value: &Expr, alone: Option<&Relation>, catalog: &Catalog) -> bool {
    Place { alone, catalog }.is_set(value)
}

/// Whether what a column of that type gets is certainly not NULL.
pub(super) fn gives_never_null(
    value: &Expr,
    to: ColumnType,
    alone: Option<&Relation>,
    catalog: &Catalog,
) -> bool {
    is_never_null(value, alone, catalog) && stays(value, to, alone, catalog)
}

/// Whether a value becomes one of that type by nothing but what the server itself has for that: somebody's cast may make nothing
/// of something. It is of that type, or of one of the same sort, or a literal, which is read as one.
pub(super) fn stays(value: &Expr, to: ColumnType, alone: Option<&Relation>, catalog: &Catalog) -> bool {
    let place = Place { alone, catalog };
    let is_of_it = match value {
        Expr::Identifier(name) => place.column(&folded(name)).is_some_and(|(_, of)| of.0 == to.0),
        Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. }) => {
            place.is_type(data_type, to)
                || (is_time(to) && matches!(type_name(data_type).as_deref(), Some("time" | "timetz")))
        }
        _ => false,
    };
    let sort = place.sort(value);
    // What is infinite has no time of day (`timestamp_time` and `timestamptz_timetz` of date.c), nor may it have in a domain.
    let may_be_infinite = (is_time(to) || !is_of_server(to)) && matches!(sort, Sort::Time | Sort::Other);
    is_of_it
        || !may_be_infinite
            && (place.casts_unasked()
                || match sort {
                    Sort::Quoted => true,
                    Sort::OfServer | Sort::Other => false,
                    sort => sort == sort_of_column(to),
                })
}

/// Whether that is a time of day.
const fn is_time(of: ColumnType) -> bool {
    matches!(of.0, 1083 | 1266)
}

const fn is_of_server(of: ColumnType) -> bool {
    of.0 < 12_000
}

/// Whether nobody but the server has a say in what becomes of a value of its own where a column of that type gets it.
pub(super) fn takes_as_server(to: ColumnType, catalog: &Catalog) -> bool {
    Place { alone: None, catalog }.casts_unasked() || sort_of_column(to) != Sort::Other
}

/// Whether a column that an INSERT does not name does not fail by being NULL.
pub(super) fn has_value(column: &Column, catalog: &Catalog) -> bool {
    let default =
        || column.default.as_deref().and_then(|default| read::expression(default, catalog.numbers()));
    // The server prints no cast that applies by itself.
    !column.not_null || default().is_some_and(|default| gives_never_null(&default, column.of, None, catalog))
}

impl Place<'_> {
    fn is_set(self, value: &Expr) -> bool {
        match value {
            Expr::Value(value) => {
                matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_))
            }
            Expr::TypedString(_) | Expr::Interval(_) => true,
            Expr::Nested(inner) => self.is_set(inner),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
                !self.catalog.is_user_operator("-") && self.is_known(self.sort(inner)) && self.is_set(inner)
            }
            Expr::Identifier(name) => self.column(&folded(name)).is_some_and(|(not_null, _)| not_null),
            Expr::BinaryOp { left, op, right } => {
                self.is_total(left, op, right) && self.is_set(left) && self.is_set(right)
            }
            Expr::Cast { expr, data_type, format: None, kind: _ } => {
                // What reads it fails rather than make nothing of it (fmgr.c, `InputFunctionCall`).
                let is_read = is_quoted(expr) && !data_type.to_string().contains('(');
                let reads = is_literal(expr) || (self.sort_of(data_type) == Sort::Text && self.is_set(expr));
                is_read || (reads && self.is_of_server(data_type))
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                [timestamp, time_zone].into_iter().all(|it| self.is_known(self.sort(it)) && self.is_set(it))
            }
            Expr::Case {
                operand: _,
                conditions,
                else_result: Some(otherwise),
                case_token: _,
                end_token: _,
            } => {
                let mut results = conditions.iter().map(|CaseWhen { condition: _, result }| result);
                self.casts_unasked() && self.is_set(otherwise) && results.all(|result| self.is_set(result))
            }
            Expr::Trim { expr, trim_what, trim_characters: None, trim_where: _ } => {
                !self.catalog.is_user_function("btrim")
                    && std::iter::once(expr).chain(trim_what).all(|it| self.is_text(it) && self.is_set(it))
            }
            Expr::Function(function) => self.is_set_function(function),
            _ => false,
        }
    }

    /// Whether it is NOT NULL, and its type.
    fn column(self, name: &str) -> Option<(bool, ColumnType)> {
        let relation = self.alone?;
        let column = relation.columns.get(relation.column(name)?)?;
        Some((column.not_null, column.of))
    }

    /// Whether an operator of the server's own makes something of all such operands.
    fn is_total(self, left: &Expr, op: &BinaryOperator, right: &Expr) -> bool {
        let of_server = !self.catalog.is_user_operator(&op.to_string());
        let sorts = [self.sort(left), self.sort(right)];
        of_server
            && match op {
                BinaryOperator::Plus => !sorts.contains(&Sort::Other) && !sorts.contains(&Sort::OfServer),
                BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::StringConcat => sorts.into_iter().all(|sort| self.is_known(sort)),
                _ => false,
            }
    }

    fn sort(self, value: &Expr) -> Sort {
        match value {
            Expr::Value(value) => match value.value {
                Value::Number(..) => Sort::Number,
                Value::SingleQuotedString(_) => Sort::Quoted,
                Value::Boolean(_) => Sort::Truth,
                _ => Sort::Other,
            },
            Expr::Interval(_) | Expr::AtTimeZone { .. } => Sort::Time,
            Expr::TypedString(TypedString { data_type, .. }) | Expr::Cast { data_type, .. } => {
                self.sort_of(data_type)
            }
            Expr::Nested(inner) => self.sort(inner),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match self.sort(inner) {
                Sort::Quoted => Sort::Number,
                sort => sort,
            },
            Expr::Identifier(name) => {
                self.column(&folded(name)).map_or(Sort::Other, |(_, of)| sort_of_column(of))
            }
            Expr::Trim { .. } => Sort::Text,
            Expr::Case { conditions, else_result: Some(otherwise), .. } => {
                let results = conditions.iter().map(|CaseWhen { condition: _, result }| result);
                self.common(results.chain([otherwise.as_ref()]))
            }
            Expr::BinaryOp { op: BinaryOperator::StringConcat, left, right } => {
                match [self.sort(left), self.sort(right)] {
                    sorts if sorts.contains(&Sort::Other) || sorts.contains(&Sort::OfServer) => Sort::Other,
                    sorts if sorts.contains(&Sort::Text) => Sort::Text,
                    [Sort::Json, Sort::Json | Sort::Quoted] | [Sort::Quoted, Sort::Json] => Sort::Json,
                    _ => Sort::Other,
                }
            }
            Expr::BinaryOp {
                op:
                    BinaryOperator::Plus
                    | BinaryOperator::Minus
                    | BinaryOperator::Multiply
                    | BinaryOperator::Divide,
                left,
                right,
            } => match [self.sort(left), self.sort(right)] {
                // A literal may be what makes another type of it.
                [Sort::Number, Sort::Number] => Sort::Number,
                [Sort::Time, Sort::Time | Sort::Number] | [Sort::Number, Sort::Time] => Sort::Time,
                _ => Sort::Other,
            },
            Expr::Function(function) => match self.function(function) {
                Some(name) if is_clock(&name) || name == "timezone" => Sort::Time,
                Some(name) if OF_TEXT.contains(&name.as_str()) || is_user(&name) => Sort::Text,
                Some(name) if OF_NUMBERS.contains(&name.as_str()) => Sort::Number,
                Some(name) => match name.as_str() {
                    "nextval" | "random" => Sort::Number,
                    "current_setting" => Sort::Text,
                    "gen_random_uuid" => Sort::Uuid,
                    "coalesce" => self.common(arguments(function).into_iter().flatten()),
                    _ => Sort::Other,
                },
                None => Sort::Other,
            },
            _ => Sort::Other,
        }
    }

    /// Of what one of several values is.
    fn common<'v>(self, values: impl Iterator<Item = &'v Expr>) -> Sort {
        let sorts: Vec<Sort> = values.map(|value| self.sort(value)).collect();
        let mut typed = sorts.iter().filter(|sort| **sort != Sort::Quoted);
        match typed.next() {
            None => Sort::Text,
            Some(first) if typed.all(|sort| sort == first) => *first,
            Some(_) => Sort::Other,
        }
    }

    /// Whether nothing but the server's own stands between such a value and what takes it as an operand.
    fn is_known(self, sort: Sort) -> bool {
        self.casts_unasked() || sort != Sort::Other
    }

    fn is_text(self, value: &Expr) -> bool {
        matches!(self.sort(value), Sort::Text | Sort::Quoted)
    }

    /// The name of a function that can be the server's alone.
    fn function(self, function: &Function) -> Option<String> {
        let parts: Vec<_> = function.name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        match parts.as_slice() {
            [name] if !self.catalog.is_user_function(name) && !self.catalog.is_user_type(name) => Some(name),
            [schema, name] if schema == "pg_catalog" => Some(name),
            _ => None,
        }
        .map(|name| name.to_string())
    }

    fn is_set_function(self, function: &Function) -> bool {
        let Some(name) = self.function(function) else { return false };
        if is_clock(&name) || is_user(&name) {
            return true;
        }
        if MAKES.contains(&name.as_str()) {
            let is_set = |value: &Expr| self.is_known(self.sort(value)) && self.is_set(value);
            return arguments(function).is_some_and(|given| given.into_iter().all(is_set));
        }
        let Some(given) = arguments(function).filter(|given| !given.is_empty()) else { return false };
        let numbers = |value: &&Expr| matches!(self.sort(value), Sort::Number);
        match name.as_str() {
            // The other form makes nothing of a setting that is not there.
            "current_setting" => {
                given.len() == 1 && given.iter().all(|it| self.is_text(it) && self.is_set(it))
            }
            "coalesce" => self.casts_unasked() && given.iter().any(|value| self.is_set(value)),
            name if OF_TEXT.contains(&name) => {
                given.iter().all(|value| self.is_text(value) && self.is_set(value))
            }
            name if OF_NUMBERS.contains(&name) => {
                given.iter().all(numbers) && given.iter().all(|value| self.is_set(value))
            }
            _ => false,
        }
    }

    /// Whether no function of somebody's own stands between a value and what it becomes where several become one type.
    fn casts_unasked(self) -> bool {
        self.catalog.any_casts() != UserCasts::Implicit
    }

    fn sort_of(self, data_type: &DataType) -> Sort {
        let Some(name) = type_name(data_type).filter(|name| !self.catalog.is_user_type(name)) else {
            return Sort::Other;
        };
        match name.as_str() {
            "text" | "varchar" | "character" | "char" => Sort::Text,
            "int" | "integer" | "int4" | "smallint" | "int2" | "bigint" | "int8" | "numeric" | "decimal"
            | "real" | "float4" | "float8" | "double" => Sort::Number,
            "date" | "time" | "timetz" | "timestamp" | "timestamptz" | "interval" => Sort::Time,
            "bool" | "boolean" => Sort::Truth,
            "json" | "jsonb" => Sort::Json,
            "uuid" => Sort::Uuid,
            name if builtin::builtin_type(name) => Sort::OfServer,
            _ => Sort::Other,
        }
    }

    /// Whether that name can mean no type but this one of somebody's own.
    fn is_type(self, data_type: &DataType, of: ColumnType) -> bool {
        let name = type_name(data_type);
        let name = name.as_deref().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
        let types = self.catalog.user_types(name);
        !types.is_empty() && !builtin::builtin_type(name) && types.iter().all(|it| it.oid == of.0)
    }

    /// Whether that is a type of the server's own, by a name that nobody else has: what reads a literal as one of these makes
    /// something of it, or fails.
    fn is_of_server(self, data_type: &DataType) -> bool {
        type_name(data_type).is_some_and(|name| {
            builtin::builtin_type(&name)
                && !self.catalog.is_user_type(&name)
                && self.catalog.any_casts() == UserCasts::None
        })
    }
}

/// Text to text, of everything but NULL.
const OF_TEXT: [&str; 5] = ["upper", "lower", "btrim", "ltrim", "rtrim"];

/// The same of numbers.
const OF_NUMBERS: [&str; 2] = ["round", "abs"];

/// What they make of nothing, or of all but NULL.
const MAKES: [&str; 4] = ["nextval", "timezone", "gen_random_uuid", "random"];

fn is_user(name: &str) -> bool {
    matches!(name, "current_user" | "session_user" | "user" | "current_role" | "current_catalog")
}

fn is_clock(name: &str) -> bool {
    matches!(
        name,
        "now"
            | "current_timestamp"
            | "current_date"
            | "localtimestamp"
            | "clock_timestamp"
            | "statement_timestamp"
            | "transaction_timestamp"
    )
}

fn is_literal(value: &Expr) -> bool {
    match value {
        Expr::Value(value) => {
            matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_))
        }
        Expr::Nested(inner) => is_literal(inner),
        _ => false,
    }
}

fn is_quoted(value: &Expr) -> bool {
    matches!(value, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}

/// The name of a type of one word, without what is in its brackets; `None` of an array.
fn type_name(data_type: &DataType) -> Option<String> {
    if matches!(data_type, DataType::Array(_)) {
        return None;
    }
    let shown = data_type.to_string().to_ascii_lowercase();
    let name = shown.split(['(', '[', ' ']).next().unwrap_or_default();
    Some(name.to_owned())
}

/// By OIDs of pg_type.dat.
const fn sort_of_column(of: ColumnType) -> Sort {
    match of.0 {
        25 | 1042 | 1043 => Sort::Text,
        20 | 21 | 23 | 700 | 701 | 1700 => Sort::Number,
        1082 | 1083 | 1114 | 1184 | 1186 | 1266 => Sort::Time,
        16 => Sort::Truth,
        114 | 3802 => Sort::Json,
        2950 => Sort::Uuid,
        1..12_000 => Sort::OfServer,
        _ => Sort::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::Numbers;

    /// As PostgreSQL 13 to 18 print them.
    #[test]
    fn a_default_that_is_certainly_something_is_told_from_one_that_may_be_null() {
        let is_set = |default: &str| {
            let read = read::expression(default, Numbers::Decimal);
            read.is_some_and(|value| is_never_null(&value, None, &Catalog::default()))
        };
        for default in [
            "nextval('public.audit_id_seq'::regclass)",
            "pg_catalog.nextval('')",
            "gen_random_uuid()",
            "now()",
            "CURRENT_TIMESTAMP",
            "CURRENT_DATE",
            "clock_timestamp()",
            "(now() AT TIME ZONE 'utc'::text)",
            "timezone('utc'::text, now())",
            "(clock_timestamp() + '1 day'::interval)",
            "CURRENT_USER",
            "SESSION_USER",
            "COALESCE(current_setting('app.user'::text, true), (CURRENT_USER)::text)",
            "current_setting('app.user'::text)",
            "'change'::character varying",
            "'{}'::jsonb",
            "'{}'::text[]",
            "'change'::public.why",
            "0",
            "'-1'::integer",
            "false",
        ] {
            assert!(is_set(default), "{default}");
        }
        for default in [
            "NULL::text",
            "'a'::public.own(3)",
            "(1)::public.own",
            "current_setting('app.user'::text, true)",
            "NULLIF(current_setting('application_name'::text), ''::text)",
            "CURRENT_SCHEMA",
            "public.now()",
            "nextval(NULL::regclass)",
            "('null'::jsonb)::integer",
            "inet_client_addr()",
            "COALESCE(current_setting('a'::text, true), current_setting('b'::text, true))",
            "lower('empty'::int4range)",
            "now(), NULL",
            "",
        ] {
            assert!(!is_set(default), "{default}");
        }
    }
}
