//! What the desk does for those who enrol, lose or reset authenticators.

use std::sync::Arc;

use serde_json::Value;
use stepgate_approval::{AuthenticatorId, Method, Proof, Source};
use stepgate_types::{Actor, PersonName};
use zeroize::Zeroizing;

use super::{Desk, Enrol, EnrolError, Presented, finish};

impl Desk {
    /// Begins to enrol an authenticator; gives what the client is shown, and waits ten minutes to be confirmed.
    /// Recovery codes are shown and enrolled at once.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enrol(&self, enrol: Enrol) -> Result<Value, EnrolError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.enrol(enrol).await }).await
    }

    /// Confirms an enrolment by a proof of the new authenticator. It is spent.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enrol_confirm(
        &self,
        person: &PersonName,
        method: Method,
        proof: Proof,
    ) -> Result<AuthenticatorId, EnrolError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        finish(async move { inner.enrol_confirm(&person, method, &proof).await }).await
    }

    /// Begins to enrol a TOTP authenticator in the place of the one that a `code` is given of: a fresh secret as
    /// `otpauth://` URI.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enroll_begin(
        &self,
        person: &PersonName,
        code: Option<&str>,
        source: impl Into<Source>,
    ) -> Result<Zeroizing<String>, EnrolError> {
        let replaces = self.0.factors.totp(person).map(|it| it.id.clone());
        let presented = code.map(Presented::code);
        let enrol = Enrol { replaces, presented, ..Enrol::new(person, Method::Totp, source.into()) };
        let shown = self.enrol(enrol).await?;
        Ok(Zeroizing::new(shown.get("otpauth_uri").and_then(Value::as_str).unwrap_or_default().to_owned()))
    }

    /// Confirms it with a code of the new authenticator.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enroll_confirm(
        &self,
        person: &PersonName,
        code: &str,
        _source: impl Into<Source>,
    ) -> Result<(), EnrolError> {
        let proof = Proof::Code(Zeroizing::new(code.to_owned()));
        self.enrol_confirm(person, Method::Totp, proof).await.map(drop)
    }

    /// Makes a code by which a person may enrol their first authenticator, or a stronger one than they have: good
    /// once, for ten minutes. For operators.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enrol_code(
        &self,
        person: &PersonName,
        by: impl Into<Actor>,
    ) -> Result<Zeroizing<String>, EnrolError> {
        let (inner, person, by) = (Arc::clone(&self.0), person.clone(), by.into());
        finish(async move { inner.enrol_code(&person, &by).await }).await
    }

    /// Removes an authenticator. Its owner proves themselves by one of at least its strength; `None` is an operator.
    /// Grants and open requests of its owner are over at once.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn remove_factor(
        &self,
        person: &PersonName,
        id: &AuthenticatorId,
        by: impl Into<Actor>,
        own: Option<(Presented, Source)>,
    ) -> Result<(), EnrolError> {
        let (inner, person, id, by) = (Arc::clone(&self.0), person.clone(), id.clone(), by.into());
        finish(async move { inner.remove_factor(&person, &id, &by, own).await }).await
    }

    /// Lets an authenticator be asked again that had been tried too often. For operators.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn unlock_factor(
        &self,
        person: &PersonName,
        id: &AuthenticatorId,
        by: impl Into<Actor>,
    ) -> Result<(), EnrolError> {
        let (inner, person, id, by) = (Arc::clone(&self.0), person.clone(), id.clone(), by.into());
        finish(async move { inner.unlock_factor(&person, &id, &by).await }).await
    }

    /// An operator asks for all authenticators of a person to be removed. Nothing happens until somebody else
    /// confirms it by [`Desk::confirm_reset`], within a day.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn ask_reset(&self, person: &PersonName, by: impl Into<Actor>) -> Result<(), EnrolError> {
        let (inner, person, by) = (Arc::clone(&self.0), person.clone(), by.into());
        finish(async move { inner.ask_reset(&person, &by).await }).await
    }

    /// Somebody else confirms a reset, by a factor that counts for requests of others.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn confirm_reset(
        &self,
        target: &PersonName,
        by: &PersonName,
        presented: Presented,
        source: Source,
    ) -> Result<(), EnrolError> {
        let (inner, target, by) = (Arc::clone(&self.0), target.clone(), by.clone());
        finish(async move { inner.confirm_reset(&target, &by, &presented, source).await }).await
    }
}
