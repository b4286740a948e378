//! Whether the provider answers: while it does not, people are offered what else they have, with the reason.

use std::sync::PoisonError;
use std::time::Duration;

use stepgate_approval::{Channel, Message};

use super::flow::OidcError;
use super::provider::Oidc;

/// How long a provider that did not answer is not offered: then somebody tries it again.
const PAUSE: Duration = Duration::from_secs(30);

impl Oidc {
    /// Remembers whether it said what it is. Nothing else counts: what comes of a code is whoever's who has sent the code.
    pub(super) fn heard<T>(&self, said: Result<T, OidcError>) -> Result<T, OidcError> {
        let silent = matches!(said, Err(OidcError::Provider(_))).then(|| self.clock.monotonic());
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = silent;
        said
    }
}

impl Channel for Oidc {
    fn health(&self) -> Result<(), String> {
        let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let paused = silent.is_some_and(|since| self.clock.monotonic() < since.saturating_add(PAUSE));
        if paused { Err("the identity provider does not answer".to_owned()) } else { Ok(()) }
    }

    fn send(&self, _: Message) -> Result<(), String> {
        Err("nothing is sent by a login".to_owned())
    }
}
