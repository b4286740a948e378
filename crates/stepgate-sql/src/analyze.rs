use stepgate_types::{Certainty, Kind};

use crate::catalog::Catalog;
use crate::facts::{Doubt, Facts, Reason};
use crate::lexer::{self, Token, Unreadable};
use crate::normal;
use crate::session::SessionState;
use crate::statement::{self, Context, Within};

/// The facts of each statement of a message (the text of a Query or Parse), in order.
///
/// An unreadable message gives exactly one [`Facts`] of kind and certainty unknown; an empty one none.
#[must_use]
pub fn analyze(sql: &[u8], catalog: &Catalog, session: &SessionState) -> Vec<Facts> {
    let context = Context { catalog, session, body: Within::default() };
    read(sql, context).unwrap_or_else(|code| vec![Facts::unreadable(code)])
}

/// The facts of each statement of a function's body; one that is unknown if it cannot be read.
pub(crate) fn body(text: &str, context: Context<'_>) -> Vec<Facts> {
    read(text.as_bytes(), context).unwrap_or_else(|code| vec![Facts::unreadable(code)])
}

fn read(sql: &[u8], context: Context<'_>) -> Result<Vec<Facts>, Unreadable> {
    let Context { catalog, session, body: _ } = context;
    let text = std::str::from_utf8(sql).map_err(|_| "encoding")?;
    if !session.utf8 && !text.is_ascii() {
        return Err("encoding");
    }
    if !session.standard_conforming_strings {
        return Err("standard-conforming-strings");
    }
    let tokens = lexer::tokens(text)?;
    let mut all = Vec::new();
    let mut moved = false;
    let mut lines = Lines { text, at: 0, line: 1 };
    for tokens in tokens.split(|token| token.kind.is_punct(b';')) {
        let Some(first) = tokens.first() else { continue };
        let mut facts = statement::facts(tokens, lines.of(first.at), context);
        normal::describe(tokens, catalog, &mut facts);
        if let Some(known) = goes_on(&facts, &all) {
            facts = known;
        }
        if moved && depends_on_names(facts.kind) {
            facts.doubt(Reason { code: "state-changed-in-message", doubt: Doubt::Statement });
        }
        let ends_transaction = facts.kind == Kind::Transaction && !facts.read_only;
        moved |= facts.effect.session || facts.effect.catalog || ends_transaction;
        all.push(facts);
    }
    // A body of BEGIN ATOMIC holds semicolons that end nothing.
    if all.len() > 1 && tokens.iter().any(|token: &Token<'_>| token.kind.word() == Some("atomic")) {
        return Err("begin-atomic");
    }
    Ok(all)
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
