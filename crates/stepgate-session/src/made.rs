//! What the open transaction makes: known once the server has made it, until the transaction ends or loses any of it.

use std::sync::Arc;

use stepgate_sql::{Creations, Facts};

use crate::session::{Action, Session};

/// A statement under way that makes or drops something.
#[derive(Debug)]
pub(crate) struct Making {
    number: u64,
    /// Which of the session's changes to the catalog it is.
    change: u64,
    /// The statement's only facts.
    facts: Arc<[Facts]>,
    /// By which its names were resolved.
    path: Vec<String>,
}

impl Session {
    /// Whether a statement makes something in the open transaction, and it is not known where.
    pub(crate) fn is_made_where(&self, facts: &[Facts]) -> bool {
        let makes = matches!(facts, [only] if only.effect.creates.is_some() && Creations::may_follow(only));
        makes && self.status == b'T' && self.state.search_path.is_none()
    }

    /// Takes note of a statement that is about to be sent.
    pub(crate) fn will_make(&mut self, number: u64, facts: &Arc<[Facts]>) {
        let ([only], false) = (&**facts, self.catalog_stale()) else { return };
        if !Creations::may_follow(only) {
            return;
        }
        let path = match &self.state.search_path {
            Some(path) => path.clone(),
            // What is dropped is known wherever it is.
            None if only.effect.creates.is_none() => Vec::new(),
            None => return,
        };
        self.making = Some(Making {
            number,
            change: self.catalog_changes.saturating_add(1),
            facts: Arc::clone(facts),
            path,
        });
    }

    /// The server has done it. Whatever else was changed meanwhile leaves it unknown.
    pub(crate) fn has_made(&mut self, number: u64) {
        let Some(making) = self.making.take_if(|making| making.number == number) else { return };
        let [only] = &*making.facts else { return };
        if making.change == self.catalog_changes
            && Arc::make_mut(&mut self.state).created.follow(only, &self.catalog, &making.path)
        {
            self.catalog_followed = making.change;
            self.learned = self.learned.saturating_add(1);
            self.forget_facts();
        }
    }

    /// The transaction ends, has failed, or undoes a part of itself.
    pub(crate) fn forget_made(&mut self) {
        self.making = None;
        self.catalog_followed = 0;
        if !self.state.created.is_empty() {
            self.own_state().created = Creations::default();
            self.forget_facts();
        }
    }

    /// Asks for a catalog that shows all that this session has committed.
    pub(crate) fn ask_for_catalog(&mut self) {
        self.catalog_asked = Some(self.catalog_changes);
        self.actions.push_back(Action::LoadCatalog { change: self.catalog_changes });
    }
}
