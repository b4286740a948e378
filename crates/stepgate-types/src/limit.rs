use serde::{Deserialize, Serialize};

/// How many rows and bytes may be delivered: the cap of a rule, what a grant has left, what a meter has left. `None`: as
/// many as there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limit {
    /// Rows.
    pub rows: Option<u64>,
    /// Bytes of rows and COPY data, headers included.
    pub bytes: Option<u64>,
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self { rows: None, bytes: None };

    /// Whether it limits nothing.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.rows.is_none() && self.bytes.is_none()
    }

    /// The lesser of each.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self { rows: least(self.rows, other.rows), bytes: least(self.bytes, other.bytes) }
    }

    /// What is left of it once so much of it is used.
    #[must_use]
    pub fn minus(self, rows: u64, bytes: u64) -> Self {
        Self {
            rows: self.rows.map(|left| left.saturating_sub(rows)),
            bytes: self.bytes.map(|left| left.saturating_sub(bytes)),
        }
    }

    /// Whether so much fits.
    #[must_use]
    pub fn has(self, rows: u64, bytes: u64) -> bool {
        self.rows.is_none_or(|left| left >= rows) && self.bytes.is_none_or(|left| left >= bytes)
    }

    /// Whether nothing more can be delivered by it.
    #[must_use]
    pub fn is_spent(self) -> bool {
        self.rows == Some(0) || self.bytes == Some(0)
    }

    /// Whether it limits whatever the other limits, be it by more or less.
    #[must_use]
    pub const fn limits_what(self, other: Self) -> bool {
        (self.rows.is_some() || other.rows.is_none()) && (self.bytes.is_some() || other.bytes.is_none())
    }

    /// Whether it limits whatever the other limits, and to no more.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        let within = |own: Option<u64>, other: Option<u64>| match (own, other) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own <= other,
        };
        within(self.rows, other.rows) && within(self.bytes, other.bytes)
    }
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// `1,000 rows or 5 MiB`, as people read it; empty where nothing is limited.
impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.rows, self.bytes) {
            (None, None) => Ok(()),
            (Some(rows), None) => f.write_str(&rows_in_words(rows)),
            (None, Some(bytes)) => f.write_str(&bytes_in_words(bytes)),
            (Some(rows), Some(bytes)) => {
                write!(f, "{} or {}", rows_in_words(rows), bytes_in_words(bytes))
            }
        }
    }
}

/// `1 row`, `18,200 rows`.
#[must_use]
pub fn rows_in_words(rows: u64) -> String {
    format!("{} row{}", thousands(rows), if rows == 1 { "" } else { "s" })
}

/// `5 MiB` where it is a whole number of those, else `5,242,881 bytes`.
#[must_use]
pub fn bytes_in_words(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", thousands(bytes / unit)),
        None => format!("{} byte{}", thousands(bytes), if bytes == 1 { "" } else { "s" }),
    }
}

/// `18200` as `18,200`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_add(digits.len() / 3));
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limit(rows: Option<u64>, bytes: Option<u64>) -> Limit {
        Limit { rows, bytes }
    }

    #[test]
    fn the_least_of_two_limits_limits_what_either_does() {
        let one = limit(Some(5), None);
        assert_eq!(one.least(limit(Some(9), Some(7))), limit(Some(5), Some(7)));
        assert_eq!(Limit::NONE.least(one), one);
        assert!(one.least(limit(None, Some(7))).is_within(one));
        assert!(!limit(None, Some(7)).is_within(one));
        assert!(!limit(Some(6), None).is_within(one) && one.is_within(Limit::NONE));
    }

    #[test]
    fn what_is_used_is_gone_and_never_less_than_nothing() {
        let left = limit(Some(3), Some(100)).minus(2, 200);
        assert_eq!(left, limit(Some(1), Some(0)));
        assert!(left.is_spent() && left.has(1, 0) && !left.has(1, 1) && !left.has(2, 0));
        assert!(!Limit::NONE.is_spent() && Limit::NONE.has(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_limit_reads_as_people_would_say_it() {
        assert_eq!(limit(Some(1_000), Some(5 << 20)).to_string(), "1,000 rows or 5 MiB");
        assert_eq!(limit(Some(1), None).to_string(), "1 row");
        assert_eq!(limit(None, Some(1_025)).to_string(), "1,025 bytes");
        assert_eq!(limit(None, Some(2 << 30)).to_string(), "2 GiB");
        assert_eq!(Limit::NONE.to_string(), "");
    }
}
