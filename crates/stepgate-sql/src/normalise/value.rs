//! Queries and rows that stand for values.

use std::borrow::Cow;

use super::clause::group_length;
use super::{Rewrite, is_punct, last_word, out_of, word, word_at};
use crate::lexer::{Token, TokenKind};
use crate::marker;

/// `(VALUES …)` and `((SELECT …) UNION …)` as a value (`select_with_parens`): sqlparser takes for a query what begins
/// with SELECT or WITH.
pub(super) fn query<'a>(
    out: &[Token<'a>],
    rest: &[Token<'a>],
    clauses: &Clauses,
    at: usize,
) -> Option<Rewrite<'a>> {
    let opens = is_punct(rest, 0, b'(');
    let is_unread =
        opens && (word_at(rest, 1) == Some("values") && is_punct(rest, 2, b'(') || is_compound(rest));
    if !is_unread || !may_be_value(out, clauses) {
        return None;
    }
    let mut make = out_of(at);
    let bracket = TokenKind::Punct;
    let kinds = [
        bracket(b'('),
        word("with"),
        TokenKind::Quoted(Cow::Borrowed(marker::QUERY)),
        word("as"),
        bracket(b'('),
        word("select"),
        word("null"),
        bracket(b')'),
    ];
    Some(Rewrite { tokens: kinds.into_iter().map(&mut make).collect(), taken: 1 })
}

/// Whether a query begins after the bracket there that begins with one in brackets.
fn is_compound(tokens: &[Token<'_>]) -> bool {
    let inner = tokens.iter().skip(1).take_while(|token| token.kind.is_punct(b'(')).count();
    let begins = word_at(tokens, inner + 1);
    if inner == 0 || !matches!(begins, Some("select" | "with" | "values" | "table")) {
        return false;
    }
    let end = 1 + group_length(tokens.get(1..).unwrap_or_default());
    matches!(
        word_at(tokens, end),
        Some("union" | "except" | "intersect" | "order" | "limit" | "offset" | "fetch" | "for")
    )
}

/// Whether a value may stand there, and not a table, a list of columns, or a query that sqlparser expects.
fn may_be_value(out: &[Token<'_>], clauses: &Clauses) -> bool {
    let Some(last) = out.last() else { return false };
    match &last.kind {
        TokenKind::Punct(b',') => !clauses.is_table_after(true) && clauses.level().clause != Some("into"),
        TokenKind::Punct(byte) => matches!(byte, b'(' | b'['),
        TokenKind::Operator(_) => true,
        TokenKind::Word(word) => !matches!(
            word.as_ref(),
            "from"
                | "join"
                | "lateral"
                | "in"
                | "exists"
                | "into"
                | "using"
                | "as"
                | "materialized"
                | "values"
                | "union"
                | "except"
                | "intersect"
                | "explain"
                | "for"
        ),
        _ => false,
    }
}

/// In which clause the end of what was put out stands.
#[derive(Default)]
pub(super) struct Clauses {
    /// How many tokens were looked at.
    seen: usize,
    /// What is said outside brackets, and in each that is open.
    outer: Level,
    open: Vec<Level>,
}

/// Between two brackets.
#[derive(Default)]
struct Level {
    /// The word that begins the clause.
    clause: Option<&'static str>,
    /// A statement begins in it.
    is_statement: bool,
}

impl Clauses {
    /// Goes on to the end of these tokens.
    pub(super) fn follow(&mut self, out: &[Token<'_>]) {
        // Brackets come and go in pairs where a type before a literal is said anew.
        self.seen = self.seen.min(out.len());
        while let Some(token) = out.get(self.seen) {
            let before = self.seen.checked_sub(1).and_then(|at| out.get(at)).map(|token| &token.kind);
            let is_label = before.is_some_and(|it| it.is_punct(b'.') || it.word() == Some("as"));
            match &token.kind {
                TokenKind::Punct(b'(' | b'[') => self.open.push(Level::default()),
                TokenKind::Punct(b')' | b']') => drop(self.open.pop()),
                TokenKind::Word(word) if !is_label => {
                    let is_distinct = before.and_then(TokenKind::word) == Some("distinct");
                    let begins = CLAUSES.iter().find(|it| *it == word);
                    let begins = begins.filter(|it| !(is_distinct && matches!(**it, "from" | "on")));
                    let level = self.open.last_mut().unwrap_or(&mut self.outer);
                    level.clause = begins.copied().or(level.clause);
                    level.is_statement |= matches!(word.as_ref(), "select" | "update" | "delete" | "merge");
                }
                _ => {}
            }
            self.seen += 1;
        }
    }

    fn level(&self) -> &Level {
        self.open.last().unwrap_or(&self.outer)
    }

    /// Whether a table may stand after a word or comma: `extract(year from a)` has no table, and no statement begins in
    /// its brackets.
    pub(super) fn is_table_after(&self, comma: bool) -> bool {
        let in_from = match self.level().clause {
            Some("from" | "join" | "using" | "update") => true,
            // A join's condition has no comma.
            Some("on") => comma,
            _ => false,
        };
        in_from && self.level().is_statement
    }
}

const CLAUSES: [&str; 18] = [
    "select",
    "from",
    "join",
    "on",
    "using",
    "where",
    "by",
    "having",
    "set",
    "returning",
    "values",
    "limit",
    "offset",
    "update",
    "into",
    "when",
    "then",
    "window",
];

/// `t.*` as a value (`columnref`): where anything follows that is no end of a select item or argument, in brackets.
pub(super) fn row<'a>(out: &[Token<'a>], rest: &[Token<'a>], at: usize) -> Option<Rewrite<'a>> {
    rest.first()?.kind.ident()?;
    if out.last().is_some_and(|token| token.kind.is_punct(b'.')) {
        return None;
    }
    let mut end = 1;
    while is_punct(rest, end, b'.') && rest.get(end + 1).is_some_and(|token| token.kind.ident().is_some()) {
        end += 2;
    }
    let is_star = |token: &Token<'_>| matches!(token.kind, TokenKind::Operator("*"));
    if !is_punct(rest, end, b'.') || !rest.get(end + 1).is_some_and(is_star) {
        return None;
    }
    let goes_on = match rest.get(end + 2).map(|token| &token.kind) {
        Some(TokenKind::Cast | TokenKind::Operator(_) | TokenKind::Punct(b'[')) => true,
        Some(TokenKind::Word(word)) => matches!(
            word.as_ref(),
            "is" | "isnull"
                | "notnull"
                | "in"
                | "between"
                | "not"
                | "like"
                | "ilike"
                | "similar"
                | "and"
                | "or"
                | "operator"
                | "at"
                | "collate"
        ),
        _ => false,
    };
    let mut make = out_of(at);
    let mut tokens = vec![make(TokenKind::Punct(b'('))];
    tokens.extend(rest.iter().take(end + 2).cloned());
    tokens.push(make(TokenKind::Punct(b')')));
    (goes_on && last_word(out) != Some("as")).then_some(Rewrite { tokens, taken: end + 2 })
}
