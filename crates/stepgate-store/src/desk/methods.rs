//! Which ways a person has to verify themselves, and challenges of each.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use serde::{Serialize, Serializer};
use serde_json::Value;
use stepgate_approval::{
    Begun, Blocked, Bound, CHALLENGE_LIFE, Ceremony, Challenge, ChallengeId, Channel, Credential, Factor,
    FactorError, Method, Refusal, Source,
};
use stepgate_types::{PersonName, RequestId, Strength, Timestamp};

use super::inner::Inner;
use super::pace::What;
use super::prove::no_entropy;
use super::state::State;
use super::{DeskError, VerifyError};

/// Strongest first, recovery codes and what is weak last: the order in which methods are offered.
const ORDER: [Method; 7] =
    [Method::Passkey, Method::Push, Method::Oidc, Method::Totp, Method::Recovery, Method::Email, Method::Sms];

/// Why a method is not offered that nobody has configured.
const NOT_SET_UP: &str = "not set up at this gate";

/// The methods that this gate knows, and how their messages leave.
#[derive(Clone, Default)]
pub(super) struct Methods {
    factors: BTreeMap<Method, Arc<dyn Factor>>,
    channels: BTreeMap<Method, Arc<dyn Channel>>,
}

impl Methods {
    pub(super) fn plug(&mut self, factor: Arc<dyn Factor>) {
        self.factors.insert(factor.method(), factor);
    }

    pub(super) fn connect(&mut self, method: Method, channel: Arc<dyn Channel>) {
        self.channels.insert(method, channel);
    }

    pub(super) fn disconnect(&mut self, method: Method) {
        self.channels.remove(&method);
    }

    pub(super) fn factor(&self, method: Method) -> Option<Arc<dyn Factor>> {
        self.factors.get(&method).cloned()
    }

    /// Why a method does not work at all now.
    fn health(&self, method: Method) -> Result<(), String> {
        if !self.factors.contains_key(&method) || self.is_off(method) {
            return Err(NOT_SET_UP.to_owned());
        }
        self.channels.get(&method).map_or(Ok(()), |channel| channel.health())
    }

    /// Whether its codes do not leave this gate at all: nor does one count that has left before. While its channel is only
    /// down, those that have arrived do.
    fn is_off(&self, method: Method) -> bool {
        matches!(method, Method::Email | Method::Sms) && !self.channels.contains_key(&method)
    }
}

/// One way to verify oneself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MethodInfo {
    /// Which.
    #[serde(serialize_with = "word")]
    pub method: Method,
    /// The most that an authenticator of it proves.
    pub strength: Strength,
    /// The person's authenticators of it.
    pub authenticators: Vec<AuthenticatorInfo>,
    /// Whether it can be used now.
    pub available: bool,
    /// Why not, for people; or what to know of it where it can.
    pub why: Option<String>,
}

/// One authenticator, as listed. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthenticatorInfo {
    /// Its id.
    pub id: String,
    /// Its method.
    #[serde(serialize_with = "word")]
    pub method: Method,
    /// What its owner calls it.
    pub name: String,
    /// What it proves.
    pub strength: Strength,
    /// When enrolled.
    pub enrolled: String,
    /// When it begins to count for requests of others.
    pub counts_from: String,
    /// Whether it was suspended after too many wrong codes from places that are not the person's.
    pub suspended: bool,
}

/// A challenge, as it is shown to who is to answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Challenged {
    /// Its id, to be sent back with the proof.
    #[serde(serialize_with = "id")]
    pub challenge: ChallengeId,
    /// By which method it is to be answered.
    #[serde(serialize_with = "word")]
    pub method: Method,
    /// When it lapses.
    pub expires: String,
    /// What the client needs for it.
    pub shown: Value,
}

fn word<S: Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

fn id<S: Serializer>(id: &ChallengeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// For what a method is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    pub(super) required: Strength,
    pub(super) for_others: bool,
}

impl Inner {
    /// How messages of a method leave.
    pub(super) fn channel(&self, method: Method) -> Option<Arc<dyn Channel>> {
        self.methods().channels.get(&method).cloned()
    }

    pub(super) fn methods(&self) -> Methods {
        self.methods.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn authenticators(&self, person: &PersonName) -> Vec<AuthenticatorInfo> {
        let state = self.state();
        self.factors.list(person).iter().map(|it| shown(&state, person, it)).collect()
    }

    /// What a person could answer this request by.
    pub(super) fn methods_for_request(
        &self,
        request: RequestId,
        person: &PersonName,
        source: Source,
    ) -> Result<Vec<MethodInfo>, DeskError> {
        let needs = self.looking(request, person, |entry| {
            let terms = &entry.open.ask().terms;
            Needs { required: terms.strength, for_others: !terms.itself }
        })?;
        Ok(self.methods_of(&mut self.state(), person, needs, source))
    }

    /// The person's methods of at least that strength, the one to be offered first.
    pub(super) fn methods_of(
        &self,
        state: &mut State,
        person: &PersonName,
        needs: Needs,
        source: Source,
    ) -> Vec<MethodInfo> {
        let (now, elapsed, methods) = (self.clock.now(), self.clock.monotonic(), self.methods());
        let mut offered = Vec::new();
        for method in ORDER {
            let all = self.factors.of(person, method);
            let strong: Vec<_> = all.into_iter().filter(|it| it.strength >= needs.required).collect();
            let Some(strength) = strong.iter().map(|it| it.strength).max() else { continue };
            let why = methods.health(method).err().or_else(|| {
                let first = strong.iter().map(|it| it.counts_from).min();
                if let Some(from) = first.filter(|from| needs.for_others && *from > now) {
                    return Some(format!("too new for requests of others until {from}"));
                }
                let mut blocked = None;
                for it in strong.iter().filter(|_| method.is_guessable()) {
                    match state.guard.check(person, &it.id, source, elapsed) {
                        Ok(()) => return None,
                        Err(why) => blocked = Some(why),
                    }
                }
                blocked.map(|blocked| match blocked {
                    Blocked::Throttled(throttled) => throttled.to_string(),
                    Blocked::Suspended => VerifyError::Suspended.to_string(),
                })
            });
            let authenticators = strong.iter().map(|it| shown(state, person, it)).collect();
            let available = why.is_none();
            // It may ask yet: who has it at hand starts it.
            let asleep = || state.devices.why_not(person, elapsed).filter(|_| method == Method::Push);
            let why = why.or_else(asleep);
            offered.push(MethodInfo { method, strength, authenticators, available, why });
        }
        // Behind what surely works.
        offered.sort_by_key(|it| it.available && it.why.is_some());
        offered
    }

    pub(super) async fn challenge(
        &self,
        request: RequestId,
        person: &PersonName,
        method: Method,
        approve: bool,
        source: Source,
    ) -> Result<Challenged, VerifyError> {
        let _turn = self.turn.lock().await;
        let (bound, needs) = {
            let state = self.state();
            let entry = state.entry(request)?;
            if !entry.open.may_answer(person, &self.rights_to(&state, &entry.open, person)) {
                return Err(DeskError::Unknown.into());
            }
            let canonical = entry.canonical().map_err(|_| DeskError::Unknown)?;
            let terms = &entry.open.ask().terms;
            let needs = Needs { required: terms.strength, for_others: !terms.itself };
            (Bound::Request { request, canonical, approve }, needs)
        };
        self.challenge_for(person, method, bound, needs, source)
    }

    /// Makes a challenge. The caller has the turn.
    pub(super) fn challenge_for(
        &self,
        person: &PersonName,
        method: Method,
        bound: Bound,
        needs: Needs,
        source: Source,
    ) -> Result<Challenged, VerifyError> {
        let mut state = self.state();
        let offered = self.methods_of(&mut state, person, needs, source);
        let instead = offered.iter().find(|it| it.available && it.method != method).map(|it| it.method);
        let unavailable = |why: String| VerifyError::Unavailable { method, why, instead };
        let found = offered.iter().find(|it| it.method == method).ok_or_else(|| {
            let has = !self.factors.of(person, method).is_empty();
            if has { Refusal::TooWeak(needs.required).into() } else { VerifyError::NotEnrolled }
        })?;
        if let Some(why) = found.why.as_ref().filter(|_| !found.available) {
            return Err(unavailable(why.clone()));
        }
        let (now, elapsed, methods) = (self.clock.now(), self.clock.monotonic(), self.methods());
        let nonce: [u8; 32] = self.random()?;
        let binding = bound.binding(person, &nonce);
        let usable = |it: &Arc<Credential>| {
            it.strength >= needs.required && (!needs.for_others || it.counts_from <= now)
        };
        let credentials: Vec<_> = self.factors.of(person, method).into_iter().filter(usable).collect();
        let factor = methods.factor(method).ok_or(VerifyError::NotEnrolled)?;
        let request = bound.request();
        let ceremony =
            Ceremony { person, credentials: &credentials, binding, request, now, entropy: &*self.entropy };
        let Begun { shown, kept, message } = factor.begin(&ceremony)?;
        let id = ChallengeId::from_bytes(self.random()?);
        let until = elapsed.saturating_add(CHALLENGE_LIFE);
        let trusted = state.guard.trusts(person, source);
        let challenge = Challenge { person: person.clone(), method, bound, binding, kept, until, trusted };
        state.challenges.add(id, challenge, elapsed)?;
        if let Some(message) = message {
            self.send(&mut state, person, (method, trusted), message).map_err(unavailable)?;
        }
        let expires = now.plus(CHALLENGE_LIFE).to_string();
        Ok(Challenged { challenge: id, method, expires, shown })
    }

    /// Why a proof by that method does not count, where it was switched off since it was asked for.
    pub(super) fn switched_off(
        &self,
        state: &mut State,
        person: &PersonName,
        method: Method,
        (needs, source): (Needs, Source),
    ) -> Option<VerifyError> {
        if !self.methods().is_off(method) {
            return None;
        }
        let offered = self.methods_of(state, person, needs, source);
        let instead = offered.iter().find(|it| it.available).map(|it| it.method);
        Some(VerifyError::Unavailable { method, why: NOT_SET_UP.to_owned(), instead })
    }

    /// Sends what a factor wants sent, unless that was done very often.
    pub(super) fn send(
        &self,
        state: &mut State,
        person: &PersonName,
        (method, trusted): (Method, bool),
        message: stepgate_approval::Message,
    ) -> Result<(), String> {
        let methods = self.methods();
        let channel = methods.channels.get(&method).ok_or_else(|| NOT_SET_UP.to_owned())?;
        let what = if trusted { What::Sent } else { What::SentElsewhere };
        if !state.pace.allows(person, what, self.clock.monotonic()) {
            return Err("too many messages were sent; try again later".to_owned());
        }
        channel.send(message)
    }

    /// What begins an enrolment, of a method that this gate knows.
    pub(super) fn factor(&self, method: Method) -> Result<Arc<dyn Factor>, VerifyError> {
        let methods = self.methods();
        methods.health(method).map_err(|why| VerifyError::Unavailable { method, why, instead: None })?;
        methods.factor(method).ok_or_else(|| FactorError::NotEnrolled.into())
    }

    /// Four random bytes for an authenticator's id that none of the person's has.
    pub(super) fn fresh_id(
        &self,
        person: &PersonName,
        method: Method,
    ) -> Result<stepgate_approval::AuthenticatorId, VerifyError> {
        for _ in 0..8 {
            let id = stepgate_approval::AuthenticatorId::new(method, self.random()?);
            if self.factors.get(person, &id).is_none() {
                return Ok(id);
            }
        }
        Err(no_entropy())
    }
}

fn shown(state: &State, person: &PersonName, credential: &Credential) -> AuthenticatorInfo {
    let time = |at: Timestamp| at.to_string();
    let failures = state.guard.failures(person).get(&credential.id).copied().unwrap_or(0);
    AuthenticatorInfo {
        id: credential.id.to_string(),
        method: credential.method(),
        name: credential.name.clone(),
        strength: credential.strength,
        enrolled: time(credential.enrolled),
        counts_from: time(credential.counts_from),
        suspended: failures >= stepgate_approval::CEILING,
    }
}
