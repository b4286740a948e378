//! What a text that the server printed names of the server's own. pg_depend has nothing of that, since nobody can drop it
//! (`src/backend/catalog/pg_depend.c`, `isObjectPinned`): only the words tell.

use super::Catalog;
use crate::builtin;
use crate::lexer::{self, Numbers, Token, TokenKind};

/// Of what has an alias, as many words are looked at.
const MAX_OF_ALIAS: usize = 512;

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
    let names = || names_cte(tokens, at) || names_alias(tokens, at);
    let calls = before_paren && (!after_dot || of_server()) && word != "operator" && !names();
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

/// Where a list of names ends that begins after the word there: `name (a, b)`.
fn end_of_names(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let is_name = |at: usize| kind(at).is_some_and(|it| it.ident().is_some());
    let mut end = at + 2;
    while is_name(end) && kind(end + 1).is_some_and(|it| it.is_punct(b',')) {
        end += 2;
    }
    (is_name(end) && kind(end + 1).is_some_and(|it| it.is_punct(b')'))).then_some(end + 1)
}

/// Whether the word there is the name of a CTE with a list of columns, and not a call: `name (a, b) AS (SELECT`.
fn names_cte(tokens: &[Token<'_>], at: usize) -> bool {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let word = |at: usize| kind(at).and_then(TokenKind::word);
    let Some(end) = end_of_names(tokens, at) else { return false };
    // A column list after a function's alias names types where the query begins here, and quotes keywords.
    let opens = word(end + 1) == Some("as") && kind(end + 2).is_some_and(|it| it.is_punct(b'('));
    opens && matches!(word(end + 3), Some("select" | "values" | "with"))
}

/// Whether the word there is the alias of something in FROM with a list of columns, and not a call: `(VALUES (1)) name (a, b)`,
/// `s.t name (a, b)`. Of calls, only those that follow `DISTINCT ON (…)` and `OPERATOR(…)` have parentheses before them.
fn names_alias(tokens: &[Token<'_>], at: usize) -> bool {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let before = |at: usize| at.checked_sub(1).and_then(kind);
    let Some(last) = at.checked_sub(1).filter(|_| end_of_names(tokens, at).is_some()) else { return false };
    if !kind(last).is_some_and(|it| it.is_punct(b')')) {
        let is_qualified = before(last).is_some_and(|it| it.is_punct(b'.'));
        return is_qualified || kind(last).and_then(TokenKind::word) == Some("ordinality");
    }
    let mut depth = 0_usize;
    for back in (last.saturating_sub(MAX_OF_ALIAS)..=last).rev() {
        match kind(back) {
            Some(it) if it.is_punct(b')') => depth += 1,
            Some(it) if it.is_punct(b'(') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return !matches!(before(back).and_then(TokenKind::word), Some("on" | "operator"));
        }
    }
    false
}
