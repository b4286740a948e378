//! Expressions of a table that planning a query of it runs.
//!
//! The planner looks at the expressions of indexes, checks, partition keys and statistics, and simplifies them first:
//! it calls immutable functions whose arguments are all constants, and puts bodies of SQL functions in place of their
//! calls (plancat.c, `get_relation_info`, `get_relation_constraints`, `get_relation_statistics`; clauses.c,
//! `eval_const_expressions`). So whoever reads such a table, or writes what refers to it, runs that code.

use super::Catalog;
use crate::builtin;
use crate::lexer::{self, Numbers, Token, TokenKind};

/// Whether planning may run code of somebody's own in an expression that the server printed; `columns` are the table's.
/// Not so if it calls only functions that cannot be put in place (none is in SQL) with an argument that is no constant.
pub(super) fn may_run(expression: &str, columns: &[String], catalog: &Catalog) -> bool {
    let Ok(tokens) = lexer::tokens(expression, Numbers::Decimal) else { return true };
    let is = |at: usize, byte: u8| tokens.get(at).is_some_and(|token| token.kind.is_punct(byte));
    (0..tokens.len()).any(|at| {
        let Some(token) = tokens.get(at) else { return false };
        match &token.kind {
            // A schema that is no function's: of a type or operator.
            TokenKind::Punct(b'.') => !is(at + 2, b'('),
            TokenKind::Word(name) | TokenKind::Quoted(name) if is(at + 1, b'(') => {
                let qualified = at > 0 && is(at - 1, b'.');
                let takes_variable = || takes_variable(tokens.get(at + 2..), columns, catalog);
                let put_off = || is_opaque(name, catalog) && takes_variable();
                (qualified || !is_plain(name, catalog)) && !put_off()
            }
            _ => false,
        }
    })
}

fn is_plain(name: &str, catalog: &Catalog) -> bool {
    builtin::may_precede_paren(name) || catalog.is_pure_function(name)
}

/// Whether all functions of a name are known not to be in SQL.
fn is_opaque(name: &str, catalog: &Catalog) -> bool {
    let named = catalog.routines.get(name).map(Vec::as_slice).unwrap_or_default();
    !named.is_empty() && named.iter().all(|(_, routine)| routine.code.is_none())
}

/// Whether one of the arguments that begin here is certainly no constant.
fn takes_variable(from: Option<&[Token<'_>]>, columns: &[String], catalog: &Catalog) -> bool {
    let Some(from) = from else { return false };
    let Some(end) = closing(from) else { return false };
    let arguments = from.get(..end).unwrap_or_default();
    let mut begin = 0;
    let mut depth = 0_usize;
    for (at, token) in arguments.iter().enumerate() {
        match token.kind {
            TokenKind::Punct(b'(' | b'[') => depth += 1,
            TokenKind::Punct(b')' | b']') => depth = depth.saturating_sub(1),
            TokenKind::Punct(b',') if depth == 0 => {
                if is_variable(arguments.get(begin..at), columns, catalog) {
                    return true;
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
    is_variable(arguments.get(begin..), columns, catalog)
}

/// A column, cast or not, or one of the server's functions of one.
fn is_variable(of: Option<&[Token<'_>]>, columns: &[String], catalog: &Catalog) -> bool {
    let Some(of) = of else { return false };
    // What casts say of types, the rest of the text is judged by.
    let uncast =
        of.iter().position(|token| matches!(token.kind, TokenKind::Cast)).and_then(|at| of.get(..at));
    match uncast.unwrap_or(of) {
        [one] => one.kind.ident().is_some_and(|name| columns.iter().any(|column| column == name)),
        [open, inner @ .., close] if open.kind.is_punct(b'(') && close.kind.is_punct(b')') => {
            closing(inner).is_none() && is_variable(Some(inner), columns, catalog)
        }
        [name, open, inner @ .., close] if open.kind.is_punct(b'(') && close.kind.is_punct(b')') => {
            let strict = name.kind.word().is_some_and(|name| catalog.is_pure_function(name));
            strict && closing(inner).is_none() && takes_variable(of.get(2..), columns, catalog)
        }
        _ => false,
    }
}

/// Where the bracket closes that was open before the first of these.
fn closing(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| match token.kind {
        TokenKind::Punct(b'(') => {
            depth += 1;
            false
        }
        TokenKind::Punct(b')') if depth == 0 => true,
        TokenKind::Punct(b')') => {
            depth -= 1;
            false
        }
        _ => false,
    })
}
