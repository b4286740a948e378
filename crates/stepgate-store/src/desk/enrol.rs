//! Enrols authenticators. Only a confirmed one counts, and a password alone enrols none (NIST SP 800-63B-4 section 4.1).
//!
//! Somebody's first is let by a code that the operator makes at the gate's own machine, or by the operator; each
//! further one by one that there is. Where there was one and is none any more, it takes two people (`reset.rs`).

use serde_json::Value;
use stepgate_approval::{
    AuthenticatorId, Begun, Bound, CHALLENGE_LIFE, Ceremony, Enrolled, FactorError, Method, Proof, Purpose,
    Source,
};
use stepgate_record::Event;
use stepgate_types::{Actor, PersonName, Strength, Timestamp};
use zeroize::Zeroizing;

use super::inner::Inner;
use super::prove::{Asked, Presented};
use super::state::Enrolment;
use super::{EnrolError, VerifyError};
use crate::factors::about;

/// Unconfirmed authenticators at once, one a person and method at most.
const MAX_ENROLMENTS: usize = 1000;

/// Wrong proofs that an enrolment survives.
const MAX_ATTEMPTS: u32 = 5;

/// The longest name of an authenticator, in letters.
const MAX_NAME: usize = 40;

/// What is to be enrolled, and what lets it.
#[derive(Debug, Clone)]
pub struct Enrol {
    /// For whom.
    pub person: PersonName,
    /// Which method.
    pub method: Method,
    /// What its owner calls it.
    pub name: Option<String>,
    /// What the method must know for it: `{"address": …}` for codes that are sent.
    pub about: Value,
    /// The one that it takes the place of.
    pub replaces: Option<AuthenticatorId>,
    /// An operator does it, at the gate's own machine.
    pub operator: Option<Actor>,
    /// A code that an operator has made.
    pub code: Option<Zeroizing<String>>,
    /// A proof by an authenticator that there is.
    pub presented: Option<Presented>,
    /// From where.
    pub source: Source,
    /// The login in which it is begun, by a hash; `None`: it is begun at the gate's own machine. Nobody confirms it from
    /// elsewhere: whoever knows the password has other logins, and would use up its attempts.
    pub login: Option<[u8; 32]>,
}

impl Enrol {
    /// Of this method for this person, with nothing that lets it yet.
    #[must_use]
    pub fn new(person: &PersonName, method: Method, source: Source) -> Self {
        Self {
            person: person.clone(),
            method,
            name: None,
            about: Value::Null,
            replaces: None,
            operator: None,
            code: None,
            presented: None,
            source,
            login: None,
        }
    }
}

/// However much it could prove by itself.
fn no_more_than(leave: Strength, enrolled: Enrolled) -> Enrolled {
    Enrolled { strength: enrolled.strength.min(leave), ..enrolled }
}

impl Inner {
    /// Begins; gives what the client is shown. Recovery codes are enrolled at once.
    pub(super) async fn enrol(&self, enrol: Enrol) -> Result<Value, EnrolError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        let Enrol { person, method, .. } = &enrol;
        let known = self.people.get(person).ok_or(EnrolError::UnknownPerson)?;
        if known.service {
            return Err(EnrolError::Service);
        }
        let name = name_of(enrol.name.as_deref(), *method)?;
        let factor = self.factor(*method)?;
        let leave = self.may_enrol(&enrol).await?;
        let bound = Bound::Purpose(Purpose::Enrol);
        let nonce: [u8; 32] = self.random()?;
        let binding = bound.binding(person, &nonce);
        let credentials = self.factors.of(person, *method);
        let ceremony = Ceremony {
            person,
            credentials: &credentials,
            binding,
            request: None,
            now: self.clock.now(),
            entropy: &*self.entropy,
        };
        let Begun { shown, kept, message } =
            factor.enrol(&ceremony, &enrol.about).map_err(VerifyError::from)?;
        if *method == Method::Recovery {
            let proof = Proof::Code(Zeroizing::new(String::new()));
            let enrolled = factor.confirm(&ceremony, &kept, &proof).map_err(VerifyError::from)?;
            // A new list is the end of the one before.
            let replaces = credentials.last().map(|credential| credential.id.clone());
            self.write_new(person, *method, (name, replaces, Vec::new()), no_more_than(leave, enrolled))
                .await?;
            return Ok(shown);
        }
        let elapsed = self.clock.monotonic();
        let mut state = self.state();
        state.enrolments.retain(|_, enrolment| enrolment.until > elapsed);
        state.enrolments.remove(&(person.clone(), *method));
        if state.enrolments.len() >= MAX_ENROLMENTS {
            return Err(EnrolError::Full);
        }
        if let Some(message) = message {
            let unavailable = |why| VerifyError::Unavailable { method: *method, why, instead: None };
            let trusted = state.guard.trusts(person, enrol.source);
            self.send(&mut state, person, (*method, trusted), message).map_err(unavailable)?;
        }
        let enrolment = Enrolment {
            kept,
            binding,
            until: elapsed.saturating_add(CHALLENGE_LIFE),
            beside: self.beside(person),
            replaces: enrol.replaces.clone(),
            name,
            leave,
            login: enrol.login,
            attempts: 0,
        };
        state.enrolments.insert((person.clone(), *method), enrolment);
        Ok(shown)
    }

    /// What there is of a person's.
    fn beside(&self, person: &PersonName) -> Vec<(AuthenticatorId, Timestamp)> {
        self.factors.list(person).iter().map(|it| (it.id.clone(), it.enrolled)).collect()
    }

    /// Whether it may be begun, and how much it may prove: no more than what lets it, or else whoever has something weak
    /// of somebody's would make something strong of it. What was handed in for it is spent by that.
    async fn may_enrol(&self, enrol: &Enrol) -> Result<Strength, EnrolError> {
        let Enrol { person, method, .. } = enrol;
        let own = self.factors.list(person);
        if let Some(replaces) = &enrol.replaces
            && (replaces.method() != *method || !own.iter().any(|it| it.id == *replaces))
        {
            return Err(EnrolError::NoFactor);
        }
        // Taking its place takes as much as removing it.
        let replaced = own.iter().find(|it| Some(&it.id) == enrol.replaces.as_ref()).map(|it| it.strength);
        if own.is_empty() {
            let keeping = self.factors.keeping(person);
            let reset = keeping.reset_until_us.is_some_and(|until| self.clock.now().micros() < until);
            if keeping.had && !reset {
                return Err(EnrolError::ResetNeeded);
            }
            return match (&enrol.operator, &enrol.code) {
                (Some(_), _) => Ok(Strength::DeviceBound),
                (None, Some(code)) => self.use_enrol_code(person, code).await.map(|()| Strength::DeviceBound),
                (None, None) => Err(EnrolError::EnrolCodeNeeded),
            };
        }
        let presented = enrol.presented.as_ref().ok_or(EnrolError::CodeNeeded)?;
        let bound = Bound::Purpose(Purpose::Manage);
        // As much as it takes to be asked at all: what is missing to the new one's strength, an enrolment code adds.
        let asked = Asked {
            person,
            source: enrol.source,
            bound: &bound,
            required: Strength::Standard.min(method.strength()).max(replaced.unwrap_or(Strength::Weak)),
            for_others: false,
        };
        let verified = self.prove(&asked, presented).await?;
        match (&enrol.operator, &enrol.code) {
            (Some(_), _) => Ok(Strength::DeviceBound),
            (None, Some(code)) => self.use_enrol_code(person, code).await.map(|()| Strength::DeviceBound),
            (None, None) if verified.strength >= method.strength() => Ok(verified.strength),
            (None, None) => Err(EnrolError::TooWeak(*method)),
        }
    }

    /// Confirms by a proof of the new authenticator, which is spent by that.
    pub(super) async fn enrol_confirm(
        &self,
        person: &PersonName,
        method: Method,
        proof: &Proof,
        login: Option<[u8; 32]>,
    ) -> Result<AuthenticatorId, EnrolError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        let key = (person.clone(), method);
        let elapsed = self.clock.monotonic();
        let enrolment = {
            let state = self.state();
            let begun = state.enrolments.get(&key).filter(|enrolment| enrolment.until > elapsed);
            // In another login nothing was begun, and nothing of this one is used up.
            let begun = begun.filter(|enrolment| enrolment.login == login);
            let enrolment = begun.ok_or(EnrolError::NotBegun)?;
            // Begun by somebody else before the person enrolled or removed anything: that must not stand beside
            // what they have since.
            if enrolment.beside != self.beside(person) {
                return Err(EnrolError::NotBegun);
            }
            enrolment.clone()
        };
        let factor = self.factor(method)?;
        let credentials = self.factors.of(person, method);
        let ceremony = Ceremony {
            person,
            credentials: &credentials,
            binding: enrolment.binding,
            request: None,
            now: self.clock.now(),
            entropy: &*self.entropy,
        };
        let enrolled = match factor.confirm(&ceremony, &enrolment.kept, proof) {
            Ok(enrolled) => enrolled,
            Err(error) => {
                let attempts = self.wrong_confirmation(&key);
                let event = Event::FactorFailed {
                    person: person.into(),
                    factor: method.as_str().to_owned(),
                    reason: error.as_str().to_owned(),
                    request: None,
                };
                if attempts <= MAX_ATTEMPTS {
                    self.log.append(vec![event], Vec::new()).await.map_err(VerifyError::from)?;
                }
                return Err(VerifyError::from(error).into());
            }
        };
        let enrolled = no_more_than(enrolment.leave, enrolled);
        let first = Event::FactorVerified {
            person: person.into(),
            factor: method.as_str().to_owned(),
            step: enrolled.counter,
            request: None,
            authenticator: None,
            strength: Some(enrolled.strength),
        };
        let entered = (enrolment.name, enrolment.replaces, vec![first]);
        let id = self.write_new(person, method, entered, enrolled).await?;
        self.state().enrolments.remove(&key);
        Ok(id)
    }

    /// Counts a wrong confirmation; at the last the enrolment is over.
    fn wrong_confirmation(&self, key: &(PersonName, Method)) -> u32 {
        let mut state = self.state();
        let Some(enrolment) = state.enrolments.get_mut(key) else { return u32::MAX };
        enrolment.attempts = enrolment.attempts.saturating_add(1);
        let attempts = enrolment.attempts;
        if attempts >= MAX_ATTEMPTS {
            state.enrolments.remove(key);
        }
        attempts
    }

    /// Writes a new authenticator, and the end of the one it takes the place of.
    async fn write_new(
        &self,
        person: &PersonName,
        method: Method,
        (name, replaces, mut events): (String, Option<AuthenticatorId>, Vec<Event>),
        enrolled: Enrolled,
    ) -> Result<AuthenticatorId, EnrolError> {
        // Two people with one of them would be one person with two votes.
        if matches!(method, Method::Oidc | Method::Push)
            && self.factors.is_anothers(person, method, &enrolled.secret)
        {
            return Err(VerifyError::from(FactorError::NotTaken("it is somebody else's")).into());
        }
        let id = self.fresh_id(person, method)?;
        for event in &mut events {
            if let Event::FactorVerified { authenticator, .. } = event {
                *authenticator = Some(id.to_string());
            }
        }
        let credential = self.factors.credential(person, id.clone(), name, enrolled)?;
        let by = Actor::from(Some(person.clone()));
        let writes = self.factors.enrolment(person, &credential)?;
        let mut changes = writes.changes.clone();
        events.push(about("factor.enrolled", person, &by, &id));
        if let Some(old) = &replaces {
            changes.push(self.factors.removal(person, old));
            events.push(about("factor.removed", person, &by, old));
        }
        self.log.append(events, changes).await.map_err(VerifyError::from)?;
        self.factors.take(person, credential);
        if let Some(old) = &replaces {
            self.factors.let_go(person, old);
            self.state().guard.unlock(person, old);
            self.void_votes(person);
        }
        Ok(id)
    }
}

/// The name of an authenticator: letters that neither hide nor reorder anything where it is listed.
fn name_of(name: Option<&str>, method: Method) -> Result<String, EnrolError> {
    let name = name.map(str::trim).filter(|name| !name.is_empty()).unwrap_or(method.as_str());
    let harmless = |letter: char| letter.is_alphanumeric() || " -._".contains(letter);
    if name.chars().count() > MAX_NAME || !name.chars().all(harmless) {
        return Err(EnrolError::BadName);
    }
    Ok(name.to_owned())
}
