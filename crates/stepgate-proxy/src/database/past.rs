//! What was known of a database before it was opened.

use std::sync::Arc;

use stepgate_store::{Log, LogError, Vault};

use super::Database;
use crate::binding::{self, StoredBindings};

/// Which columns were bound before now.
pub(crate) enum Past {
    /// Read already.
    Known(StoredBindings),
    /// As the store has it, once the one of that name that was open before has written its last.
    Stored {
        /// The store.
        log: Log,
        /// Opens it.
        vault: Vault,
        /// Which.
        before: Option<Arc<Database>>,
    },
}

impl Past {
    /// With the one of that name that was open before.
    pub(crate) fn after(self, database: Option<Arc<Database>>) -> Self {
        match self {
            Self::Stored { log, vault, .. } => Self::Stored { log, vault, before: database },
            known @ Self::Known(_) => known,
        }
    }

    pub(super) async fn read(&mut self, name: &str) -> Result<&mut StoredBindings, LogError> {
        if let Self::Stored { log, vault, before } = self {
            if let Some(before) = before.take() {
                drop(before.reader.lock().await);
            }
            *self = Self::Known(binding::load_one(log.clone(), vault.clone(), name.to_owned()).await?);
        }
        match self {
            Self::Known(bindings) => Ok(bindings),
            Self::Stored { .. } => Err(LogError::Closed),
        }
    }

    pub(super) const fn known(&self) -> Option<&StoredBindings> {
        if let Self::Known(bindings) = self { Some(bindings) } else { None }
    }
}
