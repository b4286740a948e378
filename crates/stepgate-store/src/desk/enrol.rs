//! Enrols authenticators. Only a confirmed secret counts, and a password alone replaces none.

use std::net::IpAddr;
use std::time::Duration;

use stepgate_approval::Secret;
use stepgate_types::PersonName;
use zeroize::Zeroizing;

use super::answer::verified;
use super::inner::Inner;
use super::state::Enrolment;
use super::{DeskError, EnrolError, VerifyError};

/// How long an unconfirmed secret lives (NIST SP 800-63B-4: at most ten minutes).
const LIFETIME: Duration = Duration::from_secs(600);

/// Unconfirmed secrets at once, one for each person at most.
const MAX_ENROLMENTS: usize = 1000;

impl Inner {
    pub(super) async fn enroll_begin(
        &self,
        person: &PersonName,
        code: Option<&str>,
        source: IpAddr,
    ) -> Result<Zeroizing<String>, EnrolError> {
        let _turn = self.turn.lock().await;
        self.people.get(person).ok_or(EnrolError::UnknownPerson)?;
        let replaces = self.factors.totp(person).map(|factor| factor.enrolled);
        if replaces.is_some() {
            let code = code.ok_or(EnrolError::CodeNeeded)?;
            self.prove_in_turn(person, code, source).await?;
        }
        let no_entropy = |_| EnrolError::Verify(VerifyError::Desk(DeskError::NoEntropy));
        let secret = Secret::generate(&*self.entropy).map_err(no_entropy)?;
        let uri = secret.otpauth_uri(person);
        let elapsed = self.clock.monotonic();
        let mut state = self.state();
        state.enrolments.retain(|name, enrolment| name != person && enrolment.until > elapsed);
        if state.enrolments.len() >= MAX_ENROLMENTS {
            return Err(EnrolError::Full);
        }
        let until = elapsed.saturating_add(LIFETIME);
        state.enrolments.insert(person.clone(), Enrolment { secret, until, replaces });
        Ok(uri)
    }

    pub(super) async fn enroll_confirm(
        &self,
        person: &PersonName,
        code: &str,
        source: IpAddr,
    ) -> Result<(), EnrolError> {
        let _turn = self.turn.lock().await;
        let elapsed = self.clock.monotonic();
        let secret = {
            let state = self.state();
            let begun = state.enrolments.get(person).filter(|enrolment| enrolment.until > elapsed);
            let enrolment = begun.ok_or(EnrolError::NotBegun)?;
            // Begun with a stolen password before the person enrolled themselves: that must not replace
            // what they have enrolled since.
            if enrolment.replaces != self.factors.totp(person).map(|factor| factor.enrolled) {
                return Err(EnrolError::NotBegun);
            }
            enrolment.secret.clone()
        };
        let checked = self.check_against(&mut self.state(), Some(&secret), None, person, code, source);
        let step = match checked {
            Ok(step) => step,
            Err(failed) => return Err(self.refuse(failed, person, None).await.into()),
        };
        // Spent first: were the order the other way round, a crash in between would leave the code good
        // for a second use.
        self.state().spend(person, step);
        self.log.append(vec![verified(person, step, None)], Vec::new()).await.map_err(VerifyError::from)?;
        self.factors.enrol_totp(person, secret.as_bytes(), Some(person.clone())).await?;
        self.state().enrolments.remove(person);
        Ok(())
    }
}
