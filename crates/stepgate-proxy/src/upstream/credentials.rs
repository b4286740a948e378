use std::sync::{Arc, PoisonError, RwLock};

use stepgate_types::GroupName;
use zeroize::Zeroizing;

/// A password, wiped afterwards. Clones are one and the same: a new one that is configured while the gate runs holds
/// for every connection from then on.
#[derive(Clone, Default)]
pub struct Password(Arc<RwLock<Zeroizing<String>>>);

impl Password {
    /// As it is now.
    #[must_use]
    pub fn get(&self) -> Zeroizing<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over another's.
    pub(crate) fn replace_with(&self, other: &Self) {
        let now = other.get();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl From<Zeroizing<String>> for Password {
    fn from(text: Zeroizing<String>) -> Self {
        Self(Arc::new(RwLock::new(text)))
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Zeroizing::new(text).into()
    }
}

/// Whom the gate is upstream. The password does not show in debug output.
#[derive(Clone)]
pub struct Credentials {
    /// The database role.
    pub user: String,
    /// Its password.
    pub password: Password,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A database role, and whose statements run as it.
#[derive(Debug, Clone)]
pub struct Role {
    /// Groups; whoever is in any of them. None: everybody.
    pub groups: Vec<GroupName>,
    /// The role.
    pub credentials: Arc<Credentials>,
}

impl Role {
    /// A role for everybody.
    #[must_use]
    pub const fn of_everybody(credentials: Arc<Credentials>) -> Self {
        Self { groups: Vec::new(), credentials }
    }

    /// Whether it is for somebody in these groups.
    #[must_use]
    pub fn is_for(&self, groups: &[GroupName]) -> bool {
        self.groups.is_empty() || groups.iter().any(|group| self.groups.contains(group))
    }
}
