//! Where a session comes from, without a word of it that names anybody.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bits of an address that tell one IPv4 network from another: what providers route …
const PREFIX_V4: u8 = 24;
/// … and of an IPv6 address: what providers give one site (RFC 6177).
const PREFIX_V6: u8 = 48;

/// The earth's mean radius in kilometres.
const EARTH: f64 = 6371.0;

/// Makes tokens of what is personal: keyed, so that nobody who reads a profile can try out all networks there are.
#[derive(Clone)]
pub struct OriginKey([u8; 32]);

impl OriginKey {
    /// From 32 secret bytes, always the same for a log.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn token(&self, kind: &str, value: &[u8]) -> u64 {
        token(&[&self.0, kind.as_bytes(), &[0], value])
    }

    /// The network that an address is in.
    #[must_use]
    pub fn network(&self, address: IpAddr) -> u64 {
        let prefix = match address.to_canonical() {
            IpAddr::V4(address) => {
                ipnet::Ipv4Net::new(address, PREFIX_V4).map(|net| IpAddr::from(net.network()))
            }
            IpAddr::V6(address) => {
                ipnet::Ipv6Net::new(address, PREFIX_V6).map(|net| IpAddr::from(net.network()))
            }
        };
        self.token("network", prefix.unwrap_or(address).to_string().as_bytes())
    }
}

impl std::fmt::Debug for OriginKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OriginKey")
    }
}

/// The first eight bytes of the SHA-256 of the parts.
pub(crate) fn token(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Where about an address is: to half a degree, some 50 km, or only in which country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// ISO 3166-1, two letters.
    pub country: [u8; 2],
    /// Latitude and longitude in half degrees, where they are known.
    at: Option<(i16, i16)>,
}

impl Place {
    /// From latitude and longitude in degrees; `None`: there is no such place.
    #[must_use]
    pub fn new(country: [u8; 2], latitude: f64, longitude: f64) -> Option<Self> {
        let halves = |degrees: f64, most: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "at most 360")]
            (degrees.abs() <= most).then(|| (degrees * 2.0).round() as i16)
        };
        let at = (halves(latitude, 90.0)?, halves(longitude, 180.0)?);
        Some(Self { country, at: Some(at) })
    }

    /// Somewhere in that country.
    #[must_use]
    pub const fn somewhere_in(country: [u8; 2]) -> Self {
        Self { country, at: None }
    }

    /// Kilometres between two places, along a great circle; `None` where one is only known by its country.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Option<u32> {
        let ((latitude, longitude), (other_latitude, other_longitude)) = (self.at?, other.at?);
        if self.at == other.at {
            return Some(0);
        }
        let radians = |halves: i16| (f64::from(halves) / 2.0).to_radians();
        let (a, b) = (radians(latitude), radians(other_latitude));
        let east = radians(longitude) - radians(other_longitude);
        let half = ((a - b) / 2.0).sin().powi(2) + a.cos() * b.cos() * (east / 2.0).sin().powi(2);
        let km = 2.0 * EARTH * half.sqrt().min(1.0).asin();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half way round")]
        let km = km.round() as u32;
        Some(km)
    }
}

/// Tells where an address is.
pub trait Places: Send + Sync {
    /// `None`: that is not known.
    fn place(&self, address: IpAddr) -> Option<Place>;
}

/// Knows no place.
impl Places for () {
    fn place(&self, _: IpAddr) -> Option<Place> {
        None
    }
}

/// Where a session comes from: made once, when it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The network; `None` where the address is not known any more.
    pub(crate) network: Option<u64>,
    /// The client's name; `None` where there is none, or it is not known any more.
    pub(crate) client: Option<u64>,
    /// How the driver begins.
    pub(crate) startup: Option<u64>,
    /// How its TLS library does.
    pub(crate) hello: Option<u64>,
    /// Where that is.
    pub(crate) place: Option<Place>,
}

impl Origin {
    /// From this address.
    #[must_use]
    pub fn new(key: &OriginKey, address: Option<IpAddr>, place: Option<Place>) -> Self {
        Self { network: address.map(|address| key.network(address)), place, ..Self::default() }
    }

    /// With a client that calls itself so (`application_name` as it stands in records). Numbers in it, and what follows
    /// them, are left out: a new version, or a number of its own for each process, makes no new client.
    #[must_use]
    pub fn client(mut self, key: &OriginKey, name: &str) -> Self {
        let end = name.find(|letter: char| letter.is_ascii_digit()).filter(|end| *end > 0);
        let program = end.and_then(|end| name.get(..end)).unwrap_or(name);
        let program = program.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        self.client = Some(key.token("client", program.as_bytes()));
        self
    }

    /// With what its startup packet and its TLS hello look like, as records say it: 16 hexadecimal digits.
    #[must_use]
    pub fn fingerprints(mut self, startup: Option<&str>, hello: Option<&str>) -> Self {
        let read = |text: &str| u64::from_str_radix(text, 16).ok();
        (self.startup, self.hello) = (startup.and_then(read), hello.and_then(read));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> OriginKey {
        OriginKey::new([7; 32])
    }

    #[test]
    fn addresses_of_one_network_have_one_token() {
        let network = |address: &str| key().network(address.parse().unwrap());
        assert_eq!(network("192.0.2.7"), network("192.0.2.200"));
        assert_eq!(network("192.0.2.7"), network("::ffff:192.0.2.9"));
        assert_ne!(network("192.0.2.7"), network("192.0.3.7"));
        assert_eq!(network("2001:db8:1::7"), network("2001:db8:1:ffff::9"));
        assert_ne!(network("2001:db8:1::7"), network("2001:db8:2::7"));
        assert_ne!(network("192.0.2.7"), OriginKey::new([8; 32]).network("192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn a_new_version_is_the_same_client() {
        let client = |name: &str| Origin::default().client(&key(), name).client;
        assert_eq!(client("DBeaver 24.1.0 - Main"), client("DBeaver 25.0"));
        assert_eq!(client("worker-17"), client("worker-4"));
        assert_ne!(client("psql"), client("pgx"));
        assert_ne!(client("7zip"), client("8zip"));
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let berlin = Place::new(*b"DE", 52.52, 13.40).unwrap();
        let sydney = Place::new(*b"AU", -33.87, 151.21).unwrap();
        assert_eq!(berlin.distance(&berlin), Some(0));
        let km = berlin.distance(&sydney).unwrap();
        assert!((15_900..16_300).contains(&km), "{km}");
        assert_eq!(berlin.distance(&Place::somewhere_in(*b"AU")), None);
        assert_eq!(Place::new(*b"XX", 91.0, 0.0), None);
        assert_eq!(Place::new(*b"XX", f64::NAN, 0.0), None);
    }

    #[test]
    fn what_is_no_fingerprint_is_none() {
        let with = Origin::default().fingerprints(Some("00000000000000ff"), Some("not one"));
        assert!(with.startup == Some(255) && with.hello.is_none());
    }
}
