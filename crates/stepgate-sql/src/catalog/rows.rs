/// The answer to one query: rows of texts or NULL. In one piece, for a catalog has half a million of such texts.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    rows: usize,
    text: String,
    /// Bytes of each value in turn; `None` is NULL.
    lengths: Vec<Option<u32>>,
}

impl Rows {
    /// Adds a row. A text of 4 GiB or more counts as NULL.
    pub fn push<'a>(&mut self, row: impl IntoIterator<Item = Option<&'a str>>) {
        self.rows += 1;
        for value in row {
            let length = value.and_then(|text| u32::try_from(text.len()).ok());
            self.text.push_str(value.filter(|_| length.is_some()).unwrap_or_default());
            self.lengths.push(length);
        }
    }

    /// Its rows, of exactly `N` texts each; `None` in place of one with a NULL in it, or if rows are not that wide.
    pub(super) fn of_texts<const N: usize>(&self) -> Option<impl Iterator<Item = Option<[&str; N]>>> {
        if self.rows.checked_mul(N) != Some(self.lengths.len()) {
            return None;
        }
        let (lengths, _) = self.lengths.as_chunks::<N>();
        let mut rest = self.text.as_str();
        Some(lengths.iter().map(move |row| {
            let mut whole = true;
            let texts = row.map(|length| {
                whole &= length.is_some();
                let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
                let (text, after) = rest.split_at_checked(length).unwrap_or_default();
                rest = after;
                text
            });
            whole.then_some(texts)
        }))
    }
}

impl FromIterator<Vec<Option<String>>> for Rows {
    fn from_iter<I: IntoIterator<Item = Vec<Option<String>>>>(rows: I) -> Self {
        let mut all = Self::default();
        for row in rows {
            all.push(row.iter().map(Option::as_deref));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_pushed() {
        let mut rows = Rows::default();
        rows.push([Some("a"), Some("")]);
        rows.push([None, Some("b")]);
        rows.push([Some("é"), Some("cd")]);
        let read: Vec<_> = rows.of_texts::<2>().unwrap().collect();
        assert_eq!(read, [Some(["a", ""]), None, Some(["é", "cd"])]);
    }

    #[test]
    fn rows_of_another_width_are_not_read() {
        let mut rows = Rows::default();
        rows.push([Some("a"), Some("b")]);
        rows.push([Some("c"), Some("d")]);
        assert!(rows.of_texts::<4>().is_none());
        assert!(rows.of_texts::<1>().is_none());
    }
}
