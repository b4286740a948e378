//! What a form of a page sends: `application/x-www-form-urlencoded` (WHATWG URL, section 5.1).

use zeroize::Zeroizing;

/// Fields of a form at most; no form here has more than a few.
const MAX_FIELDS: usize = 32;

/// The fields of a form. What they hold is wiped afterwards: passwords and codes come this way.
pub(crate) struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// The form in a body; `None` if it is none.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if fields.len() >= MAX_FIELDS {
                return None;
            }
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = (pair.get(..at)?, pair.get(at + 1..).unwrap_or_default());
            fields.push((decode(name)?.to_string(), decode(value)?));
        }
        Some(Self(fields))
    }

    /// The value of a field that is there once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(field, _)| field == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value.as_str())
    }

    /// The code that was typed: an app's, in two groups or not, or one of a list.
    pub(crate) fn code(&self) -> Option<Zeroizing<String>> {
        let typed = |name| self.get(name).map(|code| Zeroizing::new(code.replace(' ', "")));
        let typed = |name| typed(name).filter(|code| !code.is_empty());
        typed("code").or_else(|| typed("recovery"))
    }
}

fn decode(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(*bytes.next()?)? << 4 | hex(*bytes.next()?)?,
            other => *other,
        });
    }
    std::str::from_utf8(&decoded).ok().map(|text| Zeroizing::new(text.to_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_as_they_were_typed() {
        let form =
            Form::parse(b"name=dana&password=a%2Bb+c%26%C3%A9%3D=&empty=&twice=1&twice=2&bare").unwrap();
        assert_eq!(form.get("name"), Some("dana"));
        assert_eq!(form.get("password"), Some("a+b c&é=="));
        assert_eq!((form.get("empty"), form.get("bare")), (Some(""), Some("")));
        assert_eq!((form.get("twice"), form.get("none")), (None, None));
    }

    #[test]
    fn what_is_no_form_is_none() {
        let many = "a=1&".repeat(MAX_FIELDS + 1);
        for bad in ["a=%", "a=%4", "a=%zz", "a=%FF", &many] {
            assert!(Form::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
