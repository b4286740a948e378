//! Opening what there is of personal values.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{BY_COMMIT, Inner, State, Subjects, epoch_of};
use crate::beside::Beside;
use crate::files::AtPath as _;
use crate::kek::{self, Keks};
use crate::layout::Layout;
use crate::{OpenError, Side, Vault};

impl Subjects {
    /// Those of a data directory. What an interrupted erasure left to do is done by [`Subjects::finish_shredding`].
    pub(crate) fn open_dir(layout: &Layout, beside: &Arc<Beside>, vault: &Vault) -> Result<Self, OpenError> {
        let entries = beside.side(Side::Subjects).map_err(|why| layout.damaged(why))?;
        let Keks { current, old, replaces } = Keks::open(layout, vault, !entries.is_empty())?;
        let epochs = [Some(current.epoch), old.as_ref().map(|old| old.epoch)];
        let values = entries.iter().filter(|(key, _)| key.first() == Some(&BY_COMMIT));
        if values.into_iter().any(|(_, value)| !epochs.contains(&epoch_of(value))) {
            return Err(layout.damaged("subjects.kek is not the key that personal values are sealed by"));
        }
        if replaces {
            let path = layout.subjects_key();
            kek::replace(layout, vault).at(&path)?;
        }
        let state = State {
            current,
            old,
            by_value: Default::default(),
            known: HashMap::new(),
            pending: HashMap::new(),
            leaving: None,
        };
        Ok(Self(Some(Arc::new(Inner {
            beside: Arc::clone(beside),
            layout: layout.clone(),
            vault: vault.clone(),
            state: Mutex::new(state),
            shredding: Mutex::new(()),
        }))))
    }
}
