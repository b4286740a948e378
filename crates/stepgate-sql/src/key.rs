//! Under which key facts may be remembered: the statement's own text, but for literals that cannot change them.
//!
//! Folded are literals after a comparison operator in one query or DML statement, whatever their value. All others
//! are kept: positions in ORDER BY and GROUP BY, LIMIT, arguments of functions, settings. So is the whole text where
//! anything makes it less than plain which bytes are a literal: comments, dollar quotes, prefixed strings,
//! backslashes, bytes beyond ASCII. A property test holds facts by key against facts without (`tests/key.rs`).

use stepgate_types::Certainty;

use crate::facts::Facts;

/// The longest text in which literals are folded, in bytes.
const MAX_FOLDED: usize = 8 * 1024;

/// What stands for a literal, and begins the key of a text with literals folded.
const FOLDED: u8 = 1;

/// The key of a message's text, written into `key`.
pub fn cache_key(sql: &[u8], key: &mut Vec<u8>) {
    key.clear();
    key.push(FOLDED);
    if sql.len() > MAX_FOLDED || fold(sql, key).is_none() {
        key.clear();
        key.push(0);
        key.extend_from_slice(sql);
    }
}

/// Whether facts may be remembered under such a key: then they are those of every text that has it.
#[must_use]
pub fn may_share(facts: &[Facts]) -> bool {
    let settled = |facts: &Facts| {
        // A setting's name may be compared with (`setting::set_config`).
        facts.certainty != Certainty::Unknown && !facts.functions.contains("pg_catalog.set_config")
    };
    facts.len() == 1 && facts.iter().all(settled)
}

/// None: the text must be taken as it is.
fn fold(sql: &[u8], key: &mut Vec<u8>) -> Option<()> {
    if !begins_query(sql) {
        return None;
    }
    let mut at = 0;
    // The last token but blanks is a comparison operator.
    let mut compares = false;
    while let Some(byte) = sql.get(at) {
        let from = at;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                key.push(*byte);
                at += 1;
                continue;
            }
            b'\'' => {
                at = string_end(sql, at)?;
                copy_or_fold(compares, sql.get(from..at)?, key);
                compares = false;
                continue;
            }
            b'0'..=b'9' => {
                at += run(sql, at, |byte| byte.is_ascii_digit() || byte == b'.');
                if sql.get(at).is_some_and(|byte| continues_word(*byte)) {
                    return None;
                }
                copy_or_fold(compares, sql.get(from..at)?, key);
                compares = false;
                continue;
            }
            b'"' => {
                at += 1 + run(sql, at + 1, |byte| byte != b'"' && byte.is_ascii());
                (sql.get(at) == Some(&b'"')).then_some(())?;
                at += 1;
            }
            // A parameter. `$$` and `$tag$` begin a literal.
            b'$' => {
                at += 1 + Some(run(sql, at + 1, |byte| byte.is_ascii_digit())).filter(|digits| *digits > 0)?
            }
            b';' => {
                let rest = sql.get(at + 1..)?;
                rest.iter().all(u8::is_ascii_whitespace).then_some(())?;
                at += 1;
            }
            byte if is_operator(*byte) => {
                at += run(sql, at, is_operator);
                let operator = sql.get(from..at)?;
                let comments = operator.windows(2).any(|pair| matches!(pair, b"--" | b"/*"));
                (!comments).then_some(())?;
                key.extend_from_slice(operator);
                compares = matches!(operator, b"=" | b"<>" | b"!=" | b"<" | b">" | b"<=" | b">=");
                continue;
            }
            byte if starts_word(*byte) => {
                at += run(sql, at, continues_word);
                // E'…', U&'…', x'…' and kin.
                let quoted = matches!(sql.get(at), Some(b'\''));
                let unicode = at - from == 1 && matches!(sql.get(at..at + 2), Some(b"&'" | b"&\""));
                (!quoted && !unicode).then_some(())?;
            }
            // `:=` names an argument, and compares nothing.
            b':' if sql.get(at + 1) == Some(&b'=') => at += 2,
            b'(' | b')' | b'[' | b']' | b',' | b'.' | b':' => at += 1,
            _ => return None,
        }
        key.extend_from_slice(sql.get(from..at)?);
        compares = false;
    }
    Some(())
}

fn copy_or_fold(folds: bool, literal: &[u8], key: &mut Vec<u8>) {
    match (folds, literal) {
        // A number and a text stay apart: their types may.
        (true, [b'\'', ..]) => key.extend_from_slice(&[FOLDED, b'\'']),
        (true, _) => key.extend_from_slice(&[FOLDED, b'0']),
        (false, _) => key.extend_from_slice(literal),
    }
}

/// The end of a plain literal that begins there. None: it holds what could end it otherwise, or lines, by which
/// places in the message are told.
fn string_end(sql: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += 1 + run(sql, at + 1, |byte| matches!(byte, b' '..=b'~') && byte != b'\'' && byte != b'\\');
        (sql.get(at) == Some(&b'\'')).then_some(())?;
        if sql.get(at + 1) != Some(&b'\'') {
            return Some(at + 1);
        }
        at += 1;
    }
}

fn run(sql: &[u8], from: usize, of: impl Fn(u8) -> bool) -> usize {
    sql.get(from..).unwrap_or_default().iter().take_while(|byte| of(**byte)).count()
}

fn begins_query(sql: &[u8]) -> bool {
    let word = sql.get(..run(sql, 0, |byte| byte.is_ascii_alphabetic())).unwrap_or_default();
    [b"select".as_slice(), b"with", b"insert", b"update", b"delete"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

const fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn continues_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sql: &str) -> Vec<u8> {
        let mut key = Vec::new();
        cache_key(sql.as_bytes(), &mut key);
        key
    }

    #[test]
    fn literals_that_are_compared_with_share_a_key_and_no_others_do() {
        for (one, other) in [
            ("select a from t where b = 'x'", "select a from t where b = 'it''s y'"),
            ("select a from t where b = 1 and c<>2.5", "select a from t where b = 77 and c<>0"),
            ("update t set a = 'x' where b >= 5;", "update t set a = '' where b >= 12345;"),
        ] {
            assert_eq!(key(one), key(other), "{one}");
        }
        for (one, other) in [
            ("select a from t order by 1", "select a from t order by 2"),
            ("select a from t limit 1", "select a from t limit 2"),
            ("select f('a')", "select f('b')"),
            ("select f(a => 'a')", "select f(a => 'b')"),
            ("select f(a := 'a')", "select f(a := 'b')"),
            ("select a from t where b = 'x'", "select a from t where b = 1"),
            ("select a from t where b = 'x' or 'y' = b", "select a from t where b = 'x' or 'z' = b"),
            ("set search_path = 'a'", "set search_path = 'b'"),
            ("select a from t where b = 'x\ny'", "select a from t where b = 'z'"),
            ("select a from t where b = E'x'", "select a from t where b = E'y'"),
            ("select a from t where b = 'ä'", "select a from t where b = 'ö'"),
            ("select a from t where b = 'a\\'", "select a from t where b = 'b\\'"),
            ("select a from t where b = 'x' -- y", "select a from t where b = 'z' -- y"),
            ("select a from t where b = 'x'; select 1", "select a from t where b = 'y'; select 1"),
            ("select a from t where b = $$x$$", "select a from t where b = $$y$$"),
            ("select a from t where b = 1e5", "select a from t where b = 2e5"),
            ("select a1 from t", "select a2 from t"),
            ("select a from t where b = 'x'", "select a from t where b = \u{1}'"),
        ] {
            assert_ne!(key(one), key(other), "{one}");
        }
    }
}
