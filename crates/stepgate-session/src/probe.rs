//! The gate's own question to the server: what do unqualified names mean in this session now?
//!
//! Asked only while the server owes nothing else, in a transaction or outside, with names that no
//! search_path can hijack.

use bytes::Bytes;

/// One row, one text: the effective search path as a JSON array, in order, implicit schemas included
/// (PostgreSQL documentation, "System Information Functions", `current_schemas`).
pub(crate) const SQL: &str =
    "select pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text";

/// The longest answer that is believed, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Collects the answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    row: Vec<u8>,
    overflow: bool,
}

impl Answer {
    /// Takes a piece of the DataRow.
    pub(crate) fn row_part(&mut self, part: &Bytes) {
        if self.row.len().saturating_add(part.len()) > MAX_ANSWER {
            self.overflow = true;
        } else {
            self.row.extend_from_slice(part);
        }
    }

    /// The search path; `None` if the answer cannot be read.
    pub(crate) fn search_path(&mut self) -> Option<Vec<String>> {
        let row = std::mem::take(&mut self.row);
        if std::mem::take(&mut self.overflow) {
            return None;
        }
        // Tag, length, one column, its length, its bytes: nothing else is believed.
        let (header, value) = row.split_at_checked(11)?;
        let [b'D', _, _, _, _, 0, 1, length @ ..] = header else { return None };
        let length = u32::from_be_bytes(<[u8; 4]>::try_from(length).ok()?);
        (usize::try_from(length).ok()? == value.len()).then_some(())?;
        serde_json::from_slice(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8]) -> Option<Vec<String>> {
        let mut answer = Answer::default();
        answer.row_part(&Bytes::copy_from_slice(bytes));
        answer.search_path()
    }

    #[test]
    fn the_search_path_is_read_from_exactly_one_text_column() {
        assert_eq!(
            answer(b"D\0\0\0\x17\0\x01\0\0\0\x0d[\"a\",\"p\\\"q,\"]").as_deref(),
            Some(&["a".to_owned(), "p\"q,".to_owned()][..])
        );
        assert_eq!(answer(b"D\0\0\0\x0a\0\x01\xff\xff\xff\xff"), None);
        assert_eq!(answer(b""), None);
    }
}
