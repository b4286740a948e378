//! Comparisons of a row with what it was, in conditions of triggers and of their functions.

use crate::lexer::{Token, TokenKind};

/// A comparison of NEW's with OLD's value of the same column.
pub(super) struct Comparison {
    /// `None`: of the whole rows.
    pub(super) column: Option<String>,
    /// It is NULL where the column is, and that is not taken for what it is otherwise.
    pub(super) tells_null: bool,
    /// Where it ends.
    pub(super) after: usize,
}

/// One that begins there and is an operand of AND, OR, NOT or brackets.
pub(super) fn comparison(tokens: &[Token<'_>], at: usize) -> Option<Comparison> {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let word = |at: usize| kind(at).and_then(TokenKind::word);
    let begins = match at.checked_sub(1).and_then(kind) {
        None => true,
        Some(before) => before.is_punct(b'(') || matches!(before.word(), Some("and" | "or" | "not")),
    };
    let (one, mut next) = operand(tokens, at).filter(|_| begins)?;
    let mut tells_null = false;
    if word(next) == Some("is") {
        next += 1 + usize::from(word(next + 1) == Some("not"));
        (word(next) == Some("distinct") && word(next + 1) == Some("from")).then_some(())?;
        next += 2;
    } else {
        let TokenKind::Operator(operator @ ("=" | "<>" | "!=")) = kind(next)? else { return None };
        tells_null = *operator == "=";
        next += 1;
    }
    let (other, after) = operand(tokens, next)?;
    let ends = match kind(after) {
        None => true,
        Some(after) => after.is_punct(b')') || matches!(after.word(), Some("and" | "or")),
    };
    let by_operator = matches!(kind(next - 1), Some(TokenKind::Operator(_)));
    tells_null |= by_operator && !decides_as_false(tokens, at, after);
    (ends && one.0 != other.0 && one.1 == other.1).then_some(Comparison { column: one.1, tells_null, after })
}

/// Whether NULL, as that part of a condition, decides as false does: AND, OR and brackets alone are around it.
fn decides_as_false(tokens: &[Token<'_>], mut from: usize, mut to: usize) -> bool {
    let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| &token.kind);
    let is = |at, byte: u8| kind(at).is_some_and(|kind| kind.is_punct(byte));
    let joins = |at| kind(at).is_none_or(|it| matches!(it.word(), Some("and" | "or")));
    loop {
        let before = from.checked_sub(1);
        if !(joins(before) || is(before, b'(')) || !(joins(Some(to)) || is(Some(to), b')')) {
            return false;
        }
        // The bracket around it.
        match (opening(tokens, from), closing(tokens, to)) {
            (Some(open), Some(close)) => (from, to) = (open, close + 1),
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Where the bracket is that is open before a token.
fn opening(tokens: &[Token<'_>], before: usize) -> Option<usize> {
    let backwards = tokens.get(..before)?.iter().rev();
    unmatched(backwards, *b"([", *b")]").map(|back| before - 1 - back)
}

/// Where it closes.
fn closing(tokens: &[Token<'_>], from: usize) -> Option<usize> {
    unmatched(tokens.get(from..)?.iter(), *b")]", *b"([").map(|on| from + on)
}

/// How far it is to the first of these brackets that none of the others goes before.
fn unmatched<'t, 's: 't>(
    mut tokens: impl Iterator<Item = &'t Token<'s>>,
    wanted: [u8; 2],
    others: [u8; 2],
) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.position(|token| {
        let is_one_of = |of: [u8; 2]| of.iter().any(|byte| token.kind.is_punct(*byte));
        let is_it = depth == 0 && is_one_of(wanted);
        if is_one_of(others) {
            depth += 1;
        } else if is_one_of(wanted) {
            depth = depth.saturating_sub(1);
        }
        is_it
    })
}

/// `NEW`, `NEW.*`, `NEW.column`, in brackets and cast to text perhaps: which row, which column, where it ends.
fn operand<'t>(tokens: &'t [Token<'_>], at: usize) -> Option<((&'t str, Option<String>), usize)> {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let is = |at: usize, byte: u8| kind(at).is_some_and(|kind| kind.is_punct(byte));
    let bracket = is(at, b'(');
    let at = at + usize::from(bracket);
    let row = kind(at)?.word().filter(|word| matches!(*word, "new" | "old"))?;
    let (column, mut next) = match (is(at + 1, b'.'), kind(at + 2)) {
        (false, _) => (None, at + 1),
        (true, Some(TokenKind::Operator("*"))) => (None, at + 3),
        (true, Some(name)) => (Some(name.ident()?.to_owned()), at + 3),
        (true, None) => return None,
    };
    if bracket {
        is(next, b')').then(|| next += 1)?;
    }
    if kind(next) == Some(&TokenKind::Cast) {
        (kind(next + 1)?.word() == Some("text")).then(|| next += 2)?;
    }
    Some(((row, column), next))
}
