//! Characters that do something to whoever looks at a line (`cat`, `less`, a terminal), and say nothing.

use stepgate_types::is_deceptive;

/// The character, or U+FFFD where it is a control character, is not seen, or turns the order of what is read.
pub(super) fn printable(letter: char) -> char {
    if is_deceptive(letter) { char::REPLACEMENT_CHARACTER } else { letter }
}

/// Text for a cell of CSV: ends of lines and tabs stay, and every other control character, or one that is not seen or turns
/// the order of what is read, is U+FFFD.
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
