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

    /// Confirms an enrolment by a proof of the new authenticator, in the `login` in which it was begun. It is spent.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enrol_confirm(
        &self,
        person: &PersonName,
        method: Method,
        proof: Proof,
        login: Option<[u8; 32]>,
    ) -> Result<AuthenticatorId, EnrolError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        finish(async move { inner.enrol_confirm(&person, method, &proof, login).await }).await
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
