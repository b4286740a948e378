//! People and groups.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// The longest name, in bytes: PostgreSQL's own limit for a role's name (NAMEDATALEN - 1).
const MAX_NAME: usize = 63;

/// The text cannot be a person's or a group's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 63 of the characters a-z, 0-9, '.', '_', '-' and '@', and begins with a letter or digit"
)]
pub struct InvalidName;

fn checked(name: &str) -> Result<String, InvalidName> {
    let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-@".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if begins && name.len() <= MAX_NAME && name.bytes().all(ok) {
        Ok(name.to_owned())
    } else {
        Err(InvalidName)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                checked(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// Somebody the gate knows: an analyst, an approver, a service.
    PersonName
}

name! {
    /// A group of people, as policies name it.
    GroupName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_forge_a_log_line_or_a_path_are_refused() {
        for good in ["dana", "omar.s", "etl-2", "a@b.example"] {
            assert!(good.parse::<PersonName>().is_ok(), "{good}");
        }
        for bad in ["", "Dana", "../x", ".x", "a b", "a\nb", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<PersonName>().is_err(), "{bad}");
        }
    }
}
