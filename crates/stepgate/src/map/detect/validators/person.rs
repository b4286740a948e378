//! Names of people: by lists of common ones, and by their shape.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::super::fold::fold;

/// Common given names of some thirty languages, plain letters.
static GIVEN: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("../lists/given.txt").split_whitespace().collect());

/// Common family names.
static FAMILY: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("../lists/family.txt").split_whitespace().collect());

/// Of them and of given names, those that are as often something else: colours, trades, months, places, days.
const EVERYDAY: &str = "brown white black green gray rose amber olive violet ruby king price cook baker carpenter porter hunter \
    fisher mason butler page ford west winter summer sommer april may june august hall park young long rich grant stone wood \
    woods hill lake field rivers cross church bell bush moon fox wolf bird pope bishop knight klein gross lang kurz braun \
    schwarz weiss koch blanc noir rouge roux bianco verde neri costa leon frank mark will bill art grace faith hope joy dawn ivy \
    lily daisy iris ring gold jordan georgia virginia carolina austin dallas madison jackson lincoln washington houston charlotte \
    paris florence sydney santiago cordoba valencia toledo messina marino victoria jasmin jade holly robin sandy sierra dakota \
    savannah chelsea brooklyn phoenix taylor smith miller mercedes porsche ferrari beck becker weber wagner bosch siemens \
    max general major sun may march fuchs vogel stern horn busch jung lee an su von do day case best sharp small strong chase \
    cash love reader weaver potter turner cooper parker walker painter singer driver farmer shepherd gardner archer chandler \
    sauer blau berg bauer richter schneider schuster schreiber muller meyer ritter kaiser konig engel winkel ziegler lima";

static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| EVERYDAY.split_whitespace().collect());

/// Common family names of one letter, as China and Korea write them.
const HAN: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金廖\
    贾夏韦方白邹孟熊秦邱江尹薛段雷侯龙陶黎贺顾毛郝龚邵万钱严武戴莫孔汤佐鈴木高橋渡辺伊藤山本中村小加吉김이박최정강조윤장임";

/// Words that stand before, between or after names.
const PARTICLES: [&str; 46] = [
    "mr", "mrs", "ms", "miss", "dr", "prof", "herr", "frau", "m", "mme", "mlle", "sr", "sra", "srta", "sig",
    "dott", "jr", "ii", "iii", "phd", "md", "dds", "dvm", "von", "van", "der", "den", "de", "da", "di",
    "del", "della", "dos", "du", "la", "le", "el", "al", "bin", "zu", "ter", "ten", "st", "y", "ing", "dipl",
];

/// Of them, those that within a text stand before a name and hardly before anything else.
const TITLES: [&str; 14] = [
    "mr", "mrs", "ms", "herr", "herrn", "frau", "mme", "mlle", "monsieur", "madame", "sra", "senora",
    "signora", "mevrouw",
];

/// What a text says of being a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// One to four words of letters, capitals where names have them.
    pub(crate) shaped: bool,
    /// Its words, particles apart.
    pub(crate) words: usize,
    /// One of them is a common given name.
    pub(crate) given: bool,
    /// One of them is a common family name.
    pub(crate) family: bool,
}

/// Looks at a text that may be a name.
pub(crate) fn look(text: &str) -> Named {
    let text = text.trim();
    if text.len() > 80
        || text.chars().any(|letter| letter.is_ascii_digit() || "@_/\\#{}<>=;:&%|+".contains(letter))
    {
        return Named::default();
    }
    let mut named = Named { shaped: true, ..Named::default() };
    let mut capitals = 0;
    for word in text.split([' ', ',', '\u{a0}']).filter(|word| !word.is_empty()) {
        let word = word.trim_end_matches('.');
        let plain = fold(word);
        if PARTICLES.contains(&plain.as_str()) {
            continue;
        }
        let letters =
            word.chars().all(|letter| letter.is_alphabetic() || matches!(letter, '\'' | '-' | '’' | '.'));
        named.shaped &= letters && !word.is_empty();
        named.words += 1;
        capitals += usize::from(word.chars().next().is_some_and(char::is_uppercase));
        let everyday = COMMON.contains(plain.as_str());
        named.family |= word.chars().next().is_some_and(|first| HAN.contains(first))
            && (2..=3).contains(&word.chars().count());
        // Alone it may be a colour; `Anna Brown` is somebody by her other name.
        if everyday {
            continue;
        }
        for part in plain.split(['-', '\'', '’']).chain([plain.replace(['\'', '’'], "").as_str()]) {
            named.given |= GIVEN.contains(part);
            named.family |= FAMILY.contains(part);
        }
    }
    let script =
        text.chars().any(|letter| letter.is_alphabetic() && !letter.is_lowercase() && !letter.is_uppercase());
    let capital = capitals == named.words || script;
    // All in small letters, a name is one only where lists say so.
    named.shaped &= (1..=4).contains(&named.words) && (capital || named.given || named.family);
    named
}

/// Whether a longer text names somebody: a common given name, then a common family name or a particle and one, both with
/// capitals.
pub(crate) fn is_within(text: &str) -> bool {
    let capital = |word: &&str| word.chars().next().is_some_and(char::is_uppercase);
    let words: Vec<&str> = text.split(|letter: char| !(letter.is_alphabetic() || letter == '-')).collect();
    let said: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    let titled = said.windows(2).any(|pair| match pair {
        [title, name] => TITLES.contains(&fold(title).as_str()) && capital(name) && name.chars().count() > 2,
        _ => false,
    });
    titled
        || words.windows(2).any(|pair| match pair {
            [given, family] if capital(given) && capital(family) => {
                GIVEN.contains(fold(given).as_str()) && FAMILY.contains(fold(family).as_str())
            }
            _ => false,
        })
}

/// Whether a login is made of a name: `jsmith`, `anna.schmidt`, `mueller42`.
pub(crate) fn is_in_login(text: &str) -> bool {
    let plain = fold(text);
    let known =
        |part: &str, least: usize| part.len() >= least && (GIVEN.contains(part) || FAMILY.contains(part));
    plain.split(|letter: char| !letter.is_alphabetic()).any(|part| {
        let mut letters = part.chars();
        letters.next();
        // `annaschmidt`: one after the other.
        let both = (3..part.len().saturating_sub(2)).any(|at| match (part.get(..at), part.get(at..)) {
            (Some(one), Some(two)) => known(one, 3) && known(two, 3),
            _ => false,
        });
        known(part, 4) || known(letters.as_str(), 4) || both
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_many_languages() {
        for name in
            ["Dana Scully", "MÜLLER, Jürgen", "Dr. Anna-Maria von Schmidt", "josé garcía", "Sean O'Brien"]
        {
            let named = look(name);
            assert!(named.shaped && (named.given || named.family), "{name} {named:?}");
        }
        for other in ["Blue Widget", "Acme GmbH & Co", "order-17", "pending", "en_US"] {
            let named = look(other);
            assert!(!named.given && !named.family, "{other} {named:?}");
        }
        assert!(
            is_within("Frau Zumthor hat angerufen")
                && is_within("sent to Mrs. Okonkwo")
                && !is_within("Herr der Ringe")
        );
        assert!(is_within("spoke with Dana Scully about it") && !is_within("Spring Sale in Berlin"));
        assert!(is_in_login("jsmith42") && is_in_login("anna.schmidt") && is_in_login("donaldgarcia7"));
        assert!(!is_in_login("admin") && !is_in_login("backup01"));
    }
}
