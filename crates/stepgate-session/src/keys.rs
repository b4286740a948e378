//! Keys as the server shows them: where a value can be spelt in several ways, one of them counts, however a statement
//! or whoever asks spells it.

use stepgate_sql::Number;

use crate::subjects::{INT2, INT4, INT8, MAX_KEY, UUID};

// OIDs of types (`pg_type.dat`).
pub(crate) const BPCHAR: u32 = 1042;
pub(crate) const NUMERIC: u32 = 1700;

/// A value of a column of that type as records tell it: what the server would show, but for zeros at the end of a
/// `numeric` and spaces at the end of a `char(n)`, which say nothing. `None`: of other types, and what no value of it is
/// spelt like, it is what it is.
#[must_use]
pub fn canonical_key(type_oid: u32, text: &str) -> Option<String> {
    match type_oid {
        INT2 | INT4 | INT8 => integer(text),
        NUMERIC => numeric(text),
        UUID => uuid(text),
        BPCHAR => Some(text.trim_end_matches(' ').to_owned()),
        _ => None,
    }
}

/// How records may tell a key that somebody spells so and does not say of which type it is: as it stands first, then by
/// each type that it may be of.
#[must_use]
pub fn key_spellings(text: &str) -> Vec<String> {
    let mut spellings = vec![text.to_owned()];
    for type_oid in [INT8, NUMERIC, UUID, BPCHAR] {
        // Nobody means spaces at the beginning, either.
        let spelling = canonical_key(type_oid, text.trim_start()).filter(|spelling| !spelling.is_empty());
        spellings.extend(spelling);
    }
    let mut seen = Vec::new();
    spellings.retain(|spelling| {
        let new = !seen.contains(spelling);
        seen.push(spelling.clone());
        new
    });
    spellings
}

fn numeric(text: &str) -> Option<String> {
    text.parse::<Number>().ok()?.plain(MAX_KEY)
}

/// Also of a number with a fraction that is zero: as one it is compared with an integer.
fn integer(text: &str) -> Option<String> {
    Some(numeric(text)?.parse::<i64>().ok()?.to_string())
}

/// As `uuid_in` (`uuid.c`) reads it: in braces or not, with a hyphen after any four digits, in letters of either size.
fn uuid(text: &str) -> Option<String> {
    const DIGITS: usize = 32;
    let text = text.strip_prefix('{').map_or(Some(text), |inner| inner.strip_suffix('}'))?;
    let mut digits = String::with_capacity(DIGITS);
    let mut after_hyphen = true;
    for letter in text.chars() {
        match letter {
            '-' if !after_hyphen && digits.len().is_multiple_of(4) && digits.len() < DIGITS => {
                after_hyphen = true
            }
            _ if letter.is_ascii_hexdigit() => {
                digits.push(letter.to_ascii_lowercase());
                after_hyphen = false;
            }
            _ => return None,
        }
    }
    if digits.len() != DIGITS {
        return None;
    }
    let mut shown = String::with_capacity(DIGITS + 4);
    for (at, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            shown.push('-');
        }
        shown.push(digit);
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID_SHOWN: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

    #[test]
    fn however_a_value_is_spelt_it_is_one_key() {
        for (type_oid, spelt, key) in [
            (INT8, "42", Some("42")),
            (INT4, "042", Some("42")),
            (INT2, " +42 ", Some("42")),
            (INT8, "-042", Some("-42")),
            (INT8, "-0", Some("0")),
            (INT8, "42.00", Some("42")),
            (INT8, "4.2e1", Some("42")),
            (INT8, "9223372036854775807", Some("9223372036854775807")),
            (INT8, "9223372036854775808", None),
            (INT8, "42.5", None),
            (INT8, "x", None),
            (NUMERIC, "42.500", Some("42.5")),
            (NUMERIC, "0042", Some("42")),
            (NUMERIC, "-.50", Some("-0.5")),
            (NUMERIC, "5e-3", Some("0.005")),
            (NUMERIC, "1e3", Some("1000")),
            (NUMERIC, "0.000", Some("0")),
            (NUMERIC, "1e999", None),
            (NUMERIC, "NaN", None),
            (UUID, UUID_SHOWN, Some(UUID_SHOWN)),
            (UUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", Some(UUID_SHOWN)),
            (UUID, "{a0eebc999c0b4ef8bb6d6bb9bd380a11}", Some(UUID_SHOWN)),
            (UUID, "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", Some(UUID_SHOWN)),
            (UUID, "a0eebc9-99c0b-4ef8-bb6d-6bb9bd380a11", None),
            (UUID, "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11", None),
            (UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-", None),
            (UUID, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None),
            (BPCHAR, "ab  ", Some("ab")),
            (25, "042", None),
        ] {
            assert_eq!(canonical_key(type_oid, spelt).as_deref(), key, "{type_oid} {spelt:?}");
        }
    }

    #[test]
    fn whoever_asks_may_spell_a_key_in_any_way_and_what_they_wrote_comes_first() {
        for (spelt, spellings) in [
            ("42", &["42"][..]),
            ("042", &["042", "42"]),
            ("42.50", &["42.50", "42.5"]),
            (" 42 ", &[" 42 ", "42"]),
            ("Alice@x.org", &["Alice@x.org"]),
            (
                "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
                &["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", UUID_SHOWN],
            ),
            ("urn:doc:42", &["urn:doc:42"]),
        ] {
            assert_eq!(key_spellings(spelt), spellings, "{spelt:?}");
        }
    }
}
