/// Text as every client can show it: printable ASCII only.
///
/// The client's encoding need not be UTF-8, and what is shown in a terminal must not control it: line feeds
/// stay, other control characters and everything beyond ASCII become `\u{…}` escapes.
#[must_use]
pub fn plain_ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | ' '..='~' => plain.push(letter),
            _ => plain.extend(letter.escape_unicode()),
        }
    }
    plain
}

/// The same with letters and digits of any script as they are: what PostgreSQL says back of a name or value as the client
/// has sent it. Whatever controls a terminal, or the direction of its text, is no letter.
#[must_use]
pub fn plain_letters(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | ' '..='~' => plain.push(letter),
            _ if letter.is_alphanumeric() => plain.push(letter),
            _ => plain.extend(letter.escape_unicode()),
        }
    }
    plain
}
