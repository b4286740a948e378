use std::borrow::Cow;

use stepgate_types::{Certainty, Kind};

use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::facts::{Doubt, Facts, Reason};
use crate::grammar::{self, Command};
use crate::lexer::{self, Token, Unreadable};
use crate::normal;
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
    let budget = Budget::default();
    let context = Context { budget: &budget, catalog, session, body: Within::default(), node: None };
    stack::with_room(sql, || read(sql, context)).unwrap_or_else(|code| vec![Facts::unreadable(code)])
}

/// The facts of each statement of a function's body; one that is unknown if it cannot be read.
pub(crate) fn body(text: &str, context: Context<'_>) -> Vec<Facts> {
    read(text.as_bytes(), context).unwrap_or_else(|code| vec![Facts::unreadable(code)])
}

fn read(sql: &[u8], context: Context<'_>) -> Result<Vec<Facts>, Unreadable> {
    let Context { budget, catalog, session, .. } = context;
    let text = std::str::from_utf8(sql).map_err(|_| "encoding")?;
    if !session.utf8 && !text.is_ascii() {
        return Err("encoding");
    }
    if !session.standard_conforming_strings {
        return Err("standard-conforming-strings");
    }
    let all_tokens = lexer::tokens(text, catalog.numbers())?;
    let tree = grammar::Tree::parse(text)?;
    let mut all: Vec<Facts> = Vec::new();
    let mut moved = false;
    // What one statement stores, the next may read.
    let mut session = Cow::Borrowed(session);
    let mut lines = Lines { text, at: 0, line: 1 };
    for (tokens, command) in paired(&all_tokens, &tree.commands())? {
        if !budget.spend(1) {
            return Err("too-complex");
        }
        let line = lines.of(tokens.first().map_or(0, |first| first.at));
        let context = Context { session: &session, node: Some(command.node), ..context };
        let mut facts = statement::facts(tokens, line, context);
        normal::describe(tokens, catalog, &mut facts);
        facts.predicates.number_literals(&all_tokens);
        facts.predicates.cover(&facts.columns);
        if let Some(known) = goes_on(&facts, &all) {
            facts = known;
        }
        if moved && depends_on_names(facts.kind) {
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
        moved |= facts.effect.session || facts.effect.catalog || ends_transaction;
        all.push(facts);
    }
    Ok(all)
}

/// Our statements with PostgreSQL's, if both readings have the same ones: as many, at the same places. They
/// differ where semicolons end nothing, as in a body of BEGIN ATOMIC.
fn paired<'t, 'a, 'p>(
    tokens: &'t [Token<'a>],
    commands: &[Command<'p>],
) -> Result<Vec<(&'t [Token<'a>], Command<'p>)>, Unreadable> {
    let ours = tokens.split(|token| token.kind.is_punct(b';')).filter(|tokens| !tokens.is_empty());
    let ours: Vec<&[Token<'_>]> = ours.collect();
    let at_same_place = |tokens: &&[Token<'_>], command: &Command<'_>| {
        let within =
            |token: Option<&Token<'_>>| token.is_some_and(|it| (command.from..command.to).contains(&it.at));
        within(tokens.first()) && within(tokens.last())
    };
    if ours.len() != commands.len()
        || !ours.iter().zip(commands).all(|(ours, theirs)| at_same_place(ours, theirs))
    {
        return Err("readers-disagree");
    }
    Ok(ours.into_iter().zip(commands.iter().copied()).collect())
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

/// Whether the meaning of such a statement depends on search_path, settings or the catalog.
fn depends_on_names(kind: Kind) -> bool {
    !matches!(kind, Kind::Transaction | Kind::Session | Kind::Utility | Kind::Control | Kind::Empty)
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
