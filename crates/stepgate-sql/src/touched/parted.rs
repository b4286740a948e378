//! Where a message's statements part: at `;`, but where one is within brackets (a rule's actions) or a function's body is
//! written out (`BEGIN ATOMIC … END`): there PostgreSQL's own grammar says.

use crate::grammar::Tree;
use crate::lexer::{Token, TokenKind};
use crate::stack;

/// The statements of a message with this text.
pub(super) fn statements<'t, 's>(text: &str, tokens: &'t [Token<'s>]) -> Vec<&'t [Token<'s>]> {
    let by_grammar = has_others(tokens).then(|| ranges(text)).flatten();
    let all: Vec<_> = match by_grammar {
        Some(ranges) => ranges.into_iter().map(|(from, to)| between(tokens, from, to)).collect(),
        None => tokens.split(|token| token.kind.is_punct(b';')).collect(),
    };
    all.into_iter().filter(|it| !it.is_empty()).collect()
}

/// Whether there may be a `;` that ends no statement of the message.
fn has_others(tokens: &[Token<'_>]) -> bool {
    let mut brackets = 0_usize;
    tokens.iter().any(|token| {
        match token.kind {
            TokenKind::Punct(b'(') => brackets += 1,
            TokenKind::Punct(b')') => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        token.kind.word() == Some("atomic") || (brackets > 0 && token.kind.is_punct(b';'))
    })
}

/// From where to where each is, in bytes; `None`: it is not read.
fn ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    let read = || {
        let tree = Tree::parse(text).ok()?;
        Some(tree.commands().iter().map(|it| (it.from, it.to)).collect::<Vec<_>>())
    };
    stack::with_room(text.as_bytes(), read, Option::is_none)
}

fn between<'t, 's>(tokens: &'t [Token<'s>], from: usize, to: usize) -> &'t [Token<'s>] {
    let begin = tokens.partition_point(|token| token.at < from);
    let end = tokens.partition_point(|token| token.at < to);
    tokens.get(begin..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::plpgsql_tokens;

    #[test]
    fn a_body_that_is_written_out_is_of_its_statement_and_nothing_else_is() {
        for (sql, many) in [
            (
                "create function f() returns int language sql begin atomic select 1 end; select case when true then 1 end case; end; commit",
                2,
            ),
            (
                "create or replace procedure p() language sql begin atomic delete from t; end; begin; commit;",
                3,
            ),
            ("create rule r as on insert to t do also (delete from u; delete from v); commit;", 2),
            ("select 1 begin, 2 atomic; commit;;", 2),
            ("select 1 as begin, 2 as atomic from t; commit; alter table t rename to u", 3),
            ("begin; create table atomic (a int); commit", 3),
            ("-- atomic\ncommit; create function f() returns int return 1; /* ; */ commit", 3),
        ] {
            let tokens = plpgsql_tokens(sql).unwrap();
            let found = statements(sql, &tokens);
            assert_eq!(found.len(), many, "{sql}");
            let first = |of: &[Token<'_>]| {
                matches!(
                    of.first().and_then(|it| it.kind.word()),
                    Some("create" | "select" | "begin" | "commit" | "alter")
                )
            };
            assert!(found.iter().all(|of| first(of)), "{sql}");
        }
    }
}
