//! Passing for somebody else at the server: whoever could set `stepgate.person` would be taken for that person by triggers
//! and logs. SET is known by its tree (`control`); calls of `set_config` are known here by the text. What hides the name
//! of the setting is unknown as ever, and asks.

use stepgate_session::Pending;

/// Whether a message calls `set_config`, or makes what does, and names a setting of the gate's own.
pub(super) fn poses(pending: &Pending) -> bool {
    mentions(&pending.sql, b"set_config") && mentions(&pending.sql, b"stepgate.")
}

fn mentions(sql: &[u8], word: &[u8]) -> bool {
    sql.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}
