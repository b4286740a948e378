//! COPY.

use stepgate_types::{BulkShape, Kind};

use super::{Context, Words, inner_query, statement_doubt};
use crate::facts::{Facts, Sink, SinkKind};
use crate::lexer::{Token, TokenKind};
use crate::walk;

/// COPY { table [(columns)] | (query) } { TO | FROM } { STDOUT | STDIN | file | PROGRAM … } …
pub(super) fn command(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    facts.kind = Kind::CopyOut;
    facts.bulk = BulkShape::Copy;
    if words.is_punct(1, b'(') {
        let group = words.after(1).group();
        let _columns = inner_query(words.after(2).before(group.saturating_sub(2)), context, facts);
        facts.kind = Kind::CopyOut;
        facts.bulk = BulkShape::Copy;
        return ends(words.after(1 + group), facts);
    }
    let Some((name, taken)) = words.after(1).name() else { return statement_doubt(facts, "syntax") };
    let mut rest = words.after(1 + taken);
    let mut columns = None;
    if rest.is_punct(0, b'(') {
        columns = rest.name_list();
        if columns.is_none() {
            return statement_doubt(facts, "syntax");
        }
        rest = rest.after_group();
    }
    let out = match rest.word(0) {
        Some("to") => true,
        Some("from") => false,
        _ => return statement_doubt(facts, "syntax"),
    };
    walk::copy(&name, columns.as_deref(), out, context.catalog, context.session, facts);
    if !out {
        facts.bulk = BulkShape::None;
        if let Some(at) = rest.find_word("where")
            && !compares_only(rest.after(at + 1), context)
        {
            statement_doubt(facts, "unsupported-statement");
        }
    }
    ends(rest, facts);
}

/// Whether a condition on incoming rows does no more than compare them: no calls, no casts, no operators of
/// somebody's own. It sees none of the table's rows (`COPY … FROM … WHERE`, documentation of COPY).
fn compares_only(condition: Words<'_, '_>, context: Context<'_>) -> bool {
    let plain = |token: &Token<'_>| match &token.kind {
        TokenKind::Word(_) | TokenKind::Quoted(_) | TokenKind::Text(_) | TokenKind::Number(_) => true,
        TokenKind::Operator(operator) => {
            matches!(*operator, "=" | "<>" | "!=" | "<" | ">" | "<=" | ">=" | "-" | "+")
                && !context.catalog.is_user_operator(operator)
        }
        _ => false,
    };
    condition.0.iter().all(plain)
}

/// Where the data goes or comes from.
fn ends(rest: Words<'_, '_>, facts: &mut Facts) {
    match (rest.word(0), rest.word(1)) {
        (Some("to"), Some("stdout")) | (Some("from"), Some("stdin")) => {}
        _ => {
            facts.sinks.insert(Sink { kind: SinkKind::ServerFile, relation: None });
            statement_doubt(facts, "server-file");
        }
    }
}
