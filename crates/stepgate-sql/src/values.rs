//! The values that columns are compared with, looked up where the statement has them, for as long as it is decided on.

use std::cell::OnceCell;

use crate::lexer::{self, Numbers, Token, TokenKind, decimal};
use crate::number::Number;
use crate::predicate::{ValuePlace, ValueSource, literals};

/// Digits that every type keeps that is rounded to: `real` has 24 bits.
const MAX_ROUNDED: i64 = 7;

/// Tells numbers that a statement compares with.
pub trait Values {
    /// The number there. `None`: it is none, or not one that is certain.
    fn number(&self, place: ValuePlace) -> Option<Number>;
}

/// No value is known.
#[derive(Debug, Clone, Copy)]
pub struct NoValues;

impl Values for NoValues {
    fn number(&self, _place: ValuePlace) -> Option<Number> {
        None
    }
}

/// A value as a statement has it.
#[derive(Clone, PartialEq, Eq)]
pub enum Written<'v> {
    /// Text.
    Text(String),
    /// In the binary format of the type of that OID; 0 is one that the client did not name.
    Binary(u32, &'v [u8]),
}

/// Those in a message's own text, and in its Bind. Not kept: see [`crate::Facts`].
pub struct StatementValues<'a, V> {
    sql: &'a [u8],
    /// Of that text, once they are asked for: a rule may ask for a value of a long text a thousand times.
    tokens: OnceCell<Option<Vec<Token<'a>>>>,
    parameters: &'a [Option<V>],
    formats: &'a [i16],
    types: &'a [u32],
}

impl<'a, V> StatementValues<'a, V> {
    /// `sql`: the exact text that the facts are of. `parameters`: in order, with a format code for each (0 is text,
    /// 1 binary). `types`: those that the client gave, as far as it did; 0 is none.
    #[must_use]
    pub const fn new(
        sql: &'a [u8],
        parameters: &'a [Option<V>],
        formats: &'a [i16],
        types: &'a [u32],
    ) -> Self {
        Self { sql, tokens: OnceCell::new(), parameters, formats, types }
    }

    fn tokens(&self) -> Option<&[Token<'a>]> {
        let read = || lexer::tokens(std::str::from_utf8(self.sql).ok()?, Numbers::Any).ok();
        self.tokens.get_or_init(read).as_deref()
    }

    /// The literal of that number, if it is a plain one on its own: literals that follow each other are one.
    fn literal(&self, at: u32) -> Option<Number> {
        let (token, next) = literals(self.tokens()?).nth(usize::try_from(at).ok()?)?;
        match &token.kind {
            TokenKind::Number(text) => decimal(text)?.parse().ok(),
            TokenKind::Text(Some(text))
                if !next.is_some_and(|next| matches!(next.kind, TokenKind::Text(_))) =>
            {
                text.parse().ok()
            }
            _ => None,
        }
    }

    /// Whether a parameter stands in one place only. Else the type that the server gives it may be that of another
    /// place: after `$1::bit(8)`, `$1::int` reads `00101111` as 47.
    fn is_named_once(&self, number: u16) -> bool {
        let is_it = |token: &&Token<'_>| match token.kind {
            TokenKind::Param(name) => name.trim_start_matches('$').parse() == Ok(number),
            _ => false,
        };
        self.tokens().is_some_and(|tokens| tokens.iter().filter(is_it).count() == 1)
    }
}

impl<V: AsRef<[u8]>> Values for StatementValues<'_, V> {
    fn number(&self, place: ValuePlace) -> Option<Number> {
        let number = match place.source {
            ValueSource::Literal(at) => self.literal(at)?,
            ValueSource::Parameter(at) => self.parameter(at)?,
        };
        let number = if place.negated { number.negated() } else { number };
        Some(number).filter(|number| !place.rounded || number.is_whole(MAX_ROUNDED))
    }
}

impl<V: AsRef<[u8]>> StatementValues<'_, V> {
    /// The value there as text, as it is written; with its type's OID and whether it is binary, where it is a parameter
    /// that is. `None`: not one plain literal or parameter.
    #[must_use]
    pub fn written(&self, place: ValuePlace) -> Option<Written<'_>> {
        match place.source {
            ValueSource::Literal(at) => {
                let (token, next) = literals(self.tokens()?).nth(usize::try_from(at).ok()?)?;
                let followed = next.is_some_and(|next| matches!(next.kind, TokenKind::Text(_)));
                match &token.kind {
                    TokenKind::Number(text) => Some(Written::Text(decimal(text)?.to_string())),
                    TokenKind::Text(Some(text)) if !followed => Some(Written::Text(text.to_string())),
                    _ => None,
                }
            }
            ValueSource::Parameter(number) => {
                let at = usize::from(number).checked_sub(1)?;
                let value = self.parameters.get(at)?.as_ref()?.as_ref();
                match self.formats.get(at)? {
                    0 => Some(Written::Text(std::str::from_utf8(value).ok()?.to_owned())),
                    _ => Some(Written::Binary(self.types.get(at).copied().unwrap_or(0), value)),
                }
            }
        }
    }

    fn parameter(&self, number: u16) -> Option<Number> {
        let at = usize::from(number).checked_sub(1)?;
        let value = self.parameters.get(at)?.as_ref()?.as_ref();
        let oid = self.types.get(at).copied().unwrap_or(0);
        if matches!(oid, 0 | UNKNOWN) && !self.is_named_once(number) {
            return None;
        }
        match self.formats.get(at)? {
            0 if is_read_as_decimal(oid) => std::str::from_utf8(value).ok()?.parse().ok(),
            1 => binary(oid, value),
            _ => None,
        }
    }
}

// OIDs of types (`pg_type.dat`).
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const UNKNOWN: u32 = 705;
const VARCHAR: u32 = 1043;
const NUMERIC: u32 = 1700;

/// Whether text of that type, or of one that the server chooses by what stands around, means the number that it looks
/// like: of `bit`, `1111` is 15, and of `"char"`, `5` is 53.
const fn is_read_as_decimal(oid: u32) -> bool {
    matches!(oid, 0 | INT2 | INT4 | INT8 | FLOAT4 | FLOAT8 | NUMERIC | TEXT | VARCHAR | UNKNOWN)
}

/// A value in the binary format of its type.
fn binary(oid: u32, value: &[u8]) -> Option<Number> {
    let shown = match oid {
        INT2 => i16::from_be_bytes(value.try_into().ok()?).to_string(),
        INT4 => i32::from_be_bytes(value.try_into().ok()?).to_string(),
        INT8 => i64::from_be_bytes(value.try_into().ok()?).to_string(),
        // The shortest text that means the same; of infinity or NaN it is no number.
        FLOAT4 => format!("{:e}", f32::from_be_bytes(value.try_into().ok()?)),
        FLOAT8 => format!("{:e}", f64::from_be_bytes(value.try_into().ok()?)),
        NUMERIC => return Number::from_numeric(value),
        _ => return None,
    };
    shown.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<Number> {
        text.parse().ok()
    }

    fn value(sql: &str, at: u32, rounded: bool) -> Option<Number> {
        let values = StatementValues::<&[u8]>::new(sql.as_bytes(), &[], &[], &[]);
        values.number(ValuePlace { source: ValueSource::Literal(at), negated: false, rounded })
    }

    #[test]
    fn a_literal_is_found_by_its_number_in_the_text() {
        let sql = "select 'a', 2 from t where b = '3' and c > $a$5e4$a$ and d < U&'\\0036' -- 7\n or e = E'8' or f = 9.5";
        let expected = [None, Some("2"), Some("3"), Some("5e4"), Some("6"), None, Some("9.5"), None];
        for (at, text) in (0..).zip(expected) {
            assert_eq!(value(sql, at, false), text.and_then(number), "{at}");
        }
        assert_eq!(value("select '1'\n'2'", 0, false), None, "it is 12 to the server");
        assert_eq!(value("select 0x10, 1_0.5", 0, false), number("16"));
        assert_eq!(value("select 0x10, 1_0.5", 1, false), number("10.5"));
        assert_eq!(value("select '", 0, false), None);
    }

    #[test]
    fn what_may_be_rounded_is_certain_only_where_it_is_not() {
        for (sql, certain) in
            [("50000", true), ("50000.0", true), ("29999.6", false), ("16777217", false), ("5e4", true)]
        {
            assert_eq!(value(sql, 0, true).is_some(), certain, "{sql}");
            assert!(value(sql, 0, false).is_some(), "{sql}");
        }
    }

    #[test]
    fn a_parameter_is_read_by_its_format_and_the_type_that_the_client_gave() {
        let of = |value: Option<&[u8]>, format: i16, oid: u32| {
            let parameters = [Some(b"7".as_slice()), value];
            let (formats, types) = ([0, format], [0, oid]);
            let values = StatementValues::new(b"select $1, $2", &parameters, &formats, &types);
            values.number(ValuePlace { source: ValueSource::Parameter(2), negated: false, rounded: false })
        };
        let float = 2.5_f64.to_be_bytes();
        for (value, format, oid, expected) in [
            (b"50000".as_slice(), 0, 0, Some("50000")),
            (b" -5e4", 0, 1700, Some("-50000")),
            (b"", 0, 23, None),
            (b"NaN", 0, 701, None),
            (&[0, 0, 195, 80], 1, 23, Some("50000")),
            (&[0, 0, 195, 80], 1, 0, None),
            (&[0, 0, 195, 80], 1, 20, None),
            (&[255, 255], 1, 21, Some("-1")),
            (&[0, 0, 0, 0, 0, 0, 195, 80], 1, 20, Some("50000")),
            (&float, 1, 701, Some("2.5")),
            (&f64::NAN.to_be_bytes(), 1, 701, None),
            (&f64::INFINITY.to_be_bytes(), 1, 701, None),
            (&[0, 1, 0, 1, 0, 0, 0, 0, 0, 5], 1, 1700, Some("50000")),
            (b"50000", 1, 25, None),
            (b"50000", 2, 23, None),
            (b"1111", 0, 1560, None),
            (b"5", 0, 18, None),
            (b"\xff5", 0, 0, None),
        ] {
            assert_eq!(of(Some(value), format, oid), expected.and_then(number), "{value:?} {format} {oid}");
        }
        assert_eq!(of(None, 0, 0), None, "NULL");
        let value = |sql: &str, oid: u32| {
            let (sql, parameters, types) = (sql.as_bytes(), [Some(b"00101111")], [oid]);
            let values = StatementValues::new(sql, &parameters, &[0], &types);
            values.number(ValuePlace { source: ValueSource::Parameter(1), negated: false, rounded: false })
        };
        let elsewhere = "select from t where $1::bit(8) is not null and a = $01::int";
        assert_eq!(value(elsewhere, 0), None, "it is bit(8) to the server");
        assert_eq!(value(elsewhere, INT4), number("101111"));
        assert_eq!(value("select from t where a = $1::int and b = $2", 0), number("101111"));
    }
}
