use std::borrow::Cow;
use std::collections::BTreeSet;

use pg_raw_parse::Node;
use stepgate_types::{Certainty, Kind, RelationName};

use crate::budget::{AT_ONCE, Budget};
use crate::catalog::{Catalog, Relation};
use crate::effect::Closes;
use crate::facts::{Doubt, Facts, Reason};
use crate::grammar::{self, Command};
use crate::lexer::{self, Token, TokenKind, Unreadable};
use crate::normal;
use crate::scan::Scan;
use crate::session::SessionState;
use crate::stack;
use crate::statement::{self, Context, Within};
use crate::taint::Flow;
use crate::walk;

/// The facts of each statement of a message (the text of a Query or Parse), in order.
///
/// An unreadable message gives exactly one [`Facts`] of kind and certainty unknown; an empty one none.
#[must_use]
pub fn analyze(sql: &[u8], catalog: &Catalog, session: &SessionState) -> Vec<Facts> {
    within(&Budget::default(), sql, catalog, session)
}

/// The same, unless it is more work than some milliseconds' (`budget.rs`): then [`analyze`] is for where nobody waits.
#[must_use]
pub fn analyze_at_once(sql: &[u8], catalog: &Catalog, session: &SessionState) -> Option<Vec<Facts>> {
    let budget = Budget::of(AT_ONCE);
    let facts = within(&budget, sql, catalog, session);
    (!budget.is_spent()).then_some(facts)
}

fn within(budget: &Budget, sql: &[u8], catalog: &Catalog, session: &SessionState) -> Vec<Facts> {
    let path = session.search_path.as_ref().filter(|_| !session.created.is_empty());
    let over = path.map(|path| session.created.over(catalog, path));
    let blind = matches!(over, Some(None)).then(|| SessionState {
        search_path: None,
        moved: true,
        ..session.clone()
    });
    let catalog = over.as_ref().and_then(Option::as_deref).unwrap_or(catalog);
    let session = blind.as_ref().unwrap_or(session);
    let context = Context {
        budget,
        catalog,
        session,
        body: Within::default(),
        node: None,
        executes: true,
        explains: false,
        counts_blocks: false,
    };
    let text = catalog.encoding_of(session.encoding).text(sql).ok_or("encoding");
    let facts = text.and_then(|text| stack::with_room(sql, || read(&text, context), is_too_deep));
    facts.unwrap_or_else(|code| {
        // In whichever encoding and by whichever quotes.
        let may_have_literals = sql.iter().any(|byte| matches!(byte, b'\'' | b'$'));
        let parsing_reads = may_have_literals && catalog.checks_literals();
        vec![Facts { parsing_reads, ..Facts::unreadable(code) }]
    })
}

/// The relations that a message says it stores something in, whatever else it does: by what their names mean in this
/// catalog, and to this session.
#[must_use]
pub fn written(sql: &[u8], catalog: &Catalog, session: &SessionState) -> BTreeSet<RelationName> {
    let budget = Budget::default();
    let context = Context {
        budget: &budget,
        catalog,
        session,
        body: Within::default(),
        node: None,
        executes: true,
        explains: false,
        counts_blocks: false,
    };
    let read = || {
        let text = session.encoding.text(sql)?;
        let tree = grammar::Tree::parse(&text).ok()?;
        let mut facts = Facts::new(Kind::Unknown, 1);
        for command in tree.commands() {
            let context = Context { node: Some(command.node), ..context };
            statement::stores_unknown(context, session.moved, &mut facts);
        }
        Some(facts.flows.into_keys().collect())
    };
    stack::with_room(sql, read, Option::is_none).unwrap_or_default()
}

/// Whether something in a message, or in what it calls, is nested more deeply than there was room for.
fn is_too_deep(read: &Result<Vec<Facts>, Unreadable>) -> bool {
    match read {
        Ok(all) => all.iter().flat_map(|facts| &facts.reasons).any(|reason| reason.code == stack::TOO_DEEP),
        Err(code) => *code == stack::TOO_DEEP,
    }
}

/// The facts of each statement of a function's body; one that is unknown if it cannot be read. It is the server's text, in
/// whatever encoding the client writes its own.
pub(crate) fn body(text: &str, context: Context<'_>) -> Vec<Facts> {
    read(text, context).unwrap_or_else(|code| vec![Facts::unreadable(code)])
}

fn read(text: &str, context: Context<'_>) -> Result<Vec<Facts>, Unreadable> {
    let Context { budget, catalog, session, .. } = context;
    // The server reads bodies by it too, when they run.
    if !session.standard_conforming_strings {
        return Err("standard-conforming-strings");
    }
    let all_tokens = lexer::tokens(text, catalog.numbers())?;
    let tree = grammar::Tree::parse(text)?;
    let mut all: Vec<Facts> = Vec::new();
    // Names do not mean what the catalog says; and there may be others than it has.
    let (mut moved, mut changed) = (session.moved, session.moved);
    // What one statement stores, the next may read.
    let mut session = Cow::Borrowed(session);
    let mut lines = Lines { text, at: 0, line: 1 };
    for (tokens, command) in paired(&all_tokens, &tree.commands())? {
        if !budget.spend(1) {
            return Err("too-complex");
        }
        let line = lines.of(tokens.first().map_or(0, |first| first.at));
        let alone = statement::stands_alone(command.node);
        let blind = (moved && alone).then(|| SessionState { search_path: None, ..(*session).clone() });
        let seen = blind.as_ref().unwrap_or(&session);
        let context = Context { session: seen, node: Some(command.node), ..context };
        let mut facts = statement::facts(tokens, line, context);
        normal::describe(tokens, catalog, &mut facts);
        facts.predicates.number_literals(&all_tokens);
        facts.predicates.cover(&facts.columns);
        facts.scan = Scan::of(command.node);
        if let Some(known) = goes_on(&facts, &all) {
            facts = known;
        }
        let hangs =
            |facts: &Facts| !is_of_constants(tokens, catalog, changed) && depends_on_names(facts, catalog);
        if moved && !alone && hangs(&facts) {
            facts.doubt(Reason { code: "state-changed-in-message", doubt: Doubt::Statement });
        }
        // What is written by way of a cursor is known without it.
        if facts.certainty == Certainty::Unknown && facts.effect.refers.is_none() {
            statement::stores_unknown(context, moved, &mut facts);
            // And what triggers store on.
            if walk::close(&mut facts.flows).is_none() {
                facts.flows.values_mut().for_each(|flow| flow.unknown = true);
            }
        }
        for (relation, flow) in &facts.flows {
            if session.to_mut().own_taints.add(relation.clone(), flow.clone()).is_err() {
                facts.doubt(Reason { code: "too-many-copies", doubt: Doubt::Statement });
                break;
            }
        }
        if let Some(made) = facts.effect.creates.as_ref().filter(|made| made.temporary) {
            session.to_mut().temporaries.extend(made.name.last().cloned());
        }
        // Only what follows is refused: what one statement reports is bounded by what there is.
        let stores = facts.flows.values().map(Flow::pairs).sum::<usize>();
        budget.spend(1 + facts.columns.len() + 4 * stores);
        let ends_transaction = facts.kind == Kind::Transaction && !facts.read_only;
        changed |= facts.effect.catalog || ends_transaction || facts.certainty == Certainty::Unknown;
        moved |= facts.effect.session || facts.effect.catalog || ends_transaction;
        facts.parsing_reads = may_read_when_parsed(&facts, tokens, catalog);
        all.push(facts);
    }
    Ok(all)
}

/// Whether parsing a statement may read data: by literals in quotes alone, of which one that is not understood may have
/// any.
fn may_read_when_parsed(facts: &Facts, tokens: &[Token<'_>], catalog: &Catalog) -> bool {
    let is_unknown = facts.certainty == Certainty::Unknown;
    let is_literal = |token: &Token<'_>| matches!(token.kind, TokenKind::Text(_));
    (facts.parsing_reads || (is_unknown && catalog.checks_literals())) && tokens.iter().any(is_literal)
}

/// Our statements with PostgreSQL's, if both readings have the same ones: as many, at the same places, with semicolons
/// between them and nowhere else but in a body of BEGIN ATOMIC.
fn paired<'t, 'a, 'p>(
    tokens: &'t [Token<'a>],
    commands: &[Command<'p>],
) -> Result<Vec<(&'t [Token<'a>], Command<'p>)>, Unreadable> {
    let ends = |token: &Token<'_>| token.kind.is_punct(b';');
    let (mut rest, mut pairs) = (tokens, Vec::with_capacity(commands.len()));
    for command in commands {
        let begins = rest.iter().position(|token| token.at >= command.from).unwrap_or(rest.len());
        let (between, from) = rest.split_at(begins);
        let length = from.iter().position(|token| token.at >= command.to).unwrap_or(from.len());
        let (ours, after) = from.split_at(length);
        let has_body =
            matches!(command.node, Node::CreateFunctionStmt(it) if !matches!(it.sql_body(), Node::None));
        if ours.is_empty() || !between.iter().all(ends) || (!has_body && ours.iter().any(ends)) {
            return Err("readers-disagree");
        }
        pairs.push((ours, *command));
        rest = after;
    }
    if rest.iter().all(ends) { Ok(pairs) } else { Err("readers-disagree") }
}

/// The facts of an EXECUTE, FETCH or MOVE of what the same message made before. Had its PREPARE or DECLARE
/// failed, the server would not come to this statement; so the last one of that name is the one, unless
/// something unreadable ran in between.
fn goes_on(facts: &Facts, before: &[Facts]) -> Option<Facts> {
    let name = facts.effect.refers.as_ref()?;
    let maker = if facts.kind == Kind::Execute { Kind::Prepare } else { Kind::Cursor };
    let may_make = |earlier: &&Facts| {
        earlier.certainty == Certainty::Unknown
            || (earlier.kind == maker && earlier.effect.names.contains(name))
    };
    let made = before.iter().rev().find(may_make).filter(|made| made.certainty != Certainty::Unknown)?;
    Some(if maker == Kind::Prepare { facts.executed(made) } else { facts.fetched(&made.effect) })
}

/// Whether the meaning of such a statement depends on search_path, settings or the catalog. Utilities run what is at
/// the tables that they name: triggers, functions of indexes. And they may fail by what is in them.
fn depends_on_names(facts: &Facts, catalog: &Catalog) -> bool {
    match facts.kind {
        Kind::Utility => catalog.any_code(Relation::has_code) || catalog.fragile().next().is_some(),
        // CLOSE names a cursor alone.
        Kind::Cursor => facts.effect.closes == Closes::Nothing,
        kind => !matches!(kind, Kind::Transaction | Kind::Session | Kind::Control | Kind::Empty),
    }
}

/// Whether it is a SELECT of constants, as pools send to see that somebody is there, and of what functions return that are
/// given nothing. Of such a name only the server has one, whatever path its name is looked for along, unless something else
/// was made by now (`changed`).
fn is_of_constants(tokens: &[Token<'_>], catalog: &Catalog, changed: bool) -> bool {
    let constant = |token: &Token<'_>| match token.kind {
        TokenKind::Text(_) | TokenKind::Number(_) | TokenKind::Param(_) => true,
        TokenKind::Punct(punct) => punct == b',',
        _ => false,
    };
    let of_server = |name: &Token<'_>| name.kind.ident().is_some_and(|name| catalog.is_servers_alone(name));
    let Some((first, mut rest)) = tokens.split_first() else { return false };
    while let [next, after @ ..] = rest {
        rest = match after {
            [open, close, after @ ..] if open.kind.is_punct(b'(') && close.kind.is_punct(b')') => {
                if changed || !of_server(next) {
                    return false;
                }
                after
            }
            _ if constant(next) => after,
            _ => return false,
        };
    }
    first.kind.word() == Some("select")
}

/// Line numbers of ascending offsets.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, offset: usize) -> usize {
        let passed = self.text.as_bytes().get(self.at..offset).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = offset;
        self.line
    }
}
