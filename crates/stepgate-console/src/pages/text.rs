//! Statements, values, times and amounts, for people's eyes.

use std::time::Duration;

use maud::{Markup, html};
use stepgate_types::{Limit, Timestamp};

/// Text that the desk has made visible (`escape_for_display`), with what it escaped marked: `\u{202E}` cannot be taken for
/// a part of the statement. A backslash of the statement's own stands there twice.
pub(crate) fn visible(text: &str) -> Markup {
    html! {
        @for (piece, is_escape) in pieces(text) {
            @if is_escape { mark title="not shown as it is: it could hide or reorder text" { (piece) } } @else { (piece) }
        }
    }
}

fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((plain, escape, after)) = next_escape(rest) {
        pieces.extend((!plain.is_empty()).then_some((plain, false)));
        pieces.push((escape, true));
        rest = after;
    }
    pieces.extend((!rest.is_empty()).then_some((rest, false)));
    pieces
}

/// What stands before the next escape, the escape, and what follows.
fn next_escape(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('\\')?;
        let escape = text.get(at..)?;
        let length = match escape.as_bytes().get(1)? {
            b'\\' => {
                from = at + 2;
                continue;
            }
            b'r' => 2,
            b'x' => 4,
            b'u' => escape.find('}')? + 1,
            _ => return None,
        };
        return Some((text.get(..at)?, escape.get(..length)?, escape.get(length..)?));
    }
}

/// When something lapses, and how long that is from now; a script counts it down.
pub(crate) fn left(expires: Timestamp, now: Timestamp) -> Markup {
    let left = expires.since(now);
    html! {
        time datetime=(expires) data-left=(left.as_secs()) { "in " (duration(left)) }
    }
}

/// `4:07`, or `7 h 59 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours} h {} min", seconds % 3600 / 60),
    }
}

/// How much may be delivered.
pub(crate) fn limit(limit: Limit) -> String {
    match (limit.rows, limit.bytes) {
        (None, None) => "as much as there is".to_owned(),
        (Some(rows), None) => format!("at most {rows} rows"),
        (None, Some(bytes)) => format!("at most {bytes} bytes"),
        (Some(rows), Some(bytes)) => format!("at most {rows} rows and {bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_is_marked_and_what_looks_like_it_is_not() {
        let marked = |text: &str| {
            visible(text)
                .into_string()
                .replace(" title=\"not shown as it is: it could hide or reorder text\"", "")
        };
        assert_eq!(marked("a \\u{202E} b"), "a <mark>\\u{202E}</mark> b");
        assert_eq!(marked("\\xFF\\r"), "<mark>\\xFF</mark><mark>\\r</mark>");
        // Typed by who asks: the desk doubled the backslash.
        assert_eq!(marked("\\\\u{202E}"), "\\\\u{202E}");
        assert_eq!(marked("\\\\\\u{200B}"), "\\\\<mark>\\u{200B}</mark>");
        assert_eq!(marked("<script>&\"'"), "&lt;script&gt;&amp;&quot;'");
        assert_eq!(marked("\\"), "\\");
    }

    #[test]
    fn times_are_short() {
        let shown = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            (shown(0), shown(247), shown(28_740)),
            ("0:00".into(), "4:07".into(), "7 h 59 min".into())
        );
    }
}
