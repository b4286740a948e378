//! How much work one message may make.

use std::cell::Cell;
use std::rc::Rc;

/// The most steps of one message: an expression looked at, a column expanded, merged or reported. A step takes about a
/// microsecond in a release build (`cargo nextest run --release -p stepgate-sql --test limits --no-capture`).
const MAX_STEPS: usize = 400_000;

/// The most of a message that is read at once: more would keep others waiting.
pub(crate) const AT_ONCE: usize = 5_000;

/// What is left of it. Clones share it.
#[derive(Clone)]
pub(crate) struct Budget(Rc<Cell<usize>>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_STEPS)
    }
}

impl Budget {
    pub(crate) fn of(steps: usize) -> Self {
        Self(Rc::new(Cell::new(steps)))
    }

    /// Whether nothing is left: what was found out is not all.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Takes so many steps; false if there are not as many left.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}
