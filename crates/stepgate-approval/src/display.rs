//! Text that people decide by, made safe to look at: what you see is what runs (WYSIWYS).

use std::fmt::Write as _;

/// The longest reason that is accepted, in bytes, before it is made safe.
const MAX_REASON: usize = 1000;

/// The longest reason that reaches a client, in characters.
const SHOWN_REASON: usize = 200;

/// Bytes that came from a client, for a person's eyes: whatever could hide, reorder or overwrite text is
/// shown as `\u{202E}`, bytes that are not UTF-8 as `\xFF`, a backslash as two. Different bytes give
/// different text. Line feed and tab stay.
///
/// Beyond ASCII only letters and digits written from left to right are shown as they are. Everything
/// else is escaped: an allow-list, since lists of dangerous characters are never complete. Right-to-left
/// letters reorder their neighbours without any control character (Trojan Source, CVE-2021-42574).
#[must_use]
pub fn escape_for_display(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            push_escaped(&mut shown, letter);
        }
        for byte in chunk.invalid() {
            push_formatted(&mut shown, format_args!("\\x{byte:02X}"));
        }
    }
    shown
}

fn push_escaped(shown: &mut String, letter: char) {
    match letter {
        '\\' => shown.push_str("\\\\"),
        '\n' | '\t' | ' '..='~' => shown.push(letter),
        '\r' => shown.push_str("\\r"),
        _ if is_plain_letter(letter) => shown.push(letter),
        _ => push_formatted(shown, format_args!("\\u{{{:04X}}}", u32::from(letter))),
    }
}

fn push_formatted(shown: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = shown.write_fmt(text);
}

fn is_plain_letter(letter: char) -> bool {
    letter.is_alphanumeric() && !is_right_to_left(letter) && !is_invisible_letter(letter)
}

/// The blocks of right-to-left scripts (Unicode, `DerivedBidiClass.txt`: default R and AL ranges).
fn is_right_to_left(letter: char) -> bool {
    matches!(letter,
        '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFF}'
        | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
}

/// Letters by category that show nothing (Unicode, `Default_Ignorable_Code_Point`).
fn is_invisible_letter(letter: char) -> bool {
    matches!(letter, '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{3164}' | '\u{FFA0}')
}

/// A part of something held, made safe for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The escaped text.
    pub text: String,
    /// At which byte of the original it begins.
    pub offset: usize,
    /// At which byte the next page begins; `None`: this is the last.
    pub next: Option<usize>,
    /// How long the original is, in bytes.
    pub total: usize,
}

impl Page {
    /// Whether something of the original is not on this page.
    #[must_use]
    pub const fn truncated(&self) -> bool {
        self.offset > 0 || self.next.is_some()
    }
}

/// The page of at most `limit` bytes of `bytes` that begins at `offset`. Cuts between characters.
#[must_use]
pub fn page_for_display(bytes: &[u8], offset: usize, limit: usize) -> Page {
    let offset = offset.min(bytes.len());
    let rest = bytes.get(offset..).unwrap_or_default();
    let end = if rest.len() <= limit { rest.len() } else { boundary_before(rest, limit.max(4)) };
    let shown = rest.get(..end).unwrap_or_default();
    let next = offset + end;
    Page {
        text: escape_for_display(shown),
        offset,
        next: (next < bytes.len()).then_some(next),
        total: bytes.len(),
    }
}

/// The last place at or before `limit` that does not split a UTF-8 character: at most three bytes back.
fn boundary_before(bytes: &[u8], limit: usize) -> usize {
    let is_continuation = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (limit.saturating_sub(3)..=limit).rev().find(|at| !is_continuation(at)).unwrap_or(limit)
}

/// A reason is longer than 1000 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason is at most {MAX_REASON} bytes long")]
pub struct TooLong;

/// Why somebody decided as they did, in their words. Reaches the waiting client (made safe) and nobody
/// else; records keep a keyed hash of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The reason given, if the text says anything at all.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn parse(text: &str) -> Result<Option<Self>, TooLong> {
        let text = text.trim();
        if text.len() > MAX_REASON {
            return Err(TooLong);
        }
        let says_something = text.chars().any(char::is_alphanumeric);
        Ok(says_something.then(|| Self(text.to_owned())))
    }

    /// The exact words, to be recorded as a commitment alone.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// One harmless line of at most 200 ASCII characters for the waiting client: the reason comes from
    /// one person and is read in another's terminal.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut shown = String::new();
        let mut length = 0;
        for letter in self.0.chars().filter(|letter| !letter.is_control()) {
            let piece = match letter {
                ' '..='~' => letter.to_string(),
                other => format!("\\u{{{:04X}}}", u32::from(other)),
            };
            length += piece.len();
            if length > SHOWN_REASON {
                break;
            }
            shown.push_str(&piece);
        }
        shown
    }
}

impl std::fmt::Debug for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reason({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_sql_is_shown_as_it_is() {
        let sql = "select *\n\tfrom customers where name = 'Müller' -- 東京 12 ½";
        assert_eq!(escape_for_display(sql.as_bytes()), sql);
    }

    #[test]
    fn text_cannot_hide_behind_bidi_zero_width_or_control_characters() {
        for (hidden, shown) in [
            ("\u{202E}", "\\u{202E}"),
            ("\u{2066}", "\\u{2066}"),
            ("\u{200B}", "\\u{200B}"),
            ("\u{200D}", "\\u{200D}"),
            ("\u{FEFF}", "\\u{FEFF}"),
            ("\u{00AD}", "\\u{00AD}"),
            ("\u{00A0}", "\\u{00A0}"),
            ("\u{2028}", "\\u{2028}"),
            ("\u{E0041}", "\\u{E0041}"),
            ("\u{FE0F}", "\\u{FE0F}"),
            ("\u{3164}", "\\u{3164}"),
            ("\u{0301}", "\\u{0301}"),
            ("\u{05D0}", "\\u{05D0}"),
            ("\r", "\\r"),
            ("\u{8}", "\\u{0008}"),
            ("\u{1b}[2J", "\\u{001B}[2J"),
            ("\0", "\\u{0000}"),
            ("\\", "\\\\"),
        ] {
            assert_eq!(escape_for_display(hidden.as_bytes()), shown);
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_shown_one_by_one() {
        assert_eq!(escape_for_display(b"a\xff\xc3b"), "a\\xFF\\xC3b");
    }

    #[test]
    fn a_page_says_that_it_is_not_all_and_where_to_go_on() {
        let text = "aé".repeat(10);
        let first = page_for_display(text.as_bytes(), 0, 8);
        assert_eq!((first.next, first.total, first.truncated()), (Some(7), 30, true));
        let mut shown = first.text;
        let mut at = first.next;
        while let Some(offset) = at {
            let page = page_for_display(text.as_bytes(), offset, 8);
            assert!(page.truncated());
            shown.push_str(&page.text);
            at = page.next;
        }
        assert_eq!(shown, text);
        assert!(!page_for_display(text.as_bytes(), 0, 30).truncated());
    }

    #[test]
    fn a_reason_cannot_take_over_the_terminal_of_the_one_who_asked() {
        let reason = Reason::parse("  no\u{1b}[2J\n: use \u{202E}customers_masked ").unwrap().unwrap();
        assert_eq!(reason.shown(), "no[2J: use \\u{202E}customers_masked");
        assert_eq!(format!("{reason:?}"), "Reason(32 bytes)");
        let long = Reason::parse(&"é".repeat(300)).unwrap().unwrap().shown();
        assert!(long.len() <= 200 && long.ends_with('}'), "{long}");
    }

    #[test]
    fn a_reason_that_says_nothing_is_none() {
        for empty in ["", "  ", "\n", ".", "\u{200B}", "--"] {
            assert_eq!(Reason::parse(empty), Ok(None));
        }
        assert_eq!(Reason::parse(&"x".repeat(1001)), Err(TooLong));
    }

    proptest! {
        #[test]
        fn different_bytes_never_look_the_same(
            a in proptest::collection::vec(any::<u8>(), 0..40),
            b in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            prop_assert_eq!(a == b, escape_for_display(&a) == escape_for_display(&b));
        }

        #[test]
        fn what_is_shown_has_no_invisible_character(text in any::<String>()) {
            for letter in escape_for_display(text.as_bytes()).chars() {
                prop_assert!(letter == '\n' || letter == '\t' || !letter.is_control());
                prop_assert!(letter.is_ascii() || letter.is_alphanumeric());
            }
        }

        #[test]
        fn pages_join_to_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..60), limit in 4_usize..20) {
            let mut shown = String::new();
            let mut at = Some(0);
            while let Some(offset) = at {
                let page = page_for_display(&bytes, offset, limit);
                prop_assert!(page.next.is_none_or(|next| next > offset));
                shown.push_str(&page.text);
                at = page.next;
            }
            prop_assert_eq!(shown, escape_for_display(&bytes));
        }
    }
}
