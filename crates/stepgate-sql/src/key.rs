//! Under which key facts may be remembered: the statement's own text, but for literals that cannot change them.
//!
//! Folded, in one query or DML statement, are plain texts in quotes wherever they stand, as the analysis reads all of
//! them as `'x'`; numbers after a comparison operator and in the list of an IN; and comments, but not that there are
//! some. All other numbers are kept: positions in ORDER BY and GROUP BY, LIMIT, arguments of functions. So is the whole
//! text where `set_config` is named, whose argument is looked at, and where anything makes it less than plain which
//! bytes are a literal: dollar quotes, prefixed strings, backslashes, comments in comments, bytes beyond ASCII, lines
//! within literals or comments (facts tell lines). A property test holds facts by key against facts without
//! (`tests/key.rs`).

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
    let mut at = 0;
    let mut before = Before::Nothing;
    while let Some(byte) = sql.get(at) {
        let from = at;
        let now = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                key.push(*byte);
                at += 1;
                continue;
            }
            b'-' | b'/' if matches!((byte, sql.get(at + 1)), (b'-', Some(b'-')) | (b'/', Some(b'*'))) => {
                at = comment_end(sql, at)?;
                key.extend_from_slice(&[FOLDED, *byte]);
                continue;
            }
            _ if before == Before::Nothing => {
                at = query_word_end(sql, at)?;
                Before::Other
            }
            b'\'' => {
                at = string_end(sql, at)?;
                key.extend_from_slice(&[FOLDED, b'\'']);
                before = before.after_literal();
                continue;
            }
            b'0'..=b'9' => {
                at += run(sql, at, |byte| byte.is_ascii_digit() || byte == b'.');
                if sql.get(at).is_some_and(|byte| continues_word(*byte)) {
                    return None;
                }
                match before {
                    // A number and a text stay apart: their types may.
                    Before::Comparison | Before::InList => key.extend_from_slice(&[FOLDED, b'0']),
                    _ => key.extend_from_slice(sql.get(from..at)?),
                }
                before = before.after_literal();
                continue;
            }
            b'"' => {
                at += 1 + run(sql, at + 1, |byte| byte != b'"' && byte.is_ascii());
                (sql.get(at) == Some(&b'"')).then_some(())?;
                at += 1;
                may_fold_beside(sql.get(from + 1..at - 1)?)?;
                Before::Other
            }
            // A parameter. `$$` and `$tag$` begin a literal.
            b'$' => {
                at +=
                    1 + Some(run(sql, at + 1, |byte| byte.is_ascii_digit())).filter(|digits| *digits > 0)?;
                before.after_literal()
            }
            b';' => {
                let rest = sql.get(at + 1..)?;
                rest.iter().all(u8::is_ascii_whitespace).then_some(())?;
                at += 1;
                Before::Other
            }
            byte if is_operator(*byte) => {
                at += run(sql, at, is_operator);
                let operator = sql.get(from..at)?;
                let comments = operator.windows(2).any(|pair| matches!(pair, b"--" | b"/*"));
                (!comments).then_some(())?;
                match operator {
                    b"=" | b"<>" | b"!=" | b"<" | b">" | b"<=" | b">=" => Before::Comparison,
                    _ => Before::Other,
                }
            }
            byte if starts_word(*byte) => {
                at += run(sql, at, continues_word);
                // E'…', U&'…', x'…' and kin.
                let quoted = matches!(sql.get(at), Some(b'\''));
                let unicode = at - from == 1 && matches!(sql.get(at..at + 2), Some(b"&'" | b"&\""));
                (!quoted && !unicode).then_some(())?;
                let word = sql.get(from..at)?;
                may_fold_beside(word)?;
                // Behind a dot it is a name: `public.in (1, 2)` calls a function.
                match before {
                    Before::Dot => Before::Other,
                    _ if word.eq_ignore_ascii_case(b"in") => Before::In,
                    _ => Before::Other,
                }
            }
            // `:=` names an argument, and compares nothing.
            b':' if sql.get(at + 1) == Some(&b'=') => {
                at += 2;
                Before::Other
            }
            b'(' | b')' | b'[' | b']' | b',' | b'.' | b':' => {
                at += 1;
                match (byte, before) {
                    (b'.', _) => Before::Dot,
                    (b'(', Before::In) | (b',', Before::InMember) => Before::InList,
                    _ => Before::Other,
                }
            }
            _ => return None,
        };
        key.extend_from_slice(sql.get(from..at)?);
        before = now;
    }
    Some(())
}

/// What stands before, blanks and comments apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// A comparison operator.
    Comparison,
    /// The word.
    In,
    /// The bracket that opens the list of an IN, or a comma between its members, which were all literals or parameters.
    InList,
    /// The last of such members.
    InMember,
    Dot,
    Other,
}

impl Before {
    /// After a literal, or a parameter, that follows this.
    const fn after_literal(self) -> Self {
        match self {
            Self::InList => Self::InMember,
            _ => Self::Other,
        }
    }
}

/// None: beside this name, literals mean something.
fn may_fold_beside(name: &[u8]) -> Option<()> {
    (!name.eq_ignore_ascii_case(b"set_config")).then_some(())
}

/// The end of a comment that begins there. None: it goes over lines, or there are others in it.
fn comment_end(sql: &[u8], at: usize) -> Option<usize> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~');
    if sql.get(at) == Some(&b'-') {
        let end = at + run(sql, at, plain);
        return sql.get(end).is_none_or(|next| *next == b'\n').then_some(end);
    }
    let mut end = at + 2;
    loop {
        end += run(sql, end, |byte| plain(byte) && byte != b'*' && byte != b'/');
        match (sql.get(end)?, sql.get(end + 1)) {
            (b'*', Some(b'/')) => return Some(end + 2),
            (b'/', Some(b'*')) => return None,
            (b'*' | b'/', _) => end += 1,
            _ => return None,
        }
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

/// The end of the word there, which begins a query or DML statement. None: it is none.
fn query_word_end(sql: &[u8], at: usize) -> Option<usize> {
    let end = at + run(sql, at, continues_word);
    let word = sql.get(at..end)?;
    let known = [b"select".as_slice(), b"with", b"insert", b"update", b"delete"];
    let is_it = known.iter().any(|known| word.eq_ignore_ascii_case(known));
    (is_it && sql.get(end) != Some(&b'\'')).then_some(end)
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
    fn literals_that_say_nothing_share_a_key_and_no_others_do() {
        for (one, other) in [
            ("select a from t where b = 'x'", "select a from t where b = 'it''s y'"),
            ("select a from t where b = 1 and c<>2.5", "select a from t where b = 77 and c<>0"),
            ("update t set a = 'x' where b >= 5;", "update t set a = '' where b >= 12345;"),
            ("select f('a', 'x') like 'y%'", "select f('b', '') like '%'"),
            ("insert into t values ('a', 1)", "insert into t values ('b', 1)"),
            ("select a from t where b in (1, 'x', $1, 2)", "select a from t where b in (7, 'y', $1, 8.5)"),
            ("select a from t where b IN(\n1 /* c */ , 2)", "select a from t where b IN(\n3 /* d */ , 4)"),
            ("select a /* x */ from t --y z", "select a /* 'it* is/ */ from t --"),
            ("/* x */ select a -- y\nfrom t", "/**/ select a -- z;\nfrom t"),
            ("select a from t where b = /* x */ 1", "select a from t where b = /* y */ 2"),
        ] {
            assert_eq!(key(one), key(other), "{one}");
        }
        for (one, other) in [
            ("select a from t order by 1", "select a from t order by 2"),
            ("select a from t limit 1", "select a from t limit 2"),
            ("select f(a => 1)", "select f(a => 2)"),
            ("select f(a := 1)", "select f(a := 2)"),
            ("select a from t where b = 'x'", "select a from t where b = 1"),
            ("select a from t where b in (1, 2 + 3)", "select a from t where b in (1, 2 + 4)"),
            ("select a from t where b in (1, f(2, 3))", "select a from t where b in (1, f(2, 4))"),
            ("select a from t where b in (1) limit 3", "select a from t where b in (1) limit 4"),
            ("select a from t where b in (1), (2)", "select a from t where b in (1), (3)"),
            ("select a from t where b in (1)", "select a from t where b in (1, 2)"),
            ("select a from t in_ (1)", "select a from t in_ (2)"),
            ("select set_config('a', 'b', true)", "select set_config('c', 'b', true)"),
            ("select 1 as \"set_config\", 'a'", "select 1 as \"set_config\", 'b'"),
            ("select 1 as Set_Config, 'a'", "select 1 as Set_Config, 'b'"),
            ("set search_path = 'a'", "set search_path = 'b'"),
            ("/* x */ set search_path = 'a'", "/* x */ set search_path = 'b'"),
            ("select a from t where b = 'x\ny'", "select a from t where b = 'z'"),
            ("select a from t where b = E'x'", "select a from t where b = E'y'"),
            ("select a from t where b = 'ä'", "select a from t where b = 'ö'"),
            ("select a from t where b = 'a\\'", "select a from t where b = 'b\\'"),
            ("select a from t where b = 'x'; select 1", "select a from t where b = 'y'; select 1"),
            ("select a from t where b = $$x$$", "select a from t where b = $$y$$"),
            ("select a from t where b = 1e5", "select a from t where b = 2e5"),
            ("select a1 from t", "select a2 from t"),
            ("select a from t where b = 'x'", "select a from t where b = \u{1}'"),
            ("select a /* x */ from t", "select a from t"),
            ("select a /* x */ from t", "select a /* x\ny */ from t"),
            ("select a /* /* x */ */ from t", "select a /* /* y */ */ from t"),
            ("select a /* x */ from t", "select a -- x */ from t"),
            ("select a -- x\n, b from t", "select a -- x\r, b from t"),
            ("select a -- x\n, b from t", "select a -- x, b from t"),
            ("select a -- x", "select a /- x"),
            ("select a =--x\n1", "select a =--x\n2"),
            ("select'x'", "select'y'"),
        ] {
            assert_ne!(key(one), key(other), "{one}");
        }
    }
}
