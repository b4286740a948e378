//! Letters without marks, so that lists need each word once.

/// A text in lower case and plain letters: `Müller` is `muller`, `Łódź` is `lodz`.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'à'..='å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
            'æ' => folded.push_str("ae"),
            'ç' | 'ć' | 'č' | 'ĉ' => folded.push('c'),
            'ď' | 'đ' | 'ð' => folded.push('d'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => folded.push('e'),
            'ğ' | 'ģ' => folded.push('g'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' => folded.push('i'),
            'ķ' => folded.push('k'),
            'ł' | 'ļ' | 'ľ' => folded.push('l'),
            'ñ' | 'ń' | 'ň' | 'ņ' => folded.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => folded.push('o'),
            'œ' => folded.push_str("oe"),
            'ř' => folded.push('r'),
            'ś' | 'š' | 'ş' | 'ș' => folded.push('s'),
            'ß' => folded.push_str("ss"),
            'ť' | 'ţ' | 'ț' => folded.push('t'),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ź' | 'ż' | 'ž' => folded.push('z'),
            'а' => folded.push('a'),
            'б' => folded.push('b'),
            'в' => folded.push('v'),
            'г' | 'ґ' => folded.push('g'),
            'д' => folded.push('d'),
            'е' | 'ё' | 'э' | 'є' => folded.push('e'),
            'ж' => folded.push_str("zh"),
            'з' => folded.push('z'),
            'и' | 'і' => folded.push('i'),
            'й' | 'ы' | 'ї' => folded.push('y'),
            'к' => folded.push('k'),
            'л' => folded.push('l'),
            'м' => folded.push('m'),
            'н' => folded.push('n'),
            'о' => folded.push('o'),
            'п' => folded.push('p'),
            'р' => folded.push('r'),
            'с' => folded.push('s'),
            'т' => folded.push('t'),
            'у' => folded.push('u'),
            'ф' => folded.push('f'),
            'х' => folded.push_str("kh"),
            'ц' => folded.push_str("ts"),
            'ч' => folded.push_str("ch"),
            'ш' | 'щ' => folded.push_str("sh"),
            'ю' => folded.push_str("yu"),
            'я' => folded.push_str("ya"),
            'ь' | 'ъ' => {}
            // Combining marks.
            '\u{300}'..='\u{36f}' => {}
            other => folded.push(other),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_off() {
        assert_eq!(fold("Müller Łódź Straße Ærø"), "muller lodz strasse aero");
        assert_eq!(fold("Иван Петров"), "ivan petrov");
    }
}
