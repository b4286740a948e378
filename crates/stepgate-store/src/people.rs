//! People who may connect, with what checks their passwords.

use std::sync::Arc;

use stepgate_types::{GroupName, PersonName, Timestamp};

use crate::{Factors, Log, LogError, ScramSecret, Vault, VaultError};

/// A person (or service) that the gate knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: PersonName,
    /// Groups.
    pub groups: Vec<GroupName>,
    /// A service: never asked to verify itself.
    pub service: bool,
    /// Checks the password.
    pub scram: ScramSecret,
    /// When added.
    pub added: Timestamp,
}

/// A person to be added.
pub struct NewPerson<'a> {
    /// Name.
    pub name: PersonName,
    /// Groups.
    pub groups: Vec<GroupName>,
    /// A service.
    pub service: bool,
    /// Password.
    pub password: &'a str,
}

/// Why people could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// The name is taken.
    #[error("{0} exists already")]
    Exists(PersonName),
    /// There is no such person.
    #[error("there is no {0}")]
    Unknown(PersonName),
    /// There are as many people as the gate keeps, or the entry is too large.
    #[error("{0}")]
    Limit(String),
    /// A stored entry does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The people, read from memory, written through the log. Cheap to clone.
#[derive(Clone)]
pub struct People {}

impl People {
    /// Loads the people (and their factors) of `log`.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub fn open(_log: &Log, _vault: &Vault) -> Result<Self, PersonError> {
        Err(LogError::Closed.into())
    }

    /// Their factors.
    #[must_use]
    pub fn factors(&self) -> Factors {
        Factors {}
    }

    /// Looks somebody up.
    #[must_use]
    pub fn get(&self, _name: &PersonName) -> Option<Arc<Person>> {
        None
    }

    /// Everybody, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Person>> {
        Vec::new()
    }

    /// What a name that nobody has is challenged with: the same each time, so that unknown names cannot
    /// be told from wrong passwords.
    #[must_use]
    pub fn mock_secret(&self, _name: &str) -> ScramSecret {
        ScramSecret::new("", &[0; 16])
    }

    /// The person of this name and password; unknown names take as long as known ones.
    #[must_use]
    pub fn verify_password(&self, _name: &PersonName, _password: &str) -> Option<Arc<Person>> {
        None
    }

    /// Adds somebody. `by` is who does it; `None` is the operator at the gate's own machine.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn add(&self, _new: NewPerson<'_>, _by: Option<PersonName>) -> Result<(), PersonError> {
        Err(LogError::Closed.into())
    }

    /// Removes somebody and their factors.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn remove(&self, _name: &PersonName, _by: Option<PersonName>) -> Result<(), PersonError> {
        Err(LogError::Closed.into())
    }

    /// Sets a password.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn set_password(
        &self,
        _name: &PersonName,
        _password: &str,
        _by: Option<PersonName>,
    ) -> Result<(), PersonError> {
        Err(LogError::Closed.into())
    }

    /// Sets groups.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn set_groups(
        &self,
        _name: &PersonName,
        _groups: Vec<GroupName>,
        _by: Option<PersonName>,
    ) -> Result<(), PersonError> {
        Err(LogError::Closed.into())
    }
}
