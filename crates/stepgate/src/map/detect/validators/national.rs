//! Numbers that states give to people, by their own rules.

use super::digits::{self, is_day, luhn, number, weighted};

/// A kind of number.
#[derive(Debug)]
pub(crate) struct Scheme {
    /// What it is called where it is used, for people to read.
    pub(crate) name: &'static str,
    /// What share of texts that look like one passes by chance, at most.
    pub(crate) chance: f64,
    /// Whether a text without spaces, dots, dashes and slashes, in capitals, is one.
    pub(crate) is: fn(&str) -> bool,
}

/// The US social security number, which has no check digit, is looked at as it is written: see [`ssn`].
pub(crate) const SCHEMES: &[Scheme] = &[
    // With letters.
    Scheme { name: "UK National Insurance number", chance: 1e-3, is: super::letters::nino },
    Scheme { name: "Spanish DNI or NIE", chance: 1e-2, is: super::letters::dni },
    Scheme { name: "Italian codice fiscale", chance: 1e-4, is: super::letters::codice_fiscale },
    Scheme { name: "Finnish henkilötunnus", chance: 1e-3, is: super::letters::hetu },
    Scheme { name: "Irish PPS number", chance: 1e-2, is: super::letters::pps },
    Scheme { name: "Mexican CURP", chance: 1e-4, is: super::letters::curp },
    Scheme { name: "Indian PAN", chance: 1e-3, is: super::letters::pan },
    Scheme { name: "Singapore NRIC", chance: 1e-2, is: super::letters::nric },
    Scheme { name: "Chinese resident identity number", chance: 1e-3, is: super::letters::resident },
    Scheme { name: "Chilean RUT", chance: 0.1, is: super::letters::rut },
    Scheme { name: "French NIR", chance: 1e-3, is: super::letters::nir },
    Scheme { name: "Taiwanese identity number", chance: 1e-2, is: super::states::taiwanese },
    Scheme { name: "Mexican RFC", chance: 1e-3, is: super::states::rfc },
    // Digits alone.
    Scheme { name: "Swiss AHV number", chance: 1e-3, is: |text| of(text, 13, ahv) },
    Scheme { name: "German Steuer-ID", chance: 1e-2, is: |text| of(text, 11, steuer_id) },
    Scheme { name: "Polish PESEL", chance: 5e-2, is: |text| of(text, 11, pesel) },
    Scheme { name: "Belgian national number", chance: 1e-2, is: |text| of(text, 11, belgian) },
    Scheme { name: "Brazilian CPF", chance: 1e-2, is: |text| of(text, 11, cpf) },
    Scheme { name: "Turkish identity number", chance: 1e-2, is: |text| of(text, 11, turkish) },
    Scheme { name: "Norwegian fødselsnummer", chance: 1e-2, is: |text| of(text, 11, norwegian) },
    Scheme { name: "Croatian OIB", chance: 0.1, is: |text| of(text, 11, digits::mod_11_10) },
    Scheme { name: "Baltic personal code", chance: 2e-2, is: |text| of(text, 11, baltic) },
    Scheme { name: "Greek AMKA", chance: 1e-2, is: |text| of(text, 11, amka) },
    Scheme { name: "Swedish personnummer", chance: 1e-2, is: personnummer },
    Scheme { name: "Danish CPR number", chance: 5e-2, is: |text| of(text, 10, cpr) },
    Scheme { name: "UK NHS number", chance: 0.1, is: |text| of(text, 10, nhs) },
    Scheme { name: "Czech or Slovak rodné číslo", chance: 2e-2, is: |text| of(text, 10, rodne_cislo) },
    Scheme { name: "Bulgarian EGN", chance: 2e-2, is: |text| of(text, 10, egn) },
    Scheme { name: "Romanian CNP", chance: 1e-2, is: |text| of(text, 13, cnp) },
    Scheme { name: "South African identity number", chance: 1e-2, is: |text| of(text, 13, south_african) },
    Scheme { name: "Korean resident registration number", chance: 2e-2, is: |text| of(text, 13, korean) },
    Scheme { name: "Thai identity number", chance: 0.1, is: |text| of(text, 13, thai) },
    Scheme { name: "Indian Aadhaar number", chance: 0.1, is: |text| of(text, 12, aadhaar) },
    Scheme { name: "Japanese individual number", chance: 0.1, is: |text| of(text, 12, my_number) },
    Scheme { name: "Dutch BSN", chance: 0.1, is: |text| of(text, 9, bsn) },
    Scheme { name: "Portuguese NIF", chance: 0.1, is: |text| of(text, 9, nif) },
    Scheme { name: "Australian tax file number", chance: 0.1, is: |text| of(text, 9, tfn) },
    Scheme { name: "Canadian SIN", chance: 0.1, is: |text| of(text, 9, sin) },
    Scheme { name: "Austrian social insurance number", chance: 5e-2, is: |text| of(text, 10, austrian) },
    Scheme { name: "JMBG of a Balkan state", chance: 1e-2, is: |text| of(text, 13, super::states::jmbg) },
    Scheme { name: "Russian insurance number", chance: 2e-2, is: |text| of(text, 11, super::states::snils) },
    Scheme { name: "Russian taxpayer number", chance: 2e-2, is: |text| of(text, 12, super::states::inn) },
    Scheme { name: "Argentine CUIL", chance: 1e-2, is: |text| of(text, 11, super::states::cuil) },
    Scheme { name: "Icelandic kennitala", chance: 1e-2, is: |text| of(text, 10, super::states::kennitala) },
    Scheme {
        name: "Hungarian social security number",
        chance: 0.1,
        is: |text| of(text, 9, super::states::taj),
    },
    Scheme { name: "Hungarian tax number", chance: 1e-1, is: |text| of(text, 10, super::states::hungarian) },
];

/// Of the one that has no check digit: days of birth that somebody's number begins with have many days, months and years;
/// numbers that begin with the day on which they were given (`2401310042`) do not.
pub(crate) const UNCHECKED: &str = "Danish CPR number";

/// How a US social security number, or ITIN, is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ssn {
    /// `078-05-1120`: nothing else is written so.
    Grouped,
    /// Nine digits.
    Bare,
}

/// Whether a text may be a US social security number (SSA, "Social Security Number Randomization": no area 000, 666, no
/// group 00, no serial 0000).
pub(crate) fn ssn(text: &str) -> Option<Ssn> {
    let text = text.trim();
    let groups: Vec<&str> = text.split(['-', ' ']).collect();
    let (digits, form) = match groups.as_slice() {
        [one] if one.len() == 9 => (digits::all(one)?, Ssn::Bare),
        [area, group, serial] if (area.len(), group.len(), serial.len()) == (3, 2, 4) => {
            (digits::all(&groups.concat())?, Ssn::Grouped)
        }
        _ => return None,
    };
    let part = |from: usize, to: usize| digits.get(from..to).map(number);
    let good = !matches!(part(0, 3)?, 0 | 666) && part(3, 5)? != 0 && part(5, 9)? != 0;
    good.then_some(form)
}

/// Whether a longer text has one in it by whose form alone few others are written, or behind what it is called.
pub(crate) fn is_within(text: &str) -> bool {
    let words = || text.split(|letter: char| letter.is_whitespace() || ",;:()".contains(letter));
    let is = |word: &str, most: f64| {
        let compact = compact(word.trim_matches(['.', '!', '?']));
        (8..=18).contains(&compact.len())
            && SCHEMES.iter().any(|scheme| scheme.chance <= most && (scheme.is)(&compact))
    };
    let called = |word: &str| {
        CALLED.split_whitespace().any(|known| known.eq_ignore_ascii_case(word.trim_matches(['.', '#'])))
    };
    let mut named = false;
    words().filter(|word| !word.is_empty()).any(|word| {
        let good = word.chars().filter(char::is_ascii_digit).count() >= 5
            && is(word, if named { 0.1 } else { 1e-3 });
        named = called(word) || (named && word.len() < 4);
        good
    })
}

/// What such numbers are called.
const CALLED: &str = "dni nie nif nino nhs bsn pesel steuer-id steuerid idnr svnr ahv avs nir cpf curp rut egn cnp oib jmbg snils \
    inn personnummer cpr hetu isikukood amka pps ppsn sin tfn aadhaar pan";

/// A text in capitals without what people write between groups.
pub(crate) fn compact(text: &str) -> String {
    text.chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '.' | '/' | '\u{a0}'))
        .collect::<String>()
        .to_uppercase()
}

fn of(text: &str, length: usize, check: fn(&[u32]) -> bool) -> bool {
    if text.len() != length {
        return false;
    }
    digits::all(text).is_some_and(|digits| {
        let all_same = digits.iter().all(|digit| Some(digit) == digits.first());
        !all_same && check(&digits)
    })
}

/// Of two digits each, from there on.
fn pairs(digits: &[u32], at: usize) -> (u32, u32, u32) {
    let pair = |at: usize| match digits.get(at..at + 2) {
        Some([a, b]) => a * 10 + b,
        _ => 0,
    };
    (pair(at), pair(at + 2), pair(at + 4))
}

fn last(digits: &[u32]) -> u32 {
    digits.last().copied().unwrap_or(0)
}

fn ahv(digits: &[u32]) -> bool {
    digits.starts_with(&[7, 5, 6])
        && weighted(digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// Not zero first; of the first ten, one digit stands twice or thrice (BZSt).
fn steuer_id(digits: &[u32]) -> bool {
    let mut seen = [0_u32; 10];
    for digit in digits.iter().take(10) {
        if let Some(count) = seen.get_mut(*digit as usize) {
            *count += 1;
        }
    }
    let repeated = seen.iter().filter(|count| **count > 1).count();
    let most = seen.iter().max().copied().unwrap_or(0);
    digits.first() != Some(&0) && repeated == 1 && most <= 3 && digits::mod_11_10(digits)
}

/// The century is in the month.
fn pesel(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 0);
    is_day(year, month % 20, day) && weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

fn belgian(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 0);
    let body = digits.get(..9).map_or(0, number);
    let check = digits.get(9..).map_or(0, number);
    // Since 2000 a 2 stands before it. Months by 20 and 40 are of people without registration.
    let fits = 97 - body % 97 == check || 97 - (2_000_000_000 + body) % 97 == check;
    (is_day(year, month % 20, day) || (month % 20 == 0 && day <= 31)) && fits
}

fn cpf(digits: &[u32]) -> bool {
    let check = |length: usize| {
        let length_u32 = u32::try_from(length).unwrap_or(0);
        let sum: u32 = digits
            .iter()
            .take(length)
            .zip((2..=length_u32 + 1).rev())
            .map(|(digit, weight)| digit * weight)
            .sum();
        sum * 10 % 11 % 10
    };
    Some(&check(9)) == digits.get(9) && Some(&check(10)) == digits.get(10)
}

fn turkish(digits: &[u32]) -> bool {
    let [a, b, c, d, e, f, g, h, i, j, k] = digits else { return false };
    let tenth = (7 * (a + c + e + g + i) + 10 * 9 - (b + d + f + h)) % 10;
    *a != 0 && tenth == *j && digits.iter().take(10).sum::<u32>() % 10 == *k
}

fn norwegian(digits: &[u32]) -> bool {
    let (day, month, year) = pairs(digits, 0);
    let first = weighted(digits, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11);
    let second = weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11);
    // D numbers have 40 more in the day, H numbers in the month.
    is_day(year, month % 40, if day > 40 { day - 40 } else { day }) && first && second
}

/// Estonia's isikukood, Lithuania's asmens kodas.
fn baltic(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 1);
    let rest = |weights: &[u32]| weighted(digits.get(..10).unwrap_or_default(), weights) % 11;
    let check = match rest(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) {
        10 => rest(&[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 10,
        check => check,
    };
    matches!(digits.first(), Some(1..=6)) && is_day(year, month, day) && check == last(digits)
}

fn amka(digits: &[u32]) -> bool {
    let (day, month, year) = pairs(digits, 0);
    is_day(year, month, day) && luhn(digits)
}

/// With or without the century, `+` where somebody is over a hundred.
fn personnummer(text: &str) -> bool {
    let text = text.replace('+', "");
    let Some(all) = digits::all(&text) else { return false };
    let short = match all.as_slice() {
        [1, 8 | 9, rest @ ..] | [2, 0, rest @ ..] if rest.len() == 10 => rest,
        short if short.len() == 10 => short,
        _ => return false,
    };
    let (year, month, day) = pairs(short, 0);
    // Coordination numbers have 60 more in the day.
    is_day(year, month, if day > 60 { day - 60 } else { day }) && luhn(short)
}

/// Since 2007 without a check digit that could be relied on.
fn cpr(digits: &[u32]) -> bool {
    let (day, month, year) = pairs(digits, 0);
    is_day(year, month, day)
}

fn nhs(digits: &[u32]) -> bool {
    let check = (11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    check == last(digits)
}

fn rodne_cislo(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 0);
    let month = match month {
        51..=62 => month - 50,
        21..=32 => month - 20,
        71..=82 => month - 70,
        month => month,
    };
    let body = digits.get(..9).map_or(0, number) % 11 % 10;
    is_day(year, month, day) && (number(digits).is_multiple_of(11) || body == u64::from(last(digits)))
}

fn egn(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 0);
    let month = match month {
        21..=32 => month - 20,
        41..=52 => month - 40,
        month => month,
    };
    is_day(year, month, day) && weighted(digits, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == last(digits)
}

fn cnp(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 1);
    let check = match weighted(digits, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11 {
        10 => 1,
        check => check,
    };
    matches!(digits.first(), Some(1..=9)) && is_day(year, month, day) && check == last(digits)
}

fn south_african(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 0);
    is_day(year, month, day) && matches!(digits.get(10), Some(0 | 1)) && luhn(digits)
}

fn korean(digits: &[u32]) -> bool {
    let (year, month, day) = pairs(digits, 0);
    let check = (11 - weighted(digits, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10;
    is_day(year, month, day) && matches!(digits.get(6), Some(1..=8)) && check == last(digits)
}

fn thai(digits: &[u32]) -> bool {
    let check = (11 - weighted(digits, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    matches!(digits.first(), Some(1..=8)) && check == last(digits)
}

fn aadhaar(digits: &[u32]) -> bool {
    matches!(digits.first(), Some(2..=9)) && digits::verhoeff(digits)
}

fn my_number(digits: &[u32]) -> bool {
    let check = match weighted(digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    check == last(digits)
}

/// The "eleven test", with the last digit taken away.
fn bsn(digits: &[u32]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    (sum + 11 - last(digits)).is_multiple_of(11)
}

fn nif(digits: &[u32]) -> bool {
    let check = match weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    !matches!(digits.first(), Some(0)) && check == last(digits)
}

fn tfn(digits: &[u32]) -> bool {
    weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

fn sin(digits: &[u32]) -> bool {
    !matches!(digits.first(), Some(0 | 8)) && luhn(digits)
}

/// The check digit stands fourth, before the day of birth.
fn austrian(digits: &[u32]) -> bool {
    let (day, month, year) = pairs(digits, 4);
    let sum = weighted(digits, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11;
    digits.first() != Some(&0) && is_day(year, month, day) && Some(&sum) == digits.get(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(name: &str, text: &str) -> bool {
        let scheme = SCHEMES.iter().find(|scheme| scheme.name.contains(name)).unwrap();
        (scheme.is)(&compact(text))
    }

    /// Numbers that authorities publish as examples, or that their rules make.
    #[test]
    fn published_examples_pass_and_a_changed_digit_does_not() {
        for (name, good, bad) in [
            ("National Insurance", "QQ 12 34 56 C".replace("QQ", "AB").as_str(), "BG 12 34 56 C"),
            ("DNI", "12345678Z", "12345678A"),
            ("DNI", "X1234567L", "X1234567A"),
            ("codice fiscale", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
            ("henkilötunnus", "131052-308T", "131052-308U"),
            ("PPS", "1234567T", "1234567A"),
            ("CURP", "HEGG560427MVZRRL04", "HEGG561327MVZRRL04"),
            ("NRIC", "S1234567D", "S1234567E"),
            ("Chinese", "11010519491231002X", "110105194912310021"),
            ("RUT", "12.345.678-5", "12.345.678-6"),
            ("NIR", "1 51 02 46102 043 25", "1 51 02 46102 043 26"),
            ("AHV", "756.9217.0769.85", "756.9217.0769.84"),
            ("Steuer-ID", "86 095 742 719", "86 095 742 710"),
            ("PESEL", "44051401359", "44051401358"),
            ("Belgian", "85.07.30-033.28", "85.07.30-033.29"),
            ("CPF", "529.982.247-25", "529.982.247-26"),
            ("Turkish", "10000000146", "10000000147"),
            ("OIB", "94577403194", "94577403195"),
            ("Baltic", "37605030299", "37605030298"),
            ("personnummer", "19811228-9874", "19811228-9873"),
            ("personnummer", "811228-9874", "811328-9874"),
            ("CPR", "070761-4285", "321361-4285"),
            ("NHS", "943 476 5919", "943 476 5918"),
            ("rodné", "736028/5163", "736028/5164"),
            ("EGN", "7523169263", "7523169262"),
            ("CNP", "1800101221144", "1800101221145"),
            ("South African", "8001015009087", "8001015009088"),
            ("Thai", "1101700230708", "1101700230709"),
            ("Aadhaar", "2341 2341 2346", "2341 2341 2347"),
            ("BSN", "111222333", "111222334"),
            ("NIF", "123456789", "123456780"),
            ("tax file", "123 456 782", "123 456 783"),
            ("SIN", "130 692 544", "130 692 545"),
            ("Austrian", "1237 010180", "1236 010180"),
        ] {
            assert!(passes(name, good), "{name}: {good}");
            assert!(!passes(name, bad), "{name}: {bad}");
        }
    }

    #[test]
    fn numbers_are_found_within_text_where_they_are_called_so() {
        assert!(is_within("PESEL 44051401359 to be checked") && is_within("sent by RSSMRA85T10A562S today"));
        assert!(is_within("DNI: 12345678Z") && !is_within("order 44051401359 was late"));
        assert!(!is_within("dni otwarte, 12 osób"));
    }

    #[test]
    fn social_security_numbers_keep_to_their_areas() {
        assert_eq!(ssn("078-05-1120"), Some(Ssn::Grouped));
        assert_eq!(ssn("219099999"), Some(Ssn::Bare));
        for bad in ["000-12-3456", "666-12-3456", "123-00-4567", "123-45-0000", "1234-5-6789", "12345678"] {
            assert_eq!(ssn(bad), None, "{bad}");
        }
    }

    #[test]
    fn few_numbers_pass_by_chance() {
        // A stride that has nothing to do with any rule.
        for scheme in SCHEMES {
            let made = |at: u64, length: u32| {
                let low = 10_u64.pow(length - 1);
                (low + (at * 7_368_787_654_321) % (9 * low)).to_string()
            };
            for length in 9..=13 {
                let hits = (0..4000).filter(|at| (scheme.is)(&made(*at, length))).count();
                assert!(hits as f64 / 4000.0 <= scheme.chance * 1.25, "{} {length} {hits}", scheme.name);
            }
        }
    }
}
