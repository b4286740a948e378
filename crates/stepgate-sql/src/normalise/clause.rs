//! Clauses that sqlparser knows by other words, or without some.

use std::borrow::Cow;

use super::value::Clauses;
use super::{Rewrite, is_label, is_punct, last_word, out_of, word, word_at};
use crate::lexer::{Token, TokenKind};
use crate::marker;

/// Most tokens of a frame's bound that begins with a literal: `interval '1 day'`, `'1 day'::s.t`.
const BOUND: usize = 8;

/// The bound of a frame (`frame_bound`) that begins with a literal, in brackets: sqlparser takes it for an interval.
pub(super) fn frame_bound<'a>(out: &[Token<'a>], rest: &[Token<'a>], at: usize) -> Option<Rewrite<'a>> {
    let literal = usize::from(word_at(rest, 0) == Some("interval"));
    let is_text = rest.get(literal).is_some_and(|token| matches!(token.kind, TokenKind::Text(_)));
    if !is_text || !matches!(last_word(out), Some("between" | "and" | "range" | "rows" | "groups")) {
        return None;
    }
    let ends = |token: &Token<'_>| matches!(token.kind.word(), Some("preceding" | "following"));
    let taken = rest.iter().take(BOUND).position(ends)?;
    let mut make = out_of(at);
    let mut tokens = vec![make(TokenKind::Punct(b'('))];
    tokens.extend(rest.iter().take(taken).cloned());
    tokens.push(make(TokenKind::Punct(b')')));
    Some(Rewrite { tokens, taken })
}

/// `LIMIT ALL` is `LIMIT NULL`, and `FETCH FIRST (expression) ROWS ONLY` is `LIMIT (expression)` (`limit_clause`).
pub(super) fn limit<'a>(out: &[Token<'a>], rest: &[Token<'a>], at: usize) -> Option<Rewrite<'a>> {
    let mut make = out_of(at);
    let closes = out.last().is_some_and(|token| token.kind.is_punct(b')'));
    let (tokens, taken) = match (word_at(rest, 0)?, word_at(rest, 1)?) {
        ("limit", "all") => (vec![make(word("limit")), make(word("null"))], 2),
        ("fetch", "first" | "next") if is_punct(rest, 2, b'(') && !is_label(out) => {
            let end = 2 + group_length(rest.get(2..)?);
            let rows = matches!(word_at(rest, end), Some("row" | "rows"));
            let ties = word_at(rest, end + 1) == Some("with") && word_at(rest, end + 2) == Some("ties");
            let ends = rows && (ties || word_at(rest, end + 1) == Some("only"));
            let is_value =
                |token: &Token<'_>| matches!(token.kind, TokenKind::Number(_) | TokenKind::Param(_));
            match rest.get(3).filter(|token| end == 5 && is_value(token)) {
                // There may be more rows than a LIMIT says.
                Some(value) if ends && ties => {
                    let words = [word("fetch"), word("first"), value.kind.clone(), word("rows")];
                    let mut tokens: Vec<_> = words.into_iter().map(&mut make).collect();
                    tokens.extend([make(word("with")), make(word("ties"))]);
                    return Some(Rewrite { tokens, taken: end + 3 });
                }
                _ => (vec![ends.then(|| make(word("limit")))?], 2),
            }
        }
        ("row" | "rows", "only") if closes => (Vec::new(), 2),
        ("row" | "rows", "with") if closes && word_at(rest, 2) == Some("ties") => (Vec::new(), 3),
        ("for", "read") if word_at(rest, 2) == Some("only") && !is_label(out) => (Vec::new(), 3),
        _ => return None,
    };
    Some(Rewrite { tokens, taken })
}

/// Number of tokens of the bracketed group that begins there.
pub(super) fn group_length(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    let ends = |token: &Token<'_>| {
        match token.kind {
            TokenKind::Punct(b'(') => depth += 1,
            TokenKind::Punct(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    };
    tokens.iter().position(ends).map_or(tokens.len(), |at| at + 1)
}

/// Functions that the grammar has words for (`func_expr_common_subexpr`).
pub(super) fn named_function<'a>(out: &[Token<'a>], rest: &[Token<'a>], at: usize) -> Option<Rewrite<'a>> {
    let (name, taken) = match (word_at(rest, 0)?, word_at(rest, 1)) {
        ("collation", Some("for")) if is_punct(rest, 2, b'(') => ("pg_collation_for", 2),
        ("normalize", None) if is_punct(rest, 1, b'(') => ("normalize", 1),
        ("nfc" | "nfd" | "nfkc" | "nfkd", None) if is_punct(rest, 1, b')') => {
            let comma = out.last().is_some_and(|token| token.kind.is_punct(b','));
            return comma.then(|| Rewrite { tokens: vec![out_of(at)(TokenKind::Text(None))], taken: 1 });
        }
        _ => return None,
    };
    let mut make = out_of(at);
    let tokens = vec![make(word("pg_catalog")), make(TokenKind::Punct(b'.')), make(word(name))];
    (!is_label(out)).then_some(Rewrite { tokens, taken })
}

/// `a COLLATE c` (`a_expr`), which sqlparser does not know after a cast or a subscript: a cast to a marked name.
pub(super) fn collate<'a>(out: &[Token<'a>], rest: &[Token<'a>], at: usize) -> Option<Rewrite<'a>> {
    let name =
        rest.get(1).and_then(|token| token.kind.ident()).filter(|_| word_at(rest, 0) == Some("collate"))?;
    let mut make = out_of(at);
    let tokens = vec![make(TokenKind::Cast), make(TokenKind::Quoted(Cow::Owned(marker::marked(name))))];
    (!is_label(out)).then_some(Rewrite { tokens, taken: 2 })
}

/// `FROM t *` (`relation_expr`): with children, as without the star.
pub(super) fn all_of_family<'a>(
    out: &[Token<'a>],
    rest: &[Token<'a>],
    clauses: &Clauses,
) -> Option<Rewrite<'a>> {
    if !matches!(rest.first()?.kind, TokenKind::Operator("*")) {
        return None;
    }
    let mut before =
        out.len().checked_sub(1).filter(|at| out.get(*at).is_some_and(|it| it.kind.ident().is_some()))?;
    while before >= 2 && is_punct(out, before - 1, b'.') {
        before -= 2;
    }
    let around = out.get(..before)?;
    let begins = matches!(last_word(around), Some("from" | "join" | "update" | "using"));
    let follows = around.last().is_some_and(|token| token.kind.is_punct(b','));
    let ends = match rest.get(1).map(|token| &token.kind) {
        None | Some(TokenKind::Punct(b')' | b',') | TokenKind::Quoted(_)) => true,
        Some(kind) => kind.word().is_some(),
    };
    (ends && (begins || follows) && clauses.is_table_after(follows))
        .then(|| Rewrite { tokens: Vec::new(), taken: 1 })
}
