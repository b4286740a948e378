//! Portals that are open, by name, and how far each is.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::outlet::Opened;
use crate::registry::bytes_of;

/// The most portals remembered for a session.
const MAX_PORTALS: usize = 1_024;

/// The most bytes of what is known of them.
const MAX_BYTES: usize = 8 << 20;

/// The portals of a session that are known. The unnamed one has a place of its own: it comes and goes with every statement
/// of most drivers.
#[derive(Debug, Default)]
pub(crate) struct Portals {
    unnamed: Option<Portal>,
    named: BTreeMap<Bytes, Portal>,
    /// As which the named ones count, at most: those that are gone are counted until there are too many.
    bytes: usize,
}

#[derive(Debug)]
struct Portal {
    opened: Opened,
    /// All its rows have come.
    finished: bool,
}

impl Portal {
    fn bytes(&self) -> usize {
        let traces = self.opened.traces();
        bytes_of(&traces.shows).saturating_add(traces.text.as_ref().map_or(0, |text| text.sql.len()))
    }
}

impl Portals {
    /// A portal of this name was opened, in the place of what had the name before.
    pub(crate) fn insert(&mut self, name: Bytes, opened: Opened) {
        let portal = Portal { opened, finished: false };
        if name.is_empty() {
            self.unnamed = Some(portal);
            return;
        }
        let own = portal.bytes();
        self.bytes = self.bytes.saturating_add(own);
        if self.bytes > MAX_BYTES {
            self.bytes = self.named.values().map(Portal::bytes).fold(own, usize::saturating_add);
        }
        if self.named.len() >= MAX_PORTALS || self.bytes > MAX_BYTES {
            // Forgetting them makes their next Execute unknown: asked again rather than let through.
            self.clear();
            self.bytes = own;
        }
        self.named.insert(name, portal);
    }

    pub(crate) fn get(&self, name: &Bytes) -> Option<&Opened> {
        let portal = if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) };
        portal.map(|portal| &portal.opened)
    }

    /// The names of all of them, and whether all rows of each have come.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, bool)> {
        static UNNAMED: Bytes = Bytes::new();
        let unnamed = self.unnamed.iter().map(|portal| (&UNNAMED, portal.finished));
        unnamed.chain(self.named.iter().map(|(name, portal)| (name, portal.finished)))
    }

    /// Whether there are any besides the unnamed one.
    pub(crate) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// Whether there is one that this statement opened.
    pub(crate) fn has_of(&self, number: u64) -> bool {
        self.unnamed.iter().chain(self.named.values()).any(|portal| portal.opened.number() == number)
    }

    /// All rows have come of one that this statement opened.
    pub(crate) fn has_finished(&mut self, number: u64) {
        let mut all = self.unnamed.iter_mut().chain(self.named.values_mut());
        if let Some(portal) = all.find(|portal| portal.opened.number() == number) {
            portal.finished = true;
        }
    }

    pub(crate) fn remove(&mut self, name: &Bytes) {
        if name.is_empty() {
            self.unnamed = None;
        } else {
            self.named.remove(name);
        }
    }

    /// What is known of the named ones, in bytes, at most.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
        self.bytes = 0;
    }

    /// Keeps those whose names `keeps` says of; none of them has all its rows then, as far as is known.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&Bytes) -> bool) {
        self.unnamed = self.unnamed.take().filter(|_| keeps(&Bytes::new()));
        self.named.retain(|name, _| keeps(name));
        self.unnamed.iter_mut().chain(self.named.values_mut()).for_each(|portal| portal.finished = false);
    }
}
