//! Takes answers: a fresh code, one durable write, then and only then a step.

use std::net::IpAddr;

use stepgate_approval::{BadCode, Ballot, Counted, Grant, Next, Pass, Reason, Refusal, Secret};
use stepgate_record::{Event, Outcome};
use stepgate_types::{GrantId, InForce, PersonName, RequestId, Strength, Timestamp, Who};
use zeroize::Zeroizing;

use super::inner::Inner;
use super::pass;
use super::replay::issued;
use super::state::{Kept, KeptPass, MAX_GRANTS, Remembered, State, hex};
use super::view::Progress;
use super::{DeskError, VerifyError};

/// The only factor there is so far, as records call it.
pub(super) const TOTP: &str = "totp";

/// An answer on its way in.
pub(super) struct Answer {
    pub(super) request: RequestId,
    pub(super) person: PersonName,
    pub(super) code: Zeroizing<String>,
    pub(super) approve: bool,
    pub(super) reason: Option<Reason>,
    pub(super) source: IpAddr,
    /// Given as the requester's own verification, not as somebody's vote.
    pub(super) own: bool,
}

/// An answer that counts, with all that is to be written before it does.
struct Judged {
    counted: Counted,
    grant: Option<Grant>,
    pass: Option<Pass>,
    step: u64,
    events: Vec<Event>,
}

/// A code that is not accepted, and what is to be recorded of it.
pub(super) struct Failed {
    pub(super) error: VerifyError,
    pub(super) record: Option<&'static str>,
}

impl Inner {
    pub(super) async fn answer(&self, answer: Answer) -> Result<Progress, VerifyError> {
        let _turn = self.turn.lock().await;
        let judged = match self.judge(&answer) {
            Ok(judged) => judged,
            Err(failed) => return Err(self.refuse(failed, &answer.person, Some(answer.request)).await),
        };
        // The code is spent from here on, whether or not the write succeeds.
        self.state().spend(&answer.person, judged.step);
        self.log.append(judged.events.clone(), Vec::new()).await?;
        let progress = self.take_step(&answer, judged)?;
        self.tell(answer.request);
        Ok(progress)
    }

    /// Records a refused code and hands the error on. If it cannot be recorded, that is the error.
    pub(super) async fn refuse(
        &self,
        failed: Failed,
        person: &PersonName,
        request: Option<RequestId>,
    ) -> VerifyError {
        if let Some(reason) = failed.record {
            let event = Event::FactorFailed {
                person: person.into(),
                factor: TOTP.to_owned(),
                reason: reason.to_owned(),
                request,
            };
            if let Err(error) = self.log.append(vec![event], Vec::new()).await {
                return error.into();
            }
        }
        failed.error
    }

    /// Everything that is checked before anything is written. Whether the answer is allowed comes before
    /// the code, so that nobody can try codes where they have no say.
    fn judge(&self, answer: &Answer) -> Result<Judged, Failed> {
        let now = self.clock.now();
        let mut state = self.state();
        let counted = self.count(&state, answer, now)?;
        let step = self.check_code(&mut state, &answer.person, &answer.code, answer.source)?;
        let approved = counted.outcome() == Some(Outcome::Approved);
        let grant = if approved { self.grant_for(&state, answer.request, now)? } else { None };
        let pass =
            if approved && grant.is_none() { self.pass_of(&state, answer.request, now)? } else { None };
        let entry = state.entry(answer.request)?;
        let mut events = vec![
            verified(&answer.person, step, Some(answer.request)),
            Event::StepupVoted {
                request: answer.request,
                person: Who::from(&answer.person),
                approve: answer.approve,
                canonical_sha256: hex(entry.open.canonical()),
            },
        ];
        events.extend(counted.outcome().map(|outcome| Event::StepupEnded {
            request: answer.request,
            outcome,
            by: Some(Who::from(&answer.person)),
            reason_hmac: None,
            reason: answer.reason.as_ref().map(|reason| Who::Name(reason.text().to_owned())),
        }));
        events.extend(grant.as_ref().map(issued));
        events.extend(pass.as_ref().map(pass::issued));
        Ok(Judged { counted, grant, pass, step, events })
    }

    fn count(&self, state: &State, answer: &Answer, now: Timestamp) -> Result<Counted, VerifyError> {
        let entry = state.entry(answer.request)?;
        // Hashed anew from the bytes that would be released: approving one thing and running another
        // fails here, even if something in the gate had changed them since.
        let canonical = entry.canonical().map_err(|_| Refusal::OtherRequest)?;
        let ballot = Ballot {
            person: &answer.person,
            approve: answer.approve,
            reason: answer.reason.as_ref(),
            strength: Strength::Standard,
            canonical: &canonical,
        };
        let counted = entry.open.count(&ballot, now, |person| self.groups_of(person))?;
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

    /// Checks a code of the person's authenticator: throttled, once each, in constant time. Spends
    /// nothing by itself.
    pub(super) fn check_code(
        &self,
        state: &mut State,
        person: &PersonName,
        code: &str,
        source: IpAddr,
    ) -> Result<u64, Failed> {
        let enrolled = self.factors.totp(person).and_then(|factor| Secret::from_bytes(&factor.secret));
        let last = state.steps.get(person).copied();
        self.check_against(state, enrolled.as_ref(), last, person, code, source)
    }

    /// As [`Inner::check_code`], against this secret and last step.
    pub(super) fn check_against(
        &self,
        state: &mut State,
        secret: Option<&Secret>,
        last: Option<u64>,
        person: &PersonName,
        code: &str,
        source: IpAddr,
    ) -> Result<u64, Failed> {
        let (source, elapsed) = (source.to_canonical(), self.clock.monotonic());
        state.guard.check(person, source, elapsed).map_err(|throttled| Failed {
            error: throttled.into(),
            // Once for each delay: a flood of tries is not to fill the log.
            record: throttled.first.then_some("throttled"),
        })?;
        let checked = match secret {
            None => Err(Failed { error: VerifyError::NotEnrolled, record: Some("not-enrolled") }),
            Some(secret) => secret.check(code, self.clock.now(), last).map_err(|bad| Failed {
                error: bad.into(),
                record: Some(match bad {
                    BadCode::Wrong => "wrong",
                    BadCode::Replayed => "replayed",
                }),
            }),
        };
        match &checked {
            Ok(_) => state.guard.succeeded(person, source),
            Err(_) => state.guard.failed(person, source, elapsed),
        }
        checked
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
        let grant = grant.filter(|it| it.session.is_none() || !entry.deferred || entry.is_waited_for());
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

    pub(super) async fn prove(
        &self,
        person: &PersonName,
        code: &str,
        source: IpAddr,
    ) -> Result<(), VerifyError> {
        let _turn = self.turn.lock().await;
        self.prove_in_turn(person, code, source).await
    }

    /// [`Inner::prove`] for those who have the turn already.
    pub(super) async fn prove_in_turn(
        &self,
        person: &PersonName,
        code: &str,
        source: IpAddr,
    ) -> Result<(), VerifyError> {
        let checked = self.check_code(&mut self.state(), person, code, source);
        let step = match checked {
            Ok(step) => step,
            Err(failed) => return Err(self.refuse(failed, person, None).await),
        };
        self.state().spend(person, step);
        self.log.append(vec![verified(person, step, None)], Vec::new()).await?;
        Ok(())
    }
}

/// The record of a spent code.
pub(super) fn verified(person: &PersonName, step: u64, request: Option<RequestId>) -> Event {
    Event::FactorVerified { person: person.into(), factor: TOTP.to_owned(), step, request }
}

impl<E: Into<VerifyError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { error: error.into(), record: None }
    }
}
