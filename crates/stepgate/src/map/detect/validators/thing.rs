//! Numbers of things, which have check digits, too.

use super::digits;

/// Whether a text is a GTIN: EAN-8, UPC-A, EAN-13 (ISBN and ISSN among them) or GTIN-14 (GS1 General Specifications,
/// section 7.9).
pub(crate) fn is_gtin(text: &str) -> bool {
    let Some(digits) = digits::all(text.trim()) else { return false };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, digit)| if at % 2 == 0 { *digit } else { digit * 3 }).sum();
    matches!(digits.len(), 8 | 12 | 13 | 14) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_articles_pass_and_a_changed_digit_does_not() {
        for (good, bad) in [
            ("4006381333931", "4006381333932"),
            ("036000291452", "036000291453"),
            ("9780306406157", "9780306406158"),
            ("96385074", "96385075"),
        ] {
            assert!(is_gtin(good) && !is_gtin(bad), "{good}");
        }
        assert!(!is_gtin("123456") && !is_gtin(""));
    }
}
