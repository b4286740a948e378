//! Expressions of a table that planning a query of it runs.
//!
//! The planner looks at the expressions of indexes, checks, partition keys and statistics, and simplifies them first:
//! it calls immutable functions whose arguments are all constants, and puts bodies of SQL functions in place of their
//! calls (plancat.c, `get_relation_info`, `get_relation_constraints`, `get_relation_statistics`; clauses.c,
//! `eval_const_expressions`). So whoever reads such a table, or writes what refers to it, runs that code.

use super::{Catalog, UserCasts};
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
                // A cast of somebody's own may make NULL of a column, and say so nowhere.
                let converts = catalog.any_casts() != UserCasts::None;
                let put_off = || !converts && is_opaque(name, catalog) && takes_variable();
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
    arguments(from).iter().any(|argument| is_variable(Some(argument), columns, catalog))
}

/// Whether a call of a function of the server's, with the arguments that begin here, certainly is none: it has one that is
/// none, and no other that is NULL, for which the planner would put NULL in place of the call (clauses.c, `evaluate_function`).
fn stays_variable(from: Option<&[Token<'_>]>, columns: &[String], catalog: &Catalog) -> bool {
    let is_value = |argument: &&[Token<'_>]| {
        matches!(uncast(argument), [Token { kind: TokenKind::Text(_) | TokenKind::Number(_), .. }])
    };
    let mut others = arguments(from);
    others.retain(|argument| !is_variable(Some(argument), columns, catalog));
    takes_variable(from, columns, catalog) && others.iter().all(is_value)
}

/// The arguments that begin here.
fn arguments<'t, 's>(from: Option<&'t [Token<'s>]>) -> Vec<&'t [Token<'s>]> {
    let closed = from.and_then(|from| from.get(..closing(from)?));
    let mut depth = 0_usize;
    let split = closed.map(|arguments| {
        arguments.split(|token| {
            match token.kind {
                TokenKind::Punct(b'(' | b'[') => depth += 1,
                TokenKind::Punct(b')' | b']') => depth = depth.saturating_sub(1),
                TokenKind::Punct(b',') => return depth == 0,
                _ => {}
            }
            false
        })
    });
    split.into_iter().flatten().collect()
}

/// What casts say of types, the rest of the text is judged by.
fn uncast<'t, 's>(of: &'t [Token<'s>]) -> &'t [Token<'s>] {
    let cast = of.iter().position(|token| matches!(token.kind, TokenKind::Cast));
    cast.and_then(|at| of.get(..at)).unwrap_or(of)
}

/// A column, cast or not, or one of the server's functions of one.
fn is_variable(of: Option<&[Token<'_>]>, columns: &[String], catalog: &Catalog) -> bool {
    let Some(of) = of else { return false };
    match uncast(of) {
        [one] => one.kind.ident().is_some_and(|name| columns.iter().any(|column| column == name)),
        [open, inner @ .., close] if open.kind.is_punct(b'(') && close.kind.is_punct(b')') => {
            closing(inner).is_none() && is_variable(Some(inner), columns, catalog)
        }
        [name, open, inner @ .., close] if open.kind.is_punct(b'(') && close.kind.is_punct(b')') => {
            let is_pure = name.kind.word().is_some_and(|name| catalog.is_pure_function(name));
            is_pure && closing(inner).is_none() && stays_variable(of.get(2..), columns, catalog)
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
