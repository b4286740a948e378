//! What the session's PREPAREs and DECLAREs made, for EXECUTE and FETCH to go on with.
//!
//! Nothing runs here, so nobody says whether a PREPARE failed because the name was taken, or a DEALLOCATE in a
//! transaction that had failed. So a name means all that it was ever given in the session.

use std::collections::HashMap;

use stepgate_sql::{Catalog, Effect, Facts, SessionState, analyze};
use stepgate_types::{Certainty, Kind};

/// The most texts remembered for a name; more make it unknown.
const MAX_TEXTS: usize = 32;

/// The most names; more are unknown.
const MAX_NAMES: usize = 4_096;

/// Names of the session.
#[derive(Default)]
pub(crate) struct Names {
    prepared: HashMap<String, Vec<Prepared>>,
    cursors: HashMap<String, Effect>,
}

/// A PREPARE: its text, and what it meant then. The server may go on with either meaning.
struct Prepared {
    text: String,
    then: Facts,
}

impl Names {
    /// The facts of a message, where EXECUTE and FETCH are those of what they go on with.
    pub(crate) fn facts(&self, sql: &str, catalog: &Catalog, session: &SessionState) -> Vec<Facts> {
        let mut all = analyze(sql.as_bytes(), catalog, session);
        if let [only] = all.as_mut_slice()
            && let Some(known) = self.goes_on(only, catalog, session)
        {
            *only = known;
        }
        all
    }

    fn goes_on(&self, facts: &Facts, catalog: &Catalog, session: &SessionState) -> Option<Facts> {
        let name = facts.effect.refers.as_ref()?;
        if facts.kind != Kind::Execute {
            return self.cursors.get(name).map(|declared| facts.fetched(declared));
        }
        let texts = self.prepared.get(name).filter(|texts| texts.len() <= MAX_TEXTS)?;
        let mut meanings = texts.iter().flat_map(|Prepared { text, then }| {
            analyze(text.as_bytes(), catalog, session).into_iter().chain([then.clone()])
        });
        let first = meanings.next()?;
        Some(facts.executed(&meanings.fold(first, |all, meaning| all.union(&meaning))))
    }

    /// Takes note of what a message made.
    pub(crate) fn after(&mut self, sql: &str, facts: &[Facts]) {
        for statement in facts {
            // It may have made anything anew.
            if statement.certainty == Certainty::Unknown {
                *self = Self::default();
            }
            // What cursors call may be something else when they are fetched from.
            if statement.effect.moves {
                self.cursors.clear();
            }
        }
        let [only] = facts else {
            // Of a message of several statements the text of one is not at hand.
            for name in facts.iter().flat_map(|facts| &facts.effect.names) {
                self.prepared.remove(name);
                self.cursors.remove(name);
            }
            return;
        };
        let Some(name) = only.effect.names.first().filter(|_| only.certainty != Certainty::Unknown) else {
            return;
        };
        match only.kind {
            Kind::Prepare if self.prepared.len() < MAX_NAMES => {
                let texts = self.prepared.entry(name.clone()).or_default();
                if texts.len() <= MAX_TEXTS {
                    texts.push(Prepared { text: sql.to_owned(), then: only.clone() });
                }
            }
            Kind::Cursor if self.cursors.len() < MAX_NAMES => {
                self.cursors.insert(name.clone(), only.effect.clone());
            }
            _ => {}
        }
    }
}
