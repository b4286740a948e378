//! Text from elsewhere, made fit for a terminal.

use stepgate_types::is_deceptive;

/// The text with every character escaped that could move the cursor, hide something or turn the order of
/// what is read (a U+202E in a statement must not make an approver read another one). Line feeds and tabs
/// are escaped too.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().flat_map(|c| if is_deceptive(c) { escaped(c) } else { vec![c] }).collect()
}

/// The same for text of several lines, which stay lines.
pub(crate) fn harmless_lines(text: &str) -> String {
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}

fn escaped(c: char) -> Vec<char> {
    c.escape_unicode().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_cannot_be_shown_in_another_order_than_it_is_written() {
        assert_eq!(harmless("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(harmless("\u{1b}[2J\u{200b}"), "\\u{1b}[2J\\u{200b}");
        assert_eq!(harmless_lines("select 1\nfrom ä"), "select 1\nfrom ä");
        assert_eq!(harmless("a\nb"), "a\\u{a}b");
    }
}
