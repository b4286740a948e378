//! A statement's text, with what it was read by.
//!
//! PostgreSQL keeps the raw parse tree of what it has parsed. When it looks anew at what the names in it mean
//! (`RevalidateCachedQuery` of plancache.c), it does not read the bytes again: `client_encoding` and
//! `standard_conforming_strings` may be others by then, and the same bytes other names. So whatever is kept of a text that
//! was sent is kept with what it was read by.

use bytes::Bytes;
use stepgate_sql::{ClientEncoding, SessionState};

use crate::facts::owned;
use crate::session::Session;

/// By what letters and quotes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    encoding: ClientEncoding,
    standard_conforming_strings: bool,
}

impl Reading {
    /// That of a session.
    #[must_use]
    pub const fn of(state: &SessionState) -> Self {
        let SessionState { encoding, standard_conforming_strings, .. } = *state;
        Self { encoding, standard_conforming_strings }
    }

    /// A session's state in which this text is read so, if that is another one. Quotes are read by both: what is called by it is
    /// parsed when it runs.
    pub(crate) fn otherwise(self, sql: &[u8], state: &SessionState) -> Option<SessionState> {
        let letters = self.encoding != state.encoding && !sql.is_ascii();
        let quotes = state.standard_conforming_strings && !self.standard_conforming_strings;
        (letters || quotes).then(|| SessionState {
            encoding: self.encoding,
            standard_conforming_strings: state.standard_conforming_strings && !quotes,
            ..state.clone()
        })
    }
}

/// The text of a Query, of a Parse, or of what SQL has given a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its bytes.
    pub sql: Bytes,
    /// By what the server has read them; `None`: it will by what holds then.
    pub read: Option<Reading>,
}

impl Text {
    /// One that is still to be sent.
    pub(crate) const fn unsent(sql: Bytes) -> Self {
        Self { sql, read: None }
    }

    /// A copy with memory of its own, of what was read by this.
    pub(crate) fn kept(sql: &[u8], read: Reading) -> Self {
        Self { sql: owned(sql), read: Some(read) }
    }

    /// A session's state in which this is read as it was, if that is another one.
    #[must_use]
    pub fn otherwise(&self, state: &SessionState) -> Option<SessionState> {
        self.read?.otherwise(&self.sql, state)
    }
}

impl Session {
    /// By what the server reads this text if it is sent now. While that is in doubt, what hangs on it cannot be read: letters,
    /// and quotes where a backslash may end a literal elsewhere.
    pub(crate) fn reading(&self, sql: &[u8]) -> Reading {
        let mut reading = Reading::of(&self.state);
        if self.reading.is_unsure() {
            if !sql.is_ascii() {
                reading.encoding = ClientEncoding::Other;
            }
            reading.standard_conforming_strings &= !sql.contains(&b'\\');
        }
        reading
    }

    /// The state to read a text by, where that is not the session's as it is known: what is under way may have made it another,
    /// or the server has read the text by another one.
    pub(crate) fn other_state(&self, text: &Text) -> Option<SessionState> {
        let now = self.reading(&text.sql);
        let read = text.read.map_or(now, |then| Reading {
            standard_conforming_strings: then.standard_conforming_strings && now.standard_conforming_strings,
            ..then
        });
        let other = read.otherwise(&text.sql, &self.state);
        if !self.catalog_stale() {
            return other;
        }
        // Objects may exist, or mean, what the snapshot does not know: where a column is gone, its name is found further out, or
        // calls a function.
        let state = other.unwrap_or_else(|| (*self.state).clone());
        let bound = self.catalog_bound > self.catalog_seen.max(self.catalog_followed);
        Some(SessionState { search_path: None, moved: true, bound, ..state })
    }
}
