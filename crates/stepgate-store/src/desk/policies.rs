//! The two-person rule for policies: a changed map or policy is put in force only once two people of a group have
//! approved its exact hash. Which was approved last is in the same write as its record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use serde::Serialize;
use stepgate_approval::{Bound, Method, Purpose, Source};
use stepgate_record::Event;
use stepgate_types::{GroupName, PersonName, Strength, Timestamp};

use super::inner::{Inner, LATER};
use super::methods::Needs;
use super::prove::Asked;
use super::{Challenged, Desk, DeskError, MethodInfo, Presented, VerifyError, finish};
use crate::{Change, Log, LogError, Person, Side};

/// How many people it takes.
const COUNT: usize = 2;

/// Policies that wait at a time; of more, the one proposed first goes.
const MAX_PROPOSED: usize = 32;

/// Where the desk's tree says which was approved last.
const APPROVED: &[u8] = b"policy approved";

/// Who approves policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoPerson {
    /// Whose members do.
    pub groups: BTreeSet<GroupName>,
    /// How much each of them must prove.
    pub strength: Strength,
}

/// What a vote proves whose record does not say it: nothing else was asked for then.
const BEFORE: Strength = Strength::Standard;

/// Who has voted, how much they proved, and when.
type Votes = BTreeMap<PersonName, (Strength, Timestamp)>;

/// What waits, and what was approved last: in memory, rebuilt from the log.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// By the order in which they came.
    proposed: BTreeMap<u64, Proposed>,
    next: u64,
    approved: Option<String>,
}

#[derive(Debug)]
struct Proposed {
    sha256: String,
    since: Timestamp,
    by: Votes,
}

/// A policy that waits, as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyInfo {
    /// SHA-256 (hex) of map and policy.
    pub policy_sha256: String,
    /// `proposed`, or `approved` (which is in force once the gate has read the files again).
    pub state: &'static str,
    /// Since when it waits, RFC 3339; of one that was approved, nothing. Who has changed the files is not known.
    pub proposed: Option<String>,
    /// Whose approvals count so far: of those who are of the groups now, and proved as much as is asked for now.
    pub approvers: Vec<PersonName>,
    /// How many must.
    pub count: usize,
    /// How much each must prove.
    pub strength: Strength,
}

impl Policies {
    /// From the desk's tree.
    pub(super) fn open(log: &Log) -> Result<Option<String>, LogError> {
        let kept = log.load(Side::Desk)?.into_iter().find(|(key, _)| key == APPROVED);
        Ok(kept.and_then(|(_, value)| String::from_utf8(value).ok()))
    }

    fn find(&mut self, sha256: &str) -> Option<&mut Proposed> {
        self.proposed.values_mut().find(|it| it.sha256 == sha256)
    }

    fn propose(&mut self, sha256: &str, since: Timestamp) {
        if self.find(sha256).is_none() {
            if self.proposed.len() >= MAX_PROPOSED {
                self.proposed.pop_first();
            }
            self.proposed.insert(self.next, Proposed { sha256: sha256.to_owned(), since, by: Votes::new() });
            self.next = self.next.saturating_add(1);
        }
    }

    /// Of the votes only these still are some.
    pub(super) fn keep_votes(&mut self, keep: impl Fn(&PersonName, Timestamp) -> bool) {
        self.proposed.values_mut().for_each(|it| it.by.retain(|person, (_, at)| keep(person, *at)));
    }

    fn approve(&mut self, sha256: &str) {
        self.proposed.retain(|_, it| it.sha256 != sha256);
        self.approved = Some(sha256.to_owned());
    }

    /// What was approved last stands beside the log, however old its record is.
    pub(super) fn was_approved(&mut self, sha256: Option<String>) {
        self.approved = sha256;
    }

    /// Takes what a record says.
    pub(super) fn take(
        &mut self,
        event: &Event,
        at: Timestamp,
        person: impl FnOnce(&stepgate_types::Who) -> Option<PersonName>,
    ) {
        match event {
            Event::PolicyProposed { policy_sha256 } => self.propose(policy_sha256, at),
            Event::PolicyVoted { policy_sha256, person: who, strength } => {
                if let (Some(proposed), Some(person)) = (self.find(policy_sha256), person(who)) {
                    proposed.by.insert(person, (strength.unwrap_or(BEFORE), at));
                }
            }
            Event::PolicyApproved { policy_sha256 } => self.approve(policy_sha256),
            Event::PolicyReleased { .. } => self.approved = None,
            _ => {}
        }
    }
}

impl Desk {
    /// Who approves policies from here on; `None`: nobody has to.
    pub fn set_two_person(&self, rules: Option<TwoPerson>) {
        *self.0.two_person.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The policy that was approved last, by its hash.
    #[must_use]
    pub fn approved_policy(&self) -> Option<String> {
        self.0.state().policies.approved.clone()
    }

    /// Says that a policy waits to be approved; once for each.
    ///
    /// # Errors
    /// The log refused.
    pub async fn propose_policy(&self, sha256: &str) -> Result<(), DeskError> {
        let _turn = self.0.turn.lock().await;
        if self.0.state().policies.find(sha256).is_some() {
            return Ok(());
        }
        let event = Event::PolicyProposed { policy_sha256: sha256.to_owned() };
        self.0.log.append(vec![event], Vec::new()).await?;
        self.0.state().policies.propose(sha256, self.0.clock.now());
        Ok(())
    }

    /// What the gate has begun with, where nothing was ever approved: from here on that is what was.
    ///
    /// # Errors
    /// The log refused.
    pub async fn first_policy(&self, sha256: &str) -> Result<(), DeskError> {
        let _turn = self.0.turn.lock().await;
        self.0.approved(sha256, Vec::new(), Vec::new()).await
    }

    /// Policies take no two people any more: what was approved last would otherwise come back over what has been in
    /// force since, once they do again.
    ///
    /// # Errors
    /// The log refused.
    pub async fn release_policy(&self) -> Result<(), DeskError> {
        let _turn = self.0.turn.lock().await;
        let Some(policy_sha256) = self.approved_policy() else { return Ok(()) };
        let change = Change::Delete { side: Side::Desk, key: APPROVED.to_vec() };
        self.0.log.append(vec![Event::PolicyReleased { policy_sha256 }], vec![change]).await?;
        self.0.state().policies.approved = None;
        Ok(())
    }

    /// By their hashes, the policies whose texts are needed: those that wait, and the one that was approved last.
    #[must_use]
    pub fn needed_policies(&self) -> BTreeSet<String> {
        let state = self.0.state();
        let waiting = state.policies.proposed.values().map(|it| it.sha256.clone());
        waiting.chain(state.policies.approved.clone()).collect()
    }

    /// Policies that wait, for who approves them: for others there are none.
    #[must_use]
    pub fn policies(&self, viewer: &PersonName) -> Vec<PolicyInfo> {
        let Ok(required) = self.0.approves_policies(viewer) else { return Vec::new() };
        let waiting: Vec<_> = {
            let state = self.0.state();
            let all = state.policies.proposed.values();
            all.map(|it| (it.sha256.clone(), it.since, it.by.clone())).collect()
        };
        let info = |(sha256, since, by): (String, Timestamp, Votes)| PolicyInfo {
            policy_sha256: sha256,
            state: "proposed",
            proposed: Some(since.to_string()),
            approvers: self.0.counting(by, required).into_keys().collect(),
            count: COUNT,
            strength: required,
        };
        waiting.into_iter().map(info).collect()
    }

    /// The policy of that hash, if it waits or is the one that was approved last; for others than who approves them
    /// there is none.
    #[must_use]
    pub fn policy(&self, sha256: &str, viewer: &PersonName) -> Option<PolicyInfo> {
        let waits = self.policies(viewer).into_iter().find(|it| it.policy_sha256 == sha256);
        waits.or_else(|| {
            let strength = self.0.approves_policies(viewer).ok()?;
            let policy_sha256 = self.approved_policy().filter(|approved| approved == sha256)?;
            let (proposed, approvers) = (None, Vec::new());
            Some(PolicyInfo { policy_sha256, state: "approved", proposed, approvers, count: COUNT, strength })
        })
    }

    /// What this person could approve that policy by.
    ///
    /// # Errors
    /// It does not wait, or is not theirs to approve.
    pub fn methods_for_policy(
        &self,
        sha256: &str,
        person: &PersonName,
        source: Source,
    ) -> Result<Vec<MethodInfo>, DeskError> {
        let needs = self.0.policy_needs(sha256, person)?;
        Ok(self.0.methods_of(&mut self.0.state(), person, needs, source))
    }

    /// A challenge by which this person may approve the policy of exactly that hash.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn challenge_policy(
        &self,
        sha256: &str,
        person: &PersonName,
        method: Method,
        source: Source,
    ) -> Result<Challenged, VerifyError> {
        let _turn = self.0.turn.lock().await;
        let needs = self.0.policy_needs(sha256, person)?;
        let bound = Bound::Purpose(Purpose::Policy(sha256.to_owned()));
        self.0.challenge_for(person, method, bound, needs, source)
    }

    /// Somebody approves the policy of exactly that hash, with a fresh proof.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn approve_policy(
        &self,
        sha256: &str,
        person: &PersonName,
        presented: Presented,
        source: Source,
    ) -> Result<PolicyInfo, VerifyError> {
        let (inner, sha256, person) = (Arc::clone(&self.0), sha256.to_owned(), person.clone());
        finish(async move { inner.approve_policy(&sha256, &person, &presented, source).await }).await
    }
}

impl Inner {
    /// How much this person must prove to approve a policy, if they may at this moment.
    fn approves_policies(&self, person: &PersonName) -> Result<Strength, DeskError> {
        self.approves_since(person, LATER)
    }

    /// Whether anybody has to.
    pub(super) fn has_two_person(&self) -> bool {
        self.two_person.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// How much this person must prove to approve a policy, if they have had the right to all along since then.
    pub(super) fn approves_since(&self, person: &PersonName, then: Timestamp) -> Result<Strength, DeskError> {
        let rules = self.two_person.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known = self.people.get(person).filter(|known| !known.service);
        let is_of =
            |known: &Person, groups: &BTreeSet<_>| known.groups_since(then).any(|it| groups.contains(it));
        let may = rules.zip(known).filter(|(rules, known)| is_of(known, &rules.groups));
        may.map(|(rules, _)| rules.strength).ok_or(DeskError::Unknown)
    }

    /// The same for a policy that waits.
    pub(super) fn policy_needs(&self, sha256: &str, person: &PersonName) -> Result<Needs, DeskError> {
        let required = self.approves_policies(person)?;
        self.state().policies.find(sha256).ok_or(DeskError::Unknown)?;
        Ok(Needs { required, for_others: true })
    }

    /// The votes that count: membership and strength are those of now, also of who voted before, and of who was not always
    /// a member since, none.
    fn counting(&self, mut by: Votes, required: Strength) -> Votes {
        by.retain(|person, (proven, at)| *proven >= required && self.approves_since(person, *at).is_ok());
        by
    }

    async fn approve_policy(
        &self,
        sha256: &str,
        person: &PersonName,
        presented: &Presented,
        source: Source,
    ) -> Result<PolicyInfo, VerifyError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        self.sift_votes();
        let Needs { required, for_others } = self.policy_needs(sha256, person)?;
        let (since, by) = {
            let mut state = self.state();
            let proposed = state.policies.find(sha256).ok_or(DeskError::Unknown)?;
            (proposed.since, proposed.by.clone())
        };
        let mut by = self.counting(by, required);
        let bound = Bound::Purpose(Purpose::Policy(sha256.to_owned()));
        let asked = Asked { person, source, bound: &bound, required, for_others };
        let checked = self.check(&mut self.state(), &asked, presented);
        let proven = match checked {
            Ok(proven) => proven,
            Err(failed) => return Err(self.refuse(failed).await),
        };
        let strength = proven.verified.strength;
        by.insert(person.clone(), (strength, self.clock.now()));
        let mut events = proven.events;
        events.push(Event::PolicyVoted {
            policy_sha256: sha256.to_owned(),
            person: person.into(),
            strength: Some(strength),
        });
        let is_approved = by.len() >= COUNT;
        if is_approved {
            self.approved(sha256, events, proven.writes.changes.clone()).await?;
        } else {
            self.log.append(events, proven.writes.changes.clone()).await?;
            if let Some(proposed) = self.state().policies.find(sha256) {
                proposed.by.clone_from(&by);
            }
        }
        Ok(PolicyInfo {
            policy_sha256: sha256.to_owned(),
            state: if is_approved { "approved" } else { "proposed" },
            proposed: Some(since.to_string()),
            approvers: by.into_keys().collect(),
            count: COUNT,
            strength: required,
        })
    }

    /// Writes that a policy was approved. The caller has the turn.
    async fn approved(
        &self,
        sha256: &str,
        mut events: Vec<Event>,
        mut changes: Vec<Change>,
    ) -> Result<(), DeskError> {
        events.push(Event::PolicyApproved { policy_sha256: sha256.to_owned() });
        let (key, value) = (APPROVED.to_vec(), sha256.as_bytes().to_vec());
        changes.push(Change::Put { side: Side::Desk, key, value });
        self.log.append(events, changes).await?;
        self.state().policies.approve(sha256);
        Ok(())
    }
}
