//! Settings that statements under way may have changed: the server tells of them with ReadyForQuery alone (since PostgreSQL 14,
//! `ReportChangedGUCOptions` of guc.c), and what it is sent before that, it reads by values that nobody knows yet.

/// Whether some settings are what they are known to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Doubt {
    unsure: bool,
    /// They may have been set in the open transaction, whose end may undo that.
    touched: bool,
}

impl Doubt {
    /// A statement is on its way that sets them, or may; or that ends its transaction or a part of it. Whether there is a
    /// doubt about them that this statement brought or renewed.
    pub(crate) const fn takes(&mut self, sets: bool, ends: bool) -> bool {
        let changes = sets || (ends && self.touched);
        self.touched |= sets;
        self.unsure |= changes;
        changes
    }

    /// The server has told. `idle`: no transaction is open.
    pub(crate) const fn told(&mut self, idle: bool) {
        self.unsure = false;
        self.touched &= !idle;
    }

    pub(crate) const fn is_unsure(self) -> bool {
        self.unsure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_unsure_until_told_and_once_more_when_its_transaction_ends() {
        let mut doubt = Doubt::default();
        assert!(!doubt.takes(false, true) && !doubt.is_unsure(), "nothing was set that could be undone");
        assert!(doubt.takes(true, false) && doubt.is_unsure());
        doubt.told(false);
        assert!(!doubt.is_unsure() && !doubt.takes(false, false));
        assert!(doubt.takes(false, true) && doubt.is_unsure(), "ROLLBACK");
        doubt.told(true);
        assert!(!doubt.takes(false, true) && !doubt.is_unsure());
    }
}
