//! Factors that people have enrolled.

use std::sync::Arc;

use stepgate_types::{PersonName, Timestamp};
use zeroize::Zeroizing;

use crate::PersonError;

/// A factor of one person. So far only TOTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Factor {
    /// Which: `totp`.
    pub kind: String,
    /// The shared secret.
    pub secret: Zeroizing<Vec<u8>>,
    /// When enrolled.
    pub enrolled: Timestamp,
}

/// The factors, read from memory, sealed on disk. Cheap to clone.
#[derive(Clone)]
pub struct Factors {}

impl Factors {
    /// A person's TOTP secret, if they have one.
    #[must_use]
    pub fn totp(&self, _name: &PersonName) -> Option<Arc<Factor>> {
        None
    }

    /// A person's factors.
    #[must_use]
    pub fn list(&self, _name: &PersonName) -> Vec<Arc<Factor>> {
        Vec::new()
    }

    /// Enrols (or replaces) a person's TOTP secret.
    ///
    /// # Errors
    /// See [`PersonError`]; the person must exist.
    pub async fn enrol_totp(
        &self,
        _name: &PersonName,
        _secret: &[u8],
        _by: Option<PersonName>,
    ) -> Result<(), PersonError> {
        Err(crate::LogError::Closed.into())
    }

    /// Removes a person's factor of that kind.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn remove(
        &self,
        _name: &PersonName,
        _kind: &str,
        _by: Option<PersonName>,
    ) -> Result<(), PersonError> {
        Err(crate::LogError::Closed.into())
    }
}
