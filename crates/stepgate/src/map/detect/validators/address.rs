//! Streets, towns and postal codes.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::super::fold::fold;

/// Larger towns, plain letters.
static CITIES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("../lists/cities.txt").split(['|', '\n']).filter(|city| !city.is_empty()).collect()
});

/// Words that end the name of a street, as words of their own (USPS Publication 28, appendix C1, among others).
const SUFFIXES: &str = "street st avenue ave road rd lane ln drive dr boulevard blvd court ct way place pl square sq \
    terrace ter trail trl parkway pkwy circle cir highway hwy alley close crescent cres gardens grove mews row walk hill \
    loop plaza point park ridge run view valley village vista creek crossing cliff cliffs club common corner cove crest \
    dale dam divide estate estates expressway extension falls ferry field fields flat flats ford forest forge fork forks \
    fort freeway garden gateway glen glens green greens groves harbor haven heights hills hollow inlet island islands \
    isle junction key keys knoll knolls lake lakes land landing light lights loaf lock locks lodge mall manor meadow \
    meadows mill mills mission motorway mount mountain neck orchard oval overpass parks parkways pass passage path pike \
    pine pines plain plains plazas points port ports prairie radial ramp ranch rapid rapids rest ridges river roads \
    route rue shoal shoals shore shores skyway spring springs spur spurs squares station stravenue stream streets summit \
    throughway trace track trafficway tunnel turnpike underpass union unions valleys via viaduct views villages ville \
    walks wall ways well wells bypass branch bridge brook brooks burg burgs camp canyon cape causeway center centers \
    circles bluff bluffs bottom beach bend bayou annex arcade curve courts coves";

/// Words that end in the street's own: `Hauptstraße`, `Dorpsstraat`, `Kungsgatan`, `Mannerheimintie`.
const ENDINGS: [&str; 37] = [
    "strasse", "str", "weg", "platz", "allee", "gasse", "ring", "damm", "ufer", "graben", "steig",
    "chaussee", "stieg", "straat", "laan", "plein", "gracht", "kade", "dijk", "singel", "hof", "steeg",
    "gatan", "vagen", "gade", "vej", "veien", "vegen", "gata", "alle", "katu", "tie", "kuja", "polku",
    "torget", "stranda", "bakken",
];

/// Words that begin an address.
const BEGINNINGS: &str = "rue avenue av boulevard bd blvd place chemin impasse allee allees quai route cours square \
    passage calle c avda avenida plaza paseo camino ronda carretera travesia via viale piazza corso largo vicolo strada \
    contrada piazzale lungomare rua r travessa praca alameda estrada rodovia largo beco ladeira vila jardim parque praia quadra conjunto condominio residencial loteamento viela ul ulica al aleja os osiedle plac \
    ulitsa bulevar calea strada bulevardul postfach apartado apdo po postbus casella jalan jl sokak cadde mahallesi \
    chaussee carrer passeig pasaje callejon acceso cuesta urbanizacion glorieta vereda";

static SUFFIX: LazyLock<HashSet<&str>> = LazyLock::new(|| SUFFIXES.split_whitespace().collect());
static BEGINNING: LazyLock<HashSet<&str>> = LazyLock::new(|| BEGINNINGS.split_whitespace().collect());

/// Of those, words that hardly mean anything else wherever they stand, Russian ones among them.
const ANYWHERE: [&str; 12] = [
    "ul",
    "ulitsa",
    "prospekt",
    "pereulok",
    "naberezhnaya",
    "shosse",
    "rua",
    "calle",
    "strasse",
    "chemin",
    "viale",
    "avenida",
];

/// What stands in addresses of China and Japan.
const HAN: [char; 9] = ['路', '街', '号', '巷', '弄', '丁', '番', '座', '町'];

/// Whether a text is a street with a number, or what else stands on a letter.
pub(crate) fn is_street(text: &str) -> bool {
    let text = text.trim();
    if !(6..=200).contains(&text.len()) || text.contains(['@', '{', '<', '=', '_']) || text.contains("://") {
        return false;
    }
    if text.contains(HAN) && text.contains(|letter: char| letter.is_ascii_digit()) {
        return true;
    }
    let plain = fold(text);
    let words: Vec<&str> =
        plain.split([' ', ',', '.', '/', '\n', '\u{a0}']).filter(|word| !word.is_empty()).collect();
    let has_number = words.iter().any(|word| is_house(word));
    if !has_number || words.len() < 2 || text.chars().filter(|letter| letter.is_alphabetic()).count() < 3 {
        return false;
    }
    let suffixed = words.iter().skip(1).any(|word| SUFFIX.contains(word))
        && words.first().is_some_and(|word| is_house(word));
    // `Strasse 7` itself, and `Lange Str 7`.
    let ends = words.iter().any(|word| {
        ENDINGS.iter().any(|known| word.ends_with(known) && (word.len() > known.len() + 1 || known.len() > 2))
    }) && !words.first().is_some_and(|word| is_house(word) && words.len() < 3);
    let begins = words.iter().take(3).enumerate().any(|(at, word)| {
        let starts = at == 0 || words.first().is_some_and(|word| is_house(word));
        starts && words.len() >= 3 && BEGINNING.contains(word)
    });
    let anywhere = words.iter().any(|word| ANYWHERE.contains(word));
    // `Ladeira de Teixeira, 52`.
    let numbered = text.rsplit_once(", ").is_some_and(|(street, number)| {
        is_house(number)
            && !street.contains(|letter: char| letter.is_ascii_digit())
            && street.chars().next().is_some_and(char::is_uppercase)
    });
    // As it stands on a letter: lines, of which two have numbers.
    let lines: Vec<&str> = text.lines().collect();
    let with_digits =
        lines.iter().filter(|line| line.contains(|letter: char| letter.is_ascii_digit())).count();
    let letter = (2..=5).contains(&lines.len()) && with_digits >= 2 && text.len() <= 150;
    let boxed = plain.contains("p.o. box") || plain.contains("po box") || plain.contains("postfach");
    suffixed || ends || begins || boxed || anywhere || numbered || letter
}

/// Whether a text is a street without a number.
pub(crate) fn is_street_name(text: &str) -> bool {
    let text = text.trim();
    let with_number = format!("{text} 7");
    let before = format!("7 {text}");
    text.len() <= 100
        && !text.contains(|letter: char| letter.is_ascii_digit())
        && (is_street(&with_number) || is_street(&before))
}

/// Whether a text is a larger town.
pub(crate) fn is_city(text: &str) -> bool {
    let plain = fold(text.trim()).replace('.', "");
    CITIES.contains(plain.as_str())
}

/// Whether a text is a town with its postal code before or behind it: `10115 Berlin`, `London SW1A 1AA`, `Austin, TX 78701`.
pub(crate) fn is_coded_town(text: &str) -> bool {
    let Some((code, town)) = coded(text.trim()) else { return false };
    let named = town.chars().next().is_some_and(char::is_uppercase)
        && town.chars().all(|letter| letter.is_alphabetic() || " .,'-/()".contains(letter))
        && town.split_whitespace().count() <= 4;
    named && postal(code).is_some()
}

/// Whether it is one of a larger town.
pub(crate) fn has_city(text: &str) -> bool {
    coded(text.trim()).is_some_and(|(_, town)| town.split([',', '/', '(']).any(is_city))
}

/// Code and town.
fn coded(text: &str) -> Option<(&str, &str)> {
    let is_code =
        |part: &str| part.contains(|letter: char| letter.is_ascii_digit()) && postal(part).is_some();
    let spaces: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).collect();
    let cut = |at: usize| Some((text.get(..at)?, text.get(at + 1..)?.trim()));
    // The longest code first: some have a space in them.
    let before = spaces.iter().take(2).rev().filter_map(|at| cut(*at)).find(|(code, _)| is_code(code));
    before.or_else(|| {
        let behind = spaces.iter().rev().take(2).rev().filter_map(|at| cut(*at));
        behind.map(|(town, code)| (code, town)).find(|(code, _)| is_code(code))
    })
}

/// `7`, `12a`, `7-9`, `12/3`, `#7`.
fn is_house(word: &str) -> bool {
    let word = word.trim_start_matches(['#', 'n', 'º', '°']);
    let digits = word.chars().take_while(char::is_ascii_digit).count();
    let rest: Vec<char> = word.chars().skip(digits).collect();
    (1..=5).contains(&digits)
        && (rest.is_empty()
            || (rest.len() <= 5 && matches!(rest.first(), Some('-' | '/')))
            || matches!(rest.as_slice(), [letter] if letter.is_alphabetic())
            || matches!(rest.as_slice(), ['b', 'i', 's'] | ['t', 'e', 'r']))
}

/// What a postal code says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Postal {
    /// Four to six digits.
    Digits,
    /// Digits in groups, as Poland, Portugal, Brazil, Japan and Sweden have them, or of ZIP+4.
    Grouped,
    /// Letters and digits: of Britain, Canada, the Netherlands, Ireland.
    Letters,
}

/// Whether a text is a postal code, of what kind.
pub(crate) fn postal(text: &str) -> Option<Postal> {
    let text = text.trim().to_uppercase();
    // Of Germany D-10115, of Sweden SE-.
    let text = text
        .split_once('-')
        .filter(|(country, _)| {
            (1..=2).contains(&country.len()) && country.chars().all(|letter| letter.is_ascii_uppercase())
        })
        .map_or(text.as_str(), |(_, rest)| rest);
    let pattern: String = text
        .chars()
        .map(|letter| {
            if letter.is_ascii_digit() {
                '9'
            } else if letter.is_ascii_uppercase() {
                'A'
            } else {
                letter
            }
        })
        .collect();
    match pattern.as_str() {
        "9999" | "99999" | "999999" | "9999999" | "99999999" => Some(Postal::Digits),
        "99999-9999" | "99-999" | "9999-999" | "99999-999" | "999 99" | "999-9999" => Some(Postal::Grouped),
        "A9A 9A9" | "A9A9A9" | "9999 AA" | "9999AA" | "A9 9AA" | "A99 9AA" | "AA9 9AA" | "AA99 9AA"
        | "A9A 9AA" | "AA9A 9AA" | "A99 A9A9" | "A99 AAAA" | "A99 9999" => Some(Postal::Letters),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streets_are_known_in_many_languages() {
        for street in [
            "221B Baker Street",
            "8394 Brandon Squares Apt. 123",
            "Hauptstraße 5",
            "Am Alten Weg 12a",
            "Lange Str. 7",
            "12, rue de la Paix",
            "Calle Mayor 3, 2º",
            "Via Garibaldi, 14",
            "Keizersgracht 123-2",
            "ul. Marszałkowska 10/4",
            "Rua Augusta, 100",
            "Kungsgatan 4",
            "Mannerheimintie 12 B",
            "P.O. Box 1234",
        ] {
            assert!(is_street(street), "{street}");
        }
        for other in ["Blue widget 7", "7 days", "Street", "version 12", "invoice 2024/17", "order no 12345"]
        {
            assert!(!is_street(other), "{other}");
        }
        assert!(is_street_name("Hauptstraße") && is_street_name("Baker Street") && !is_street_name("Widget"));
        for town in
            ["10115 Berlin", "00-950 Warszawa", "1012 AB Amsterdam", "London SW1A 1AA", "Austin, TX 78701"]
        {
            assert!(is_coded_town(town) && has_city(town), "{town}");
        }
        assert!(!is_coded_town("12345 widgets") && !is_coded_town("Berlin") && !is_coded_town("10115 10116"));
        assert!(is_city("München") && is_city("St. Gallen") && !is_city("Widget"));
    }

    #[test]
    fn postal_codes_have_their_countries_form() {
        assert_eq!(postal("10115"), Some(Postal::Digits));
        assert_eq!(postal("D-10115"), Some(Postal::Digits));
        assert_eq!(postal("00-950"), Some(Postal::Grouped));
        assert_eq!(postal("SW1A 1AA"), Some(Postal::Letters));
        assert_eq!(postal("1012 AB"), Some(Postal::Letters));
        assert_eq!(postal("AB-12345-X"), None);
    }
}
