//! PostgreSQL's own tokens (`src/backend/parser/scan.l`), to the byte.
//!
//! Exists because two readings of one text are an attacker's tool: the parser below gets these tokens
//! rendered anew, so that it has no say in where a comment, a string or a name ends. What scan.l reads
//! differently between server versions is refused.

mod digits;
mod unicode;

use std::borrow::Cow;

pub(crate) use self::digits::{Numbers, decimal};

/// One token and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind<'a>,
    /// Byte offset in the message.
    pub(crate) at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind<'a> {
    /// An unquoted word, folded to lower case as the server does (ASCII only).
    Word(Cow<'a, str>),
    /// A quoted identifier, unescaped.
    Quoted(Cow<'a, str>),
    /// Any string literal: its text where it is a plain one.
    Text(Option<Cow<'a, str>>),
    Number(&'a str),
    /// `$1`.
    Param(&'a str),
    Operator(&'a str),
    /// `::`
    Cast,
    /// `( ) [ ] , ; . :`
    Punct(u8),
}

impl TokenKind<'_> {
    /// The folded unquoted word.
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The identifier, quoted or not.
    pub(crate) fn ident(&self) -> Option<&str> {
        match self {
            Self::Word(word) | Self::Quoted(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn is_punct(&self, byte: u8) -> bool {
        *self == TokenKind::Punct(byte)
    }
}

/// Longest message read, in bytes; longer ones are unreadable. Bounds time and memory of one analysis.
const MAX_BYTES: usize = 1024 * 1024;
/// Most tokens of a message. A token costs about 50 bytes here and a few hundred in the parser.
const MAX_TOKENS: usize = 200_000;
/// Deepest nesting of comments: the server itself is quadratic in it.
const MAX_COMMENT_DEPTH: usize = 32;
/// `NAMEDATALEN - 1`: the server cuts longer identifiers.
const MAX_IDENT: usize = 63;

/// Why a message cannot be read; a reason code.
pub(crate) type Unreadable = &'static str;

/// The tokens of a message.
pub(crate) fn tokens(sql: &str, numbers: Numbers) -> Result<Vec<Token<'_>>, Unreadable> {
    cut_up(sql, numbers, false)
}

/// The tokens of a function in PL/pgSQL, where `:=` assigns.
pub(crate) fn plpgsql_tokens(source: &str) -> Result<Vec<Token<'_>>, Unreadable> {
    cut_up(source, Numbers::Decimal, true)
}

fn cut_up(sql: &str, numbers: Numbers, assigns: bool) -> Result<Vec<Token<'_>>, Unreadable> {
    if sql.len() > MAX_BYTES {
        return Err("too-long");
    }
    let mut lexer = Lexer { sql, at: 0, numbers, assigns };
    let mut tokens = Vec::with_capacity(sql.len() / 5 + 4);
    loop {
        lexer.skip_blank()?;
        let at = lexer.at;
        let Some(kind) = lexer.next()? else { return Ok(tokens) };
        if tokens.len() >= MAX_TOKENS {
            return Err("too-long");
        }
        tokens.push(Token { kind, at });
    }
}

/// What stands between the tokens of a message that holds a comment in `/* */`: blanks and comments.
pub(crate) fn blanks(sql: &str) -> Result<Vec<&str>, Unreadable> {
    if sql.len() > MAX_BYTES {
        return Err("too-long");
    }
    let mut lexer = Lexer { sql, at: 0, numbers: Numbers::Decimal, assigns: false };
    let mut blanks = Vec::new();
    loop {
        let from = lexer.at;
        lexer.skip_blank()?;
        let blank = lexer.since(from);
        if blank.contains("/*") {
            blanks.push(blank);
        }
        if lexer.next()?.is_none() {
            return Ok(blanks);
        }
    }
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    numbers: Numbers,
    /// `:=` is a token.
    assigns: bool,
}

fn starts_ident(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_ident(byte: u8) -> bool {
    starts_ident(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a str {
        self.sql.get(self.at..).unwrap_or_default()
    }

    /// The text from `from` to here.
    fn since(&self, from: usize) -> &'a str {
        self.sql.get(from..self.at).unwrap_or_default()
    }

    fn eat_while(&mut self, holds: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&holds) {
            self.at += 1;
        }
    }

    fn skip_blank(&mut self) -> Result<(), Unreadable> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c), _) => self.at += 1,
                (Some(b'-'), Some(b'-')) => self.eat_while(|byte| byte != b'\n' && byte != b'\r'),
                (Some(b'/'), Some(b'*')) => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), Unreadable> {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                    if depth > MAX_COMMENT_DEPTH {
                        return Err("comment-depth");
                    }
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err("unterminated"),
            }
        }
    }

    fn next(&mut self) -> Result<Option<TokenKind<'a>>, Unreadable> {
        let Some(byte) = self.peek(0) else { return Ok(None) };
        let kind = match byte {
            b'\'' => self.plain_string()?,
            b'"' => self.quoted_ident()?,
            b'$' => self.dollar()?,
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number()?,
            b'.' if self.peek(1) == Some(b'.') => return Err("syntax"),
            b':' if self.peek(1) == Some(b':') => {
                self.at += 2;
                TokenKind::Cast
            }
            b':' if self.peek(1) == Some(b'=') && self.assigns => {
                self.at += 2;
                TokenKind::Operator(":=")
            }
            // Another way to say `=>` (gram.y, `func_arg_expr`).
            b':' if self.peek(1) == Some(b'=') => {
                self.at += 2;
                TokenKind::Operator("=>")
            }
            b'(' | b')' | b'[' | b']' | b',' | b';' | b'.' | b':' => {
                self.at += 1;
                TokenKind::Punct(byte)
            }
            b'0'..=b'9' => self.number()?,
            _ if starts_ident(byte) => self.word()?,
            _ if is_operator(byte) => self.operator(),
            _ => return Err("syntax"),
        };
        Ok(Some(kind))
    }

    fn word(&mut self) -> Result<TokenKind<'a>, Unreadable> {
        match (self.peek(0), self.peek(1), self.peek(2)) {
            (Some(b'e' | b'E'), Some(b'\''), _) => {
                self.at += 1;
                let text = self.escape_string()?;
                self.refuse_continuation()?;
                return Ok(text);
            }
            // The type NCHAR, then a literal.
            (Some(b'n' | b'N'), Some(b'\''), _) => {
                self.at += 1;
                return Ok(TokenKind::Word(Cow::Borrowed("nchar")));
            }
            (Some(b'b' | b'B' | b'x' | b'X'), Some(b'\''), _) => {
                self.at += 1;
                self.plain_string()?;
                return Ok(TokenKind::Text(None));
            }
            (Some(b'u' | b'U'), Some(b'&'), Some(b'\'')) => {
                self.at += 2;
                let text = self.quoted(b'\'')?;
                self.refuse_continuation()?;
                return Ok(TokenKind::Text(Some(self.unescaped(&text)?)));
            }
            (Some(b'u' | b'U'), Some(b'&'), Some(b'"')) => {
                self.at += 2;
                let text = self.quoted(b'"')?;
                return identifier(self.unescaped(&text)?);
            }
            _ => {}
        }
        let from = self.at;
        self.eat_while(continues_ident);
        let word = cut(self.since(from)).ok_or("long-identifier")?;
        Ok(TokenKind::Word(fold(word)))
    }

    fn quoted_ident(&mut self) -> Result<TokenKind<'a>, Unreadable> {
        identifier(self.quoted(b'"')?)
    }

    /// The text of `U&'…'` or `U&"…"`, by its own escape character if `UESCAPE` names one.
    fn unescaped(&mut self, text: &str) -> Result<Cow<'a, str>, Unreadable> {
        let escape = self.uescape()?.unwrap_or('\\');
        unicode::unescape(text, escape).map(Cow::Owned).ok_or("unicode-escape")
    }

    /// `UESCAPE 'c'`, if it follows (parser.c, `base_yylex`).
    fn uescape(&mut self) -> Result<Option<char>, Unreadable> {
        let before = self.at;
        self.skip_blank()?;
        let from = self.at;
        self.eat_while(continues_ident);
        if !self.since(from).eq_ignore_ascii_case("uescape") {
            self.at = before;
            return Ok(None);
        }
        self.skip_blank()?;
        if self.peek(0) != Some(b'\'') {
            return Err("unicode-escape");
        }
        let text = self.quoted(b'\'')?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(escape), None) if unicode::may_escape(escape) => Ok(Some(escape)),
            _ => Err("unicode-escape"),
        }
    }

    fn plain_string(&mut self) -> Result<TokenKind<'a>, Unreadable> {
        Ok(TokenKind::Text(Some(self.quoted(b'\'')?)))
    }

    /// From an opening quote to its closing one; doubled quotes stand for one.
    fn quoted(&mut self, quote: u8) -> Result<Cow<'a, str>, Unreadable> {
        self.at += 1;
        let from = self.at;
        let mut doubled = false;
        loop {
            self.eat_while(|byte| byte != quote);
            if self.peek(0).is_none() {
                return Err("unterminated");
            }
            if self.peek(1) != Some(quote) {
                break;
            }
            doubled = true;
            self.at += 2;
        }
        let text = self.since(from);
        self.at += 1;
        Ok(match (doubled, quote) {
            (false, _) => Cow::Borrowed(text),
            (true, b'"') => Cow::Owned(text.replace("\"\"", "\"")),
            (true, _) => Cow::Owned(text.replace("''", "'")),
        })
    }

    fn escape_string(&mut self) -> Result<TokenKind<'a>, Unreadable> {
        self.at += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'\\'), Some(_)) | (Some(b'\''), Some(b'\'')) => self.at += 2,
                (Some(b'\''), _) => {
                    self.at += 1;
                    return Ok(TokenKind::Text(None));
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err("unterminated"),
            }
        }
    }

    /// A literal that goes on after a newline keeps the quoting of its first part (scan.l, `quotecontinue`): read
    /// as a plain one, `\'` in the second part would end it here and not on the server. What goes on without a
    /// newline the server refuses.
    fn refuse_continuation(&mut self) -> Result<(), Unreadable> {
        let end = self.at;
        self.skip_blank()?;
        if self.peek(0) == Some(b'\'') {
            return Err("adjacent-literals");
        }
        self.at = end;
        Ok(())
    }

    fn dollar(&mut self) -> Result<TokenKind<'a>, Unreadable> {
        let from = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.eat_while(|byte| byte.is_ascii_digit());
            // Trailing junk is an error since 15, two tokens before.
            if self.peek(0).is_some_and(continues_ident) {
                return Err("syntax");
            }
            return Ok(TokenKind::Param(self.since(from)));
        }
        if self.peek(0).is_some_and(starts_ident) {
            self.eat_while(|byte| starts_ident(byte) || byte.is_ascii_digit());
        }
        if self.peek(0) != Some(b'$') {
            return Err("syntax");
        }
        self.at += 1;
        let tag = self.since(from);
        let Some(length) = self.rest().find(tag) else { return Err("unterminated") };
        let text = self.rest().get(..length).unwrap_or_default();
        self.at += length + tag.len();
        Ok(TokenKind::Text(Some(Cow::Borrowed(text))))
    }

    /// scan.l `operator`: the longest run, cut at a comment, without a trailing + or - unless one of
    /// `~ ! @ # ^ & | ` ? %` is in it.
    fn operator(&mut self) -> TokenKind<'a> {
        let rest = self.rest().as_bytes();
        let mut length = rest.iter().take_while(|byte| is_operator(**byte)).count();
        for start in 1..length {
            if matches!(rest.get(start..start + 2), Some(b"--" | b"/*")) {
                length = start;
                break;
            }
        }
        let run = rest.get(..length).unwrap_or_default();
        if !run.iter().any(|byte| b"~!@#^&|`?%".contains(byte)) {
            while length > 1 && matches!(rest.get(length - 1), Some(b'+' | b'-')) {
                length -= 1;
            }
        }
        let from = self.at;
        self.at += length;
        TokenKind::Operator(self.since(from))
    }
}

fn identifier(text: Cow<'_, str>) -> Result<TokenKind<'_>, Unreadable> {
    if text.is_empty() {
        return Err("syntax");
    }
    let text = match text {
        Cow::Borrowed(text) => cut(text).map(Cow::Borrowed),
        Cow::Owned(text) => cut(&text).map(|text| Cow::Owned(text.to_owned())),
    };
    Ok(TokenKind::Quoted(text.ok_or("long-identifier")?))
}

/// An identifier as long as the server keeps it (scansup.c, `truncate_identifier`). Where a longer one ends that is
/// not ASCII depends on the server's encoding: None.
fn cut(text: &str) -> Option<&str> {
    match text.len() {
        0..=MAX_IDENT => Some(text),
        _ => text.get(..MAX_IDENT).filter(|_| text.is_ascii()),
    }
}

/// Lower case as the server folds it in a UTF-8 database: ASCII letters only.
fn fold(word: &str) -> Cow<'_, str> {
    if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(word.to_ascii_lowercase())
    } else {
        Cow::Borrowed(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> Result<String, Unreadable> {
        let tokens = tokens(sql, Numbers::Decimal)?;
        Ok(tokens
            .iter()
            .map(|token| match &token.kind {
                TokenKind::Word(word) => word.to_string(),
                TokenKind::Quoted(word) => format!("\"{word}\""),
                TokenKind::Text(text) => format!("'{}'", text.as_deref().unwrap_or("?")),
                TokenKind::Number(text) | TokenKind::Param(text) | TokenKind::Operator(text) => {
                    (*text).to_owned()
                }
                TokenKind::Cast => "::".to_owned(),
                TokenKind::Punct(byte) => char::from(*byte).to_string(),
            })
            .collect::<Vec<_>>()
            .join(" "))
    }

    #[test]
    fn tokens_end_where_postgresql_ends_them() {
        for (sql, expected) in [
            ("SELECT a--x\rfrom t", "select a from t"),
            ("select a--x\nfrom t", "select a from t"),
            ("a/* /* */ ; */b", "a b"),
            ("'a''b' 'c'", "'a'b' 'c'"),
            (r"'a\' x", r"'a\' x"),
            (r"E'a\' x' y", "'?' y"),
            ("$$a;b$$ $t$ $$ $t$", "'a;b' ' $$ '"),
            ("a$b$c", "a$b$c"),
            ("\"A\"\"b\" AbC", "\"A\"b\" abc"),
            ("a::int[1]", "a :: int [ 1 ]"),
            ("1.5e10 .5 2.", "1.5e10 .5 2."),
            ("a<-1", "a < - 1"),
            ("a@-1", "a @- 1"),
            ("a+--x\nb", "a + b"),
            ("a*/*x*/b", "a * b"),
            ("$1+$2", "$1 + $2"),
            ("ÄÖ x", "ÄÖ x"),
            ("n'a' N'b' n 'c'", "nchar 'a' nchar 'b' n 'c'"),
            (r#"U&"nhs\005Fno" x"#, r#""nhs_no" x"#),
            (r#"u&"d!0061t!+000061!!" /* */ UESCAPE /* */ '!' x"#, r#""data!" x"#),
            (r"U&'\0441 it''s' x", "'с it's' x"),
            ("u & \"x\"", "u & \"x\""),
        ] {
            assert_eq!(shown(sql).as_deref(), Ok(expected), "{sql}");
        }
    }

    #[test]
    fn identifiers_are_cut_where_the_server_cuts_them() {
        let (long, cut) = ("X".repeat(70), "x".repeat(63));
        assert_eq!(shown(&format!("{long} a")).as_deref(), Ok(format!("{cut} a").as_str()));
        assert_eq!(shown(&format!("\"{long}\"")).as_deref(), Ok(format!("\"{}\"", "X".repeat(63)).as_str()));
        assert_eq!(shown(&"ä".repeat(31)).as_deref(), Ok("ä".repeat(31).as_str()));
    }

    #[test]
    fn what_servers_or_parsers_read_differently_is_unreadable() {
        for sql in [
            "E'a'\n'b'",
            "E'a' -- x\n 'b'",
            "U&'a'\n'b'",
            "U&'\\00'",
            "u&\"x\" uescape '+'",
            "u&'x' uescape",
            "1a",
            "0x1f",
            "1_000",
            "$1a",
            "'abc",
            "/* a",
            "\"\"",
            "a\u{b}b",
            "$a b",
            "\0",
        ] {
            assert!(shown(sql).is_err(), "{sql:?}");
        }
        assert!(shown(&"/*".repeat(40)).is_err());
        assert!(shown(&"ä".repeat(32)).is_err());
    }
}
