//! How far a scan is, where somebody watches.

use std::io::{IsTerminal as _, Write as _};

use crate::harmless::harmless;

/// Cells of the bar.
const WIDTH: usize = 24;
/// The most characters of a table's name.
const NAME: usize = 40;

/// A bar on standard error, on a terminal only.
pub(super) struct Progress {
    total: usize,
    shown: bool,
}

impl Progress {
    pub(super) fn of(total: usize) -> Self {
        Self { total, shown: std::io::stderr().is_terminal() }
    }

    /// So many are done, and this one is next.
    pub(super) fn at(&self, done: usize, table: &str) {
        if self.shown {
            let table: String = harmless(table).chars().take(NAME).collect();
            // Whether anybody sees it is nobody's business.
            let _ =
                write!(std::io::stderr(), "\r{} {done}/{} {table}\x1b[K", bar(done, self.total), self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(done: usize, total: usize) -> String {
    let full = (done * WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    format!("[{}{}]", "#".repeat(full), ".".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_longer_than_itself() {
        assert_eq!(bar(0, 0).len(), WIDTH + 2);
        assert_eq!(bar(1, 2), format!("[{}{}]", "#".repeat(12), ".".repeat(12)));
        assert_eq!(bar(9, 2).len(), WIDTH + 2);
    }
}
