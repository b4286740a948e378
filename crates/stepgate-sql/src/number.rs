//! Exact decimals of any size, to be compared: PostgreSQL's `numeric` has no bounds that a machine number keeps.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The most digits before and after the point that an exponent may add (`NUMERIC_MAX_PRECISION` is far less).
const MAX_EXPONENT: i64 = 1_000_000;

/// A decimal number: `0.d1d2d3… × 10^point`, with its sign.
#[derive(Clone, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    /// Without zeros at either end; none of zero.
    digits: Vec<u8>,
    point: i64,
}

impl Number {
    /// Of these digits (each 0 to 9), the first `point` of which stand before the point.
    fn new(negative: bool, mut digits: Vec<u8>, mut point: i64) -> Self {
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
        while digits.last() == Some(&0) {
            digits.pop();
        }
        point = point.saturating_sub(i64::try_from(leading).unwrap_or(i64::MAX));
        if digits.is_empty() {
            return Self { negative: false, digits, point: 0 };
        }
        Self { negative, digits, point }
    }

    /// With the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { negative: !self.negative && !self.digits.is_empty(), ..self }
    }

    /// As `numeric` is written in text, without zeros at its end. `None`: that has more than so many letters.
    #[must_use]
    pub fn plain(&self, most: usize) -> Option<String> {
        let digit = |digit: &u8| char::from(b'0'.saturating_add(*digit));
        let zeros = |many: i64| "0".repeat(usize::try_from(many).unwrap_or(0));
        let count = i64::try_from(self.digits.len()).ok()?;
        // Before anything is made that is as long as the exponent says.
        let length = self.point.unsigned_abs().saturating_add(count.unsigned_abs());
        if usize::try_from(length).ok()? > most {
            return None;
        }
        let before = usize::try_from(self.point.max(0)).ok()?;
        let (whole, fraction) = self.digits.split_at(before.min(self.digits.len()));
        let mut text = String::from(if self.negative { "-" } else { "" });
        match whole {
            [] => text.push('0'),
            whole => text.extend(whole.iter().map(digit)),
        }
        text.push_str(&zeros(self.point.saturating_sub(count)));
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(&zeros(self.point.saturating_neg()));
            text.extend(fraction.iter().map(digit));
        }
        (text.len() <= most).then_some(text)
    }

    /// Whether it is whole, of at most that many digits: then a type with as many digits keeps it as it is.
    pub(crate) fn is_whole(&self, most: i64) -> bool {
        let digits = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        self.digits.is_empty() || (digits <= self.point && self.point <= most)
    }

    /// Whether a type that rounds, to as few digits as `real` (24 bits), may take the two for the same.
    #[must_use]
    pub fn is_close_to(&self, other: &Self) -> bool {
        // As a fraction of 10^point; 17 digits are more than it takes.
        let fraction = |it: &Self, point: i64| {
            let value =
                it.digits.iter().take(17).rev().fold(0.0, |rest, digit| (rest + f64::from(*digit)) / 10.0);
            if it.point < point { value / 10.0 } else { value }
        };
        let point = self.point.max(other.point);
        let alike = self.negative == other.negative && self.point.abs_diff(other.point) <= 1;
        let (one, two) = (fraction(self, point), fraction(other, point));
        self == other || (alike && (one - two).abs() <= 1e-7 * one.max(two))
    }

    /// A `numeric` in binary (`numeric.c`, `numeric_send`). None: it is none, or NaN or infinite.
    pub(crate) fn from_numeric(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks(2).map(|pair| <[u8; 2]>::try_from(pair).ok().map(u16::from_be_bytes));
        let mut word = || words.next().flatten();
        let (count, weight, sign, _scale) = (word()?, word()?, word()?, word()?);
        let negative = match sign {
            0x0000 => false,
            0x4000 => true,
            _ => return None,
        };
        let mut digits = Vec::with_capacity(usize::from(count) * 4);
        for _ in 0..count {
            let group = word().filter(|group| *group < 10_000)?;
            for unit in [1000, 100, 10, 1] {
                digits.push(u8::try_from(group / unit % 10).ok()?);
            }
        }
        if word().is_some() || !bytes.len().is_multiple_of(2) {
            return None;
        }
        Some(Self::new(negative, digits, (i64::from(weight.cast_signed()) + 1) * 4))
    }
}

/// A text is no number that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number")]
pub struct NotANumber;

impl FromStr for Number {
    type Err = NotANumber;

    /// As `numeric_in` reads it up to PostgreSQL 15: NaN, infinity, and since 16 `0x` and `1_000`, are none here.
    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        let (negative, rest) = match text.as_bytes() {
            [b'-', ..] => (true, text.get(1..)),
            [b'+', ..] => (false, text.get(1..)),
            _ => (false, Some(text)),
        };
        let rest = rest.ok_or(NotANumber)?;
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> =
            whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
        if digits.is_empty() || digits.iter().any(|digit| *digit > 9) {
            return Err(NotANumber);
        }
        let point = i64::try_from(whole.len()).map_err(|_| NotANumber)?;
        Ok(Self::new(negative, digits, point.saturating_add(exponent)))
    }
}

fn exponent_of(text: &str) -> Result<i64, NotANumber> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotANumber);
    }
    let exponent: i64 = text.parse().map_err(|_| NotANumber)?;
    if exponent.abs() <= MAX_EXPONENT { Ok(exponent) } else { Err(NotANumber) }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |it: &Self| match (it.digits.is_empty(), it.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let size = || self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        match (sign(self), sign(other)) {
            (1, 1) => size(),
            (-1, -1) => size().reverse(),
            (one, other) => one.cmp(&other),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Not its value: that may be a person's.
impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Number(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn numbers_of_any_size_are_in_order() {
        let ascending = [
            "-1e400",
            "-30000.1",
            "-30000",
            "-0.5",
            "-5e-1000",
            "0",
            "1e-400",
            "0.3",
            ".31",
            "1",
            "9.99",
            "10",
            "29999.99999999999999999999999999999",
            "30000",
            "30000.00000000000000000000000000001",
            "3.1e4",
            "99999999999999999999",
            "1e400",
        ];
        for (at, one) in ascending.iter().enumerate() {
            for (other_at, other) in ascending.iter().enumerate() {
                assert_eq!(number(one).cmp(&number(other)), at.cmp(&other_at), "{one} {other}");
            }
        }
        for same in ["3e4", "0030000", "30000.000", "+30000", " 30000 ", "300000e-1", "3.E4", "-0 "] {
            let like = if same == "-0 " { "0" } else { "30000" };
            assert_eq!(number(same), number(like), "{same}");
        }
        assert_eq!(number("5").negated(), number("-5"));
        assert_eq!(number("0").negated(), number("0"));
    }

    #[test]
    fn what_a_float_cannot_tell_apart_is_close() {
        for (one, other, close) in [
            ("47", "47.0000001", true),
            ("47", "46.9999999999999999999999", true),
            ("100", "99.99999999", true),
            ("-100", "-99.99999999", true),
            ("1e300", "1.00000001e300", true),
            ("30000", "29999.99", false),
            ("47", "48", false),
            ("47", "-47", false),
            ("0", "1e-400", false),
            ("1", "10", false),
            ("0.1", "0.09", false),
        ] {
            assert_eq!(number(one).is_close_to(&number(other)), close, "{one} {other}");
            assert_eq!(number(other).is_close_to(&number(one)), close, "{other} {one}");
        }
    }

    #[test]
    fn what_is_no_plain_decimal_is_none() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1e1.5",
            "--5",
            "NaN",
            "Infinity",
            "-inf",
            "0x7530",
            "30_000",
            "1 2",
            "$5",
            "1e99999999999999999999",
            "1e2000000",
            "٣",
            "5\0",
        ] {
            assert_eq!(text.parse::<Number>(), Err(NotANumber), "{text}");
        }
    }

    #[test]
    fn a_numeric_in_binary_is_what_the_server_means() {
        let sent = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        for (words, like) in [
            (&[1, 1, 0, 0, 5][..], "50000"),
            (&[2, 1, 0x4000, 2, 3, 1234], "-31234"),
            (&[2, 0, 0, 4, 12, 3400], "12.34"),
            (&[1, 0xffff, 0, 4, 5], "0.0005"),
            (&[0, 0, 0, 0], "0"),
        ] {
            assert_eq!(Number::from_numeric(&sent(words)), Some(number(like)), "{like}");
        }
        for words in [
            &[0, 0, 0xc000, 0][..],
            &[0, 0, 0xd000, 0],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 10_000],
            &[1, 0, 0, 0, 1, 1],
        ] {
            assert_eq!(Number::from_numeric(&sent(words)), None, "{words:?}");
        }
        assert_eq!(Number::from_numeric(&[0; 9]), None);
    }

    #[test]
    fn a_number_does_not_print_its_value() {
        assert!(!format!("{:?}", number("901000001")).contains('9'));
    }
}
