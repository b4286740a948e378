//! International bank account numbers (ISO 13616).

use super::digits;

/// Length by country (SWIFT, "IBAN Registry", release 99).
const LENGTHS: [(&str, usize); 89] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// Whether a text is one: country, length and check digits.
pub(crate) fn is(text: &str) -> bool {
    let text = compact(text);
    let (Some(country), Some(check), Some(rest)) = (text.get(..2), text.get(2..4), text.get(4..)) else {
        return false;
    };
    let fits = LENGTHS.iter().any(|(known, length)| *known == country && *length == text.len());
    fits && digits::all(check).is_some()
        && digits::mod_97(rest.chars().chain(country.chars()).chain(check.chars())) == Some(1)
}

/// Whether it has at least the shape of one.
pub(crate) fn is_shaped(text: &str) -> bool {
    let text = compact(text);
    let (Some(country), Some(check)) = (text.get(..2), text.get(2..4)) else { return false };
    (15..=34).contains(&text.len())
        && country.chars().all(|letter| letter.is_ascii_uppercase())
        && digits::all(check).is_some()
}

/// Whether a longer text has one in it, written without spaces or in groups of four.
pub(crate) fn is_within(text: &str) -> bool {
    let words: Vec<&str> = text.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    (0..words.len()).any(|from| {
        let begins = words.get(from).is_some_and(|word| {
            word.len() >= 4 && word.chars().take(2).all(|letter| letter.is_ascii_uppercase())
        });
        begins
            && (from + 1..=words.len().min(from + 9))
                .any(|to| words.get(from..to).is_some_and(|run| is(&run.concat())))
    })
}

fn compact(text: &str) -> String {
    text.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect::<String>().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_registry_pass_and_changed_ones_do_not() {
        for good in [
            "GB29NWBK60161331926819",
            "DE89 3704 0044 0532 0130 00",
            "NL91ABNA0417164300",
            "fr14 2004 1010 0505 0001 3m02 606",
            "CH9300762011623852957",
            "NO9386011117947",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in ["GB29NWBK60161331926818", "DE8937040044053201300", "XX89370400440532013000", "DE00", ""] {
            assert!(!is(bad), "{bad}");
        }
        assert!(is_within("Bitte auf DE89 3704 0044 0532 0130 00 überweisen."));
        assert!(!is_within("Order AB12 3456 7890"));
    }
}
