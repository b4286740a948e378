//! The life of a request: open, then ended for good (DESIGN §4.4, §4.10).

use std::collections::BTreeSet;

use stepgate_record::Outcome;
use stepgate_types::{GroupName, PersonName, Strength, Timestamp};

use crate::{Ask, Canonical, Reason};

/// A verified person's answer to one request.
#[derive(Debug, Clone, Copy)]
pub struct Ballot<'a> {
    /// Who answers, as verified by a factor just now.
    pub person: &'a PersonName,
    /// What they answer.
    pub approve: bool,
    /// Why.
    pub reason: Option<&'a Reason>,
    /// How strong the factor was.
    pub strength: Strength,
    /// The canonical request that they were shown.
    pub canonical: &'a Canonical,
}

/// Why an answer does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is not for this person to answer: not the requester of a step-up, or the requester
    /// of an approval, or in none of its groups.
    #[error("this request is not yours to answer")]
    NotEligible,
    /// The person has answered already.
    #[error("you have answered this request already")]
    AlreadyVoted,
    /// The factor proves too little.
    #[error("this request asks for a factor of strength {}", .0.as_str())]
    TooWeak(Strength),
    /// The policy wants a reason.
    #[error("this request asks for a reason")]
    ReasonRequired,
    /// Its time is over.
    #[error("this request has expired")]
    Expired,
    /// What was answered is not what is asked.
    #[error("this answer belongs to another request")]
    OtherRequest,
}

/// A request that waits for answers.
#[derive(Debug)]
pub struct Open {
    ask: Ask,
    canonical: Canonical,
    approvers: BTreeSet<PersonName>,
}

/// An answer that would count, worked out before it is made durable. It does nothing until it is given
/// to [`Open::commit`].
#[derive(Debug)]
#[must_use = "a counted vote does nothing until it is committed"]
pub struct Counted {
    person: PersonName,
    approve: bool,
    approvers: BTreeSet<PersonName>,
    outcome: Option<Outcome>,
}

impl Counted {
    /// How the request ends by this answer, if it does.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Next {
    /// It waits for more.
    Open(Open),
    /// It is over.
    Ended(Ended),
}

/// A request that is over. No step leads back.
#[derive(Debug)]
pub struct Ended {
    /// What was asked.
    pub ask: Ask,
    /// SHA-256 of the canonical request.
    pub canonical: Canonical,
    /// How it ended.
    pub outcome: Outcome,
    /// Who ended it, where a person did.
    pub by: Option<PersonName>,
    /// Who approved it, where it was approved.
    pub approvers: BTreeSet<PersonName>,
}

impl Open {
    /// A request that has just been asked.
    #[must_use]
    pub const fn new(ask: Ask, canonical: Canonical) -> Self {
        Self { ask, canonical, approvers: BTreeSet::new() }
    }

    /// What is asked.
    #[must_use]
    pub const fn ask(&self) -> &Ask {
        &self.ask
    }

    /// SHA-256 of the canonical request.
    #[must_use]
    pub const fn canonical(&self) -> &Canonical {
        &self.canonical
    }

    /// Who has approved so far.
    #[must_use]
    pub const fn approvers(&self) -> &BTreeSet<PersonName> {
        &self.approvers
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.ask.expires
    }

    /// Whether this person, being in these groups, may answer. The requester answers their own step-up
    /// and nobody else does; an approval is never answered by its requester, whatever their groups.
    #[must_use]
    pub fn may_answer(&self, person: &PersonName, groups: &BTreeSet<GroupName>) -> bool {
        let is_requester = *person == self.ask.person;
        if self.ask.terms.itself {
            is_requester
        } else {
            !is_requester && !groups.is_disjoint(&self.ask.terms.groups)
        }
    }

    /// Works out what this answer would do at this moment, without doing it. `groups_of` says in which
    /// groups a person is now: who has left them since no longer counts.
    ///
    /// # Errors
    /// The answer does not count.
    pub fn count(
        &self,
        ballot: &Ballot<'_>,
        now: Timestamp,
        groups_of: impl Fn(&PersonName) -> BTreeSet<GroupName>,
    ) -> Result<Counted, Refusal> {
        self.check(ballot, now, &groups_of(ballot.person))?;
        let mut approvers: BTreeSet<_> = self
            .approvers
            .iter()
            .filter(|voter| self.may_answer(voter, &groups_of(voter)))
            .cloned()
            .collect();
        let outcome = if ballot.approve {
            approvers.insert(ballot.person.clone());
            (approvers.len() >= self.needed()).then_some(Outcome::Approved)
        } else {
            Some(Outcome::Denied)
        };
        Ok(Counted { person: ballot.person.clone(), approve: ballot.approve, approvers, outcome })
    }

    fn check(
        &self,
        ballot: &Ballot<'_>,
        now: Timestamp,
        groups: &BTreeSet<GroupName>,
    ) -> Result<(), Refusal> {
        let terms = &self.ask.terms;
        if !self.may_answer(ballot.person, groups) {
            return Err(Refusal::NotEligible);
        }
        if *ballot.canonical != self.canonical {
            return Err(Refusal::OtherRequest);
        }
        if self.is_due(now) {
            return Err(Refusal::Expired);
        }
        // One person may turn their approval into a denial, never into a second approval.
        if ballot.approve && self.approvers.contains(ballot.person) {
            return Err(Refusal::AlreadyVoted);
        }
        if ballot.strength < terms.strength {
            return Err(Refusal::TooWeak(terms.strength));
        }
        if terms.reason_required && ballot.reason.is_none() {
            return Err(Refusal::ReasonRequired);
        }
        Ok(())
    }

    fn needed(&self) -> usize {
        if self.ask.terms.itself {
            return 1;
        }
        usize::try_from(self.ask.terms.count.max(1)).unwrap_or(usize::MAX)
    }

    /// Takes the step that [`Self::count`] worked out, once it is durable.
    #[must_use]
    pub fn commit(self, counted: Counted) -> Next {
        match counted.outcome {
            None => {
                let mut approvers = self.approvers;
                approvers.insert(counted.person);
                Next::Open(Self { ask: self.ask, canonical: self.canonical, approvers })
            }
            Some(outcome) => Next::Ended(Ended {
                ask: self.ask,
                canonical: self.canonical,
                outcome,
                by: Some(counted.person),
                approvers: if counted.approve { counted.approvers } else { BTreeSet::new() },
            }),
        }
    }

    /// Ends it without an answer: expired, cancelled or withdrawn. Nothing but [`Self::commit`] can end it
    /// as approved: that outcome becomes `withdrawn` here.
    #[must_use]
    pub fn end(self, outcome: Outcome, by: Option<PersonName>) -> Ended {
        let outcome = if outcome == Outcome::Approved { Outcome::Withdrawn } else { outcome };
        Ended { ask: self.ask, canonical: self.canonical, outcome, by, approvers: BTreeSet::new() }
    }
}
