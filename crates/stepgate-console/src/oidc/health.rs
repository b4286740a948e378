//! Whether the provider works, by how the last call of it went: people are not sent to a door that does not open.
//!
//! Only what the provider does counts, never what somebody hands in: nobody can make it look broken to others.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stepgate_approval::{Channel, Message};

use super::Oidc;
use super::flow::OidcError;

/// What is known of it is believed for so long where somebody is about to be sent there whom nobody knows yet: anybody can
/// ask for that, and so have it asked. Of who is known it is asked each time.
pub(super) const BEFORE_LEAVING: Duration = Duration::from_secs(2);

/// Why it does not work, in words for people; `None`: it does, as far as is known.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<&'static str>>);

impl Health {
    /// It answers as it should.
    pub(super) fn up(&self) {
        let was = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if was.is_some() {
            tracing::info!("the identity provider answers again");
        }
    }

    /// It does not.
    pub(super) fn down(&self, why: &'static str) {
        let was = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(why);
        if was.is_none() {
            tracing::warn!(why, "the identity provider does not work");
        }
    }

    fn now(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How people are told that it does not work. Nothing is ever sent by it.
impl Channel for Oidc {
    fn health(&self) -> Result<(), String> {
        self.health.now().map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn send(&self, _: Message) -> Result<(), String> {
        Err("nothing is sent by way of an identity provider".to_owned())
    }
}

impl Oidc {
    /// Whether the last call of it failed.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.health.now().is_some()
    }

    /// Takes down how a look at what it says of itself went.
    pub(super) fn looked<T>(&self, looked: Result<T, OidcError>) -> Result<T, OidcError> {
        match &looked {
            Ok(_) => self.health.up(),
            Err(OidcError::Provider(_)) => {
                self.health.down("the identity provider cannot be reached, or does not answer as it should");
            }
            Err(_) => {}
        }
        looked
    }
}
