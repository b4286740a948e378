//! CREATE and DROP: those forms whose effect is known, all else is a doubt.

use stepgate_types::Kind;

use super::{Context, Words, inner_query, statement_doubt};
use crate::builtin;
use crate::facts::{Created, Facts, Sink, SinkKind};
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
    match rest.word(0) {
        Some("table") => table(rest.after(1), context, facts),
        Some("view") => view(rest.after(1), options.contains(&["recursive"]), context, facts),
        Some("unique") if rest.word(1) == Some("index") => index(rest.after(2), context, facts),
        Some("index") => index(rest.after(1), context, facts),
        Some("schema") if rest.len() == 2 || (rest.len() == 5 && rest.contains(&["if", "not", "exists"])) => {
        }
        _ => statement_doubt(facts, "unsupported-statement"),
    }
    if let Some(created) = &mut facts.effect.creates {
        created.view = rest.word(0) == Some("view") && !options.contains(&["materialized"]);
        created.temporary = options.contains(&["temp"]) || options.contains(&["temporary"]);
    }
    done(facts);
}

/// DROP.
pub(super) fn drop(words: Words<'_, '_>, facts: &mut Facts) {
    match words.word(1) {
        Some("table" | "view" | "index" | "schema" | "sequence" | "type") => {}
        Some("materialized") if words.word(2) == Some("view") => {}
        _ => statement_doubt(facts, "unsupported-statement"),
    }
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

/// CREATE TABLE name (plain columns), or AS query.
fn table(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    let rest = skip_if_not_exists(words);
    let Some((name, taken)) = rest.name() else { return statement_doubt(facts, "syntax") };
    let rest = rest.after(taken);
    if let Some(at) = rest.find_word("as") {
        facts.sinks.insert(Sink { kind: SinkKind::Table, relation: None });
        return holds(name, rest.before(at), rest.after(at + 1), context, facts);
    }
    let columns = rest.before(rest.group());
    if !rest.is_punct(0, b'(') || !rest.after_group().is_empty() || !are_plain_columns(columns, context) {
        return statement_doubt(facts, "unsupported-statement");
    }
    let columns = columns.after(1);
    let starts = (0..columns.len()).filter(|at| *at == 0 || is_comma_outside_brackets(columns, *at - 1));
    let columns: Option<Vec<String>> = starts.map(|at| columns.ident(at).map(str::to_owned)).collect();
    facts.effect.creates = columns.map(|columns| Created { name, view: false, temporary: false, columns });
}

/// Whether a comma stands there, and not within the brackets of a type modifier.
fn is_comma_outside_brackets(words: Words<'_, '_>, at: usize) -> bool {
    let depth = (0..at).fold(0_isize, |depth, at| {
        depth + isize::from(words.is_punct(at, b'(')) - isize::from(words.is_punct(at, b')'))
    });
    depth == 0 && words.is_punct(at, b',')
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

/// `(a int not null, b text default 'x', …)`: types of the server and constraints that read nothing.
fn are_plain_columns(group: Words<'_, '_>, context: Context<'_>) -> bool {
    let inner = group.after(1).before(group.len().saturating_sub(2));
    let mut at = 0;
    let mut starts = true;
    while at < inner.len() {
        if starts {
            // Words that begin a table constraint or LIKE, if not quoted.
            let special = ["constraint", "check", "unique", "primary", "foreign", "exclude", "like"]
                .map(Some)
                .contains(&inner.word(at));
            if special || inner.ident(at).is_none() {
                return false;
            }
            starts = false;
        } else if inner.is_punct(at, b',') {
            starts = true;
        } else if inner.is_punct(at, b'(') {
            // A type modifier.
            let size = inner.after(at).group();
            let modifier = inner.after(at + 1).before(size.saturating_sub(2));
            if !(0..modifier.len()).all(|at| modifier.is_literal(at) || modifier.is_punct(at, b',')) {
                return false;
            }
            at += size - 1;
        } else if !inner.is_literal(at) && !inner.is_punct(at, b'[') && !inner.is_punct(at, b']') {
            let Some(word) = inner.word(at) else { return false };
            let grammar = matches!(
                word,
                "not"
                    | "null"
                    | "primary"
                    | "key"
                    | "unique"
                    | "default"
                    | "true"
                    | "false"
                    | "varying"
                    | "precision"
                    | "with"
                    | "without"
                    | "zone"
                    | "current_timestamp"
                    | "current_date"
                    | "serial"
                    | "bigserial"
            );
            let of_type = builtin::builtin_type(word)
                && (builtin::grammar_type(word) || !context.catalog.is_user_type(word));
            if !grammar && !of_type {
                return false;
            }
        }
        at += 1;
    }
    true
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

/// CREATE [UNIQUE] INDEX [CONCURRENTLY] [[IF NOT EXISTS] name] ON table [USING method] (columns). It reads them;
/// a unique one tells by failing which values are there twice. An expression may call anything.
fn index(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    let indexed = words.find_word("on").map(|at| words.after(at + 1)).and_then(|rest| {
        let (table, taken) = rest.name()?;
        let rest = rest.after(taken);
        let rest = if rest.word(0) == Some("using") { rest.after(2) } else { rest };
        let columns = rest.is_punct(0, b'(').then(|| rest.name_list()).flatten()?;
        rest.after_group().is_empty().then_some((table, columns))
    });
    match indexed {
        Some((table, columns)) => walk::scan(&table, &columns, context.catalog, context.session, facts),
        None => statement_doubt(facts, "unsupported-statement"),
    }
}
