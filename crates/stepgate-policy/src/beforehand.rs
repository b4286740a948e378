//! What a limit cannot hold back is asked about before it runs, by whom the rest would be asked about once the limit is
//! reached: an approval of so many rows is none of it.
//!
//! What a statement sends to whoever listens (`pg_notify`, in its text or in a trigger that it fires) is no row of its
//! result, and leaves when its transaction ends; nor is what it puts into a setting or the key of an advisory lock, where
//! the server shows it to whoever asks. What it stores elsewhere (a new table, rows of another one, a large
//! object, a file of the server's) never passes by the gate, which learns how much it was when it is done. And of rows
//! that put together what is several people's, nobody can say how many are in them.

use stepgate_types::{Action, Limit};

use crate::Decision;

/// What the HINT says where nobody could be asked for more than the limit.
const HINT: &str = "A limit cannot hold back what it sends as notifications, puts into settings or locks, stores \
                    elsewhere, or puts together of many people: have the policy's owner name an approval in the rule that limits it.";

/// What of a message goes elsewhere than into rows that can be counted one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unheld {
    /// It puts what it reads where it can be seen without a read of any relation ([`SinkKind::is_open`]).
    ///
    /// [`SinkKind::is_open`]: stepgate_sql::SinkKind::is_open
    pub shows: bool,
    /// It stores what it reads.
    pub stores: bool,
    /// Its rows may put several subjects together. To be found out only where [`Decision::counts_subjects`].
    pub mixes: bool,
}

impl Decision {
    /// Whether any limit of it counts subjects.
    #[must_use]
    pub fn counts_subjects(&self) -> bool {
        self.limit.subjects.is_some() || self.meters.iter().any(|meter| meter.limit.subjects.is_some())
    }

    /// The decision on a message as that is.
    #[must_use]
    pub fn before_it_runs(self, unheld: Unheld) -> Self {
        if !self.enforced || !self.is_limited() || self.action >= Action::Deny {
            return self;
        }
        if unheld.shows {
            return Self { limit: Limit::NONE, meters: Vec::new(), ..self }.asked(None);
        }
        let mut decision = self;
        let mixes = unheld.mixes && decision.counts_subjects();
        if mixes {
            // Of rows and bytes it is limited as ever.
            decision.limit.subjects = None;
            decision.meters.iter_mut().for_each(|meter| meter.limit.subjects = None);
            decision.meters.retain(|meter| !meter.limit.is_none());
        }
        // Counted when it is done; nothing of it waits.
        let stores = decision.action < Action::StepUp && decision.class.is_some() && unheld.stores;
        let beyond = decision.beyond.clone().filter(|_| decision.is_limited());
        if mixes || stores { decision.asked(beyond) } else { decision }
    }

    /// All of it is asked about; and by `beyond`, what exceeds the limits that are left.
    fn asked(self, beyond: Option<(Action, crate::Approval)>) -> Self {
        let own = || self.approval.clone().map(|approval| (self.action, approval));
        match self.beyond.clone().or_else(own) {
            Some((action, approval)) => {
                Self { action: action.max(self.action), approval: Some(approval), beyond, ..self }
            }
            None => Self {
                action: Action::Deny,
                approval: None,
                limit: Limit::NONE,
                meters: Vec::new(),
                hint: Some(HINT),
                ..self
            },
        }
    }
}
