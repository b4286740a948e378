use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many rows, bytes and people's data may be delivered: the cap of a rule, what a grant has left, what a meter has
/// left. `None`: as many as there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limit {
    /// Rows.
    pub rows: Option<u64>,
    /// Bytes of rows and COPY data, headers included.
    pub bytes: Option<u64>,
    /// Distinct subjects: those whom rows are about, by the map's `subject_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
}

/// So much of each, as it was delivered or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Subjects that were not among those before.
    pub subjects: u64,
}

/// Over what a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// One statement; of a cursor, all that is fetched from it.
    Statement,
    /// All that a person does in one sitting, on however many connections.
    Session,
    /// All that a person does within a time that ends now.
    Window(Duration),
}

impl Limit {
    /// No limit.
    pub const NONE: Self = Self { rows: None, bytes: None, subjects: None };
    /// Nothing at all, of each.
    pub const NOTHING: Self = Self { rows: Some(0), bytes: Some(0), subjects: Some(0) };

    /// Of rows and bytes.
    #[must_use]
    pub const fn of(rows: Option<u64>, bytes: Option<u64>) -> Self {
        Self { rows, bytes, subjects: None }
    }

    /// Whether it limits nothing.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.rows.is_none() && self.bytes.is_none() && self.subjects.is_none()
    }

    /// The lesser of each.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        self.with(other, least)
    }

    /// What it limits, and where it does not, what the other does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.with(other, Option::or)
    }

    fn with(self, other: Self, f: impl Fn(Option<u64>, Option<u64>) -> Option<u64>) -> Self {
        Self {
            rows: f(self.rows, other.rows),
            bytes: f(self.bytes, other.bytes),
            subjects: f(self.subjects, other.subjects),
        }
    }

    /// What is left of it once so much of it is used.
    #[must_use]
    pub fn minus(self, used: Amount) -> Self {
        self.with(used.into(), |left, used| left.map(|left| left.saturating_sub(used.unwrap_or(0))))
    }

    /// With so much more of what it limits.
    #[must_use]
    pub fn plus(self, more: Amount) -> Self {
        self.with(more.into(), |left, more| left.map(|left| left.saturating_add(more.unwrap_or(0))))
    }

    /// Whether so much fits.
    #[must_use]
    pub fn has(self, needed: Amount) -> bool {
        self.rows.is_none_or(|left| left >= needed.rows)
            && self.bytes.is_none_or(|left| left >= needed.bytes)
            && self.subjects.is_none_or(|left| left >= needed.subjects)
    }

    /// Whether nothing more can be delivered by it. Who is in it already may be shown without another subject, which
    /// only who has shown it can tell.
    #[must_use]
    pub fn is_spent(self) -> bool {
        self.rows == Some(0) || self.bytes == Some(0) || self.subjects == Some(0)
    }

    /// As much as it limits, and nothing of the rest.
    #[must_use]
    pub fn amount(self) -> Amount {
        Amount {
            rows: self.rows.unwrap_or(0),
            bytes: self.bytes.unwrap_or(0),
            subjects: self.subjects.unwrap_or(0),
        }
    }

    /// Whether it limits whatever the other limits, be it by more or less.
    #[must_use]
    pub const fn limits_what(self, other: Self) -> bool {
        (self.rows.is_some() || other.rows.is_none())
            && (self.bytes.is_some() || other.bytes.is_none())
            && (self.subjects.is_some() || other.subjects.is_none())
    }

    /// Whether it limits whatever the other limits, and to no more.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        let within = |own: Option<u64>, other: Option<u64>| match (own, other) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own <= other,
        };
        within(self.rows, other.rows)
            && within(self.bytes, other.bytes)
            && within(self.subjects, other.subjects)
    }
}

impl Amount {
    /// Nothing.
    pub const NOTHING: Self = Self { rows: 0, bytes: 0, subjects: 0 };

    /// Of rows and bytes.
    #[must_use]
    pub const fn of(rows: u64, bytes: u64) -> Self {
        Self { rows, bytes, subjects: 0 }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
            subjects: self.subjects.saturating_add(other.subjects),
        }
    }

    /// What this is more than the other.
    #[must_use]
    pub const fn beyond(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(other.rows),
            bytes: self.bytes.saturating_sub(other.bytes),
            subjects: self.subjects.saturating_sub(other.subjects),
        }
    }
}

impl From<Amount> for Limit {
    fn from(Amount { rows, bytes, subjects }: Amount) -> Self {
        Self { rows: Some(rows), bytes: Some(bytes), subjects: Some(subjects) }
    }
}

/// As the policy writes it: `statement`, `session`, `90s`, `15m`, `1h`, `7d`.
impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = match self {
            Self::Statement => return f.write_str("statement"),
            Self::Session => return f.write_str("session"),
            Self::Window(window) => window.as_secs(),
        };
        let (unit, letter) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(unit, _)| seconds.is_multiple_of(*unit))
            .unwrap_or((1, 's'));
        write!(f, "{}{letter}", seconds / unit)
    }
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// `1,000 rows, 5 MiB or 100 subjects`, as people read it; empty where nothing is limited.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.rows.map(rows_in_words),
            self.bytes.map(bytes_in_words),
            self.subjects.map(subjects_in_words),
        ];
        let mut left = parts.iter().flatten().count();
        for part in parts.iter().flatten() {
            left = left.saturating_sub(1);
            f.write_str(part)?;
            f.write_str(match left {
                0 => "",
                1 => " or ",
                _ => ", ",
            })?;
        }
        Ok(())
    }
}

/// `1 row`, `18,200 rows`.
#[must_use]
pub fn rows_in_words(rows: u64) -> String {
    format!("{} row{}", thousands(rows), if rows == 1 { "" } else { "s" })
}

/// `1 subject`, `100 subjects`.
#[must_use]
pub fn subjects_in_words(subjects: u64) -> String {
    format!("{} subject{}", thousands(subjects), if subjects == 1 { "" } else { "s" })
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
        Limit::of(rows, bytes)
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
        let left = limit(Some(3), Some(100)).minus(Amount::of(2, 200));
        assert_eq!(left, limit(Some(1), Some(0)));
        assert!(
            left.is_spent()
                && left.has(Amount::of(1, 0))
                && !left.has(Amount::of(1, 1))
                && !left.has(Amount::of(2, 0))
        );
        assert!(!Limit::NONE.is_spent() && Limit::NONE.has(Amount::of(u64::MAX, u64::MAX)));
    }

    #[test]
    fn a_limit_reads_as_people_would_say_it() {
        assert_eq!(limit(Some(1_000), Some(5 << 20)).to_string(), "1,000 rows or 5 MiB");
        assert_eq!(limit(Some(1), None).to_string(), "1 row");
        assert_eq!(limit(None, Some(1_025)).to_string(), "1,025 bytes");
        assert_eq!(limit(None, Some(2 << 30)).to_string(), "2 GiB");
        assert_eq!(Limit::NONE.to_string(), "");
        let all = Limit { subjects: Some(100), ..limit(Some(1_000), Some(5 << 20)) };
        assert_eq!(all.to_string(), "1,000 rows, 5 MiB or 100 subjects");
        assert_eq!(Limit { subjects: Some(1), ..Limit::NONE }.to_string(), "1 subject");
    }

    #[test]
    fn what_a_limit_counts_over_is_shown_as_the_policy_writes_it() {
        for (seconds, shown) in [(90, "90s"), (900, "15m"), (3_600, "1h"), (5_400, "90m"), (604_800, "7d")] {
            assert_eq!(Per::Window(Duration::from_secs(seconds)).to_string(), shown);
        }
        assert_eq!(
            (Per::Statement.to_string(), Per::Session.to_string()),
            ("statement".into(), "session".into())
        );
    }
}
