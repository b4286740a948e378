//! Takes answers: a fresh proof, one durable write, then and only then a step.

use stepgate_approval::{Ballot, Bound, Counted, Grant, Next, Pass, Reason, Refusal, Source};
use stepgate_record::{Event, Outcome};
use stepgate_types::{GrantId, InForce, PersonName, RequestId, Strength, Timestamp, Who};

use super::inner::Inner;
use super::pass;
use super::prove::{Asked, Failed, Presented, Proven};
use super::replay::issued;
use super::state::{Kept, KeptPass, MAX_GRANTS, Remembered, State, hex};
use super::view::Progress;
use super::{DeskError, VerifyError};

/// An answer on its way in.
#[derive(Debug, Clone)]
pub struct Answer {
    /// To which request.
    pub request: RequestId,
    /// Whose.
    pub person: PersonName,
    /// What proves that it is theirs.
    pub presented: Presented,
    /// What they answer.
    pub approve: bool,
    /// Why.
    pub reason: Option<Reason>,
    /// From where.
    pub source: Source,
    /// Given as the requester's own verification, not as somebody's vote.
    pub own: bool,
}

/// An answer that counts, with all that is to be written before it does.
struct Judged {
    counted: Counted,
    grant: Option<Grant>,
    pass: Option<Pass>,
    proven: Proven,
    events: Vec<Event>,
}

impl Inner {
    pub(super) async fn answer(&self, answer: Answer) -> Result<Progress, VerifyError> {
        let _turn = self.turn.lock().await;
        // Until the authenticator's new state is on disk, nobody removes it: it would come back by that write.
        let _changing = self.factors.changing().await;
        self.sift_votes();
        let judged = match self.judge(&answer) {
            Ok(judged) => judged,
            Err(failed) => return Err(self.refuse(failed).await),
        };
        self.log.append(judged.events.clone(), judged.proven.writes.changes.clone()).await?;
        let progress = self.take_step(&answer, judged)?;
        if progress.ended.is_some() {
            self.forget(answer.request).await;
        }
        self.tell(answer.request);
        Ok(progress)
    }

    /// Everything that is checked before anything is written. Whether the answer is allowed comes before
    /// the proof, so that nobody can try codes where they have no say.
    fn judge(&self, answer: &Answer) -> Result<Judged, Failed> {
        let now = self.clock.now();
        let mut state = self.state();
        // By the strongest that it could be; how strong it is comes out below.
        let most = self.most_of(answer);
        let _only_looked = self.count(&state, answer, most, now)?;
        let (bound, required, for_others) = {
            let open = &state.entry(answer.request)?.open;
            let bound = Bound::Request {
                request: answer.request,
                canonical: *open.canonical(),
                approve: answer.approve,
            };
            (bound, open.ask().terms.strength, !open.ask().terms.itself)
        };
        let asked =
            Asked { person: &answer.person, source: answer.source, bound: &bound, required, for_others };
        let proven = self.check(&mut state, &asked, &answer.presented)?;
        let counted = self.count(&state, answer, proven.verified.strength, now)?;
        let approved = counted.outcome() == Some(Outcome::Approved);
        let grant = if approved { self.grant_for(&state, answer.request, now)? } else { None };
        let pass =
            if approved && grant.is_none() { self.pass_of(&state, answer.request, now)? } else { None };
        let entry = state.entry(answer.request)?;
        let mut events = proven.events.clone();
        events.push(Event::StepupVoted {
            request: answer.request,
            person: Who::from(&answer.person),
            approve: answer.approve,
            canonical_sha256: hex(entry.open.canonical()),
        });
        events.extend(counted.outcome().map(|outcome| Event::StepupEnded {
            request: answer.request,
            outcome,
            by: Some(Who::from(&answer.person)),
            reason_hmac: None,
            reason: answer.reason.as_ref().map(|reason| Who::Name(reason.text().to_owned())),
        }));
        events.extend(grant.as_ref().map(issued));
        events.extend(pass.as_ref().map(pass::issued));
        Ok(Judged { counted, grant, pass, proven, events })
    }

    /// The most that a proof of this method can prove for this person.
    fn most_of(&self, answer: &Answer) -> Strength {
        let method = match answer.presented.challenge {
            // Whatever it is of: it was made for this request, and is looked at next.
            Some(_) => return Strength::DeviceBound,
            None => answer.presented.method(),
        };
        let own = self.factors.of(&answer.person, method);
        own.iter().map(|credential| credential.strength).max().unwrap_or_else(|| method.strength())
    }

    fn count(
        &self,
        state: &State,
        answer: &Answer,
        strength: Strength,
        now: Timestamp,
    ) -> Result<Counted, VerifyError> {
        let entry = state.entry(answer.request)?;
        // Hashed anew from the bytes that would be released: approving one thing and running another
        // fails here, even if something in the gate had changed them since.
        let canonical = entry.canonical().map_err(|_| Refusal::OtherRequest)?;
        let ballot = Ballot {
            person: &answer.person,
            approve: answer.approve,
            reason: answer.reason.as_ref(),
            strength,
            canonical: &canonical,
        };
        let counted = entry.open.count(&ballot, now, |person| self.rights_to(state, &entry.open, person))?;
        let for_others = !entry.open.ask().terms.itself;
        if answer.own && for_others {
            return Err(Refusal::NotEligible.into());
        }
        if self.people.get(&entry.open.ask().person).is_none() {
            return Err(DeskError::Unanswerable("who asks is not known any more").into());
        }
        if answer.approve && for_others && !entry.reading.is_complete(&answer.person, &entry.held) {
            return Err(VerifyError::NotFullyShown);
        }
        Ok(counted)
    }

    fn grant_for(
        &self,
        state: &State,
        request: RequestId,
        now: Timestamp,
    ) -> Result<Option<Grant>, DeskError> {
        if state.grants.len() >= MAX_GRANTS {
            return Ok(None);
        }
        let id = GrantId::from_bytes(self.random()?);
        if state.grants.contains_key(&id) {
            return Err(DeskError::NoEntropy);
        }
        let entry = state.entry(request)?;
        let grant = Grant::of(entry.open.ask(), id, now);
        // Whoever was told to come again may come in another session, for which this would be nothing.
        let waits_in = |session| entry.waiting().any(|waiter| waiter.statement.session == session);
        let grant = grant.filter(|it| !entry.deferred || it.session.is_none_or(waits_in));
        Ok(grant.map(|grant| Grant {
            client: grant.client.as_deref().map(|client| self.client_mark(client)),
            ..grant
        }))
    }

    /// The write is on disk: now it counts.
    fn take_step(&self, answer: &Answer, judged: Judged) -> Result<Progress, DeskError> {
        let mut state = self.state();
        let entry = state.open.remove(&answer.request).ok_or(DeskError::Unknown)?;
        let needed = entry.open.needed();
        match entry.open.commit(judged.counted) {
            Next::Open(open) => {
                let approvals = open.approvers().len();
                state.open.insert(answer.request, super::state::Entry { open, ..entry });
                Ok(Progress { ended: None, approvals, needed })
            }
            Next::Ended(ended) => {
                let grant = judged.grant.map(|grant| {
                    let id = grant.id;
                    let left = grant.limit;
                    state.grants.insert(
                        id,
                        Kept { grant, issued: self.clock.now(), left, in_force: InForce::default() },
                    );
                    id
                });
                let pass = judged.pass.map(|pass| {
                    let id = pass.id;
                    state.passes.insert(id, KeptPass { pass, issued: self.clock.now() });
                    id
                });
                let shown = answer.reason.as_ref().map(Reason::shown);
                let approvals = ended.approvers.len();
                let end = state.conclude(ended, entry.waiters, shown, Remembered { grant, pass });
                Ok(Progress { ended: Some(end), approvals, needed })
            }
        }
    }
}
