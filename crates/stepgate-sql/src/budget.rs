//! How much work one message may make.

use std::cell::Cell;
use std::rc::Rc;

/// The most steps of one message: an expression looked at, a column expanded, merged or reported. A step takes about a
/// microsecond in a release build (`cargo nextest run --release -p stepgate-sql --test limits --no-capture`).
const MAX_STEPS: usize = 400_000;

/// What is left of it. Clones share it.
#[derive(Clone)]
pub(crate) struct Budget(Rc<Cell<usize>>);

impl Default for Budget {
    fn default() -> Self {
        Self(Rc::new(Cell::new(MAX_STEPS)))
    }
}

impl Budget {
    /// Takes so many steps; false if there are not as many left.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}
