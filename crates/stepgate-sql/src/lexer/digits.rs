//! Numbers, as far as servers agree on them.

use std::borrow::Cow;

use super::{Lexer, TokenKind, Unreadable, continues_ident};

/// How the server writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Numbers {
    /// In decimal digits alone, or it is not known. `0x1f` and `1_000` are then two tokens (to 14) or an error (15).
    #[default]
    Decimal,
    /// Also `0x1f`, `0o17`, `0b11` and `1_000` (from 16 on).
    Any,
}

/// A number in plain decimal digits, whichever way it was written.
pub(crate) fn decimal(number: &str) -> Option<Cow<'_, str>> {
    let radix = match number.as_bytes() {
        [b'0', b'x' | b'X', ..] => 16,
        [b'0', b'o' | b'O', ..] => 8,
        [b'0', b'b' | b'B', ..] => 2,
        _ if number.contains('_') => return Some(Cow::Owned(number.replace('_', ""))),
        _ => return Some(Cow::Borrowed(number)),
    };
    let digits = number.get(2..)?.replace('_', "");
    Some(Cow::Owned(u128::from_str_radix(&digits, radix).ok()?.to_string()))
}

impl<'a> Lexer<'a> {
    /// What servers read differently is no number: 14 reads `1a` as two tokens.
    pub(super) fn number(&mut self) -> Result<TokenKind<'a>, Unreadable> {
        let from = self.at;
        let digits: Option<fn(u8) -> bool> = match (self.peek(0), self.peek(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => Some(|byte| byte.is_ascii_hexdigit()),
            (Some(b'0'), Some(b'o' | b'O')) => Some(|byte| matches!(byte, b'0'..=b'7')),
            (Some(b'0'), Some(b'b' | b'B')) => Some(|byte| matches!(byte, b'0' | b'1')),
            _ => None,
        };
        match digits.filter(|_| self.numbers == Numbers::Any) {
            Some(digits) => {
                self.at += 2;
                if self.peek(0) == Some(b'_') {
                    self.at += 1;
                }
                self.digits(digits)?;
                // A value that cannot be told may be any position.
                decimal(self.since(from)).ok_or("syntax")?;
            }
            None => self.decimal()?,
        }
        if self.peek(0).is_some_and(|byte| continues_ident(byte) || byte == b'.') {
            return Err("syntax");
        }
        Ok(TokenKind::Number(self.since(from)))
    }

    fn decimal(&mut self) -> Result<(), Unreadable> {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        if self.peek(0) != Some(b'.') {
            self.digits(is_digit)?;
        }
        if self.peek(0) == Some(b'.') {
            self.at += 1;
            if self.peek(0).is_some_and(is_digit) {
                self.digits(is_digit)?;
            }
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits(is_digit)?;
        }
        Ok(())
    }

    /// Digits, between which single underscores may stand (`decinteger` and kin).
    fn digits(&mut self, is_digit: impl Fn(u8) -> bool + Copy) -> Result<(), Unreadable> {
        if !self.peek(0).is_some_and(is_digit) {
            return Err("syntax");
        }
        loop {
            self.eat_while(is_digit);
            let goes_on = self.numbers == Numbers::Any && self.peek(0) == Some(b'_');
            if !goes_on || !self.peek(1).is_some_and(is_digit) {
                return Ok(());
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::tokens;

    #[test]
    fn numbers_end_where_a_newer_server_ends_them() {
        let read =
            |sql| tokens(sql, Numbers::Any).map(|tokens| tokens.into_iter().map(|it| it.kind).collect());
        for (sql, value) in [
            ("0x1F", "31"),
            ("0X_1f", "31"),
            ("0o17", "15"),
            ("0b1_0", "2"),
            ("1_000", "1000"),
            ("1_0.0_1e1_0", "10.01e10"),
            ("1_0.", "10."),
            (".5_0", ".50"),
            ("007", "007"),
        ] {
            assert_eq!(read(sql), Ok(vec![TokenKind::Number(sql)]), "{sql}");
            assert_eq!(decimal(sql).as_deref(), Some(value), "{sql}");
            if !matches!(sql, "007") {
                assert!(tokens(sql, Numbers::Decimal).is_err(), "{sql}");
            }
        }
        let too_long = format!("0x{}", "f".repeat(33));
        for sql in [
            "0x", "0x5g", "0b12", "0o8", "1__0", "1_", "1_a", "1_.5", "1._5", "1e_5", "1_000x", "0x5.5",
            &too_long,
        ] {
            assert!(read(sql).is_err(), "{sql}");
        }
    }
}
