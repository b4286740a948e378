//! What a statement says it is for, in a comment: `/* purpose: support */`, or as sqlcommenter writes it,
//! `/*action='show',purpose='support'*/`.
//!
//! The client writes it, and may write anything: it proves nothing. It is looked for where the server would see a
//! comment and nowhere else: not in literals, quoted names, dollar quotes, comments in comments, nor after `--`.

use crate::SessionState;
use crate::lexer;

/// The longest that counts, in bytes.
pub const MAX_PURPOSE: usize = 63;

/// The purpose that a statement's comments name. `None`: none, more than one, or the text cannot be read.
#[must_use]
pub fn purpose<'s>(sql: &'s [u8], state: &SessionState) -> Option<&'s str> {
    // Else quotes would mean something else.
    if !state.standard_conforming_strings {
        return None;
    }
    let sql = std::str::from_utf8(sql).ok().filter(|sql| sql.contains("/*"))?;
    let mut found = None;
    for blank in lexer::blanks(sql).ok()? {
        for said in comments(blank).filter_map(tag) {
            if *found.get_or_insert(said) != said {
                return None;
            }
        }
    }
    found
}

/// A word that may be a purpose: plain letters, digits and `._-`, so that it may be compared with the policy's.
#[must_use]
pub fn is_purpose(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !word.is_empty() && word.len() <= MAX_PURPOSE && word.bytes().all(fits)
}

/// The comments in what stands between two tokens, without those that hold others.
fn comments(blank: &str) -> impl Iterator<Item = &str> {
    let mut rest = blank;
    std::iter::from_fn(move || {
        loop {
            let begin = rest.find(['-', '/'])?;
            rest = rest.get(begin..)?;
            if rest.starts_with('-') {
                // To the end of the line; what stands here is nothing but blanks and comments.
                let end = rest.find(['\n', '\r'])?;
                rest = rest.get(end..)?;
                continue;
            }
            let (comment, after, plain) = comment(rest)?;
            rest = after;
            if plain {
                return Some(comment);
            }
        }
    })
}

/// What is in the comment that begins here, what follows it, and whether it holds no other.
fn comment(text: &str) -> Option<(&str, &str, bool)> {
    let (mut depth, mut at, mut plain) = (0_usize, 0_usize, true);
    loop {
        let rest = text.get(at..)?;
        let step = rest.find(['/', '*'])?;
        let rest = rest.get(step..)?;
        at = at.checked_add(step)?;
        if rest.starts_with("/*") {
            plain &= depth == 0;
            depth = depth.checked_add(1)?;
            at = at.checked_add(2)?;
        } else if rest.starts_with("*/") {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some((text.get(2..at)?, text.get(at.checked_add(2)?..)?, plain));
            }
            at = at.checked_add(2)?;
        } else {
            at = at.checked_add(1)?;
        }
    }
}

/// The purpose in a comment, if it is one of the two forms to the letter.
fn tag(comment: &str) -> Option<&str> {
    let comment = comment.trim_ascii();
    let plain = comment.strip_prefix("purpose:").map(str::trim_ascii);
    plain.or_else(|| comment.split(',').find_map(of_pair)).filter(|word| is_purpose(word))
}

/// Of sqlcommenter's pairs, whose values are in quotes and encoded as in URLs: none is a purpose that must be.
fn of_pair(pair: &str) -> Option<&str> {
    let (key, value) = pair.trim_ascii().split_once('=')?;
    let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
    (key == "purpose").then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sql: &str) -> Option<&str> {
        let state = SessionState::with_search_path(["public"]);
        purpose(sql.as_bytes(), &state)
    }

    #[test]
    fn a_comment_of_either_form_says_what_a_statement_is_for() {
        for sql in [
            "/* purpose: support */ select 1",
            "select 1 /*purpose:support*/",
            "select /* purpose: support */ 1; -- and on",
            "select 1 /*action='show',purpose='support',traceparent='00-5b-01'*/",
            "select 1 /*purpose='support'*/;",
            "select 1 */* purpose: support */ 2",
            "-- purpose: billing\n/* purpose: support */ select 1",
            "/* purpose: support */ select 1 /* purpose: support */",
        ] {
            assert_eq!(said(sql), Some("support"), "{sql}");
        }
    }

    #[test]
    fn what_is_no_comment_to_the_server_says_nothing() {
        for sql in [
            "select '/* purpose: support */'",
            "select e'\\'/* purpose: support */'",
            "select \"/* purpose: support */\" from t",
            "select $$/* purpose: support */$$",
            "select $q$/* purpose: support */$q$",
            "do $$ begin /* purpose: support */ end $$",
            "select 1 -- /* purpose: support */",
            "select 1 -- purpose: support",
            "/* /* purpose: support */ */ select 1",
            "/* purpose: support /* */ */ select 1",
            "/* purpose: support",
            "select 1 /* purpose: support */ '",
            "select 1",
        ] {
            assert_eq!(said(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_is_no_single_plain_word_says_nothing() {
        let long = format!("/* purpose: {} */ select 1", "x".repeat(MAX_PURPOSE + 1));
        for sql in [
            "/* purpose: support */ select 1 /* purpose: billing */",
            "/* purpose: two words */ select 1",
            "/* purpose: 078'05 */ select 1",
            "/* purpose: größe */ select 1",
            "/* purpose: */ select 1",
            "/* the purpose: support */ select 1",
            "/* purpose=support */ select 1",
            "/* purpose='sup%70ort' */ select 1",
            "/* purposes='support' */ select 1",
            &long,
        ] {
            assert_eq!(said(sql), None, "{sql}");
        }
    }

    #[test]
    fn where_quotes_may_mean_something_else_nothing_is_said() {
        let state = SessionState { standard_conforming_strings: false, ..SessionState::default() };
        assert_eq!(purpose(b"/* purpose: support */ select 1", &state), None);
        let latin = b"select '\xe4' /* purpose: support */";
        assert_eq!(purpose(latin, &SessionState::with_search_path(["public"])), None);
    }
}
