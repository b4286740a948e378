//! Text from elsewhere, made fit for a terminal.

/// The text with every character escaped that could move the cursor, hide something or turn the order of
/// what is read (a U+202E in a statement must not make an approver read another one). Line feeds and tabs
/// are escaped too.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().flat_map(|c| if is_harmful(c) { escaped(c) } else { vec![c] }).collect()
}

/// The same for text of several lines, which stay lines.
pub(crate) fn harmless_lines(text: &str) -> String {
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}

fn escaped(c: char) -> Vec<char> {
    c.escape_unicode().collect()
}

/// Controls, bidirectional marks and overrides, zero-width and other invisible characters, tags,
/// variation selectors.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
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
