//! Ids, each of its own type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not an id of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {0}")]
pub struct ParseIdError(pub(crate) &'static str);

/// Crockford's base32 alphabet: no I, L, O or U.
const CROCKFORD: [u8; 32] = *b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A request's id: 40 random bits, shown as `7K4M-9QXD` (Crockford base32). It carries no authority:
/// knowing it lets nobody do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; 5]);

impl RequestId {
    /// From 40 random bits.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 5]) -> Self {
        Self(bytes)
    }

    /// The 40 bits.
    #[must_use]
    pub const fn bytes(self) -> [u8; 5] {
        self.0
    }

    fn bits(self) -> u64 {
        self.0.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits();
        for position in 0..8_u32 {
            if position == 4 {
                f.write_str("-")?;
            }
            let digit = usize::try_from(bits >> (35 - 5 * position) & 31).unwrap_or(0);
            let letter = CROCKFORD.get(digit).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl FromStr for RequestId {
    type Err = ParseIdError;

    /// Reads what people type: any case, with or without dashes, I and L as 1, O as 0.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        const ERROR: ParseIdError = ParseIdError("request id (like 7K4M-9QXD)");
        let mut bits = 0_u64;
        let mut digits = 0;
        for letter in text.trim().bytes().filter(|byte| *byte != b'-') {
            let letter = match letter.to_ascii_uppercase() {
                b'I' | b'L' => b'1',
                b'O' => b'0',
                other => other,
            };
            let digit = CROCKFORD.iter().position(|known| *known == letter).ok_or(ERROR)?;
            digits += 1;
            if digits > 8 {
                return Err(ERROR);
            }
            bits = bits << 5 | u64::try_from(digit).map_err(|_| ERROR)?;
        }
        if digits != 8 {
            return Err(ERROR);
        }
        let [_, _, _, bytes @ ..] = bits.to_be_bytes();
        Ok(Self(bytes))
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// From random bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn bytes(self) -> [u8; $bytes] {
                self.0
            }

            /// As it is shown: hexadecimal digits.
            #[must_use]
            pub fn hex(self) -> [u8; 2 * $bytes] {
                let mut hex = [0; 2 * $bytes];
                for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
                    pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
                }
                hex
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // In each record: not through `Display`, which costs a call for each byte.
                serializer.serialize_str(std::str::from_utf8(&self.hex()).map_err(serde::ser::Error::custom)?)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let text = text.trim().as_bytes();
                if text.len() != 2 * $bytes {
                    return Err(ParseIdError($what));
                }
                let mut bytes = [0; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
                    let pair = std::str::from_utf8(pair).map_err(|_| ParseIdError($what))?;
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseIdError($what))?;
                }
                Ok(Self(bytes))
            }
        }

        string_deserialize!($name);
    };
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + (nibble - 10) }
}

macro_rules! string_deserialize {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

string_deserialize!(RequestId);

hex_id! {
    /// One client connection, for as long as it lives: 128 random bits, shown as hexadecimal.
    SessionId, 16, "session id (32 hexadecimal digits)"
}

hex_id! {
    /// A grant: 64 random bits, shown as hexadecimal.
    GrantId, 8, "grant id (16 hexadecimal digits)"
}

/// One statement of one session: what a permit is made out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatementId {
    /// The session.
    pub session: SessionId,
    /// Counts the session's decided messages from 1.
    pub number: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_survives_display_and_parse_as_people_type_it() {
        let id = RequestId::from_bytes([0x12, 0x34, 0x56, 0x78, 0x9a]);
        let shown = id.to_string();
        assert_eq!(shown.len(), 9);
        assert_eq!(shown.parse(), Ok(id));
        assert_eq!(shown.to_lowercase().replace('-', "").parse(), Ok(id));
        assert_eq!("OOOO-IILL".parse::<RequestId>(), "0000-1111".parse());
        for wrong in ["", "7K4M-9QX", "7K4M-9QXDD", "7K4M-9QXU", "7K4M 9QXD"] {
            assert!(wrong.parse::<RequestId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_session_id_survives_json() {
        let id = SessionId::from_bytes([7; 16]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<SessionId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<SessionId>("\"07\"").is_err());
    }
}
