//! Types that the grammar has words of its own for (`ConstTypename`), before a literal.

use super::{is_punct, word, word_at};
use crate::lexer::{Token, TokenKind};

/// How many of the last tokens are such a type, and another way to say it that sqlparser reads. Without a length these
/// are not limited to one character, as they would be in a cast.
pub(super) fn of_literal<'a>(out: &[Token<'a>]) -> Option<(usize, Vec<TokenKind<'a>>)> {
    // `(n)`
    let modifier = match out {
        [.., open, number, close] if open.kind.is_punct(b'(') && close.kind.is_punct(b')') => {
            matches!(number.kind, TokenKind::Number(_)).then_some(3)
        }
        _ => None,
    };
    let taken = modifier.unwrap_or(0);
    let (before, modifiers) = out.split_at_checked(out.len().checked_sub(taken)?)?;
    let word_back = |back: usize| before.len().checked_sub(back).and_then(|at| word_at(before, at));
    let qualified =
        |words: usize| before.len().checked_sub(words + 1).is_some_and(|at| is_punct(before, at, b'.'));
    let (words, name) = match (word_back(3), word_back(2), word_back(1)?) {
        (_, Some("double"), "precision") if taken == 0 => (2, "float8"),
        (Some("national"), Some("character" | "char"), "varying") => (3, "varchar"),
        (_, Some("character" | "char" | "nchar"), "varying") => (2, "varchar"),
        (_, Some("bit"), "varying") => (2, "varbit"),
        (_, Some("national"), "character" | "char") => (2, "bpchar"),
        (_, _, "character" | "char" | "nchar") => (1, "bpchar"),
        (_, _, "bit") => (1, "bit"),
        (_, _, "interval") if taken > 0 => (1, "interval"),
        _ => return None,
    };
    if qualified(words) {
        return None;
    }
    let mut of = match name {
        "interval" => vec![word("interval")],
        name => vec![word("pg_catalog"), TokenKind::Punct(b'.'), word(name)],
    };
    of.extend(modifiers.iter().map(|token| token.kind.clone()));
    Some((words + taken, of))
}

/// The server's name of a type (`GenericType`, `Numeric` and kin): the last of its parts, lengths apart.
pub(super) fn of_server(of: &[Token<'_>]) -> Option<String> {
    let first = of.first()?;
    let name = match (first.kind.word(), word_at(of, 1)) {
        _ if is_punct(of, 1, b'.') => {
            let parts =
                of.iter().take_while(|token| token.kind.ident().is_some() || token.kind.is_punct(b'.'));
            return parts.last()?.kind.ident().map(str::to_owned);
        }
        (None, _) => return first.kind.ident().map(str::to_owned),
        (Some("int" | "integer"), _) => "int4",
        (Some("smallint"), _) => "int2",
        (Some("bigint"), _) => "int8",
        (Some("real"), _) => "float4",
        (Some("double"), Some("precision")) => "float8",
        (Some("decimal" | "dec" | "numeric"), _) => "numeric",
        (Some("boolean"), _) => "bool",
        (Some("varchar"), _) | (Some("character" | "char"), Some("varying")) => "varchar",
        (Some("character" | "char"), _) => "bpchar",
        (Some(word), None) => word,
        _ => return None,
    };
    Some(name.to_owned())
}
