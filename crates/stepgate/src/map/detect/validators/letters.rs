//! Personal numbers that have letters in them.

use super::digits::{self, is_day, number, weighted};

/// Two letters, six digits, a letter from A to D (HMRC, NIM39110).
pub(super) fn nino(text: &str) -> bool {
    let (Some(prefix), Some(rest), Some(suffix)) = (text.get(..2), text.get(2..8), text.get(8..)) else {
        return false;
    };
    let mut first = prefix.chars();
    let (Some(one), Some(two)) = (first.next(), first.next()) else { return false };
    one.is_ascii_uppercase()
        && two.is_ascii_uppercase()
        && !"DFIQUV".contains(one)
        && !"DFIQUVO".contains(two)
        && !["BG", "GB", "NK", "KN", "TN", "NT", "ZZ"].contains(&prefix)
        && digits::all(rest).is_some()
        && matches!(suffix, "A" | "B" | "C" | "D")
}

/// A letter by the remainder by 23; of foreigners X, Y or Z stands for the first digit.
pub(super) fn dni(text: &str) -> bool {
    const LETTERS: &str = "TRWAGMYFPDXBNJZSQVHLCKE";
    let Some((body, letter)) =
        text.char_indices().last().and_then(|(at, letter)| Some((text.get(..at)?, letter)))
    else {
        return false;
    };
    let body = match body.chars().next() {
        Some('X') => body.replacen('X', "0", 1),
        Some('Y') => body.replacen('Y', "1", 1),
        Some('Z') => body.replacen('Z', "2", 1),
        _ => body.to_owned(),
    };
    body.len() == 8
        && digits::all(&body)
            .is_some_and(|digits| LETTERS.chars().nth((number(&digits) % 23) as usize) == Some(letter))
}

/// Sixteen letters and digits, of which the last checks the others (D.M. 23/12/1976).
pub(super) fn codice_fiscale(text: &str) -> bool {
    const ODD: [u32; 36] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12,
        14, 16, 10, 22, 25, 24, 23,
    ];
    if text.len() != 16 || !text.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return false;
    }
    let letters = text.chars().take(6).all(|letter| letter.is_ascii_alphabetic());
    let month = text.chars().nth(8).is_some_and(|letter| "ABCDEHLMPRST".contains(letter));
    let mut sum = 0;
    for (at, letter) in text.chars().take(15).enumerate() {
        let value = letter.to_digit(36).unwrap_or(0);
        let plain = if value > 9 { value - 10 } else { value };
        sum += if at % 2 == 0 { ODD.get(value as usize).copied().unwrap_or(0) } else { plain };
    }
    let check = char::from_digit(sum % 26 + 10, 36).map(|letter| letter.to_ascii_uppercase());
    letters && month && check == text.chars().last()
}

/// Day of birth, century, number, a letter by the remainder by 31. Dashes are gone already.
pub(super) fn hetu(text: &str) -> bool {
    const LETTERS: &str = "0123456789ABCDEFHJKLMNPRSTUVWXY";
    let Some(date) = text.get(..6).and_then(digits::all) else { return false };
    let rest = text.get(6..).unwrap_or_default();
    let rest = rest.strip_prefix(|letter| "+ABCDEFYXWVU".contains(letter)).unwrap_or(rest);
    let (Some(serial), Some(check)) = (rest.get(..3).and_then(digits::all), rest.get(3..)) else {
        return false;
    };
    let [a, b, c, d, e, f] = date.as_slice() else { return false };
    let all: Vec<u32> = date.iter().chain(&serial).copied().collect();
    let letter = LETTERS.chars().nth((number(&all) % 31) as usize);
    is_day(e * 10 + f, c * 10 + d, a * 10 + b) && check.chars().count() == 1 && check.chars().next() == letter
}

/// Seven digits, a letter by the remainder by 23, a second letter since 2013.
pub(super) fn pps(text: &str) -> bool {
    let (Some(body), Some(letters)) = (text.get(..7).and_then(digits::all), text.get(7..)) else {
        return false;
    };
    let mut letters = letters.chars();
    let (Some(check), second, None) = (letters.next(), letters.next(), letters.next()) else { return false };
    let value = |letter: char| letter.to_digit(36).map_or(0, |value| value.saturating_sub(9));
    let more = second.filter(|letter| *letter != 'W').map_or(0, |letter| 9 * value(letter));
    let sum = (weighted(&body, &[8, 7, 6, 5, 4, 3, 2]) + more) % 23;
    check.is_ascii_uppercase() && (if check == 'W' { 0 } else { value(check) }) == sum
}

/// Four letters, day of birth, sex, state, three consonants, two more.
pub(super) fn curp(text: &str) -> bool {
    let (Some(name), Some(date), Some(rest)) = (text.get(..4), text.get(4..10), text.get(10..)) else {
        return false;
    };
    let Some([a, b, c, d, e, f]) = digits::all(date).and_then(|date| <[u32; 6]>::try_from(date).ok()) else {
        return false;
    };
    let mut rest_letters = rest.chars();
    text.len() == 18
        && name.chars().all(|letter| letter.is_ascii_uppercase())
        && is_day(a * 10 + b, c * 10 + d, e * 10 + f)
        && matches!(rest_letters.next(), Some('H' | 'M' | 'X'))
        && rest_letters.by_ref().take(5).all(|letter| letter.is_ascii_uppercase())
        && text.ends_with(|letter: char| letter.is_ascii_digit())
}

/// Five letters, of which the fourth says that it is a person's, four digits, a letter.
pub(super) fn pan(text: &str) -> bool {
    let (Some(letters), Some(body), Some(last)) = (text.get(..5), text.get(5..9), text.get(9..)) else {
        return false;
    };
    let is_upper = |text: &str| text.chars().all(|letter| letter.is_ascii_uppercase());
    is_upper(letters)
        && letters.chars().nth(3) == Some('P')
        && digits::all(body).is_some()
        && last.len() == 1
        && is_upper(last)
}

/// S or T of citizens, F, G or M of foreigners, and a letter that checks.
pub(super) fn nric(text: &str) -> bool {
    let (Some(first), Some(body), Some(check)) =
        (text.chars().next(), text.get(1..8).and_then(digits::all), text.get(8..))
    else {
        return false;
    };
    let sum = weighted(&body, &[2, 7, 6, 5, 4, 3, 2]);
    let (more, letters) = match first {
        'S' => (0, "JZIHGFEDCBA"),
        'T' => (4, "JZIHGFEDCBA"),
        'F' => (0, "XWUTRQPNMLK"),
        'G' => (4, "XWUTRQPNMLK"),
        'M' => (3, "XWUTRQPNJLK"),
        _ => return false,
    };
    check.len() == 1 && letters.chars().nth(((sum + more) % 11) as usize) == check.chars().next()
}

/// Place, day of birth, number, and a check letter by MOD 11-2 (GB 11643).
pub(super) fn resident(text: &str) -> bool {
    let Some(body) = text.get(..17).and_then(digits::all) else { return false };
    let [_, _, _, _, _, _, one, nine, a, b, c, d, e, f, ..] = body.as_slice() else { return false };
    let sum = weighted(&body, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11;
    let check = "10X98765432".chars().nth(sum as usize);
    matches!((one, nine), (1, 9) | (2, 0))
        && is_day(a * 10 + b, c * 10 + d, e * 10 + f)
        && text.len() == 18
        && text.chars().last() == check
}

/// A check letter by MOD 11, K for ten.
pub(super) fn rut(text: &str) -> bool {
    let Some((body, check)) =
        text.char_indices().last().and_then(|(at, check)| Some((text.get(..at)?, check)))
    else {
        return false;
    };
    let Some(body) = digits::all(body).filter(|body| (7..=8).contains(&body.len())) else { return false };
    let sum: u32 =
        body.iter().rev().zip([2, 3, 4, 5, 6, 7, 2, 3]).map(|(digit, weight)| digit * weight).sum();
    let expected = match 11 - sum % 11 {
        11 => '0',
        10 => 'K',
        rest => char::from_digit(rest, 10).unwrap_or('0'),
    };
    check == expected
}

/// Sex, year, month, place, numbers, and the remainder by 97; Corsica's places are 2A and 2B.
pub(super) fn nir(text: &str) -> bool {
    let text = text.replacen("2A", "19", 1).replacen("2B", "18", 1);
    let Some(digits) = digits::all(&text).filter(|digits| digits.len() == 15) else { return false };
    let body = digits.get(..13).map_or(0, number);
    let check = digits.get(13..).map_or(0, number);
    let month = digits.get(3..5).map_or(0, number);
    matches!(digits.first(), Some(1 | 2 | 3 | 4 | 7 | 8))
        && matches!(month, 1..=12 | 20..=99)
        && 97 - body % 97 == check
}
