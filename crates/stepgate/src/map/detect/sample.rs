//! Values of one column, for as long as they are looked at.

/// Of how many characters a value is looked at.
const MAX_LENGTH: usize = 4_000;

/// What stands where nothing is known.
const PLACEHOLDERS: &str = "n/a na none null nil unknown unbekannt inconnu desconocido - -- --- ? ?? x xx xxx tbd todo test \
    missing not_available undefined nan . 0 leer vide vacio k.a. empty redacted *** ****";

/// What a column's type lets it hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Characters.
    Text,
    /// Whole numbers; whether they have room for ten digits.
    Integer {
        /// Whether they have.
        wide: bool,
    },
    /// Numbers with a fraction.
    Decimal,
    /// Days.
    Date,
    /// Points in time.
    Timestamp,
    /// Addresses of networks.
    Inet,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// Bytes, as hexadecimal digits.
    Bytes,
    /// Lists of something that may be text, as PostgreSQL writes them.
    Array,
    /// Rows, as PostgreSQL writes them.
    Composite,
    /// Few words that the type names.
    Enumeration,
    /// Nothing that says anything about people.
    Other,
}

/// Distinct values that mean something.
#[derive(Debug)]
pub(crate) struct Sample<'v> {
    values: Vec<&'v str>,
    /// How many values there were, those that mean nothing and those that stand twice among them.
    pub(crate) rows: usize,
}

impl<'v> Sample<'v> {
    /// Of those that mean something.
    pub(crate) fn of(values: &'v [String]) -> Self {
        let rows = values.len();
        let trimmed = values.iter().map(|value| {
            let end = value.char_indices().nth(MAX_LENGTH).map_or(value.len(), |(at, _)| at);
            value.get(..end).unwrap_or_default().trim()
        });
        let mut values: Vec<&str> = trimmed.filter(|value| !is_placeholder(value)).collect();
        values.sort_unstable();
        values.dedup();
        Self { values, rows }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'v str> + '_ {
        self.values.iter().copied()
    }

    /// How many are so.
    pub(crate) fn count(&self, is: impl Fn(&str) -> bool) -> usize {
        self.values.iter().filter(|value| is(value)).count()
    }

    /// What share of them is so, of 1; 0 where there are none.
    pub(crate) fn share(&self, is: impl Fn(&str) -> bool) -> f64 {
        ratio(self.count(is), self.len())
    }

    /// Their length in characters, on average.
    pub(crate) fn length(&self) -> f64 {
        ratio(self.values.iter().map(|value| value.chars().count()).sum(), self.len())
    }

    /// How many there are of what is made of each.
    pub(crate) fn kinds(&self, make: impl Fn(&str) -> String) -> usize {
        let mut kinds: Vec<String> = self.values.iter().map(|value| make(value)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.len()
    }
}

/// One count by another, of 1.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { number(part) / number(whole) }
}

/// How surprising it is, in nats, that so many of so many pass if each does by chance: a bound on the tail of the
/// binomial distribution (Chernoff).
pub(crate) fn surprise(hits: usize, of: usize, chance: f64) -> f64 {
    let share = ratio(hits, of);
    if share <= chance {
        return 0.0;
    }
    let part = |share: f64, chance: f64| if share > 0.0 { share * (share / chance).ln() } else { 0.0 };
    let each = part(share, chance) + part(1.0 - share, 1.0 - chance);
    f64::from(u32::try_from(of).unwrap_or(u32::MAX)) * each
}

fn is_placeholder(value: &str) -> bool {
    value.is_empty()
        || (value.len() <= 16
            && PLACEHOLDERS.split_whitespace().any(|known| known.eq_ignore_ascii_case(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_is_not_counted() {
        let values: Vec<String> = ["a", " a ", "N/A", "", "-", "b"].map(str::to_owned).to_vec();
        let sample = Sample::of(&values);
        assert_eq!((sample.len(), sample.rows), (2, 6));
    }

    #[test]
    fn a_tenth_of_a_tenth_surprises_nobody() {
        assert!(surprise(10, 100, 0.1) < 1e-9);
        assert!(surprise(98, 100, 0.1) > 100.0);
        assert!(surprise(3, 3, 0.1) < 9.0 && surprise(5, 5, 0.1) > 9.0);
    }
}
