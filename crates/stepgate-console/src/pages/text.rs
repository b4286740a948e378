//! Statements, values, times and amounts, for people's eyes.

use std::time::Duration;

use maud::{Markup, html};
use stepgate_types::{Limit, Timestamp};

/// Text that the desk has made visible (`escape_for_display`), with what it escaped marked: `\u{202E}` cannot be taken for
/// a part of the statement. A backslash of the statement's own stands there twice.
pub(crate) fn visible(text: &str) -> Markup {
    html! {
        @for (piece, is_escape) in pieces(text) {
            @if is_escape { mark { (piece) } } @else { (piece) }
        }
    }
}

/// The text in pieces, and whether each is made of escapes.
fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let plain = plain_length(rest);
        let escapes = if plain == 0 { escapes_length(rest) } else { 0 };
        // Neither cannot be; were it so, the rest would be plain.
        let length = if plain + escapes == 0 { rest.len() } else { plain + escapes };
        let Some((piece, after)) = rest.split_at_checked(length) else { break };
        pieces.push((piece, escapes > 0));
        rest = after;
    }
    pieces
}

/// How much stands before the first escape. Two backslashes are one of the text's own.
fn plain_length(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' && bytes.next().is_none_or(|(_, next)| next != b'\\') {
            return at;
        }
    }
    text.len()
}

/// How long the escapes are that it begins with, together: a mark for each would make a large page of a bad statement.
fn escapes_length(text: &str) -> usize {
    let mut length = 0;
    while let Some(escape) = text.get(length..).filter(|rest| rest.starts_with('\\')) {
        length += match escape.as_bytes().get(1) {
            Some(b'r') => 2,
            Some(b'x') => 4,
            Some(b'u') => escape.find('}').map_or(escape.len(), |at| at + 1),
            _ => break,
        };
    }
    length.min(text.len())
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

/// `15 min`, for how long something is remembered.
pub(crate) fn span(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// `2026-11-28 18:15 UTC` of an RFC 3339 time in UTC.
pub(crate) fn moment(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}

/// How much may be delivered.
pub(crate) fn limit(limit: Limit) -> String {
    let most = [(limit.rows, "rows"), (limit.bytes, "bytes"), (limit.subjects, "subjects")];
    let most = most.into_iter().filter_map(|(most, of)| most.map(|most| format!("{most} {of}")));
    let most: Vec<_> = most.collect();
    if most.is_empty() { "as much as there is".to_owned() } else { format!("at most {}", most.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_is_marked_and_what_looks_like_it_is_not() {
        let marked = |text: &str| visible(text).into_string();
        assert_eq!(marked("a \\u{202E} b"), "a <mark>\\u{202E}</mark> b");
        assert_eq!(marked("\\xFF\\r a"), "<mark>\\xFF\\r</mark> a");
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
