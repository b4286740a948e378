//! The life of a request: open, then ended for good (DESIGN §4.4, §4.10).

use std::collections::{BTreeMap, BTreeSet};

use stepgate_record::Outcome;
use stepgate_types::{GroupName, PersonName, Strength, Timestamp};

use crate::rights::distinct;
use crate::{Ask, Canonical, Reason, Rights};

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
    /// They answer by a right that was lent to them, and by which somebody has answered.
    #[error("somebody has answered by the right that was lent to you")]
    RightUsed,
    /// The factor proves too little.
    #[error("this takes a factor of strength {} or more", .0.as_str())]
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

/// Who has approved, and when.
pub type Votes = BTreeMap<PersonName, Timestamp>;

/// A request that waits for answers.
#[derive(Debug)]
pub struct Open {
    ask: Ask,
    canonical: Canonical,
    approvers: Votes,
    /// It goes to more people than at first.
    escalated: bool,
}

/// An answer that would count, worked out before it is made durable. It does nothing until it is given
/// to [`Open::commit`].
#[derive(Debug)]
#[must_use = "a counted vote does nothing until it is committed"]
pub struct Counted {
    person: PersonName,
    approve: bool,
    approvers: Votes,
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
        Self { ask, canonical, approvers: Votes::new(), escalated: false }
    }

    /// These people have approved it already; it is read back from the log.
    #[must_use]
    pub fn approved_by(self, approvers: Votes) -> Self {
        Self { approvers, ..self }
    }

    /// Of the approvals so far only these still are some; of all others it is as if they had not been given.
    pub fn keep_votes(&mut self, keep: impl Fn(&PersonName, Timestamp) -> bool) {
        self.approvers.retain(|person, at| keep(person, *at));
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
    pub const fn approvers(&self) -> &Votes {
        &self.approvers
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.ask.expires
    }

    /// Whether nobody has answered for so long that others are to be asked, too.
    #[must_use]
    pub fn is_to_escalate(&self, now: Timestamp) -> bool {
        let after = self.ask.terms.escalate.as_ref().map(|escalate| escalate.after);
        !self.escalated && after.is_some_and(|after| now >= self.ask.opened.plus(after))
    }

    /// Others may answer as well from here on, once that is durable.
    pub const fn escalate(&mut self) {
        self.escalated = true;
    }

    /// Groups whose members may answer at this moment.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<GroupName> {
        let more = self.ask.terms.escalate.as_ref().filter(|_| self.escalated);
        self.ask.terms.groups.iter().chain(more.iter().flat_map(|more| &more.to)).cloned().collect()
    }

    /// Whether this person, having these rights, may answer. The requester answers their own step-up
    /// and nobody else does; an approval is never answered by its requester, whatever their groups, nor by a right that
    /// they have lent.
    #[must_use]
    pub fn may_answer(&self, person: &PersonName, rights: &Rights) -> bool {
        if self.ask.terms.itself {
            *person == self.ask.person
        } else {
            !self.ask.is_of(person) && !self.holders(person, rights).is_empty()
        }
    }

    fn holders<'r>(&self, person: &'r PersonName, rights: &'r Rights) -> BTreeSet<&'r PersonName> {
        rights.holders(person, &self.groups(), |by| self.ask.is_of(by))
    }

    /// How many of these people have approved by a right of their own.
    fn counted(&self, people: &Votes, rights_of: impl Fn(&PersonName) -> Rights) -> usize {
        if self.ask.terms.itself {
            return people.len();
        }
        let rights: Vec<_> = people.keys().map(|person| (person, rights_of(person))).collect();
        let answers: Vec<_> = rights.iter().map(|(person, rights)| self.holders(person, rights)).collect();
        distinct(&answers)
    }

    /// Works out what this answer would do at this moment, without doing it. `rights_of` says by which
    /// groups a person may answer now: who has left them since no longer counts.
    ///
    /// # Errors
    /// The answer does not count.
    pub fn count(
        &self,
        ballot: &Ballot<'_>,
        now: Timestamp,
        rights_of: impl Fn(&PersonName) -> Rights,
    ) -> Result<Counted, Refusal> {
        self.check(ballot, now, &rights_of(ballot.person))?;
        let mut approvers = self.approvers.clone();
        approvers.retain(|voter, _| self.may_answer(voter, &rights_of(voter)));
        let outcome = if ballot.approve {
            let before = self.counted(&approvers, &rights_of);
            approvers.insert(ballot.person.clone(), now);
            let counted = self.counted(&approvers, &rights_of);
            if counted == before {
                return Err(Refusal::RightUsed);
            }
            (counted >= self.needed()).then_some(Outcome::Approved)
        } else {
            Some(Outcome::Denied)
        };
        Ok(Counted { person: ballot.person.clone(), approve: ballot.approve, approvers, outcome })
    }

    fn check(&self, ballot: &Ballot<'_>, now: Timestamp, rights: &Rights) -> Result<(), Refusal> {
        let terms = &self.ask.terms;
        if !self.may_answer(ballot.person, rights) {
            return Err(Refusal::NotEligible);
        }
        if *ballot.canonical != self.canonical {
            return Err(Refusal::OtherRequest);
        }
        if self.is_due(now) {
            return Err(Refusal::Expired);
        }
        // One person may turn their approval into a denial, never into a second approval.
        if ballot.approve && self.approvers.contains_key(ballot.person) {
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

    /// How many distinct people must approve.
    #[must_use]
    pub fn needed(&self) -> usize {
        if self.ask.terms.itself {
            return 1;
        }
        usize::try_from(self.ask.terms.count.max(1)).unwrap_or(usize::MAX)
    }

    /// Takes the step that [`Self::count`] worked out, once it is durable.
    #[must_use]
    pub fn commit(self, counted: Counted) -> Next {
        match counted.outcome {
            // Without those who have left since: whoever comes back may answer again.
            None => Next::Open(Self { approvers: counted.approvers, ..self }),
            Some(outcome) => Next::Ended(Ended {
                ask: self.ask,
                canonical: self.canonical,
                outcome,
                by: Some(counted.person),
                approvers: counted.approvers.into_keys().filter(|_| counted.approve).collect(),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixture::{OPENED, expires, four_eyes, groups, person, step_up};

    const HASH: Canonical = [1; 32];

    /// Who owns data: amir, omar and, against the rules of good order, dana herself.
    fn groups_of(name: &PersonName) -> Rights {
        let own = match name.as_str() {
            "amir" | "omar" | "dana" => groups(&["data-owners", "analysts"]),
            _ => groups(&["analysts"]),
        };
        own.into()
    }

    fn ballot(person: &PersonName, approve: bool) -> Ballot<'_> {
        Ballot { person, approve, reason: None, strength: Strength::Standard, canonical: &HASH }
    }

    fn answer(open: &Open, name: &str, approve: bool) -> Result<Counted, Refusal> {
        open.count(&ballot(&person(name), approve), OPENED, groups_of)
    }

    fn still_open(next: Next) -> Open {
        match next {
            Next::Open(open) => open,
            Next::Ended(ended) => panic!("{ended:?}"),
        }
    }

    fn ended(next: Next) -> Ended {
        match next {
            Next::Ended(ended) => ended,
            Next::Open(open) => panic!("{open:?}"),
        }
    }

    #[test]
    fn a_person_verifies_their_own_step_up() {
        let open = Open::new(step_up(), HASH);
        let counted = answer(&open, "dana", true).unwrap();
        assert_eq!(counted.outcome(), Some(Outcome::Approved));
        let ended = ended(open.commit(counted));
        assert_eq!((ended.outcome, ended.by), (Outcome::Approved, Some(person("dana"))));
        assert_eq!(ended.approvers, BTreeSet::from([person("dana")]));
    }

    #[test]
    fn nobody_else_answers_a_step_up_of_ones_own() {
        let open = Open::new(step_up(), HASH);
        for (name, approve) in [("omar", true), ("omar", false), ("eve", true)] {
            assert_eq!(answer(&open, name, approve).unwrap_err(), Refusal::NotEligible);
        }
    }

    #[test]
    fn two_distinct_people_approve_and_one_is_not_enough() {
        let open = Open::new(four_eyes(), HASH);
        let counted = answer(&open, "omar", true).unwrap();
        assert_eq!(counted.outcome(), None);
        let open = still_open(open.commit(counted));
        assert_eq!(answer(&open, "omar", true).unwrap_err(), Refusal::AlreadyVoted);
        let counted = answer(&open, "amir", true).unwrap();
        let ended = ended(open.commit(counted));
        assert_eq!(ended.outcome, Outcome::Approved);
        assert_eq!(ended.approvers, BTreeSet::from([person("amir"), person("omar")]));
    }

    #[test]
    fn self_approval_is_refused_even_to_a_member_of_the_group() {
        let open = Open::new(four_eyes(), HASH);
        for approve in [true, false] {
            assert_eq!(answer(&open, "dana", approve).unwrap_err(), Refusal::NotEligible);
        }
    }

    #[test]
    fn an_outsider_neither_approves_nor_denies() {
        let open = Open::new(four_eyes(), HASH);
        for approve in [true, false] {
            assert_eq!(answer(&open, "eve", approve).unwrap_err(), Refusal::NotEligible);
        }
    }

    #[test]
    fn one_denial_ends_it_even_after_an_approval() {
        let open = Open::new(four_eyes(), HASH);
        let counted = answer(&open, "omar", true).unwrap();
        let open = still_open(open.commit(counted));
        let counted = answer(&open, "omar", false).unwrap();
        let ended = ended(open.commit(counted));
        assert_eq!((ended.outcome, ended.by), (Outcome::Denied, Some(person("omar"))));
        assert!(ended.approvers.is_empty());
    }

    #[test]
    fn an_approver_removed_between_the_votes_no_longer_counts() {
        let open = Open::new(four_eyes(), HASH);
        let counted = answer(&open, "omar", true).unwrap();
        let open = still_open(open.commit(counted));
        let without_omar = |name: &PersonName| {
            if name.as_str() == "omar" { Rights::default() } else { groups_of(name) }
        };
        let counted = open.count(&ballot(&person("amir"), true), OPENED, without_omar).unwrap();
        assert_eq!(counted.outcome(), None);
    }

    #[test]
    fn a_late_answer_is_refused() {
        let open = Open::new(step_up(), HASH);
        let dana = person("dana");
        let last = Timestamp::from_micros(expires().micros() - 1);
        assert!(open.count(&ballot(&dana, true), last, groups_of).is_ok());
        assert_eq!(open.count(&ballot(&dana, true), expires(), groups_of).unwrap_err(), Refusal::Expired);
    }

    #[test]
    fn an_answer_to_another_request_does_not_count() {
        let open = Open::new(step_up(), HASH);
        let (dana, other) = (person("dana"), [2; 32]);
        let ballot = Ballot { canonical: &other, ..ballot(&dana, true) };
        assert_eq!(open.count(&ballot, OPENED, groups_of).unwrap_err(), Refusal::OtherRequest);
    }

    #[test]
    fn a_weaker_factor_than_asked_for_is_refused() {
        let mut ask = step_up();
        ask.terms.strength = Strength::PhishingResistant;
        let open = Open::new(ask, HASH);
        assert_eq!(answer(&open, "dana", true).unwrap_err(), Refusal::TooWeak(Strength::PhishingResistant));
    }

    #[test]
    fn a_reason_is_asked_for_where_the_policy_wants_one() {
        let mut ask = four_eyes();
        ask.terms.reason_required = true;
        let open = Open::new(ask, HASH);
        assert_eq!(answer(&open, "omar", true).unwrap_err(), Refusal::ReasonRequired);
        let (omar, reason) = (person("omar"), Reason::parse("ticket 4711").unwrap());
        let ballot = Ballot { reason: reason.as_ref(), ..ballot(&omar, true) };
        assert!(open.count(&ballot, OPENED, groups_of).is_ok());
    }

    #[test]
    fn a_count_of_zero_is_no_way_round_the_approvers() {
        let mut ask = four_eyes();
        ask.terms.count = 0;
        let open = Open::new(ask, HASH);
        let counted = answer(&open, "omar", true).unwrap();
        assert_eq!(counted.outcome(), Some(Outcome::Approved));
        assert_eq!(answer(&open, "eve", true).unwrap_err(), Refusal::NotEligible);
    }

    #[test]
    fn only_an_answer_ends_it_as_approved() {
        for (asked, becomes) in [
            (Outcome::Expired, Outcome::Expired),
            (Outcome::Cancelled, Outcome::Cancelled),
            (Outcome::Withdrawn, Outcome::Withdrawn),
            (Outcome::Approved, Outcome::Withdrawn),
        ] {
            assert_eq!(Open::new(step_up(), HASH).end(asked, None).outcome, becomes);
        }
    }

    #[test]
    fn time_is_over_at_the_very_instant_it_says() {
        let open = Open::new(step_up(), HASH);
        assert!(!open.is_due(OPENED));
        assert!(open.is_due(OPENED.plus(Duration::from_secs(300))));
    }

    /// Eve has the rights of these people, who are data owners, and none of her own.
    fn eve_for<'f>(lenders: &'f [&'f str]) -> impl Fn(&PersonName) -> Rights + 'f {
        |name| {
            let lent = lenders.iter().map(|by| (person(by), groups(&["data-owners"])));
            match name.as_str() {
                "eve" => Rights { lent: lent.collect(), ..groups_of(name) },
                _ => groups_of(name),
            }
        }
    }

    #[test]
    fn a_delegate_counts_as_one_person_and_never_beside_who_has_lent_the_right() {
        let (eve, omar) = (person("eve"), person("omar"));
        let open = Open::new(four_eyes(), HASH);
        let counted = open.count(&ballot(&eve, true), OPENED, eve_for(&["omar"])).unwrap();
        let open = still_open(open.commit(counted));
        let again = open.count(&ballot(&omar, true), OPENED, eve_for(&["omar"]));
        assert_eq!(again.unwrap_err(), Refusal::RightUsed);
        let amir = person("amir");
        let counted = open.count(&ballot(&amir, true), OPENED, eve_for(&["omar"])).unwrap();
        assert_eq!(counted.outcome(), Some(Outcome::Approved));
        // Two people have lent theirs: still one person.
        let open = Open::new(four_eyes(), HASH);
        let counted = open.count(&ballot(&eve, true), OPENED, eve_for(&["amir", "omar"])).unwrap();
        assert_eq!(counted.outcome(), None);
        let open = still_open(open.commit(counted));
        let twice = open.count(&ballot(&eve, true), OPENED, eve_for(&["amir", "omar"]));
        assert_eq!(twice.unwrap_err(), Refusal::AlreadyVoted);
        // Either of them answers beside her, by his own right.
        let counted = open.count(&ballot(&omar, true), OPENED, eve_for(&["amir", "omar"])).unwrap();
        assert_eq!(counted.outcome(), Some(Outcome::Approved));
    }

    #[test]
    fn nobody_chooses_their_own_approver_by_lending_them_a_right() {
        let eve = person("eve");
        let open = Open::new(four_eyes(), HASH);
        for approve in [true, false] {
            let refused = open.count(&ballot(&eve, approve), OPENED, eve_for(&["dana"]));
            assert_eq!(refused.unwrap_err(), Refusal::NotEligible);
        }
    }

    #[test]
    fn who_opens_a_request_for_a_service_does_not_approve_it() {
        let mut ask = four_eyes();
        ask.person = person("etl");
        let until = expires();
        ask.ahead = Some(crate::Ahead { by: person("omar"), until, statements: BTreeSet::new() });
        let open = Open::new(ask, HASH);
        assert_eq!(answer(&open, "omar", true).unwrap_err(), Refusal::NotEligible);
        assert!(answer(&open, "amir", true).is_ok());
    }

    #[test]
    fn after_a_while_others_may_answer_too_and_not_before() {
        let mut ask = four_eyes();
        ask.terms.groups = groups(&["night-shift"]);
        let after = Duration::from_secs(60);
        ask.terms.escalate = Some(crate::Escalate { after, to: groups(&["data-owners"]) });
        let mut open = Open::new(ask, HASH);
        assert_eq!(answer(&open, "omar", true).unwrap_err(), Refusal::NotEligible);
        assert!(!open.is_to_escalate(OPENED) && open.is_to_escalate(OPENED.plus(after)));
        open.escalate();
        assert!(!open.is_to_escalate(expires()));
        assert!(answer(&open, "omar", true).is_ok());
        assert_eq!(answer(&open, "dana", true).unwrap_err(), Refusal::NotEligible);
    }
}
