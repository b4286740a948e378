//! The JSON Canonicalization Scheme (RFC 8785), for the values that records are made of: everything but
//! fractions.

use serde_json::Value;

/// The largest integer that every JSON reader keeps exactly (RFC 8785 appendix D, RFC 7493 section 2.2).
pub(crate) const MAX_SAFE: u64 = (1 << 53) - 1;

/// The value has no canonical form here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number is not an integer within 2^53")]
pub struct NotCanonical;

/// The canonical bytes of a value.
pub(crate) fn canonical(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let size = number
                .as_i64()
                .map(i64::unsigned_abs)
                .or_else(|| number.as_u64())
                .filter(|size| *size <= MAX_SAFE)
                .ok_or(NotCanonical)?;
            if number.as_i64().is_some_and(i64::is_negative) {
                out.push(b'-');
            }
            out.extend_from_slice(size.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(values) => {
            out.push(b'[');
            for (position, value) in values.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Sorted by UTF-16 code units (RFC 8785 section 3.2.3), whatever order the map keeps.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (position, (name, value)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// RFC 8785 section 3.2.2.2: short escapes where JSON has them, `\u00xx` in lower case for the other
/// control characters, everything else as it is.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    // Without a branch for each byte, so that many are looked at at once.
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |any, byte| any | special(byte)) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\0'..='\u{1f}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes()),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(canonical(value).unwrap()).unwrap()
    }

    #[test]
    fn members_are_sorted_by_utf_16_as_in_the_rfc() {
        // RFC 8785 section 3.2.3.
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis"
        });
        assert_eq!(
            text(&value),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
             \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
             \"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
        );
    }

    #[test]
    fn strings_are_escaped_as_in_the_rfc() {
        // RFC 8785 section 3.2.2, the string member.
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/");
        assert_eq!(text(&value), "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
        assert_eq!(text(&json!("\u{8}\u{c}\t\u{1f}\u{7f}\u{2028}")), "\"\\b\\f\\t\\u001f\u{7f}\u{2028}\"");
    }

    #[test]
    fn numbers_are_integers_that_every_reader_keeps() {
        let safe = i64::try_from(MAX_SAFE).unwrap();
        assert_eq!(text(&json!([0, -1, safe, -safe])), "[0,-1,9007199254740991,-9007199254740991]");
        for wrong in [json!(0.5), json!(safe + 1), json!(-safe - 1), json!(u64::MAX)] {
            assert_eq!(canonical(&wrong), Err(NotCanonical), "{wrong}");
        }
    }
}
