//! What stands within values: JSON, XML, lists, rows, bytes, texts in parts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sample::Shape;

/// How deep, and in how many fields, JSON is looked into; and how many values of each field.
const MAX_DEPTH: usize = 8;
const MAX_FIELDS: usize = 300;
const MAX_EACH: usize = 2_000;

/// Values by the name of the field in which they stand; empty where it has none.
#[derive(Debug, Default)]
pub(crate) struct Contents(BTreeMap<String, Vec<String>>);

impl Contents {
    /// The fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    fn add(&mut self, field: &str, value: String) {
        if !self.0.contains_key(field) && self.0.len() >= MAX_FIELDS {
            return;
        }
        let values = self.0.entry(field.to_owned()).or_default();
        if values.len() < MAX_EACH {
            values.push(value);
        }
    }

    fn json(&mut self, field: &str, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.add(field, text.clone()),
            Value::Number(number) => self.add(field, number.to_string()),
            Value::Array(items) if depth < MAX_DEPTH => {
                items.iter().for_each(|item| self.json(field, item, depth + 1));
            }
            Value::Object(fields) if depth < MAX_DEPTH => {
                fields.iter().for_each(|(name, value)| self.json(name, value, depth + 1));
            }
            _ => {}
        }
    }
}

/// What stands within the values of a column, if anything does that is more than they are.
pub(crate) fn within(shape: Shape, values: &[String]) -> Option<Contents> {
    let mut contents = Contents::default();
    match shape {
        Shape::Json => values.iter().for_each(|value| add_json(&mut contents, value)),
        Shape::Xml => values.iter().for_each(|value| add_xml(&mut contents, value)),
        Shape::Array => {
            for element in values.iter().flat_map(|value| list(value, '{', '}')) {
                contents.add("", element);
            }
        }
        Shape::Composite => values.iter().for_each(|value| {
            list(value, '(', ')')
                .into_iter()
                .enumerate()
                .for_each(|(at, part)| contents.add(&format!("f{at}"), part));
        }),
        Shape::Bytes => {
            let texts: Vec<String> = values.iter().filter_map(|value| printable(unhex(value)?)).collect();
            return (texts.len() * 2 >= values.len() && !texts.is_empty()).then(|| as_text(texts));
        }
        Shape::Text => return within_text(values),
        _ => return None,
    }
    Some(contents)
}

/// Text that is more than text: JSON, XML, Base64, parts between separators.
fn within_text(values: &[String]) -> Option<Contents> {
    let most = |is: &dyn Fn(&String) -> bool| {
        let filled = values.iter().filter(|value| !value.trim().is_empty());
        let (all, good) = filled.fold((0, 0), |(all, good), value| (all + 1, good + usize::from(is(value))));
        all > 0 && good * 10 >= all * 8
    };
    let begins = |value: &String, with: &str| value.trim_start().starts_with(with);
    let mut contents = Contents::default();
    if most(&|value| begins(value, "{\"") || begins(value, "[{") || begins(value, "[\"")) {
        values.iter().for_each(|value| add_json(&mut contents, value));
        return Some(contents);
    }
    if most(&|value| begins(value, "<") && value.contains("</")) {
        values.iter().for_each(|value| add_xml(&mut contents, value));
        return Some(contents);
    }
    if most(&|value| value.len() >= 12 && unbase64(value.trim()).and_then(printable).is_some()) {
        return Some(as_text(values.iter().filter_map(|value| printable(unbase64(value.trim())?)).collect()));
    }
    for separator in [';', '|', '\t'] {
        let parts = values.iter().map(|value| value.matches(separator).count()).max()?;
        if parts > 0 && parts < 40 && most(&|value| value.matches(separator).count() == parts) {
            for value in values {
                value
                    .split(separator)
                    .enumerate()
                    .for_each(|(at, part)| contents.add(&format!("f{at}"), part.trim().to_owned()));
            }
            return Some(contents);
        }
    }
    None
}

/// Texts that were something else, and what stands within them.
fn as_text(texts: Vec<String>) -> Contents {
    within_text(&texts).unwrap_or_else(|| {
        let mut contents = Contents::default();
        texts.into_iter().for_each(|text| contents.add("", text));
        contents
    })
}

fn add_json(contents: &mut Contents, text: &str) {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        contents.json("", &value, 0);
        return;
    }
    // It was cut: the strings that are whole, each after its name.
    let mut name = String::new();
    for part in text.split(',') {
        let (field, value) = part.split_once(':').unwrap_or((&name, part));
        let plain = |text: &str| text.trim_matches(|letter: char| " \"{}[]".contains(letter)).to_owned();
        let (field, value) = (plain(field), plain(value));
        contents.add(&field, value);
        name = field;
    }
}

/// `<name>value</name>`, and attributes `name="value"`.
fn add_xml(contents: &mut Contents, text: &str) {
    for piece in text.split('<').skip(1) {
        let Some((tag, value)) = piece.split_once('>') else { continue };
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        if !value.trim().is_empty() {
            contents.add(name, value.trim().to_owned());
        }
        for attribute in tag.split(' ').skip(1) {
            if let Some((name, value)) = attribute.split_once('=') {
                contents.add(name, value.trim_matches(['"', '\'', '/']).to_owned());
            }
        }
    }
}

/// Elements of a list or row as PostgreSQL writes them ("Array Input and Output Syntax"); lists in lists are one list.
fn list(text: &str, open: char, close: char) -> Vec<String> {
    let (mut elements, mut element) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for letter in text.chars() {
        match letter {
            _ if escaped => {
                element.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            _ if !quoted && (letter == open || letter == close) => {}
            _ => element.push(letter),
        }
    }
    elements.push(element);
    elements.retain(|element| !element.is_empty() && element != "NULL");
    elements
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_start_matches("\\x");
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

/// RFC 4648, either alphabet.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || body.is_empty() {
        return None;
    }
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for letter in body.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn printable(bytes: Vec<u8>) -> Option<String> {
    // What was cut may end within a letter.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            if bytes.len() > good + 3 {
                return None;
            }
            String::from_utf8(bytes.get(..good)?.to_vec()).ok()?
        }
    };
    let good = text.chars().all(|letter| !letter.is_control() || letter.is_whitespace());
    (good && text.len() >= 3).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(shape: Shape, value: &str) -> Vec<(String, Vec<String>)> {
        let contents = within(shape, &[value.to_owned()]).unwrap();
        contents.fields().map(|(name, values)| (name.to_owned(), values.to_vec())).collect()
    }

    #[test]
    fn values_within_values_are_found() {
        let one = |name: &str, value: &str| vec![(name.to_owned(), vec![value.to_owned()])];
        assert_eq!(
            fields(Shape::Json, r#"{"a": {"mail": ["x@example.com"]}}"#),
            one("mail", "x@example.com")
        );
        assert_eq!(
            fields(Shape::Json, r#"{"mail": "x@example.com", "b": "y"#)[1],
            one("mail", "x@example.com")[0]
        );
        assert_eq!(fields(Shape::Xml, "<p><mail>x@example.com</mail></p>"), one("mail", "x@example.com"));
        assert_eq!(
            fields(Shape::Array, r#"{"a, b",NULL,c}"#),
            vec![(String::new(), vec!["a, b".into(), "c".into()])]
        );
        assert_eq!(fields(Shape::Bytes, "78406578616d706c652e636f6d"), one("", "x@example.com"));
        assert_eq!(fields(Shape::Text, "eEBleGFtcGxlLmNvbQ=="), one("", "x@example.com"));
        assert_eq!(fields(Shape::Composite, "(Anna,\"a b\")")[1], one("f1", "a b")[0]);
        assert_eq!(fields(Shape::Text, "Anna;1980-01-02").len(), 2);
    }
}
