//! How much work one message may make.

use std::cell::Cell;
use std::rc::Rc;

/// The most steps of one message: an expression looked at, a column expanded, merged or reported. A step takes a
/// microsecond at most in a release build (`tests/limits.rs`, docs/ANALYSIS.md).
const MAX_STEPS: usize = 500_000;

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
