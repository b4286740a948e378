//! Row marks: of all that it reads, a statement that locks or writes rows keeps whole rows, to look at them anew when it
//! has waited for somebody (`src/backend/optimizer/plan/planner.c`, `preprocess_rowmarks`).
//!
//! For that, all columns of a view are computed, unless the server has made the view part of the statement. Which joins
//! a view ends up in is not followed: a subquery of WHERE becomes one, and so does an SQL function of FROM.

use std::collections::HashSet;

use super::Walker;
use super::uses::Uses;
use crate::catalog::ColumnRef;

impl Walker<'_> {
    /// Whether rows are marked: by itself, or by the statement around a function's body.
    pub(super) const fn marks_rows(&self) -> bool {
        self.marks || self.body.marks
    }

    /// Accounts for the columns of views that are computed so, and of views beneath them.
    pub(super) fn marked(&mut self) {
        if !self.marks_rows() {
            return;
        }
        let catalog = self.catalog;
        let mut open: Vec<_> = self.views.iter().copied().collect();
        let mut seen = HashSet::new();
        while let Some(at) = open.pop() {
            let Some(view) = catalog.relation(at).filter(|_| seen.insert(at)) else { continue };
            if !view.merged {
                self.computes((0..view.columns.len()).map(|column| (at, column)));
            }
            let Some(views) = &view.views else {
                return self.doubt_function("view-or-policy-with-unknown-parts");
            };
            if !self.budget.spend(views.len()) {
                return self.doubt("too-complex");
            }
            open.extend(views);
        }
    }

    /// Accounts for columns whose values are made, whoever asks for them: this may fail by what it finds, and say so.
    pub(super) fn computes(&mut self, columns: impl IntoIterator<Item = ColumnRef>) {
        for column in columns {
            if !self.budget.spend(1) {
                return self.doubt("too-complex");
            }
            if self.catalog.is_computed(column) {
                self.touch_again(column, Uses::HIDDEN);
            }
        }
    }
}
