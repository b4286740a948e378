//! Telephone numbers: international (ITU-T E.164), and as countries write their own.

/// Country codes of two and three digits by their first ones; 1 and 7 have one digit (ITU-T E.164, annex to Operational
/// Bulletin 1117).
const TWO: [u32; 46] = [
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58,
    60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98, 28, 83,
];

/// First two digits of codes with three.
const THREE: [u32; 12] = [21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50];
const THREE_MORE: [u32; 9] = [59, 67, 68, 69, 85, 87, 88, 96, 99];

/// What a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Digits of a plausible number, and nothing that tells it from another number.
    Bare,
    /// Digits that begin as a country's own numbers do: `0171…`, or ten that keep to the North American plan.
    Plan,
    /// Written as a country writes its own.
    National,
    /// With a country code.
    International,
}

/// Which form of a telephone number a text has, if any.
pub(crate) fn form(text: &str) -> Option<Form> {
    let text = without_extension(text.trim());
    let text = text.strip_prefix("tel:").unwrap_or(text);
    let digits: Vec<u32> = text.chars().filter_map(|letter| letter.to_digit(10)).collect();
    let clean = text.chars().all(|letter| letter.is_ascii_digit() || "+ ().-/\u{a0}".contains(letter));
    if !clean || !(6..=15).contains(&digits.len()) {
        return None;
    }
    if let Some(rest) = text.strip_prefix('+') {
        let whole = digits.len() >= 8 && has_country(&digits);
        return (!rest.contains('+')).then_some(if whole { Form::International } else { Form::Bare });
    }
    if text.contains('+') {
        return None;
    }
    if let [0, 0, rest @ ..] = digits.as_slice()
        && rest.len() >= 9
        && has_country(rest)
    {
        return Some(Form::International);
    }
    if digits.len() == text.len() {
        let plan = is_trunk(&digits)
            || is_north_american(&digits)
            || matches!(digits.as_slice(), [1, 3..=9, ..] if digits.len() == 11);
        return Some(if plan { Form::Plan } else { Form::Bare });
    }
    if is_other(text) {
        return None;
    }
    let national = match digits.as_slice() {
        [0, ..] => is_trunk(&digits),
        [1, rest @ ..] if rest.len() == 10 && !has_area(text) => is_north_american(rest),
        // Brazil's `(11) 91234-5678`, Russia's `8 (912) 345-67-89`: nobody writes other numbers so.
        _ if has_area(text) && (9..=12).contains(&digits.len()) => true,
        // Italy's mobile telephones.
        [3, ..] if digits.len() == 10 && is_grouped(text, &[3, 7]) => true,
        [2..=9, ..] if digits.len() == 10 => is_grouped(text, &[3, 3, 4]),
        // Spain, Poland, Norway, Denmark, Portugal.
        [2..=9, ..] if digits.len() == 9 => is_grouped(text, &[3, 3, 3]) || is_grouped(text, &[3, 2, 2, 2]),
        [2..=9, ..] if digits.len() == 8 => is_grouped(text, &[2, 2, 2, 2]) || is_grouped(text, &[3, 2, 3]),
        _ => false,
    };
    national.then_some(Form::National).or((digits.len() >= 7).then_some(Form::Bare))
}

/// Two to five digits in brackets, at the beginning or behind one digit.
fn has_area(text: &str) -> bool {
    let Some((before, rest)) = text.split_once('(') else { return false };
    let Some((area, after)) = rest.split_once(')') else { return false };
    before.trim().len() <= 1
        && (2..=5).contains(&area.len())
        && area.chars().all(|letter| letter.is_ascii_digit())
        && after.chars().filter(char::is_ascii_digit).count() >= 6
}

/// Whether a longer text has one in it that is unmistakable.
pub(crate) fn is_within(text: &str) -> bool {
    let other = |letter: char| !(letter.is_ascii_digit() || "+ ().-/".contains(letter));
    let trim: &[char] = &[' ', '.', '-', '/', ')'];
    text.split(other).map(|run| run.trim_matches(trim).trim_end_matches('(').trim()).any(|run| {
        run.chars().filter(char::is_ascii_digit).count() >= 9
            && form(run).is_some_and(|form| form >= Form::National)
    })
}

/// The digits that stand first in a number, of which numbers of people differ.
pub(crate) fn lead(text: &str, length: usize) -> String {
    text.chars().filter(char::is_ascii_digit).take(length).collect()
}

/// `0171…`, `020…`: a trunk prefix, then an area.
fn is_trunk(digits: &[u32]) -> bool {
    matches!(digits, [0, 1..=9, ..]) && (9..=12).contains(&digits.len())
}

/// NANP: area and exchange begin with 2 to 9, and are no service codes.
fn is_north_american(digits: &[u32]) -> bool {
    matches!(digits, [2..=9, a, b, 2..=9, c, d, _, _, _, _] if (*a, *b) != (1, 1) && (*c, *d) != (1, 1))
}

fn has_country(digits: &[u32]) -> bool {
    match digits {
        [1, 2..=9, ..] => digits.len() == 11,
        [7, ..] => digits.len() == 11,
        [a, b, ..] => {
            let lead = a * 10 + b;
            TWO.contains(&lead) || THREE.contains(&lead) || THREE_MORE.contains(&lead)
        }
        _ => false,
    }
}

/// `ext. 12`, `x12` at the end.
fn without_extension(text: &str) -> &str {
    let Some((number, rest)) = text.split_once(['x', 'e', 'E', 'X']) else { return text };
    let rest = rest.trim_start_matches(|letter: char| letter.is_alphabetic() || " .:".contains(letter));
    let is_extension = (1..=6).contains(&rest.len()) && rest.chars().all(|letter| letter.is_ascii_digit());
    if is_extension { number.trim() } else { text }
}

/// Whether separators cut it as a date, an address of the network or an SSN.
fn is_other(text: &str) -> bool {
    let groups = lengths(text);
    let dated = text.chars().all(|letter| letter.is_ascii_digit() || "-./".contains(letter))
        && matches!(groups.as_slice(), [4, 1..=2, 1..=2] | [1..=2, 1..=2, 2 | 4]);
    dated || groups == [3, 2, 4] || text.parse::<std::net::Ipv4Addr>().is_ok()
}

fn lengths(text: &str) -> Vec<usize> {
    text.split(|letter: char| !letter.is_ascii_digit()).map(str::len).filter(|length| *length > 0).collect()
}

fn is_grouped(text: &str, as_those: &[usize]) -> bool {
    lengths(text) == as_those
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        for (text, expected) in [
            ("+49 30 901820", Some(Form::International)),
            ("+14155550123", Some(Form::International)),
            ("0044 20 7946 0018", Some(Form::International)),
            ("(415) 555-2671", Some(Form::National)),
            ("415.555.2671 x123", Some(Form::National)),
            ("+1-415-555-2671 ext. 5", Some(Form::International)),
            ("030/9018-20", Some(Form::National)),
            ("06 12 34 56 78", Some(Form::National)),
            ("612 345 678", Some(Form::National)),
            ("(11) 91234-5678", Some(Form::National)),
            ("8 (912) 345-67-89", Some(Form::National)),
            ("347 1234567", Some(Form::National)),
            ("01712345678", Some(Form::Plan)),
            ("4155552671", Some(Form::Plan)),
            ("1234567890", Some(Form::Bare)),
            ("+999999", Some(Form::Bare)),
            ("1+2345678", None),
            ("2024-01-31", None),
            ("31.01.2024", None),
            ("192.168.10.20", None),
            ("078-05-1120", None),
            ("order 12345678", None),
            ("12", None),
        ] {
            assert_eq!(form(text), expected, "{text}");
        }
        assert!(is_within("Rückruf unter 0171 2345678 erbeten"));
        assert!(is_within("call me: (415) 555-2671!"));
        assert!(!is_within("since 2024-01-31 12:00, 100000 rows"));
    }
}
