//! What CREATE and other DDL makes and changes.

use pg_raw_parse::Node;
use stepgate_types::Kind;

use super::{Context, Words, ddl, inner_query, statement_doubt};
use crate::facts::{Created, Facts, Sink, SinkKind};

/// CREATE.
pub(super) fn create(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    let mut rest = words.after(1);
    while matches!(
        rest.word(0),
        Some(
            "or" | "replace"
                | "global"
                | "local"
                | "temp"
                | "temporary"
                | "unlogged"
                | "recursive"
                | "materialized"
        )
    ) {
        rest = rest.after(1);
    }
    let options = words.before(words.len() - rest.len());
    match rest.word(0) {
        Some("table") => table(rest.after(1), context, facts),
        Some("view") => view(rest.after(1), options.contains(&["recursive"]), context, facts),
        _ => ddl::command(context, facts),
    }
    if let Some(created) = &mut facts.effect.creates {
        created.view = rest.word(0) == Some("view") && !options.contains(&["materialized"]);
        created.temporary = options.contains(&["temp"]) || options.contains(&["temporary"]);
    }
    done(facts);
}

/// DROP, ALTER, REFRESH, COMMENT.
pub(super) fn other(context: Context<'_>, facts: &mut Facts) {
    ddl::command(context, facts);
    done(facts);
}

fn done(facts: &mut Facts) {
    facts.kind = Kind::Ddl;
    facts.read_only = false;
    facts.effect.catalog = true;
    // The first temporary table puts a schema in front of the path.
    facts.effect.session = true;
    // What is stored elsewhere counts as what is read: its maker can read it back.
    if facts.sinks.is_empty() && facts.certainty != stepgate_types::Certainty::Unknown {
        facts.estimate = Some(0);
    }
}

fn skip_if_not_exists<'t, 'a>(words: Words<'t, 'a>) -> Words<'t, 'a> {
    if words.before(3).contains(&["if", "not", "exists"]) { words.after(3) } else { words }
}

/// CREATE TABLE name AS query, and any other CREATE TABLE.
fn table(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    let rest = skip_if_not_exists(words);
    let Some((name, taken)) = rest.name() else { return statement_doubt(facts, "syntax") };
    let rest = rest.after(taken);
    match (context.node, rest.find_word("as")) {
        (Some(Node::CreateTableAsStmt(_)), Some(at)) => {
            facts.sinks.insert(Sink { kind: SinkKind::Table, relation: None });
            holds(name, rest.before(at), rest.after(at + 1), context, facts);
        }
        _ => ddl::command(context, facts),
    }
}

/// What AS fills a relation with: `before` is what stands between its name and AS, perhaps names of columns.
fn holds(
    name: Vec<String>,
    before: Words<'_, '_>,
    query: Words<'_, '_>,
    context: Context<'_>,
    facts: &mut Facts,
) {
    let renamed = if before.is_punct(0, b'(') { before.name_list() } else { Some(Vec::new()) };
    let columns = inner_query(without_data(query), context, facts);
    facts.effect.creates = columns.zip(renamed).map(|(mut columns, renamed)| {
        for (column, name) in columns.iter_mut().zip(renamed) {
            *column = name;
        }
        Created { name, view: false, temporary: false, columns }
    });
}

/// Without a trailing WITH [NO] DATA.
fn without_data<'t, 'a>(words: Words<'t, 'a>) -> Words<'t, 'a> {
    for suffix in [&["with", "no", "data"][..], &["with", "data"]] {
        let at = words.len().saturating_sub(suffix.len());
        if words.after(at).contains(suffix) {
            return words.before(at);
        }
    }
    words
}

/// CREATE [MATERIALIZED] VIEW name [(columns)] AS query.
fn view(words: Words<'_, '_>, recursive: bool, context: Context<'_>, facts: &mut Facts) {
    facts.sinks.insert(Sink { kind: SinkKind::View, relation: None });
    let words = skip_if_not_exists(words);
    match (words.name(), words.find_word("as")) {
        (Some((name, taken)), Some(at)) if !recursive && taken <= at => {
            holds(name, words.before(at).after(taken), words.after(at + 1), context, facts);
        }
        _ => statement_doubt(facts, "unsupported-statement"),
    }
}
