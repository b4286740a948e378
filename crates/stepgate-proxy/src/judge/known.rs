//! Decisions that are known: the same facts again, from the same person, under the same rules, are decided the same.
//!
//! Only what passes on a ticket is remembered, and only where the decision hangs on facts, person and rules alone: not
//! on values that are compared with (nor its record: `threshold:`), on the planner, on a grant, or on anything that the transaction has done. What is
//! found here by facts is found by *these* facts: they are kept, so that nothing else can have their place in memory.
//! Catalog, rules and labels are in them or in the view, groups in the person: whoever changes any of those counts it
//! (`Moment`, `People::version`), once it is changed and before it is said to be. Who decides looks at the counts first
//! and at what they count then, and so remembers under them nothing that is older.
//!
//! What hangs on the moment (time, risk, signals) is not known at all (`Ruleset::is_settled`): a decision of 19:59 must not
//! hold at 20:01. Where a rule is about purposes, what is known is for that of the session, since records tell it, and never
//! for a text that has a comment: texts share their facts whatever their comments say. The role is told as well.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use stepgate_policy::Decision;
use stepgate_record::{Event, Template};
use stepgate_session::{Pending, Protocol};
use stepgate_sql::{Facts, RunsAs, SessionState};
use stepgate_types::Action;

use crate::database::Moment;

/// The most decisions that a session remembers. A template is about a kilobyte.
const MAX_KNOWN: usize = 128;

/// Of how many statements before it is remembered that they came. A text that comes but once is not worth a template.
const MAX_SEEN: usize = 16;

/// The decisions of one session.
#[derive(Default)]
pub(super) struct Known {
    by: Option<When>,
    /// What else they tell, as it was then.
    besides: Besides,
    decisions: BTreeMap<Key, Passes>,
    /// Where the facts of the last statements were that are not among them. Others may be there by now: then one is
    /// remembered that came but once.
    seen: VecDeque<usize>,
}

/// When somebody decided: as of which view and taints, and which people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When {
    pub(super) moment: Moment,
    pub(super) people: u64,
}

/// What is recorded with decisions besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Besides {
    /// The session's purpose, where a rule is about that.
    pub(super) purpose: Option<Option<String>>,
    /// As which role its statements run.
    pub(super) runs_as: RunsAs,
}

impl Besides {
    /// Whether that is so now.
    fn holds(&self, state: &SessionState) -> bool {
        let purpose = self.purpose.as_ref().is_none_or(|then| *then == state.purpose);
        purpose && self.runs_as == state.runs_as
    }

    /// Whether a statement of this text may be known at all.
    fn allows(&self, sql: &[u8]) -> bool {
        self.purpose.is_none() || !sql.windows(2).any(|pair| pair == b"/*")
    }
}

/// What a record tells of a statement besides its number and what the session's other records tell as well.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
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
    pub(super) action: Action,
    pub(super) rules: Vec<String>,
}

impl Known {
    /// The decision on a statement, if nothing has changed since it was made. What was decided before is forgotten.
    pub(super) fn of(&mut self, pending: &Pending, now: When, state: &SessionState) -> Option<&Passes> {
        if self.by != Some(now) || !self.besides.holds(state) {
            self.decisions.clear();
            self.by = Some(now);
            self.besides = Besides::default();
            return None;
        }
        if !self.besides.allows(&pending.sql) {
            return None;
        }
        // In a failed transaction it does not run, and is recorded as something else.
        self.decisions.get(&key(pending)).filter(|_| !pending.aborted)
    }

    /// Whether a statement of these facts has come before, not long ago.
    pub(super) fn comes_again(&mut self, facts: &Arc<[Facts]>) -> bool {
        let place = facts.as_ptr().addr();
        if self.seen.contains(&place) {
            return true;
        }
        if self.seen.len() >= MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(place);
        false
    }

    /// Remembers that a statement passes on a ticket, as `event` tells.
    pub(super) fn passes(
        &mut self,
        pending: &Pending,
        (when, besides): (When, Besides),
        decision: &Decision,
        event: &Event,
    ) {
        if self.by != Some(when) || !besides.allows(&pending.sql) {
            return;
        }
        if self.besides != besides {
            self.decisions.clear();
            self.besides = besides;
        }
        let Ok(record) = Template::new(event) else { return };
        if self.decisions.len() >= MAX_KNOWN {
            self.decisions.clear();
        }
        let passes = Passes {
            _facts: Arc::clone(&pending.facts),
            record,
            action: decision.action,
            rules: decision.rules.clone(),
        };
        self.decisions.insert(key(pending), passes);
    }
}

fn key(pending: &Pending) -> Key {
    Key { facts: pending.facts.as_ptr().addr(), protocol: pending.protocol, values: pending.values.len() }
}
