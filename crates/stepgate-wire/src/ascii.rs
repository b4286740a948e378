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
