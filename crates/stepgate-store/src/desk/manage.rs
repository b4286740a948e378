//! Enrolment codes, removal, and resets by two people.

use std::time::Duration;

use stepgate_approval::{AuthenticatorId, Bound, Purpose, Source};
use stepgate_types::{Actor, PersonName, Strength};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::inner::Inner;
use super::pace::What;
use super::prove::{Asked, Presented, noticed};
use super::{DeskError, EnrolError, VerifyError};
use crate::PersonError;
use crate::factors::{EnrolCode, about};

/// How long an enrolment code lives (NIST SP 800-63B-4 section 4.1.2.2: ten minutes, where it is handed over at once).
const CODE_LIFE: Duration = Duration::from_secs(600);

/// Letters of an enrolment code, of 32 (Crockford base32): 120 bits of the 112 that are asked for.
const CODE_LETTERS: usize = 24;

/// How long a reset waits for somebody to confirm it, and then for the next enrolment.
const RESET_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Crockford's base32 alphabet: no I, L, O or U.
const ALPHABET: [u8; 32] = *b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What keyed hashes of enrolment codes are labelled with.
const CODE_LABEL: &str = "enrolment code";

impl Inner {
    /// Makes a code by which this person may enrol. Good once, for ten minutes; the one before is not any more.
    pub(super) async fn enrol_code(
        &self,
        person: &PersonName,
        by: &Actor,
    ) -> Result<Zeroizing<String>, EnrolError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        let known = self.people.get(person).ok_or(EnrolError::UnknownPerson)?;
        if known.service {
            return Err(EnrolError::Service);
        }
        let bytes: Zeroizing<[u8; CODE_LETTERS]> = Zeroizing::new(self.random()?);
        let letter = |byte: &u8| char::from(ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'0'));
        let plain: Zeroizing<String> = Zeroizing::new(bytes.iter().map(letter).collect());
        let until_us = self.clock.now().plus(CODE_LIFE).micros();
        let mut keeping = self.factors.keeping(person);
        keeping.enrol_code = Some(EnrolCode { hash: self.code_hash(person, &plain), until_us });
        let writes = self.factors.keep(person, keeping)?;
        let event = noticed("factor.code_issued", person, by);
        self.log.append(vec![event], writes.changes.clone()).await.map_err(VerifyError::from)?;
        let groups: Vec<_> = plain.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        Ok(Zeroizing::new(groups.join("-")))
    }

    fn code_hash(&self, person: &PersonName, plain: &str) -> [u8; 32] {
        let input = Zeroizing::new([person.as_str().as_bytes(), &[0], plain.as_bytes()].concat());
        *self.vault.hmac(CODE_LABEL, &input)
    }

    /// Spends an enrolment code. The caller has the turn, and lets nobody change factors.
    pub(super) async fn use_enrol_code(&self, person: &PersonName, code: &str) -> Result<(), EnrolError> {
        let now = self.clock.now();
        let mut keeping = self.factors.keeping(person);
        let typed = code.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
        let typed = typed.map(|byte| match byte.to_ascii_uppercase() {
            b'I' | b'L' => '1',
            b'O' => '0',
            other => char::from(other),
        });
        let hash = self.code_hash(person, &Zeroizing::new(typed.collect::<String>()));
        let waiting = keeping.enrol_code.as_ref().filter(|waiting| now.micros() < waiting.until_us);
        let fits = waiting.is_some_and(|waiting| bool::from(waiting.hash.ct_eq(&hash)));
        if !fits {
            // Nobody guesses it: tries are recorded, and not counted.
            if self.state().pace.allows(person, What::Refused, self.clock.monotonic()) {
                let event = stepgate_record::Event::FactorFailed {
                    person: person.into(),
                    factor: "enrolment-code".to_owned(),
                    reason: "wrong".to_owned(),
                    request: None,
                };
                self.log.append(vec![event], Vec::new()).await.map_err(VerifyError::from)?;
            }
            return Err(EnrolError::BadEnrolCode);
        }
        keeping.enrol_code = None;
        let writes = self.factors.keep(person, keeping)?;
        let event = noticed("factor.code_used", person, &Actor::from(Some(person.clone())));
        self.log.append(vec![event], writes.changes.clone()).await.map_err(VerifyError::from)?;
        Ok(())
    }

    /// Removes an authenticator: an operator does, or its owner by a proof of at least its strength. Grants and open
    /// requests of its owner are over at once.
    pub(super) async fn remove_factor(
        &self,
        person: &PersonName,
        id: &AuthenticatorId,
        by: &Actor,
        own: Option<(Presented, Source)>,
    ) -> Result<(), EnrolError> {
        {
            let _turn = self.turn.lock().await;
            let _changing = self.factors.changing().await;
            let credential = self.factors.get(person, id).ok_or(EnrolError::NoFactor)?;
            if let Some((presented, source)) = own {
                let bound = Bound::Purpose(Purpose::Manage);
                let required = credential.strength;
                let asked = Asked { person, source, bound: &bound, required, for_others: false };
                self.prove(&asked, &presented).await?;
            }
            let mut keeping = self.factors.keeping(person);
            keeping.had = true;
            keeping.failed.remove(&id.to_string());
            let mut changes = self.factors.keep(person, keeping)?.changes;
            changes.push(self.factors.removal(person, id));
            let event = about("factor.removed", person, by, id);
            self.log.append(vec![event], changes).await.map_err(VerifyError::from)?;
            self.factors.let_go(person, id);
            self.state().guard.unlock(person, id);
            self.void_votes(person);
        }
        Ok(self.revoke_person(person, by.clone()).await?)
    }

    /// Lets an authenticator be asked again that had been tried too often.
    pub(super) async fn unlock_factor(
        &self,
        person: &PersonName,
        id: &AuthenticatorId,
        by: &Actor,
    ) -> Result<(), EnrolError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        self.factors.get(person, id).ok_or(EnrolError::NoFactor)?;
        self.state().guard.unlock(person, id);
        let writes = self.guarded(&self.state(), person)?;
        let event = about("factor.unlocked", person, by, id);
        self.log.append(vec![event], writes.changes.clone()).await.map_err(VerifyError::from)?;
        Ok(())
    }

    /// An operator asks for all authenticators of a person to be removed. Nothing happens until somebody else confirms
    /// it; the person hears of it.
    pub(super) async fn ask_reset(&self, person: &PersonName, by: &Actor) -> Result<(), EnrolError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        self.people.get(person).ok_or(EnrolError::UnknownPerson)?;
        let mut keeping = self.factors.keeping(person);
        keeping.reset_asked_until_us = Some(self.clock.now().plus(RESET_LIFE).micros());
        let writes = self.factors.keep(person, keeping)?;
        let event = noticed("factor.reset_asked", person, by);
        self.log.append(vec![event], writes.changes.clone()).await.map_err(VerifyError::from)?;
        Ok(())
    }

    /// Whether this person may confirm a reset of that one: it was asked for, it is not their own, and they are of
    /// the group that may, where one is configured.
    pub(super) fn may_confirm(&self, target: &PersonName, by: &PersonName) -> Result<(), EnrolError> {
        let asked = self.factors.keeping(target).reset_asked_until_us;
        let is_asked = asked.is_some_and(|until| self.clock.now().micros() < until);
        let confirmer = self.people.get(by).filter(|person| !person.service).ok_or(EnrolError::NoReset)?;
        let group = self.factors.rules().reset_group;
        let may = group.is_none_or(|group| confirmer.groups.contains(&group));
        let known = self.people.get(target).is_some();
        if is_asked && may && known && by != target { Ok(()) } else { Err(EnrolError::NoReset) }
    }

    /// Somebody else confirms it by a factor that is old enough: all authenticators of the person are gone, grants
    /// and open requests are over, and a first one may be enrolled by a code of the operator's within a day.
    pub(super) async fn confirm_reset(
        &self,
        target: &PersonName,
        by: &PersonName,
        presented: &Presented,
        source: Source,
    ) -> Result<(), EnrolError> {
        let actor = Actor::from(Some(by.clone()));
        {
            let _turn = self.turn.lock().await;
            let _changing = self.factors.changing().await;
            self.may_confirm(target, by)?;
            let bound = Bound::Purpose(Purpose::Reset(target.clone()));
            let asked =
                Asked { person: by, source, bound: &bound, required: Strength::Standard, for_others: true };
            self.prove(&asked, presented).await?;
            let mut keeping = self.factors.keeping(target);
            keeping.had = true;
            keeping.reset_asked_until_us = None;
            keeping.reset_until_us = Some(self.clock.now().plus(RESET_LIFE).micros());
            keeping.enrol_code = None;
            keeping.trusted.clear();
            keeping.failed.clear();
            let ids: Vec<_> = self.factors.list(target).iter().map(|it| it.id.clone()).collect();
            let mut changes = self.factors.keep(target, keeping)?.changes;
            changes.extend(ids.iter().map(|id| self.factors.removal(target, id)));
            let mut events = vec![noticed("factor.reset", target, &actor)];
            events.extend(ids.iter().map(|id| about("factor.removed", target, &actor, id)));
            self.log.append(events, changes).await.map_err(VerifyError::from)?;
            ids.iter().for_each(|id| self.factors.let_go(target, id));
            self.state().guard.forget(target);
            self.void_votes(target);
        }
        Ok(self.revoke_person(target, actor).await?)
    }
}

impl From<PersonError> for DeskError {
    fn from(error: PersonError) -> Self {
        Self::Log(error.into())
    }
}
