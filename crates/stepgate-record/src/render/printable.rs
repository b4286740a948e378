//! Characters that do something to whoever looks at a line (`cat`, `less`, a terminal), and say nothing.

/// Whether it is a control character (C0, DEL, C1) or turns the order of what is read.
fn is_control(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The character, or U+FFFD where it is a control character or turns the order of what is read.
pub(super) fn printable(letter: char) -> char {
    if is_control(letter) { char::REPLACEMENT_CHARACTER } else { letter }
}

/// Text for a cell of CSV: ends of lines and tabs stay, and every other control character, or one that turns the order of
/// what is read, is U+FFFD.
#[must_use]
pub fn cell_text(text: &str) -> String {
    let mut letters = text.chars().peekable();
    let mut shown = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        let stays = match letter {
            '\n' | '\t' => true,
            // Alone it would have the line written over.
            '\r' => letters.peek() == Some(&'\n'),
            _ => false,
        };
        shown.push(if stays { letter } else { printable(letter) });
    }
    shown
}
