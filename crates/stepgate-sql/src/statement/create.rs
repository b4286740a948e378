//! What CREATE and other DDL makes and changes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use pg_raw_parse::Node;
use stepgate_types::{Certainty, Estimator, Kind, RelationName, Use};

use super::{Context, Words, ddl, inner_query, statement_doubt};
use crate::effect::Created;
use crate::facts::{Doubt, Facts, Reason, Sink, SinkKind};
use crate::grammar;
use crate::lexer::{Token, TokenKind};
use crate::taint::{Flow, TEMPORARY, remembered};
use crate::walk;

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
    let temporary = options.contains(&["temp"]) || options.contains(&["temporary"]);
    match rest.word(0) {
        Some("table") => table(rest.after(1), temporary, context, facts),
        Some("view") => {
            view(rest.after(1), options.contains(&["recursive"]), temporary, context, facts);
        }
        _ => ddl::command(context, facts),
    }
    if let Some(created) = &mut facts.effect.creates {
        created.view &= !options.contains(&["materialized"]);
    }
    done(context, facts);
}

/// DROP, ALTER, REFRESH, COMMENT.
pub(super) fn other(context: Context<'_>, facts: &mut Facts) {
    ddl::command(context, facts);
    done(context, facts);
}

fn done(context: Context<'_>, facts: &mut Facts) {
    fires(context, facts);
    facts.kind = Kind::Ddl;
    facts.read_only = false;
    facts.effect.catalog = true;
    // The first temporary table puts a schema in front of the path.
    facts.effect.session = true;
    // What is stored elsewhere counts as what is read: its maker can read it back.
    if facts.sinks.is_empty() && facts.certainty != Certainty::Unknown {
        (facts.estimate, facts.estimated_by) = (Some(0), Estimator::Catalog);
    }
}

/// DDL fires event triggers, whatever it is and whatever they are for.
pub(super) fn fires(context: Context<'_>, facts: &mut Facts) {
    if context.executes && context.catalog.runs_code_on_ddl() {
        facts.doubt(Reason { code: "trigger-or-rule", doubt: Doubt::Function });
    }
}

fn skip_if_not_exists<'t, 'a>(words: Words<'t, 'a>) -> Words<'t, 'a> {
    if words.before(3).contains(&["if", "not", "exists"]) { words.after(3) } else { words }
}

/// CREATE TABLE name AS query, and any other CREATE TABLE.
fn table(words: Words<'_, '_>, temporary: bool, context: Context<'_>, facts: &mut Facts) {
    let rest = skip_if_not_exists(words);
    let Some((name, taken)) = rest.name() else { return statement_doubt(facts, "syntax") };
    let rest = rest.after(taken);
    match (context.node, rest.find_word("as")) {
        (Some(Node::CreateTableAsStmt(_)), Some(at)) => {
            facts.sinks.insert(Sink { kind: SinkKind::Table, relation: None });
            let made = Made { name, temporary, view: false, renamed: Vec::new() };
            holds(made, rest.before(at), rest.after(at + 1), context, facts);
        }
        _ => ddl::command(context, facts),
    }
}

/// A relation that a query fills.
pub(super) struct Made {
    /// As named.
    pub(super) name: Vec<String>,
    pub(super) temporary: bool,
    pub(super) view: bool,
    /// New names of its first columns.
    pub(super) renamed: Vec<String>,
}

/// Whether a statement stores the result of a query.
pub(super) fn stores(node: Option<Node<'_>>) -> bool {
    match node {
        Some(Node::CreateTableAsStmt(_) | Node::ViewStmt(_)) => true,
        Some(node @ Node::SelectStmt(_)) => grammar::into(node).is_some(),
        _ => false,
    }
}

/// What AS fills a relation with: `before` is what stands between its name and AS, perhaps names of columns.
fn holds(made: Made, before: Words<'_, '_>, query: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    let renamed = if before.is_punct(0, b'(') { before.name_list() } else { Some(Vec::new()) };
    let mut result = inner_query(without_data(query), context, facts).unwrap_or_default();
    if renamed.is_none() {
        result = walk::Result::default();
    }
    self::made(Made { renamed: renamed.unwrap_or_default(), ..made }, &result, context, facts);
}

/// Notes what the statement makes: as far as its columns are certain, and what it holds in any case.
pub(super) fn made(made: Made, result: &walk::Result, context: Context<'_>, facts: &mut Facts) {
    let Made { name, temporary, view, renamed } = made;
    let temporary = temporary || is_among_temporary(&name);
    // A materialized view is one that is filled.
    let view_alone = view && !matches!(context.node, Some(Node::CreateTableAsStmt(_)));
    let columns = result.names.clone().and_then(|mut columns| {
        for (column, name) in columns.iter_mut().zip(renamed) {
            *column = Some(name);
        }
        columns.into_iter().collect::<Option<Vec<String>>>()
    });
    let output = facts.columns.iter().filter(|(_, uses)| uses.contains(&Use::Output));
    let mut flow = Flow { unknown: facts.certainty == Certainty::Unknown, ..Flow::default() };
    match (&columns, &result.from) {
        (Some(columns), Some(from)) if columns.len() == from.len() => {
            flow.each.extend(columns.iter().cloned().zip(from.iter().cloned()));
        }
        _ => flow.all = output.map(|(column, _)| column.clone()).collect(),
    }
    if !view_alone {
        for relation in targets(&name, temporary, context) {
            facts.flows.insert(relation, flow.clone());
        }
    }
    let holds = result.from.clone();
    let sure = temporary || !context.node.is_some_and(is_if_absent);
    facts.effect.creates = columns.map(|columns| {
        let calls = BTreeSet::new();
        Created { name, view, temporary, sure, columns, holds, calls }
    });
}

/// Whether what is made by that name is temporary, without a word that says so (namespace.c, `RangeVarAdjustRelationPersistence`).
pub(super) fn is_among_temporary(name: &[String]) -> bool {
    matches!(name, [.., schema, _] if remembered(schema) == TEMPORARY)
}

/// Whether a statement makes nothing where something of that name is there already.
fn is_if_absent(node: Node<'_>) -> bool {
    matches!(node, Node::CreateTableAsStmt(it) if it.if_not_exists)
}

/// What a name written to means: the one relation that the path finds, or else every one that it may mean; views by
/// what they are made of.
pub(super) fn written(name: &[String], context: Context<'_>, moved: bool) -> Vec<RelationName> {
    let Context { catalog, session, .. } = context;
    let path = session.search_path.as_ref().filter(|_| !moved);
    let found = |name: &String| path?.iter().find(|schema| catalog.find(schema, name).is_some());
    let (schema, name) = match name {
        [.., schema, name] => (schema.as_str(), name),
        // Found first, unless something else has its name.
        [name] if session.temporaries.contains(name) && !catalog.is_named_elsewhere(name) => {
            (TEMPORARY, name)
        }
        [name] => (found(name).map_or("", String::as_str), name),
        [] => return Vec::new(),
    };
    let mut all = vec![RelationName::new(remembered(schema), name)];
    all.extend(catalog.beneath_views(name));
    all
}

/// Where a relation of that name may be made: in the first schema of the path that is not the server's, or, should
/// `pg_temp` be put first, in the session's own. An unknown path may mean any.
fn targets(name: &[String], temporary: bool, context: Context<'_>) -> Vec<RelationName> {
    let path = context.session.search_path.as_ref();
    match name {
        [name] if temporary => vec![RelationName::new(TEMPORARY, name)],
        [name] => {
            let first = path.and_then(|path| path.iter().find(|schema| !schema.starts_with("pg_")));
            let schema = first.map_or("", String::as_str);
            vec![RelationName::new(schema, name), RelationName::new(TEMPORARY, name)]
        }
        [.., _, name] if temporary => vec![RelationName::new(TEMPORARY, name)],
        [.., schema, name] => vec![RelationName::new(schema, name)],
        [] => Vec::new(),
    }
}

/// `CREATE RECURSIVE VIEW v (a) AS query` is a view of `WITH RECURSIVE v (a) AS (query) SELECT a FROM v` (gram.y,
/// `makeRecursiveViewSelect`).
fn recursive_view(
    name: Vec<String>,
    columns: Words<'_, '_>,
    query: Words<'_, '_>,
    temporary: bool,
    context: Context<'_>,
    facts: &mut Facts,
) {
    let at = query.0.first().map_or(0, |token| token.at);
    let make = |kind: TokenKind<'static>| Token { kind, at };
    let word = |word: &'static str| make(TokenKind::Word(Cow::Borrowed(word)));
    let itself = make(TokenKind::Quoted(Cow::Owned(name.last().cloned().unwrap_or_default())));
    let list = columns.0.get(1..columns.group().saturating_sub(1)).unwrap_or_default();
    let mut tokens = vec![word("with"), word("recursive"), itself.clone()];
    tokens.extend(columns.0.iter().cloned());
    tokens.extend([word("as"), make(TokenKind::Punct(b'('))]);
    tokens.extend(without_data(query).0.iter().cloned());
    tokens.extend([make(TokenKind::Punct(b')')), word("select")]);
    tokens.extend(list.iter().cloned());
    tokens.extend([word("from"), itself]);
    let made = Made { name, temporary, view: true, renamed: Vec::new() };
    holds(made, Words(&[]), Words(&tokens), context, facts);
}

/// Without a trailing WITH [NO] DATA or WITH CHECK OPTION.
pub(super) fn without_data<'t, 'a>(words: Words<'t, 'a>) -> Words<'t, 'a> {
    let suffixes = [
        &["with", "no", "data"][..],
        &["with", "data"],
        &["with", "check", "option"],
        &["with", "local", "check", "option"],
        &["with", "cascaded", "check", "option"],
    ];
    for suffix in suffixes {
        let at = words.len().saturating_sub(suffix.len());
        if words.after(at).contains(suffix) {
            return words.before(at);
        }
    }
    words
}

/// CREATE [MATERIALIZED] VIEW name [(columns)] AS query.
fn view(words: Words<'_, '_>, recursive: bool, temporary: bool, context: Context<'_>, facts: &mut Facts) {
    facts.sinks.insert(Sink { kind: SinkKind::View, relation: None });
    let words = skip_if_not_exists(words);
    // What that finds by its name runs in no session.
    if words.name().is_some_and(|(name, _)| context.catalog.runs_apart(name.last().map(String::as_str))) {
        statement_doubt(facts, "unsupported-statement");
    }
    match (words.name(), words.find_word("as")) {
        (Some((name, taken)), Some(at)) if recursive && taken <= at => {
            recursive_view(
                name,
                words.before(at).after(taken),
                words.after(at + 1),
                temporary,
                context,
                facts,
            );
        }
        (Some((name, taken)), Some(at)) if taken <= at => {
            let made = Made { name, temporary, view: true, renamed: Vec::new() };
            holds(made, words.before(at).after(taken), words.after(at + 1), context, facts);
        }
        _ => statement_doubt(facts, "unsupported-statement"),
    }
}
