//! COPY.

use pg_raw_parse::Node;
use stepgate_types::{BulkShape, Kind};

use super::expression::Expressions;
use super::{Context, Words, inner_query, statement_doubt};
use crate::facts::{Facts, Sink, SinkKind};
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
    if !out && condition(context, facts).is_none() {
        statement_doubt(facts, "unsupported-statement");
    }
    walk::copy(&name, columns.as_deref(), out, context.catalog, context.session, facts);
    if !out {
        facts.bulk = BulkShape::None;
    }
    ends(rest, facts);
}

/// The condition on incoming rows: it sees none of the table's (`COPY … FROM … WHERE`, documentation of COPY).
fn condition(context: Context<'_>, facts: &mut Facts) -> Option<()> {
    let Node::CopyStmt(copy) = context.node? else { return None };
    let mut computed = Expressions::default();
    computed.add(copy.where_clause(), context.catalog)?;
    computed.are_of(&[], context.catalog)?;
    computed.count(None, context, facts);
    Some(())
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
