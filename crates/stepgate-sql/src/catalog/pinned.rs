//! What a text that the server printed names of the server's own. pg_depend has nothing of that, since nobody can drop it
//! (`src/backend/catalog/pg_depend.c`, `isObjectPinned`): only the words tell.

use super::Catalog;
use crate::builtin;
use crate::lexer::{self, Numbers, Token, TokenKind};

/// Whether all that an expression calls or reads of the server's own is known to be harmless.
pub(super) fn is_harmless(expression: &str, catalog: &Catalog) -> bool {
    let Ok(tokens) = lexer::tokens(expression, Numbers::Decimal) else { return false };
    tokens.iter().enumerate().all(|(at, token)| match &token.kind {
        TokenKind::Word(word) | TokenKind::Quoted(word) => {
            names_harmless(&tokens, at, catalog) && !has_secrets(word, catalog)
        }
        _ => true,
    })
}

/// Whether the word there calls or reads nothing of the server's own but what is known to be harmless, apart from some columns
/// (`has_secrets`). The text was printed under `search_path = pg_catalog`: all names outside are qualified.
pub(super) fn names_harmless(tokens: &[Token<'_>], at: usize, catalog: &Catalog) -> bool {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let Some(word) = kind(at).and_then(TokenKind::ident) else { return true };
    let before_paren = kind(at + 1).is_some_and(|kind| kind.is_punct(b'('));
    let after_dot = at > 0 && kind(at - 1).is_some_and(|kind| kind.is_punct(b'.'));
    let of_server = || at.checked_sub(2).and_then(kind).and_then(TokenKind::ident) == Some("pg_catalog");
    let calls = before_paren && (!after_dot || of_server()) && word != "operator" && !names_cte(tokens, at);
    let is_known = builtin::may_precede_paren(word) || catalog.is_pure_function(word);
    let reads = word == "information_schema"
        || (catalog.find("pg_catalog", word).is_some() && !builtin::harmless_relation(word));
    !reads && (!calls || is_known)
}

/// Whether the word may be a relation of the server's own that shows, among others, a password, statements or values.
pub(super) fn has_secrets(word: &str, catalog: &Catalog) -> bool {
    catalog.find("pg_catalog", word).is_some()
        && (builtin::has_secrets(word) || word == builtin::MISSING_VALUES.0)
}

/// Whether the word there is the name of a CTE with a list of columns, and not a call: `name (a, b) AS (SELECT`.
fn names_cte(tokens: &[Token<'_>], at: usize) -> bool {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let word = |at: usize| kind(at).and_then(TokenKind::word);
    let mut end = at + 2;
    while kind(end).is_some_and(|it| it.ident().is_some())
        && kind(end + 1).is_some_and(|it| it.is_punct(b','))
    {
        end += 2;
    }
    // A column list after a function's alias names types where the query begins here, and quotes keywords.
    let opens = kind(end + 1).is_some_and(|it| it.is_punct(b')'))
        && word(end + 2) == Some("as")
        && kind(end + 3).is_some_and(|it| it.is_punct(b'('));
    opens && matches!(word(end + 4), Some("select" | "values" | "with"))
}
