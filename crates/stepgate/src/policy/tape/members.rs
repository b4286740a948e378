//! The members of a record's canonical JSON (RFC 8785), by their places in it: no text is read that nobody wants.

/// Name and value of each member of an object, as they are written. It ends where the bytes are no such object.
pub(super) struct Members<'b>(&'b [u8]);

impl<'b> Members<'b> {
    /// Of the object that these bytes are.
    pub(super) fn of(object: &'b [u8]) -> Self {
        Self(object.strip_prefix(b"{").unwrap_or_default())
    }
}

impl<'b> Iterator for Members<'b> {
    type Item = (&'b str, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.strip_prefix(b",").unwrap_or(self.0);
        let (name, rest) = rest.split_at_checked(string(rest)?)?;
        let name = name.get(1..name.len().checked_sub(1)?)?;
        let rest = rest.strip_prefix(b":")?;
        let (value, rest) = rest.split_at_checked(value(rest)?)?;
        self.0 = rest;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

/// How long the string is that stands here.
fn string(text: &[u8]) -> Option<usize> {
    let mut bytes = text.iter().enumerate();
    bytes.next().filter(|(_, first)| **first == b'"')?;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at.checked_add(1),
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    None
}

/// How long the value is that stands here.
fn value(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = at.checked_add(string(text.get(at..)?)?)?.checked_sub(1)?,
            b'{' | b'[' => depth = depth.checked_add(1)?,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at = at.checked_add(1)?;
    }
    None
}

/// A member that is a plain text: without anything escaped.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(inner).ok().filter(|text| !text.contains('\\'))
}

/// A member that is a number.
pub(super) fn number<N: std::str::FromStr>(value: &[u8]) -> Option<N> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    #[test]
    fn members_are_those_of_the_object_whatever_is_in_them() {
        let object = json!({
            "a": "x\",\"b\":[{", "b": [{"a": 1}, "]}", []], "c": -5, "d": null, "e": {"f": {"g": "\\\""}}, "h": ""
        });
        let text = object.to_string();
        let read: Map<String, Value> = Members::of(text.as_bytes())
            .map(|(name, value)| (name.to_owned(), serde_json::from_slice(value).unwrap()))
            .collect();
        assert_eq!(Value::Object(read), object);
        assert_eq!(Members::of(b"{}").count(), 0);
        for cut in 0..text.len() {
            assert!(Members::of(&text.as_bytes()[..cut]).count() < 6, "{cut}");
        }
        assert_eq!(super::text(b"\"ab\""), Some("ab"));
        assert_eq!(super::text(b"\"a\\\"\""), None);
        assert_eq!(number::<i64>(b"-12"), Some(-12));
    }
}
