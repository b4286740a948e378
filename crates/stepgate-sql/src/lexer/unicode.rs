//! Unicode escapes of `U&'…'` and `U&"…"` (`str_udeescape` of `src/backend/parser/parser.c`).

/// Whether that character may be named by UESCAPE (`check_uescapechar`).
pub(super) fn may_escape(escape: char) -> bool {
    escape.is_ascii()
        && !escape.is_ascii_hexdigit()
        && !matches!(escape, '+' | '\'' | '"')
        && !is_space(escape)
}

/// Blanks of scan.l.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}' | '\u{b}')
}

/// The text with `\XXXX` and `\+XXXXXX` replaced and a doubled escape halved; `None` where the server refuses it.
pub(super) fn unescape(text: &str, escape: char) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        if c != escape || rest.starts_with(escape) {
            if c == escape {
                rest = rest.get(escape.len_utf8()..)?;
            }
            // Half a surrogate pair stands for nothing.
            if high.is_some() {
                return None;
            }
            out.push(c);
            continue;
        }
        let (digits, after) = match rest.strip_prefix('+') {
            Some(rest) => rest.split_at_checked(6)?,
            None => rest.split_at_checked(4)?,
        };
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        rest = after;
        let code = u32::from_str_radix(digits, 16).ok()?;
        match (high.take(), code) {
            (None, 0xD800..=0xDBFF) => high = Some(code),
            (Some(high), 0xDC00..=0xDFFF) => {
                out.push(char::from_u32(0x10000 + ((high & 0x3FF) << 10) + (code & 0x3FF))?);
            }
            (None, 1..) => out.push(char::from_u32(code)?),
            _ => return None,
        }
    }
    high.is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_replaced_as_the_server_replaces_them() {
        for (text, expected) in [
            (r"d\0061t\+000061", Some("data")),
            (r"\D83D\DE00", Some("😀")),
            (r"a\\b", Some(r"a\b")),
            (r"\D83D", None),
            (r"\D83Dx", None),
            (r"\DE00", None),
            (r"\0000", None),
            (r"\+110000", None),
            (r"\00", None),
            (r"\+00006g", None),
            (r"\", None),
        ] {
            assert_eq!(unescape(text, '\\').as_deref(), expected, "{text}");
        }
        assert_eq!(unescape("!0061", '!').as_deref(), Some("a"));
        assert!(
            may_escape('!') && !may_escape('+') && !may_escape('a') && !may_escape(' ') && !may_escape('\'')
        );
    }
}
