//! Which command a statement is, by its own keywords; queries and DML inside go on to the parser.
//!
//! What is not listed here is `unknown`.

mod control;
mod copy;
mod create;
mod cursor;
mod ddl;
mod expression;
mod rename;
mod routine;
mod setting;
mod utility;
mod within;

use std::collections::BTreeSet;

use pg_raw_parse::Node;
use stepgate_types::{BulkShape, Kind, RelationName};

use self::create::Made;
use self::cursor::Words;
use crate::budget::Budget;
use crate::builtin;
use crate::catalog::{Body, Catalog, Relation};
use crate::effect::{Closes, Effect, Isolation, Settings};
use crate::facts::{Doubt, Facts, Reason};
use crate::lexer::{Token, TokenKind};
use crate::session::SessionState;
use crate::taint::TEMPORARY;
use crate::{grammar, read, walk};

/// What a statement is analysed against.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    /// What work the message may still make.
    pub(crate) budget: &'c Budget,
    pub(crate) catalog: &'c Catalog,
    pub(crate) session: &'c SessionState,
    pub(crate) body: Within<'c>,
    /// The statement in PostgreSQL's own reading.
    pub(crate) node: Option<Node<'c>>,
    /// It is run, and not only planned.
    pub(crate) executes: bool,
    /// It is run to show what each part of its plan did.
    pub(crate) explains: bool,
    /// And how many blocks that took.
    pub(crate) counts_blocks: bool,
}

impl<'c> Context<'c> {
    /// That of a message, before its first statement.
    pub(crate) fn of(budget: &'c Budget, catalog: &'c Catalog, session: &'c SessionState) -> Self {
        Self {
            budget,
            catalog,
            session,
            body: Within::default(),
            node: None,
            executes: true,
            explains: false,
            counts_blocks: false,
        }
    }
}

/// The function in whose body a statement stands.
#[derive(Clone, Copy, Default)]
pub(crate) struct Within<'c> {
    /// How many bodies are around it.
    pub(crate) depth: usize,
    /// The function's body.
    pub(crate) body: Option<&'c Body>,
    /// The search path by which its names are resolved.
    pub(crate) path: Option<&'c [String]>,
    /// The search path that is in force, where its names do not depend on it.
    pub(crate) in_force: Option<&'c [String]>,
    pub(crate) around: Option<&'c Within<'c>>,
    /// What is read in it may be part of a statement that marks rows.
    pub(crate) marks: bool,
    /// Of a trigger: the row that is written.
    pub(crate) row: Option<walk::Row<'c>>,
}

/// The facts of one statement, its text apart.
pub(crate) fn facts(tokens: &[Token<'_>], line: usize, context: Context<'_>) -> Facts {
    let mut facts = Facts::new(Kind::Unknown, line);
    command(Words(tokens), context, &mut facts);
    facts.goes_on_with = context.node.and_then(grammar::goes_on_with);
    facts.within = context.node.map(within::within).unwrap_or_default();
    facts
}

/// What an unknown statement stores is unknown too, whatever else is known of it. `moved`: names are not resolved by
/// what the session's state was before the message.
pub(crate) fn stores_unknown(context: Context<'_>, moved: bool, facts: &mut Facts) {
    for relation in context.node.map(grammar::written).unwrap_or_default() {
        let name = grammar::name(relation);
        let noted = |known: &RelationName| name.last() == Some(&known.name);
        if relation.relpersistence == b't'.cast_signed() {
            let name = RelationName::new(TEMPORARY, name.last().map_or("", String::as_str));
            facts.flows.entry(name).or_default().unknown = true;
        } else if !moved && facts.effect.creates.is_some() && facts.flows.keys().any(noted) {
            facts
                .flows
                .iter_mut()
                .filter(|(known, _)| noted(known))
                .for_each(|(_, flow)| flow.unknown = true);
        } else {
            for name in create::written(&name, context, moved) {
                facts.flows.entry(name).or_default().unknown = true;
            }
        }
    }
}

fn statement_doubt(facts: &mut Facts, code: &'static str) {
    facts.doubt(Reason { code, doubt: Doubt::Statement });
}

fn dynamic(facts: &mut Facts, kind: Kind) {
    facts.kind = kind;
    facts.doubt(Reason { code: "dynamic-sql", doubt: Doubt::DynamicSql });
    facts.effect.session = true;
    facts.effect.catalog = true;
    facts.effect.transaction = true;
    facts.effect.binds = true;
}

/// What PostgreSQL's tree of a command says of it alone.
pub(crate) use ddl::stands_alone;
pub use setting::shapes_results;
pub(crate) use within::preparable;

/// A command of this kind of which nothing more need be known, but that it changes something.
fn plain(facts: &mut Facts, kind: Kind) {
    facts.kind = kind;
    facts.read_only = false;
}

fn command(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    if context.node.is_some_and(control::is_control) {
        facts.effect.session = true;
        // As whom statements run makes no objects, and none others.
        facts.effect.catalog = !matches!(context.node, Some(Node::VariableSetStmt(_)));
        return plain(facts, Kind::Control);
    }
    match words.word(0).unwrap_or_default() {
        "" if words.is_punct(0, b'(') => drop(query(words, context, facts)),
        "select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "merge" => {
            let result = query(words, context, facts);
            facts.effect.refers = result.and_then(|it| it.current_of).filter(|_| lacks_cursor_only(facts));
        }
        "copy" => copy::command(words, context, facts),
        "explain" => explain(words, context, facts),
        "prepare" if words.word(1) == Some("transaction") => {
            transaction(facts, true);
            facts.effect.prepares = true;
        }
        "prepare" => prepare(words, context, facts),
        "execute" => {
            dynamic(facts, Kind::Execute);
            facts.effect.refers = executed(words);
        }
        "do" => dynamic(facts, Kind::Do),
        "call" => dynamic(facts, Kind::Call),
        "declare" => declare(words, context, facts),
        "fetch" | "move" => {
            facts.kind = Kind::Cursor;
            statement_doubt(facts, "unknown-cursor");
            // FETCH [direction] [FROM | IN] name: whatever the direction, the name comes last.
            facts.effect.refers = words.ident(words.len().saturating_sub(1)).map(str::to_owned);
        }
        "close" => {
            plain(facts, Kind::Cursor);
            let all = words.word(1) == Some("all");
            facts.effect.closes = if all { Closes::Cursors } else { named(words.ident(1), Closes::Cursor) };
        }
        "begin" | "start" | "savepoint" | "release" => {
            transaction(facts, false);
            facts.effect.isolation = setting::isolation(words, Isolation::This);
        }
        // Of another transaction, of any session, which may have renamed anything.
        "commit" | "rollback" if words.word(1) == Some("prepared") => {
            plain(facts, Kind::Ddl);
            facts.effect.session = true;
            facts.effect.catalog = true;
            facts.effect.moves = true;
        }
        "commit" | "end" | "rollback" | "abort" => transaction(facts, true),
        "set" => setting::set(words, facts),
        "reset" => setting::reset(words, facts),
        "show" => facts.kind = Kind::Session,
        "discard" => {
            plain(facts, Kind::Session);
            facts.effect.session = words.word(1) == Some("all");
            if words.word(1) == Some("all") {
                facts.effect.settings = Settings::Reported;
            }
            if words.word(1) == Some("all") {
                facts.effect.closes = Closes::All;
            }
            // These drop temporary tables.
            facts.effect.catalog = matches!(words.word(1), Some("all" | "temp" | "temporary"));
        }
        "deallocate" => {
            plain(facts, Kind::Session);
            // DEALLOCATE [PREPARE] name, in whichever case the word and the name are.
            let name =
                if words.word(1) == Some("prepare") && words.len() > 2 { words.after(1) } else { words };
            let all = name.word(1) == Some("all");
            facts.effect.closes =
                if all { Closes::Statements } else { named(name.ident(1), Closes::Statement) };
        }
        "unlisten" | "notify" => plain(facts, Kind::Session),
        "listen" => {
            plain(facts, Kind::Session);
            facts.effect.listens = true;
            // A trigger's NOTIFY may carry the row that others write.
            if context.catalog.any_code_on_write() {
                facts.doubt(Reason { code: "trigger-or-rule", doubt: Doubt::Function });
            }
        }
        // LOCK looks no further than which tables a view is made of.
        "lock" | "checkpoint" => plain(facts, Kind::Utility),
        "vacuum" | "analyze" | "analyse" | "reindex" | "cluster" | "truncate" => {
            utility::command(words, context, facts);
            plain(facts, Kind::Utility);
            // TRUNCATE runs triggers, the others functions of index expressions.
            let runs = if words.word(0) == Some("truncate") {
                Relation::has_code
            } else {
                Relation::computes_by_code
            };
            let names_code = words
                .0
                .iter()
                .filter_map(|token| token.kind.ident())
                .any(|name| context.catalog.runs_code(name, runs));
            // Without a table they mean all; with CASCADE or an index, tables that are not named.
            let means_more = words.len() < 2
                || words.contains(&["cascade"])
                || words.contains(&["index"])
                || words.contains(&["schema"])
                || words.contains(&["database"])
                || words.contains(&["system"])
                || !names_table(context.node);
            // From PostgreSQL 17 on, it fires event triggers.
            if words.word(0) == Some("reindex") {
                create::fires(context, facts);
            }
            if names_code || (means_more && context.catalog.any_code(runs)) {
                facts.doubt(Reason { code: "trigger-or-rule", doubt: Doubt::Function });
            }
        }
        "create" => create::create(words, context, facts),
        "drop" | "alter" | "refresh" | "comment" | "import" | "load" => create::other(context, facts),
        _ => {
            facts.effect.session = true;
            facts.effect.catalog = true;
            facts.effect.transaction = true;
            statement_doubt(facts, "unsupported-statement");
        }
    }
}

fn named(name: Option<&str>, closes: fn(String) -> Closes) -> Closes {
    name.map_or(Closes::Nothing, |name| closes(name.to_owned()))
}

/// Whether all that is not known of a statement is which row its cursor is at.
fn lacks_cursor_only(facts: &Facts) -> bool {
    facts.reasons.iter().all(|reason| reason.code == "unknown-cursor") && facts.effect == Effect::default()
}

/// Whether a command on tables names some.
fn names_table(node: Option<Node<'_>>) -> bool {
    match node {
        Some(Node::VacuumStmt(it)) => !it.rels().is_empty(),
        Some(Node::ClusterStmt(it)) => it.relation().is_some(),
        _ => true,
    }
}

/// BEGIN and kin change nothing; what ends a transaction keeps or undoes what was SET or created in it.
fn transaction(facts: &mut Facts, ends: bool) {
    facts.kind = Kind::Transaction;
    facts.read_only = !ends;
    facts.effect.transaction = true;
}

/// A query or DML statement, alone or as part of another. Returns the columns of its result, if they are certain.
fn query(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) -> Option<walk::Result> {
    // Should it not be readable, the first word still tells the kind, unless a WITH hides it.
    facts.kind = match words.word(0) {
        Some("select" | "values" | "table") => Kind::Select,
        Some("insert") => Kind::Insert,
        Some("update") => Kind::Update,
        Some("delete") => Kind::Delete,
        Some("merge") => Kind::Merge,
        _ => Kind::Unknown,
    };
    let catalog = context.catalog;
    let sets = setting::set_config(words, catalog);
    facts.effect.session |= sets == Some(setting::Weight::Session);
    facts.effect.isolation = setting::sets_isolation(words);
    facts.effect.settings = setting::set_by_calls(words);
    let may_set = sets.is_some_and(|weight| weight != setting::Weight::Grave);
    match read::statement(words.0, context.node) {
        Ok((statement, literals)) => {
            let stores = create::stores(context.node);
            let read = walk::Read { statement: &statement, literals: &literals };
            let asked = walk::Asked { may_set, stores, operators: &operators(words, catalog) };
            let result = walk::statement(read, context, &asked, facts);
            if let Some(into) = context.node.and_then(grammar::into).filter(|_| context.executes) {
                let temporary = into.relpersistence == b't'.cast_signed();
                let made = Made { name: grammar::name(into), temporary, view: false, renamed: Vec::new() };
                create::made(made, &result, context, facts);
                create::fires(context, facts);
            }
            Some(result)
        }
        Err(code) => {
            statement_doubt(facts, code);
            None
        }
    }
}

/// The operators of somebody's own that a query uses, or may use without saying so.
fn operators<'w>(words: Words<'w, '_>, catalog: &Catalog) -> BTreeSet<&'w str> {
    let written = words.0.iter().filter_map(|token| match &token.kind {
        TokenKind::Operator(operator) => Some(*operator),
        _ => None,
    });
    written.filter(|operator| catalog.is_user_operator(operator)).chain(catalog.implied_operators()).collect()
}

/// Whether these words begin a query or DML statement.
fn begins_query(words: Words<'_, '_>) -> bool {
    words.is_punct(0, b'(')
        || matches!(
            words.word(0),
            Some("select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "merge")
        )
}

fn inner_query(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) -> Option<walk::Result> {
    if begins_query(words) {
        return query(words, context, facts);
    }
    statement_doubt(facts, "unsupported-statement");
    None
}

/// EXPLAIN has the facts of its statement, executed or not.
fn explain(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    let mut rest = words.after(1);
    if rest.is_punct(0, b'(') && !is_subquery(rest.after(1)) {
        rest = rest.after_group();
    } else {
        while matches!(rest.word(0), Some("analyze" | "analyse" | "verbose")) {
            rest = rest.after(1);
        }
    }
    let executes = context.node.is_some_and(executes);
    if executes && context.node.is_some_and(|node| has_option(node, "wal")) {
        // It tells how long the rows are that are written, whole.
        statement_doubt(facts, "unsupported-statement");
    }
    let tells_blocks =
        context.catalog.explains_blocks() || context.node.is_some_and(|node| has_option(node, "buffers"));
    let context = Context {
        node: context.node.and_then(explained),
        executes,
        explains: executes,
        counts_blocks: executes && tells_blocks,
        ..context
    };
    match rest.word(0) {
        Some("execute") => {
            dynamic(facts, Kind::Explain);
            // What it goes on with does not say what that tells of partitions.
            if executes && context.catalog.keeps_apart() {
                statement_doubt(facts, "unsupported-statement");
            }
        }
        // It makes nothing unless it runs.
        Some("create") if !executes => match rest.find_word("as") {
            Some(at) => drop(inner_query(create::without_data(rest.after(at + 1)), context, facts)),
            None => statement_doubt(facts, "unsupported-statement"),
        },
        Some("create") => create::create(rest, context, facts),
        _ => drop(inner_query(rest, context, facts)),
    }
    // SELECT INTO makes a relation as well.
    let makes = executes && (facts.kind == Kind::Ddl || context.node.and_then(grammar::into).is_some());
    facts.kind = if makes { Kind::Ddl } else { Kind::Explain };
    facts.bulk = BulkShape::None;
    // A plan runs code, which may store something.
    if !facts.sinks.is_empty() && (executes || !facts.flows.is_empty()) {
        // Its command tag tells of no rows, also where it makes a table, or is what EXECUTE goes on with.
        facts.sinks.insert(crate::Sink { kind: crate::SinkKind::Rows, relation: None });
    }
}

/// What EXPLAIN explains.
fn explained(node: Node<'_>) -> Option<Node<'_>> {
    let Node::ExplainStmt(explain) = node else { return None };
    Some(explain.query())
}

/// Whether EXPLAIN has the ANALYZE option, on or off.
fn executes(node: Node<'_>) -> bool {
    has_option(node, "analyze")
}

/// Whether EXPLAIN has this option, on or off.
fn has_option(node: Node<'_>, wanted: &str) -> bool {
    let Node::ExplainStmt(explain) = node else { return false };
    explain.options().iter().any(|option| option.defname().is_none_or(|name| name == wanted))
}

/// `explain (select 1)` against `explain (verbose) select 1`.
fn is_subquery(words: Words<'_, '_>) -> bool {
    words.is_punct(0, b'(') || matches!(words.word(0), Some("select" | "with" | "values" | "table"))
}

/// PREPARE name [(types)] AS statement.
fn prepare(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    facts.effect.names.extend(words.ident(1).map(str::to_owned));
    let mut rest = words.after(2);
    let mut runs_checks = false;
    if rest.is_punct(0, b'(') {
        runs_checks = may_run_checks(rest.before(rest.group()), context.catalog);
        rest = rest.after_group();
    }
    if rest.word(0) == Some("as") {
        let _columns = inner_query(rest.after(1), context, facts);
    } else {
        statement_doubt(facts, "syntax");
    }
    if runs_checks {
        *facts = facts.given_unknown_types();
    }
    plain(facts, Kind::Prepare);
}

/// Whether making values of types that are named may run somebody's code.
fn may_run_checks(types: Words<'_, '_>, catalog: &Catalog) -> bool {
    let checked = |name: &str| catalog.is_user_type(name) && !catalog.is_unchecked_type(name);
    types.0.iter().enumerate().any(|(at, token)| {
        let qualified = at.checked_sub(1).is_some_and(|before| types.is_punct(before, b'.'));
        let of_grammar = !qualified && token.kind.word().is_some_and(builtin::grammar_type);
        !of_grammar && token.kind.ident().is_some_and(checked)
    })
}

/// The name of `EXECUTE name [(literal, …)]`. Anything but literals might call a function.
fn executed(words: Words<'_, '_>) -> Option<String> {
    let values = words.after(2);
    let harmless = |token: &Token<'_>| match &token.kind {
        TokenKind::Text(_)
        | TokenKind::Number(_)
        | TokenKind::Param(_)
        | TokenKind::Punct(b'(' | b')' | b',') => true,
        TokenKind::Word(word) => matches!(word.as_ref(), "null" | "true" | "false"),
        TokenKind::Operator(sign) => matches!(*sign, "-" | "+"),
        _ => false,
    };
    values.0.iter().all(harmless).then(|| words.ident(1).map(str::to_owned)).flatten()
}

/// DECLARE name [options] CURSOR [WITH | WITHOUT HOLD] FOR query.
fn declare(words: Words<'_, '_>, context: Context<'_>, facts: &mut Facts) {
    facts.effect.names.extend(words.ident(1).map(str::to_owned));
    match words.find_word("for") {
        Some(at) => {
            drop(inner_query(words.after(at + 1), context, facts));
            // Its rows are made at COMMIT, by what functions are then.
            facts.effect.holds = words.before(at).contains(&["with", "hold"]);
            if facts.effect.holds && !facts.is_settled() {
                facts.doubt(Reason { code: "cursor-with-hold", doubt: Doubt::Function });
            }
        }
        None => statement_doubt(facts, "syntax"),
    }
    plain(facts, Kind::Cursor);
    facts.bulk = BulkShape::Cursor;
}
