//! Whether something that was given is still in force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Shared by who may take it back and who goes by it. It is taken back at most once.
#[derive(Debug, Clone, Default)]
pub struct InForce(Arc<AtomicBool>);

impl InForce {
    /// Takes it back: from now on nobody goes by it.
    pub fn end(&self) {
        self.0.store(true, SeqCst);
    }

    /// Whether it has not been taken back.
    #[must_use]
    pub fn is(&self) -> bool {
        !self.0.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_so_for_whoever_has_a_share_in_it() {
        let given = InForce::default();
        let share = given.clone();
        assert!(share.is());
        given.end();
        assert!(!share.is() && !given.is());
    }
}
