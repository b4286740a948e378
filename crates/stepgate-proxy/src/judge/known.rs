//! Decisions that are known: the same facts again, from the same person, under the same rules, are decided the same.
//!
//! Only what passes on a ticket is remembered, and only where the decision hangs on facts, person and rules alone: not
//! on values that are compared with, on the planner, on a grant, or on anything that the transaction has done. What is
//! found here by facts is found by *these* facts: they are kept, so that nothing else can have their place in memory.
//! Catalog, rules and labels are in them or in the view; whoever changes any of those makes another of it. Groups are
//! in the person, which is another as soon as anything about it is changed.

use std::collections::HashMap;
use std::sync::Arc;

use stepgate_policy::Decision;
use stepgate_record::{Event, Template};
use stepgate_session::{Pending, Protocol};
use stepgate_sql::Facts;
use stepgate_store::Person;

use crate::database::View;

/// The most decisions that a session remembers. A template is about a kilobyte.
const MAX_KNOWN: usize = 128;

/// The decisions of one session.
#[derive(Default)]
pub(super) struct Known {
    by: Option<(Arc<View>, Arc<Person>)>,
    decisions: HashMap<Key, Passes>,
}

/// What a record tells of a statement besides its number and what the session's other records tell as well.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    facts: usize,
    protocol: Protocol,
    values: usize,
}

/// What passes on a ticket.
pub(super) struct Passes {
    /// Keeps its place in memory.
    _facts: Arc<[Facts]>,
    pub(super) record: Template,
    pub(super) rules: Vec<String>,
}

impl Known {
    /// The decision on a statement, if it was made before by that view for that person. Whatever was decided by others
    /// is forgotten.
    pub(super) fn of(&mut self, pending: &Pending, view: &Arc<View>, person: &Arc<Person>) -> Option<&Passes> {
        let same = |(by, who): &(Arc<View>, Arc<Person>)| Arc::ptr_eq(by, view) && Arc::ptr_eq(who, person);
        if !self.by.as_ref().is_some_and(same) {
            self.decisions.clear();
            self.by = Some((Arc::clone(view), Arc::clone(person)));
            return None;
        }
        // In a failed transaction it does not run, and is recorded as something else.
        self.decisions.get(&key(pending)).filter(|_| !pending.aborted)
    }

    /// Remembers that a statement passes on a ticket, as `event` tells.
    pub(super) fn passes(
        &mut self,
        pending: &Pending,
        view: &Arc<View>,
        person: &Arc<Person>,
        decision: &Decision,
        event: &Event,
    ) {
        // Forgets what was decided by another view or for another person.
        self.of(pending, view, person);
        let Ok(record) = Template::new(event) else { return };
        if self.decisions.len() >= MAX_KNOWN {
            self.decisions.clear();
        }
        let passes = Passes { _facts: Arc::clone(&pending.facts), record, rules: decision.rules.clone() };
        self.decisions.insert(key(pending), passes);
    }
}

fn key(pending: &Pending) -> Key {
    Key {
        facts: pending.facts.as_ptr().addr(),
        protocol: pending.protocol,
        values: pending.values.len(),
    }
}
