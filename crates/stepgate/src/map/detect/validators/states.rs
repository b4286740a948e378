//! More numbers that states give to people: of the Balkans, Russia, Argentina, Iceland, Hungary, Taiwan, Hong Kong, Mexico.

use super::digits::{self, is_day, number, weighted};

/// Of two digits.
fn pair(digits: &[u32], at: usize) -> u32 {
    match digits.get(at..at + 2) {
        Some([a, b]) => a * 10 + b,
        _ => 0,
    }
}

fn last(digits: &[u32]) -> u32 {
    digits.last().copied().unwrap_or(0)
}

/// Yugoslavia's JMBG, which its successors went on with: day of birth with three digits of the year, region, number, check.
pub(super) fn jmbg(digits: &[u32]) -> bool {
    let sum = weighted(digits, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if sum == 0 { Some(0) } else { Some(11 - sum).filter(|check| *check < 10) };
    let year = digits.get(4..7).map_or(0, number);
    is_day(pair(digits, 5), pair(digits, 2), pair(digits, 0))
        && (year >= 880 || year <= 60)
        && check == Some(last(digits))
}

/// Russia's insurance number.
pub(super) fn snils(digits: &[u32]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100;
    sum == pair(digits, 9)
}

/// Russia's taxpayer number of a person.
pub(super) fn inn(digits: &[u32]) -> bool {
    let check = |weights: &[u32]| weighted(digits, weights) % 11 % 10;
    Some(&check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8])) == digits.get(10)
        && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == last(digits)
}

/// Argentina's CUIL and CUIT of people.
pub(super) fn cuil(digits: &[u32]) -> bool {
    let check = match 11 - weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        11 => 0,
        10 => 9,
        check => check,
    };
    matches!(pair(digits, 0), 20 | 23 | 24 | 27) && check == last(digits)
}

/// Iceland's kennitala: the check digit stands ninth, the century last.
pub(super) fn kennitala(digits: &[u32]) -> bool {
    let check = (11 - weighted(digits, &[3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    is_day(pair(digits, 4), pair(digits, 2), pair(digits, 0))
        && matches!(digits.last(), Some(0 | 8 | 9))
        && Some(&check) == digits.get(8)
}

/// Hungary's social security number.
pub(super) fn taj(digits: &[u32]) -> bool {
    weighted(digits, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == last(digits)
}

/// Hungary's tax number of people.
pub(super) fn hungarian(digits: &[u32]) -> bool {
    digits.first() == Some(&8) && weighted(digits, &[1, 2, 3, 4, 5, 6, 7, 8, 9]) % 11 == last(digits)
}

/// A letter and nine digits.
pub(super) fn taiwanese(text: &str) -> bool {
    const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let Some(area) = text.chars().next().and_then(|first| LETTERS.find(first)) else { return false };
    let (Some(digits), Ok(area)) = (text.get(1..).and_then(digits::all), u32::try_from(area + 10)) else {
        return false;
    };
    digits.len() == 9
        && matches!(digits.first(), Some(1 | 2 | 8 | 9))
        && (area / 10 + area % 10 * 9 + weighted(&digits, &[8, 7, 6, 5, 4, 3, 2, 1, 1])).is_multiple_of(10)
}

/// Mexico's RFC of people: four letters, day of birth, three letters or digits.
pub(super) fn rfc(text: &str) -> bool {
    let (Some(name), Some(date), Some(rest)) = (text.get(..4), text.get(4..10), text.get(10..)) else {
        return false;
    };
    let Some(date) = digits::all(date) else { return false };
    text.len() == 13
        && name.chars().all(|letter| letter.is_ascii_uppercase())
        && is_day(pair(&date, 0), pair(&date, 2), pair(&date, 4))
        && rest.chars().all(|letter| letter.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_pass_and_a_changed_digit_does_not() {
        let digits = |text: &str| digits::all(text).unwrap();
        for (is, good, bad) in [
            (jmbg as fn(&[u32]) -> bool, "0101006500006", "0101006500007"),
            (snils, "11223344595", "11223344596"),
            (inn, "500100732259", "500100732258"),
            (cuil, "20267565393", "20267565394"),
            (kennitala, "1201743399", "1201743389"),
            (taj, "111111110", "111111111"),
            (hungarian, "8071592153", "8071592154"),
        ] {
            assert!(is(&digits(good)) && !is(&digits(bad)), "{good}");
        }
        assert!(taiwanese("A123456789") && !taiwanese("A123456788"));
        assert!(rfc("GODE561231GR8") && !rfc("GODE561331GR8"));
    }
}
