//! Payment card numbers (ISO/IEC 7812-1): issuer, length and check digit.

use super::digits;

/// Issuers: first number and last of the range of leading digits, and lengths.
const ISSUERS: [(u64, u64, &[usize]); 14] = [
    // Visa.
    (4, 4, &[13, 16, 19]),
    // Mastercard, both ranges.
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    // American Express.
    (34, 34, &[15]),
    (37, 37, &[15]),
    // Discover.
    (6011, 6011, &[16, 19]),
    (644, 649, &[16, 19]),
    (65, 65, &[16, 19]),
    // Diners Club.
    (300, 305, &[14, 16, 19]),
    (36, 36, &[14, 16, 19]),
    (38, 39, &[14, 16, 19]),
    // JCB.
    (3528, 3589, &[16, 19]),
    // UnionPay.
    (62, 62, &[16, 17, 18, 19]),
    // Maestro.
    (56, 69, &[12, 13, 14, 15, 16, 17, 18, 19]),
];

/// Whether a text is one.
pub(crate) fn is(text: &str) -> bool {
    let Some(digits) = digits_of(text) else { return false };
    digits.iter().any(|digit| digit != digits.first().unwrap_or(&0))
        && of_issuer(&digits)
        && digits::luhn(&digits)
}

/// Whether a longer text has one in it.
pub(crate) fn is_within(text: &str) -> bool {
    let other = |letter: char| !(letter.is_ascii_digit() || matches!(letter, ' ' | '-'));
    text.split(other).map(|run| run.trim_matches([' ', '-'])).any(|run| run.len() >= 13 && is(run))
}

fn digits_of(text: &str) -> Option<Vec<u32>> {
    let compact: String = text.trim().chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    digits::all(&compact).filter(|digits| !digits.is_empty())
}

fn of_issuer(number: &[u32]) -> bool {
    ISSUERS.iter().any(|(first, last, lengths)| {
        let width = first.checked_ilog10().map_or(1, |width| width as usize + 1);
        let lead = number.get(..width).map(digits::number);
        lead.is_some_and(|lead| (*first..=*last).contains(&lead)) && lengths.contains(&number.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_numbers_of_issuers_pass_and_others_do_not() {
        for good in [
            "4111 1111 1111 1111",
            "5555-5555-5555-4444",
            "378282246310005",
            "2223003122003222",
            "6011111111111117",
            "3530111333300000",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in ["4111111111111112", "1234567890123452", "0000000000000000", "4111", "x411111111111111"] {
            assert!(!is(bad), "{bad}");
        }
        assert!(is_within("card 4111-1111-1111-1111, exp 12/30") && !is_within("order 4111-1111-1111-1112"));
    }
}
