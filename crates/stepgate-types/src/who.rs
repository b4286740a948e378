//! Whom or what a record names: in memory by name, in the log by a commitment to it.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::PersonName;

/// What kind of personal value a commitment stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A person's (or service's) name.
    Person,
    /// A network address.
    Address,
    /// The reason somebody gave.
    Reason,
    /// What a client program calls itself.
    Client,
    /// An operator at the gate's own machine.
    Operator,
}

impl SubjectKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Person, Self::Address, Self::Reason, Self::Client, Self::Operator];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Address => "address",
            Self::Reason => "reason",
            Self::Client => "client",
            Self::Operator => "operator",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A commitment to a personal value: HMAC-SHA-256 under a key of that value's own. Whoever has the key can check it;
/// once the key is destroyed, it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit([u8; 32]);

/// Digits of a commitment.
const DIGITS: usize = 64;

impl Commit {
    /// From its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its 64 digits.
    #[must_use]
    pub fn hex(&self) -> [u8; DIGITS] {
        let mut digits = [b'0'; DIGITS];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        digits
    }

    /// From 64 lower-case hexadecimal digits, and nothing else.
    #[must_use]
    pub fn of_hex(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = (value(*high)? << 4) | value(*low)?;
        }
        Some(Self(bytes))
    }
}

const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + (value - 10) }
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The text is no commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commitment has 64 lower-case hexadecimal digits")]
pub struct NoCommit;

impl FromStr for Commit {
    type Err = NoCommit;

    fn from_str(text: &str) -> Result<Self, NoCommit> {
        Self::of_hex(text).ok_or(NoCommit)
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commit({self})")
    }
}

impl Serialize for Commit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Commit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Whom an event names. A text either way: a name that looks like a commitment is read as one, so names of 64
/// hexadecimal digits are not given out (those of people are shorter).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// By name: in memory, and in records of the first format.
    Name(String),
    /// By a commitment to it: in the log.
    Commit(Commit),
}

impl Who {
    /// The name, if it stands here.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Commit(_) => None,
        }
    }

    /// The commitment, if it stands here.
    #[must_use]
    pub const fn commit(&self) -> Option<&Commit> {
        match self {
            Self::Name(_) => None,
            Self::Commit(commit) => Some(commit),
        }
    }
}

impl From<String> for Who {
    fn from(name: String) -> Self {
        Commit::of_hex(&name).map_or(Self::Name(name), Self::Commit)
    }
}

impl From<&str> for Who {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl From<&PersonName> for Who {
    fn from(name: &PersonName) -> Self {
        name.as_str().into()
    }
}

impl From<PersonName> for Who {
    fn from(name: PersonName) -> Self {
        (&name).into()
    }
}

impl From<IpAddr> for Who {
    fn from(address: IpAddr) -> Self {
        Self::Name(address.to_string())
    }
}

impl From<Commit> for Who {
    fn from(commit: Commit) -> Self {
        Self::Commit(commit)
    }
}

impl FromStr for Who {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Commit(commit) => fmt::Display::fmt(commit, f),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Commit(commit) => commit.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Who does something to the gate itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody the gate knows.
    Person(PersonName),
    /// An operator at the gate's own machine, by the id of their account where the system tells it.
    Operator(Option<u32>),
}

impl Actor {
    /// The person, if it is one.
    #[must_use]
    pub const fn person(&self) -> Option<&PersonName> {
        match self {
            Self::Person(person) => Some(person),
            Self::Operator(_) => None,
        }
    }

    /// Who did it, as records name people.
    #[must_use]
    pub fn by(&self) -> Option<Who> {
        self.person().map(Who::from)
    }

    /// The operator, as records name them: `uid:1000`.
    #[must_use]
    pub fn operator(&self) -> Option<Who> {
        match self {
            Self::Person(_) | Self::Operator(None) => None,
            Self::Operator(Some(uid)) => Some(Who::Name(format!("uid:{uid}"))),
        }
    }
}

/// `None` is an operator of whom nothing is known.
impl From<Option<PersonName>> for Actor {
    fn from(person: Option<PersonName>) -> Self {
        person.map_or(Self::Operator(None), Self::Person)
    }
}

impl From<PersonName> for Actor {
    fn from(person: PersonName) -> Self {
        Self::Person(person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_cannot_be_named_like_a_commitment() {
        let commit = Commit::from_bytes([0xa7; 32]);
        let hex = commit.to_string();
        assert!(hex.parse::<PersonName>().is_err());
        assert_eq!(Who::from(hex.as_str()), Who::Commit(commit));
        // One digit less, or another letter, is a name.
        for name in [hex.split_at(63).0, &hex.to_uppercase(), &format!("{hex}0")] {
            assert_eq!(Who::from(name), Who::Name(name.to_owned()), "{name}");
        }
    }

    #[test]
    fn digits_and_bytes_are_the_same_commitment() {
        let commit = Commit::from_bytes(std::array::from_fn(|at| u8::try_from(at * 8 + 3).unwrap_or(0)));
        assert_eq!(Commit::of_hex(&commit.to_string()), Some(commit));
        assert_eq!(serde_json::to_string(&commit).unwrap(), format!("\"{commit}\""));
        assert_eq!(serde_json::from_str::<Who>(&format!("\"{commit}\"")).unwrap(), Who::Commit(commit));
    }

    #[test]
    fn kinds_go_by_their_words() {
        assert!(SubjectKind::ALL.into_iter().all(|kind| SubjectKind::of(kind.as_str()) == Some(kind)));
        assert_eq!(SubjectKind::of("dana"), None);
    }
}
