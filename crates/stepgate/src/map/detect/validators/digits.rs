//! Check digits, and the digits that they are about.

/// The decimal digits of a text, if it has nothing else.
pub(super) fn all(text: &str) -> Option<Vec<u32>> {
    text.chars().map(|letter| letter.to_digit(10)).collect()
}

/// The sum of digits by weights; as many of each.
pub(super) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The number that up to 18 digits are.
pub(super) fn number(digits: &[u32]) -> u64 {
    digits.iter().take(18).fold(0, |number, digit| number * 10 + u64::from(*digit))
}

/// ISO/IEC 7812-1 annex B ("Luhn"); the last digit is the check digit.
pub(super) fn luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { *digit } else { doubled(*digit) })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO/IEC 7064 MOD 11,10 (Steuer-ID, OIB); the last digit is the check digit.
pub(super) fn mod_11_10(digits: &[u32]) -> bool {
    let Some((check, rest)) = digits.split_last() else { return false };
    let product = rest.iter().fold(10, |product, digit| {
        let sum = match (digit + product) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    (11 - product) % 10 == *check
}

/// Verhoeff's check digit, over the dihedral group D5 (Aadhaar).
pub(super) fn verhoeff(digits: &[u32]) -> bool {
    /// Powers of the permutation that each position is put through.
    const PERMUTED: [[u32; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    // Rotations are 0 to 4, reflections 5 to 9.
    let product = |left: u32, right: u32| match (left < 5, right < 5) {
        (true, true) => (left + right) % 5,
        (true, false) => 5 + (left + right - 5) % 5,
        (false, true) => 5 + (left - 5 + 5 - right) % 5,
        (false, false) => (left + 5 - right) % 5,
    };
    let mut sum = 0;
    for (at, digit) in digits.iter().rev().enumerate() {
        let permuted = PERMUTED.get(at % 8).and_then(|row| row.get(*digit as usize));
        let Some(permuted) = permuted else { return false };
        sum = product(sum, *permuted);
    }
    sum == 0
}

/// The remainder by 97 of a long number, letters standing for 10 to 35 (ISO 13616, ISO/IEC 7064 MOD 97-10).
pub(super) fn mod_97(text: impl Iterator<Item = char>) -> Option<u32> {
    let mut rest = 0_u32;
    for letter in text {
        let digit = letter.to_digit(36)?;
        rest = if digit > 9 { (rest * 100 + digit) % 97 } else { (rest * 10 + digit) % 97 };
    }
    Some(rest)
}

/// A day of the calendar, the year being one of any century.
pub(super) fn is_day(year: u32, month: u32, day: u32) -> bool {
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        // Of two digits, the century is not known.
        2 if year.is_multiple_of(4) => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_those_of_their_standards() {
        assert!(luhn(&all("79927398713").unwrap()) && !luhn(&all("79927398710").unwrap()));
        assert!(verhoeff(&all("2363").unwrap()) && !verhoeff(&all("2364").unwrap()));
        // Each wrong last digit, and each swap of neighbours, is found by Verhoeff's.
        for wrong in ["2360", "2361", "2362", "2365", "3263", "2633", "2336"] {
            assert!(!verhoeff(&all(wrong).unwrap()), "{wrong}");
        }
        assert!(mod_11_10(&all("86095742719").unwrap()) && !mod_11_10(&all("86095742718").unwrap()));
        assert_eq!(mod_97("3214282912345698765432161182".chars()), Some(1));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert!(is_day(0, 2, 29) && is_day(1984, 2, 29) && is_day(70, 12, 31));
        assert!(!is_day(1985, 2, 29) && !is_day(70, 13, 1) && !is_day(70, 4, 31) && !is_day(70, 1, 0));
    }
}
