//! The same for a caller that is no task: the command line where no gate serves.

use stepgate_types::{Actor, GroupName, PersonName};

use super::{NewPerson, People, PersonError};
use crate::wait::block_on;

impl People {
    /// [`People::add`] for callers without a runtime.
    ///
    /// # Errors
    /// As [`People::add`].
    pub fn add_blocking(&self, new: NewPerson<'_>, by: impl Into<Actor>) -> Result<(), PersonError> {
        block_on(self.add(new, by))
    }

    /// [`People::remove`] for callers without a runtime.
    ///
    /// # Errors
    /// As [`People::remove`].
    pub fn remove_blocking(&self, name: &PersonName, by: impl Into<Actor>) -> Result<(), PersonError> {
        block_on(self.remove(name, by))
    }

    /// [`People::set_password`] for callers without a runtime.
    ///
    /// # Errors
    /// As [`People::set_password`].
    pub fn set_password_blocking(
        &self,
        name: &PersonName,
        password: &str,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        block_on(self.set_password(name, password, by))
    }

    /// [`People::set_groups`] for callers without a runtime.
    ///
    /// # Errors
    /// As [`People::set_groups`].
    pub fn set_groups_blocking(
        &self,
        name: &PersonName,
        groups: Vec<GroupName>,
        by: impl Into<Actor>,
    ) -> Result<(), PersonError> {
        block_on(self.set_groups(name, groups, by))
    }
}
