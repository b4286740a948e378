/// Whether a condition holds, where what is known may not suffice to tell (Kleene's three values).
///
/// A rule fires unless its condition is certainly `No`. So doubt survives `not`: a statement that cannot
/// be read is never certainly without a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    No,
    Maybe,
    Yes,
}

impl Truth {
    /// `Yes` where it is seen to hold; where it is not, what `doubt` leaves open.
    pub(crate) const fn seen(holds: bool, doubt: bool) -> Self {
        match (holds, doubt) {
            (true, _) => Self::Yes,
            (false, true) => Self::Maybe,
            (false, false) => Self::No,
        }
    }

    pub(crate) const fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }

    /// Holds where all do.
    pub(crate) fn all(parts: impl Iterator<Item = Self>) -> Self {
        let mut least = Self::Yes;
        for part in parts {
            least = least.min(part);
            if least == Self::No {
                break;
            }
        }
        least
    }

    /// Holds where any does.
    pub(crate) fn any(parts: impl Iterator<Item = Self>) -> Self {
        parts.max().unwrap_or(Self::No)
    }
}
