//! Checks proofs: against the person's authenticators and what was asked, guarded, each once.

use std::sync::Arc;
use stepgate_approval::{
    AuthenticatorId, Blocked, Bound, CEILING, Ceremony, ChallengeId, Credential, FactorError, Method,
    NoChallenge, Proof, Recovery, Refusal, Source, Verified,
};
use stepgate_record::Event;
use stepgate_types::{Actor, PersonName, RequestId, Strength};
use zeroize::Zeroizing;

use super::inner::Inner;
use super::methods::Needs;
use super::pace::What;
use super::state::State;
use super::{DeskError, VerifyError};
use crate::factors::{Writes, about};
use crate::people::event;

/// What a person hands in.
#[derive(Debug, Clone)]
pub struct Presented {
    /// By which method, where the proof does not say it.
    pub method: Option<Method>,
    /// The challenge that it answers; codes of apps and of lists answer none.
    pub challenge: Option<ChallengeId>,
    /// The proof.
    pub proof: Proof,
}

impl Presented {
    /// A typed code, of an app or of a list.
    #[must_use]
    pub fn code(code: &str) -> Self {
        Self { method: None, challenge: None, proof: Proof::Code(Zeroizing::new(code.to_owned())) }
    }

    /// The method that it is of, unless the challenge says otherwise.
    pub(super) fn method(&self) -> Method {
        let told = match &self.proof {
            Proof::Code(code) if Recovery::looks_like(code) => Method::Recovery,
            Proof::Code(_) => Method::Totp,
            Proof::Passkey(_) => Method::Passkey,
            Proof::Push { .. } => Method::Push,
            Proof::Oidc(_) => Method::Oidc,
        };
        self.method.unwrap_or(told)
    }
}

/// Who is to prove themselves, for what.
pub(super) struct Asked<'a> {
    pub(super) person: &'a PersonName,
    pub(super) source: Source,
    pub(super) bound: &'a Bound,
    /// How much is to be proven.
    pub(super) required: Strength,
    /// Whether it is about what somebody else asks, for which new authenticators do not count.
    pub(super) for_others: bool,
}

/// Somebody has proven who they are. It counts once its events and writes are on disk.
pub(super) struct Proven {
    pub(super) verified: Verified,
    pub(super) events: Vec<Event>,
    pub(super) writes: Writes,
}

/// A proof that is not accepted, and what is to be recorded of it.
pub(super) struct Failed {
    pub(super) error: VerifyError,
    pub(super) events: Vec<Event>,
    pub(super) writes: Writes,
}

impl<E: Into<VerifyError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { error: error.into(), events: Vec::new(), writes: Writes::default() }
    }
}

/// The authenticators that are looked at.
struct Usable {
    credentials: Vec<Arc<Credential>>,
    /// Whose failures are counted.
    counted: Vec<AuthenticatorId>,
}

impl Inner {
    /// Checks a proof. The caller has the turn, and lets nobody change factors until what this gives is on disk.
    pub(super) fn check(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        presented: &Presented,
    ) -> Result<Proven, Failed> {
        let (person, elapsed) = (asked.person, self.clock.monotonic());
        let (method, binding, kept) = match presented.challenge {
            Some(id) => {
                let challenge = state.challenges.get(id, person, asked.bound, elapsed)?;
                if presented.method.is_some_and(|method| method != challenge.method) {
                    return Err(NoChallenge::Unknown.into());
                }
                (challenge.method, challenge.binding, challenge.kept.clone())
            }
            None => {
                let method = presented.method();
                if method.needs_challenge() {
                    return Err(NoChallenge::Unknown.into());
                }
                (method, asked.bound.binding(person, &[0; 32]), Zeroizing::new(Vec::new()))
            }
        };
        let needs = Needs { required: asked.required, for_others: asked.for_others };
        if let Some(error) = self.switched_off(state, person, method, (needs, asked.source)) {
            return Err(self.noted(state, asked, method, "switched-off", error));
        }
        self.check_answer(state, asked, presented, (method, binding, kept, presented.challenge))
    }

    /// The same, where it is known what is answered: the method, what is signed, what its factor kept, and the challenge
    /// that is used up by it.
    pub(super) fn check_answer(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        presented: &Presented,
        (method, binding, kept, challenge): (Method, [u8; 32], Zeroizing<Vec<u8>>, Option<ChallengeId>),
    ) -> Result<Proven, Failed> {
        let (person, now) = (asked.person, self.clock.now());
        let usable = self.usable(state, asked, method)?;
        let ceremony = Ceremony {
            person,
            credentials: &usable.credentials,
            binding,
            request: asked.bound.request(),
            now,
            entropy: &*self.entropy,
        };
        let factor = self.methods().factor(method);
        let checked = match factor {
            _ if usable.credentials.is_empty() => Err(FactorError::NotEnrolled),
            Some(factor) => factor.check(&ceremony, &kept, &presented.proof),
            None => Err(FactorError::NotEnrolled),
        };
        let verified = checked.and_then(|verified| {
            let known = usable.credentials.iter().find(|credential| credential.id == verified.id);
            let known = known.ok_or(FactorError::UnknownAuthenticator)?;
            // Never more than what let it be enrolled.
            Ok(Verified { strength: verified.strength.min(known.strength), ..verified })
        });
        match verified {
            Ok(verified) if verified.strength < asked.required => {
                Err(VerifyError::from(Refusal::TooWeak(asked.required)).into())
            }
            Ok(verified) => self.succeeded(state, asked, challenge, verified),
            Err(error) => Err(self.failed(state, asked, (method, challenge), &usable, error)),
        }
    }

    /// The authenticators of this method that may be tried, for this, from there.
    fn usable(&self, state: &mut State, asked: &Asked<'_>, method: Method) -> Result<Usable, Failed> {
        let now = self.clock.now();
        let all = self.factors.of(asked.person, method);
        let strong: Vec<_> = all.iter().filter(|it| it.strength >= asked.required).cloned().collect();
        if strong.is_empty() && !all.is_empty() {
            return Err(VerifyError::from(Refusal::TooWeak(asked.required)).into());
        }
        let counts = |it: &&Arc<Credential>| !asked.for_others || it.counts_from <= now;
        let old: Vec<_> = strong.iter().filter(counts).cloned().collect();
        if let (true, Some(from)) = (old.is_empty(), strong.iter().map(|it| it.counts_from).min()) {
            return Err(self.noted(state, asked, method, "too-new", VerifyError::TooNew(from)));
        }
        if !method.is_guessable() && !old.is_empty() {
            return Ok(Usable { credentials: old, counted: Vec::new() });
        }
        // Of somebody who has none, tries are counted nevertheless: each is recorded.
        let mut counted: Vec<_> = old.iter().map(|credential| credential.id.clone()).collect();
        if counted.is_empty() {
            counted.push(AuthenticatorId::only(method));
        }
        let elapsed = self.clock.monotonic();
        let mut blocked = None;
        counted.retain(|id| match state.guard.check(asked.person, id, asked.source, elapsed) {
            Ok(()) => true,
            Err(why) => {
                // The mildest is told.
                blocked = match (blocked, why) {
                    (Some(Blocked::Throttled(one)), Blocked::Throttled(other)) if other.wait < one.wait => {
                        Some(why)
                    }
                    (None | Some(Blocked::Suspended), _) => Some(why),
                    (known, _) => known,
                };
                false
            }
        });
        match blocked {
            Some(blocked) if counted.is_empty() => Err(self.blocked(state, asked, method, blocked)),
            _ => {
                let credentials = old.into_iter().filter(|it| counted.contains(&it.id)).collect();
                Ok(Usable { credentials, counted })
            }
        }
    }

    fn blocked(&self, state: &mut State, asked: &Asked<'_>, method: Method, blocked: Blocked) -> Failed {
        match blocked {
            // Once for each delay: a flood of tries is not to fill the log.
            Blocked::Throttled(throttled) if throttled.first => {
                let events = vec![refused(asked, method, "throttled")];
                Failed { error: throttled.into(), events, writes: Writes::default() }
            }
            Blocked::Throttled(throttled) => throttled.into(),
            Blocked::Suspended => self.noted(state, asked, method, "suspended", VerifyError::Suspended),
        }
    }

    /// A refusal that is recorded, unless there were very many.
    fn noted(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        method: Method,
        why: &str,
        error: VerifyError,
    ) -> Failed {
        let recorded = state.pace.allows(asked.person, What::Refused, self.clock.monotonic());
        let events = if recorded { vec![refused(asked, method, why)] } else { Vec::new() };
        Failed { error, events, writes: Writes::default() }
    }

    fn failed(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        (method, challenge): (Method, Option<ChallengeId>),
        usable: &Usable,
        error: FactorError,
    ) -> Failed {
        let elapsed = self.clock.monotonic();
        if error == FactorError::Replayed && state.pace.allows(asked.person, What::Replayed, elapsed) {
            // It was right, and is used up: whoever has it has seen it, has guessed nothing, and learns nothing.
            return self.noted(state, asked, method, error.as_str(), error.into());
        }
        // What nobody can guess is not counted: that would only lock people out. A device's code is wrong only under a
        // signature of that device.
        let guessed = method.is_guessable() || (method == Method::Push && error == FactorError::Wrong);
        if let Some(id) = challenge.filter(|_| guessed) {
            state.challenges.failed(id, elapsed);
        }
        let why = error.as_str();
        if usable.counted.is_empty() {
            return self.noted(state, asked, method, why, error.into());
        }
        let mut events = vec![refused(asked, method, why)];
        for id in &usable.counted {
            let count = state.guard.failed(asked.person, id, asked.source, elapsed);
            if count == CEILING {
                events.push(about("factor.suspended", asked.person, &Actor::from(None::<PersonName>), id));
            }
        }
        // Of somebody who is being removed there is nothing to write.
        let elsewhere = !state.guard.trusts(asked.person, asked.source) && !usable.credentials.is_empty();
        let writes = if elsewhere { self.guarded(state, asked.person).ok() } else { None };
        Failed { error: error.into(), events, writes: writes.unwrap_or_default() }
    }

    fn succeeded(
        &self,
        state: &mut State,
        asked: &Asked<'_>,
        challenge: Option<ChallengeId>,
        verified: Verified,
    ) -> Result<Proven, Failed> {
        let person = asked.person;
        let known = self.factors.get(person, &verified.id).ok_or(VerifyError::NotEnrolled)?;
        let method = verified.id.method();
        // Spent from here on, whether or not the write succeeds.
        let credential = Credential { state: verified.state.clone(), ..Credential::clone(&known) };
        self.factors.take(person, credential.clone());
        if let Some(id) = challenge {
            state.challenges.used(id);
        }
        let mut is_different = state.guard.succeeded(person, &verified.id, asked.source);
        // Who has another authenticator of at least that strength lets one that was guessed at be tried again.
        for other in self.factors.list(person) {
            if other.id != verified.id && other.strength <= verified.strength {
                is_different |= state.guard.unlock(person, &other.id);
            }
        }
        let mut writes = self.factors.put(person, &credential)?;
        if is_different {
            writes = writes.and(self.guarded(state, person)?);
        }
        let mut events = vec![verified_event(person, &verified, asked.bound.request())];
        if method == Method::Recovery {
            events.push(about(
                "factor.recovery_used",
                person,
                &Actor::from(Some(person.clone())),
                &verified.id,
            ));
        }
        Ok(Proven { verified, events, writes })
    }

    /// What writes how a person is guarded, so that a restart forgets it not.
    pub(super) fn guarded(&self, state: &State, person: &PersonName) -> Result<Writes, VerifyError> {
        let mut keeping = self.factors.keeping(person);
        keeping.trusted = state.guard.trusted(person).iter().map(ToString::to_string).collect();
        let failures = state.guard.failures(person);
        keeping.failed = failures.into_iter().map(|(id, count)| (id.to_string(), count)).collect();
        Ok(self.factors.keep(person, keeping)?)
    }

    /// Records a refused proof and hands the error on. If it cannot be recorded, that is the error.
    pub(super) async fn refuse(&self, failed: Failed) -> VerifyError {
        let Failed { error, events, writes } = failed;
        if !events.is_empty()
            && let Err(error) = self.log.append(events, writes.changes.clone()).await
        {
            return error.into();
        }
        drop(writes);
        error
    }

    /// Verifies somebody for something other than a request, and writes it.
    pub(super) async fn prove(
        &self,
        asked: &Asked<'_>,
        presented: &Presented,
    ) -> Result<Verified, VerifyError> {
        let checked = self.check(&mut self.state(), asked, presented);
        let proven = match checked {
            Ok(proven) => proven,
            Err(failed) => return Err(self.refuse(failed).await),
        };
        self.log.append(proven.events, proven.writes.changes.clone()).await?;
        Ok(proven.verified)
    }
}

fn refused(asked: &Asked<'_>, method: Method, why: &str) -> Event {
    Event::FactorFailed {
        person: asked.person.into(),
        factor: method.as_str().to_owned(),
        reason: why.to_owned(),
        request: asked.bound.request(),
    }
}

/// The record of a proof that counts.
pub(super) fn verified_event(person: &PersonName, verified: &Verified, request: Option<RequestId>) -> Event {
    Event::FactorVerified {
        person: person.into(),
        factor: verified.id.method().as_str().to_owned(),
        step: verified.counter,
        request,
        authenticator: Some(verified.id.to_string()),
        strength: Some(verified.strength),
    }
}

/// The record of a change that concerns no single authenticator.
pub(super) fn noticed(action: &str, person: &PersonName, by: &Actor) -> Event {
    event(action, person, by, Vec::new())
}

/// A desk's error that cannot be the person's fault.
pub(super) const fn no_entropy() -> VerifyError {
    VerifyError::Desk(DeskError::NoEntropy)
}
