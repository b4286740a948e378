//! Cuts text into messages where psql would: at semicolons outside quotes, comments, parentheses and
//! BEGIN ATOMIC bodies (`src/fe_utils/psqlscan.l`). Only convenience hangs on this: each piece is analysed
//! as the server would read it.

/// Pieces with the line (from 1) that each begins on; blank ones are left out.
pub(crate) fn split(text: &str) -> Vec<(usize, &str)> {
    let mut scan = Scan { text, at: 0 };
    let (mut pieces, mut begin) = (Vec::new(), 0);
    let (mut parens, mut bodies) = (0_usize, Bodies::default());
    while let Some(byte) = scan.peek(0) {
        match byte {
            b'\'' => scan.quoted(b'\'', false),
            b'"' => scan.quoted(b'"', false),
            b'-' if scan.peek(1) == Some(b'-') => scan.line_comment(),
            b'/' if scan.peek(1) == Some(b'*') => scan.block_comment(),
            b'$' => scan.dollar(),
            b'(' | b')' => {
                parens = if byte == b'(' { parens + 1 } else { parens.saturating_sub(1) };
                scan.at += 1;
            }
            b';' if parens == 0 && bodies.depth == 0 => {
                scan.at += 1;
                pieces.push((begin, scan.at));
                begin = scan.at;
                bodies = Bodies::default();
            }
            _ if is_word(byte) => scan.word(&mut bodies),
            _ => scan.at += 1,
        }
    }
    pieces.push((begin, text.len()));
    pieces.into_iter().filter_map(|(from, to)| piece(text, from, to)).collect()
}

/// The piece without the blanks before it, and its first line.
fn piece(text: &str, from: usize, to: usize) -> Option<(usize, &str)> {
    let piece = text.get(from..to)?;
    let trimmed = piece.trim_start();
    if trimmed.trim().is_empty() {
        return None;
    }
    let begin = from + (piece.len() - trimmed.len());
    let line = 1 + text.get(..begin)?.matches('\n').count();
    Some((line, trimmed))
}

/// How deep the scan is within the body of a SQL-standard routine: BEGIN ATOMIC … END, CASE … END within.
#[derive(Default)]
struct Bodies {
    words: usize,
    is_create: bool,
    depth: usize,
}

impl Bodies {
    /// psql's own rule: only within CREATE [OR REPLACE] FUNCTION or PROCEDURE.
    fn word(&mut self, word: &str) {
        self.words += 1;
        match word {
            "create" if self.words == 1 => self.is_create = true,
            "begin" if self.is_create => self.depth += 1,
            "case" if self.depth > 0 => self.depth += 1,
            "end" if self.depth > 0 => self.depth -= 1,
            _ => {}
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// A quoted text; a doubled quote within is two that touch.
    fn quoted(&mut self, quote: u8, backslashes: bool) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if byte == quote {
                return;
            }
            if byte == b'\\' && backslashes {
                self.at += 1;
            }
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n' && byte != b'\r') {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => (self.at, depth) = (self.at + 2, depth + 1),
                (b'*', Some(b'/')) => (self.at, depth) = (self.at + 2, depth.saturating_sub(1)),
                _ => self.at += 1,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// `$tag$ … $tag$`, or a parameter, or a lone dollar.
    fn dollar(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let tag = rest.get(1..).and_then(|after| after.split_once('$')).map(|(tag, _)| tag).filter(|tag| {
            tag.bytes().all(is_word) && !tag.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        });
        let Some(tag) = tag else {
            self.at += 1;
            return;
        };
        let mark = format!("${tag}$");
        let body = rest.get(mark.len()..).unwrap_or_default();
        self.at += mark.len() + body.find(&mark).map_or(body.len(), |end| end + mark.len());
    }

    /// A word; `E'…'` has backslashes, and a `$` within a word begins no dollar quote.
    fn word(&mut self, bodies: &mut Bodies) {
        let begin = self.at;
        while self.peek(0).is_some_and(|byte| is_word(byte) || byte == b'$') {
            self.at += 1;
        }
        let word = self.text.get(begin..self.at).unwrap_or_default().to_ascii_lowercase();
        if word == "e" && self.peek(0) == Some(b'\'') {
            self.quoted(b'\'', true);
        } else {
            bodies.word(&word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_where_psql_cuts_it() {
        let text = "select 1;\n\n-- a; comment\nselect ';', \";\", $$;$$, $x$;$$;$x$, E'\\';';\n/* ; /* ; */ ; */ select (1; 2);";
        let pieces = split(text);
        let lines: Vec<_> = pieces.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 5], "{pieces:?}");
        assert!(pieces[1].1.ends_with("E'\\';';"));
    }

    #[test]
    fn a_routine_with_a_body_of_statements_stays_whole() {
        let text = "create function f() returns int begin atomic select case when true then 1 end; select 2; end; begin; select 3";
        assert_eq!(split(text).len(), 3);
        assert!(split("  \n;\n").iter().all(|(_, sql)| *sql == ";\n" || *sql == ";"));
    }

    #[test]
    fn nothing_is_lost_however_broken_the_text_is() {
        for text in ["'", "\"", "$$", "$a$ x", "/*", "E'\\", "é;$", "a$b$;c"] {
            let joined: String = split(text).into_iter().map(|(_, sql)| sql).collect();
            assert_eq!(joined, text);
        }
    }
}
