//! In which encoding a client's text is read.

mod charsets;

use std::borrow::Cow;

use charsets::{CHARSETS, Charset};

/// What `client_encoding` says of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientEncoding {
    /// UTF-8.
    Utf8,
    /// One byte a letter, ASCII below 0x80.
    SingleByte(SingleByte),
    /// SQL_ASCII: nothing is converted, and only ASCII is read.
    Ascii,
    /// Any other, or one that is not certain: a byte of a letter may look like a quote, so only ASCII is read.
    #[default]
    Other,
}

/// An encoding of one byte a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SingleByte(&'static Charset);

impl ClientEncoding {
    /// The encoding of that name; names are compared as PostgreSQL does, by letters and digits
    /// (`encnames.c`, `clean_encoding_name`).
    #[must_use]
    pub fn named(name: &str) -> Self {
        let clean: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        if matches!(clean.as_str(), "utf8" | "unicode") {
            return Self::Utf8;
        }
        if clean == "sqlascii" {
            return Self::Ascii;
        }
        let charset = CHARSETS.iter().find(|charset| charset.names.contains(&clean.as_str()));
        charset.map_or(Self::Other, |charset| Self::SingleByte(SingleByte(charset)))
    }

    /// The text of these bytes; `None` if it cannot be told.
    pub(crate) fn text<'a>(&self, sql: &'a [u8]) -> Option<Cow<'a, str>> {
        match self {
            _ if sql.is_ascii() => std::str::from_utf8(sql).ok().map(Cow::Borrowed),
            Self::Utf8 => std::str::from_utf8(sql).ok().map(Cow::Borrowed),
            Self::SingleByte(SingleByte(charset)) => {
                let upper: Vec<char> = charset.upper.chars().collect();
                let letter = |byte: &u8| match byte.checked_sub(0x80) {
                    None => Some(char::from(*byte)),
                    Some(at) => upper.get(usize::from(at)).copied().filter(|c| *c != '\u{fffd}'),
                };
                sql.iter().map(letter).collect::<Option<String>>().map(Cow::Owned)
            }
            Self::Ascii | Self::Other => None,
        }
    }

    /// The letter of a byte, where there is one.
    #[must_use]
    pub fn letter(&self, byte: u8) -> Option<char> {
        self.text(&[byte])?.chars().next()
    }
}
