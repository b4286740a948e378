use std::collections::BTreeSet;
use std::ops::BitOr;

use stepgate_types::Use;

/// A set of uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Uses(u8);

impl Uses {
    pub(super) const OUTPUT: Self = Self(1);
    pub(super) const PREDICATE: Self = Self(2);
    pub(super) const GROUPING: Self = Self(4);
    pub(super) const ORDERING: Self = Self(8);
    pub(super) const WRITE: Self = Self(16);
    pub(super) const HIDDEN: Self = Self(32);
    /// A value of the row whose trigger runs. It may be stored elsewhere; nobody reads it thereby.
    pub(super) const ROW: Self = Self(64);

    pub(super) const fn are_output(self) -> bool {
        self.0 & (Self::OUTPUT.0 | Self::ROW.0) != 0
    }

    pub(super) const fn are_write(self) -> bool {
        self.0 & Self::WRITE.0 != 0
    }

    pub(super) const fn are_predicate(self) -> bool {
        self.0 & Self::PREDICATE.0 != 0
    }

    pub(super) const fn are_sorted(self) -> bool {
        self.0 & (Self::GROUPING.0 | Self::ORDERING.0) != 0
    }

    /// The uses by which something is read.
    pub(super) const fn without_write(self) -> Self {
        Self(self.0 & !Self::WRITE.0)
    }

    /// Whether its value goes into anything: not where it is only written, or seen by how something else went.
    pub(super) const fn are_taken(self) -> bool {
        self.0 & !(Self::WRITE.0 | Self::HIDDEN.0) != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn set(self) -> BTreeSet<Use> {
        [
            (Self::OUTPUT, Use::Output),
            (Self::PREDICATE, Use::Predicate),
            (Self::GROUPING, Use::Grouping),
            (Self::ORDERING, Use::Ordering),
            (Self::WRITE, Use::Write),
            (Self::HIDDEN, Use::Hidden),
        ]
        .into_iter()
        .filter(|(bit, _)| self.0 & bit.0 != 0)
        .map(|(_, named)| named)
        .collect()
    }
}

impl BitOr for Uses {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
