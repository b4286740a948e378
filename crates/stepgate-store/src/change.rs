//! What is kept beside the log, and how it changes.

use crate::beside::{MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// Something kept beside the log, in a tree of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// People who may connect.
    People,
    /// Their factors.
    Factors,
    /// Free for the projections of requests and grants.
    Desk,
    /// What tables hold of labelled columns.
    Taints,
    /// Which columns hold something classified, by OID.
    Bindings,
    /// The personal values that records commit to.
    Subjects,
    /// What limits have counted over sessions and windows.
    Meters,
}

impl Side {
    /// All of them. Their places here are kept in files.
    pub(crate) const ALL: [Self; 7] =
        [Self::People, Self::Factors, Self::Desk, Self::Taints, Self::Bindings, Self::Subjects, Self::Meters];

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::People => 0,
            Self::Factors => 1,
            Self::Desk => 2,
            Self::Taints => 3,
            Self::Bindings => 4,
            Self::Subjects => 5,
            Self::Meters => 6,
        }
    }

    /// The name of its tree.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Factors => "factors",
            Self::Desk => "desk",
            Self::Taints => "taints",
            Self::Bindings => "bindings",
            Self::Subjects => "subjects",
            Self::Meters => "meters",
        }
    }
}

/// Key and value in a side tree.
pub type Entry = (Vec<u8>, Vec<u8>);

/// One write beside the log, on disk together with the events it is appended with. Keys have at most 256
/// bytes, values 4,096.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put {
        /// Where.
        side: Side,
        /// Key.
        key: Vec<u8>,
        /// Value.
        value: Vec<u8>,
    },
    /// Removes a key.
    Delete {
        /// Where.
        side: Side,
        /// Key.
        key: Vec<u8>,
    },
}

impl Change {
    /// Which tree.
    #[must_use]
    pub const fn side(&self) -> Side {
        match self {
            Self::Put { side, .. } | Self::Delete { side, .. } => *side,
        }
    }

    /// Of which entry.
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// About how much room it takes, in bytes.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len().saturating_add(value.len()).saturating_add(16),
            Self::Delete { key, .. } => key.len().saturating_add(16),
        }
    }

    pub(crate) fn fits(&self) -> bool {
        match self {
            Self::Put { key, value, .. } => key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES,
            Self::Delete { key, .. } => key.len() <= MAX_KEY_BYTES,
        }
    }
}
