//! Characters by which a text is not what it looks like.

/// Whether a character does something to whoever looks at it, or is not seen: controls (C0, DEL, C1), ends of lines and
/// paragraphs, bidirectional marks and overrides, zero-width and other invisible characters, tags, variation selectors.
///
/// For text that people or their programs only look at: terminals, exports, reports. What somebody decides by is held
/// against a list of what may be shown instead (`stepgate_approval::escape_for_display`).
#[must_use]
pub fn is_deceptive(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_in_any_language_is_not_deceptive_and_what_is_not_seen_is() {
        for letter in "aZ0 ~äßЖ漢あ한אع€—…“\u{a0}\u{3000}\u{fffd}".chars() {
            assert!(!is_deceptive(letter), "{letter:?}");
        }
        let controls = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
        let ends = ['\u{2028}', '\u{2029}'];
        let bidi = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter().chain('\u{202a}'..='\u{202e}');
        let isolates = '\u{2066}'..='\u{2069}';
        let unseen =
            ['\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{fe0f}', '\u{e0041}'];
        for letter in controls.chain(ends).chain(bidi).chain(isolates).chain(unseen) {
            assert!(is_deceptive(letter), "{letter:?}");
        }
    }
}
