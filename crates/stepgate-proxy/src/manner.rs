//! What a client's program looks like from outside: its startup packet and its TLS hello, each as a short hash.
//!
//! Drivers and their TLS libraries differ in both. Neither proves anything, since whoever knows a driver can do as it
//! does: a fingerprint may only add to a risk. Hashes, since what a client made up must not get into records.

use std::fmt::Write as _;

use rustls::ProtocolVersion;
use rustls::server::ClientHello;
use sha2::{Digest as _, Sha256};

/// Bytes of a hash that are kept: enough to tell programs apart.
const HASH_BYTES: usize = 8;

/// The most entries of one list of a hello that are looked at; a longer one is told by its beginning and its length.
const MAX_LISTED: usize = 256;

/// What a client's program looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// Of its startup packet, and of what it asked for before: 16 hexadecimal digits.
    pub startup: String,
    /// Of its TLS hello, where there was one.
    pub tls: Option<String>,
}

/// The fingerprint of a startup packet's outline.
pub(crate) fn of_outline(outline: &str) -> String {
    hash(outline.as_bytes())
}

/// The fingerprint of a hello, as JA4 has it (FoxIO, "JA4: TLS Client Fingerprinting"), of what rustls tells: cipher suites,
/// groups and signature schemes without those that are there for GREASE (RFC 8701), the names of protocols, and whether
/// there is a server name; not which one. Suites are sorted, since some libraries shuffle them.
pub(crate) fn of_hello(hello: &ClientHello<'_>) -> Hello {
    let mut told = String::new();
    let suites = hello.cipher_suites().iter().map(|it| u16::from(*it));
    list(&mut told, "suites", sorted(suites));
    let groups = hello.named_groups().unwrap_or_default().iter().map(|it| u16::from(*it));
    list(&mut told, "groups", groups.collect());
    let schemes = hello.signature_schemes().iter().map(|it| u16::from(*it));
    list(&mut told, "schemes", schemes.collect());
    // Writing to a String cannot fail.
    let _ = write!(told, "name {}", hello.server_name().is_some());
    for protocol in hello.alpn().into_iter().flatten().take(MAX_LISTED) {
        let _ = write!(told, " {:?}", Sha256::digest(protocol));
    }
    Hello(told)
}

/// What a hello tells, until it is known which version was agreed on.
pub(crate) struct Hello(String);

impl Hello {
    pub(crate) fn agreed(self, version: Option<ProtocolVersion>) -> String {
        hash(format!("{} {:?}", self.0, version.map(u16::from)).as_bytes())
    }
}

fn sorted(values: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values
}

fn list(told: &mut String, name: &str, values: Vec<u16>) {
    let values: Vec<_> = values.into_iter().filter(|it| !is_grease(*it)).collect();
    let _ = write!(told, "{name} {} {:x?} ", values.len(), values.get(..MAX_LISTED).unwrap_or(&values));
}

/// RFC 8701: `0x?A?A` with twice the same digit.
const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn hash(told: &[u8]) -> String {
    let digest = Sha256::digest(told);
    digest.iter().take(HASH_BYTES).fold(String::with_capacity(2 * HASH_BYTES), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_there_to_be_ignored_are() {
        let grease: Vec<_> = (0..=0xffff).filter(|it| is_grease(*it)).collect();
        assert_eq!(grease.len(), 16);
        assert!(grease.contains(&0x0a0a) && grease.contains(&0xfafa) && !grease.contains(&0x1301));
        let (mut with, mut without) = (String::new(), String::new());
        list(&mut with, "suites", vec![0x1301, 0x4a4a, 0x1302]);
        list(&mut without, "suites", vec![0x1301, 0x1302]);
        assert_eq!(with, without);
    }

    #[test]
    fn a_fingerprint_is_sixteen_digits_and_hangs_on_all_that_it_is_made_of() {
        let psql = of_outline("3.0 ssl\nuser\ndatabase");
        assert_eq!(psql.len(), 16);
        assert!(psql.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(psql, of_outline("3.0 ssl\ndatabase\nuser"));
        let hello = || Hello("suites 1 [1301]".to_owned());
        let (newer, older) = (ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_2);
        assert_ne!(hello().agreed(Some(newer)), hello().agreed(Some(older)));
    }
}
