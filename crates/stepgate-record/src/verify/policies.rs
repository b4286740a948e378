//! Which map and policy were in force, since when, and who approved them: as the verified records tell it.

use std::collections::VecDeque;
use std::fmt;

use serde::{Serialize, Serializer};
use stepgate_types::{Timestamp, Who};

use crate::{Event, Names, Record};

/// At most so many are listed; of more, the oldest are counted.
const MAX_LISTED: usize = 500;

/// Proposals whose approvals are followed; a gate keeps 32 of them.
const MAX_PROPOSED: usize = 64;

/// Map and policy that were in force from a record on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// SHA-256 (hex) of both files.
    pub policy_sha256: String,
    /// The record that says so; of what was in force before the first record here, the first that was decided by it.
    pub record: u64,
    /// When that was.
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    /// Whether they came into force there, or were in force by then.
    pub loaded: bool,
    /// Who approved them, each with a fresh proof; nobody, where that is not asked for, or the gate began with them.
    pub approvers: Vec<Who>,
}

fn text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

impl InForce {
    /// Puts names in the place of commitments, as far as they can be opened.
    pub fn open(&mut self, names: &dyn Names) {
        for who in &mut self.approvers {
            if let Who::Commit(commit) = who
                && let Some(name) = names.name(commit)
            {
                *who = Who::Name(name);
            }
        }
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = if self.loaded { "from record" } else { "by record" };
        write!(f, "{} in force {since} {}, {}", self.policy_sha256, self.record, self.since)?;
        let approvers: Vec<_> = self.approvers.iter().map(ToString::to_string).collect();
        if approvers.is_empty() { Ok(()) } else { write!(f, ", approved by {}", approvers.join(" and ")) }
    }
}

/// Follows the records that say so.
#[derive(Debug, Default)]
pub struct Policies {
    list: VecDeque<InForce>,
    left_out: u64,
    /// Who has approved what waits, the oldest first.
    votes: VecDeque<(String, Vec<Who>)>,
    /// What was approved last, where that is still asked for, and by whom.
    approved: Option<(String, Vec<Who>)>,
}

impl Policies {
    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        match &record.event {
            Event::PolicyLoaded { policy_sha256, .. } => self.loaded(policy_sha256, record, true),
            // Where the records begin later: the first decision names what it was made by.
            Event::StatementDecided(decided) if self.list.is_empty() => {
                self.loaded(&decided.policy_sha256, record, false);
            }
            Event::PolicyProposed { policy_sha256 } => {
                self.votes.retain(|(of, _)| of != policy_sha256);
                self.votes.push_back((policy_sha256.clone(), Vec::new()));
                if self.votes.len() > MAX_PROPOSED {
                    self.votes.pop_front();
                }
            }
            Event::PolicyVoted { policy_sha256, person, .. } => {
                if let Some((_, by)) = self.votes.iter_mut().find(|(of, _)| of == policy_sha256)
                    && !by.contains(person)
                {
                    by.push(person.clone());
                }
            }
            // Only then did they count, all of them.
            Event::PolicyApproved { policy_sha256 } => {
                let at = self.votes.iter().position(|(of, _)| of == policy_sha256);
                let by = at.and_then(|at| self.votes.remove(at)).map(|(_, by)| by).unwrap_or_default();
                self.approved = Some((policy_sha256.clone(), by));
            }
            Event::PolicyReleased { .. } => self.approved = None,
            _ => {}
        }
    }

    /// Each start of a gate says what is in force: that is no change.
    fn loaded(&mut self, policy_sha256: &str, record: &Record, loaded: bool) {
        if policy_sha256.is_empty()
            || self.list.back().is_some_and(|last| last.policy_sha256 == policy_sha256)
        {
            return;
        }
        if self.list.len() >= MAX_LISTED {
            self.list.pop_front();
            self.left_out = self.left_out.saturating_add(1);
        }
        let approved = self.approved.as_ref().filter(|(of, _)| of == policy_sha256);
        let approvers = approved.map(|(_, by)| by.clone()).unwrap_or_default();
        let policy_sha256 = policy_sha256.to_owned();
        self.list.push_back(InForce {
            policy_sha256,
            record: record.seq,
            since: record.at,
            loaded,
            approvers,
        });
    }

    /// All of them in their order, and what the reader should know of what is left out.
    #[must_use]
    pub fn listed(&self) -> (Vec<InForce>, Option<String>) {
        let note = (self.left_out > 0)
            .then(|| format!("{} earlier changes of the policy are not listed", self.left_out));
        (self.list.iter().cloned().collect(), note)
    }
}
