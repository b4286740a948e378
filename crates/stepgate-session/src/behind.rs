//! What stands behind a message: the texts that it goes on with by the names that they were given before. Nobody sees by
//! `EXECUTE p` or `FETCH c` what runs; whoever is asked is shown what p and c are, and answers for that, too.

use std::collections::VecDeque;

use bytes::Bytes;
use stepgate_sql::{Facts, Named};
use stepgate_types::Certainty;

use crate::expect::{Entry, Owed};
use crate::registry::{self, Meaning};
use crate::session::Session;
use crate::text::Text;

/// The most texts of one message: what is prepared may go on with something in turn.
const MAX_TEXTS: usize = 8;

impl Session {
    /// The texts behind a message, those named first before what they go on with themselves, each once. What a name stands
    /// for is left out where it is not known for certain: then the message is not understood either.
    pub(crate) fn behind(&mut self, facts: &[Facts]) -> Vec<Bytes> {
        if facts.iter().all(|facts| facts.goes_on_with.is_none()) {
            return Vec::new();
        }
        let named = facts.iter().enumerate().filter_map(|(at, facts_at)| {
            let named = facts_at.goes_on_with.as_ref()?;
            // What the message gives that name itself is in its own text.
            let mut before = facts.iter().take(at);
            (!before.any(|it| it.effect.names.contains(named.name()))).then(|| named.clone())
        });
        self.texts_of(named.collect())
    }

    /// The texts behind a portal that is executed by its name.
    pub(crate) fn behind_portal(&mut self, portal: &Bytes) -> Vec<Bytes> {
        let named = std::str::from_utf8(portal).map(|name| Named::Cursor(name.to_owned()));
        self.texts_of(named.into_iter().collect())
    }

    /// Whether code in a message that nobody understands may go on with what the session has given names to: with EXECUTE or
    /// FETCH within it, say, of which nothing is to be seen.
    pub(crate) fn goes_on_unseen(&self, facts: &[Facts], sql: &Bytes) -> bool {
        facts.iter().any(|facts| facts.certainty == Certainty::Unknown)
            && (self.registry.has_besides(sql)
                || self.park.names_besides(sql)
                || self.expect.iter().any(|entry| entry.owed.names_besides(sql)))
    }

    fn texts_of(&mut self, mut named: VecDeque<Named>) -> Vec<Bytes> {
        let mut texts: Vec<Bytes> = Vec::new();
        while texts.len() < MAX_TEXTS
            && let Some(next) = named.pop_front()
        {
            let Some(text) = self.text_of(&next).filter(|text| !texts.contains(&text.sql)) else { continue };
            named.extend(self.facts_now(&text).iter().filter_map(|facts| facts.goes_on_with.clone()));
            texts.push(text.sql);
        }
        texts
    }

    /// The text that was given this name, if nothing is under way that may give it to another.
    fn text_of(&self, named: &Named) -> Option<Text> {
        let name = registry::key(named.name().as_bytes());
        let may_name = |owed: &Owed| match owed {
            Owed::Parse { name: parsed, .. } => *parsed == name,
            owed => owed.may_name(&name),
        };
        if self.park.may_rename(&name) || self.expect.iter().any(|entry| may_name(&entry.owed)) {
            return None;
        }
        match named {
            Named::Statement(_) => match self.registry.statement(&name) {
                Meaning::Known(prepared) => Some(prepared.text.clone()),
                Meaning::Sql(text, _) => Some(text),
                Meaning::Opaque => None,
            },
            Named::Cursor(_) => match self.opened(&name).and_then(|at| self.expect.get(at)) {
                Some(Entry { owed: Owed::Bind { opened, .. }, .. }) => opened.traces().text().cloned(),
                _ => self.registry.text_of_cursor(&name),
            },
        }
    }
}
