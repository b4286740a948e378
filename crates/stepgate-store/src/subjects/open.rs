//! Opening what there is of personal values.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::ration::Ration;
use super::{Inner, State, Subjects, epochs};
use crate::beside::Beside;
use crate::files::AtPath as _;
use crate::kek::{self, Keks};
use crate::layout::Layout;
use crate::{OpenError, Vault};

impl Subjects {
    /// Those of a data directory. What an interrupted erasure left to do is done by [`Subjects::finish_shredding`].
    pub(crate) fn open_dir(layout: &Layout, beside: &Arc<Beside>, vault: &Vault) -> Result<Self, OpenError> {
        let sealed_by = epochs(beside).map_err(|why| layout.damaged(why))?;
        let Keks { current, old, replaces } = Keks::open(layout, vault, !sealed_by.is_empty())?;
        let epochs = [Some(current.epoch), old.as_ref().map(|old| old.epoch)];
        if sealed_by.into_iter().any(|epoch| !epochs.contains(&epoch)) {
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
            leaving: HashSet::new(),
            staging: Arc::default(),
            ration: Ration::default(),
        };
        Ok(Self(Some(Arc::new(Inner {
            beside: Arc::clone(beside),
            layout: layout.clone(),
            vault: vault.clone(),
            state: Mutex::new(state),
            shredding: Mutex::new(()),
            swept: Mutex::default(),
        }))))
    }
}
