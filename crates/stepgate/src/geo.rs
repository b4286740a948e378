//! Where addresses are, as a file in MaxMind's format says that the user supplies (GeoLite2 and GeoIP2, City or Country,
//! and others of that shape).

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use maxminddb::Reader;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use stepgate_policy::{Place, Places};

use crate::failure::Failure;

/// The largest file that is read, in bytes: it is kept in memory. The largest that MaxMind sells are below.
const MAX_FILE: u64 = 1 << 30;

/// A file, checked and in memory. A file that is mapped could change, or shrink, under who reads it.
struct Database {
    reader: Reader<Vec<u8>>,
    /// SHA-256 (hex) of the file.
    sha256: String,
}

/// What is read of an entry.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    country: Option<Country<'a>>,
    /// Where the network is registered: of those of which no country is known.
    #[serde(borrow)]
    registered_country: Option<Country<'a>>,
    location: Option<Location>,
}

#[derive(Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Database {
    fn read(path: &Path) -> Result<Self, Failure> {
        let what = "read the file of places";
        let trouble = |error: &std::io::Error| Failure::file(what, path, error);
        let file = File::open(path).map_err(|error| trouble(&error))?;
        let meta = file.metadata().map_err(|error| trouble(&error))?;
        if !meta.is_file() {
            return Err(Failure::usage(format!("places: {} is not a regular file", path.display())));
        }
        if meta.len() > MAX_FILE {
            return Err(Failure::usage(format!(
                "places: {} is larger than {MAX_FILE} bytes",
                path.display()
            )));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| trouble(&error))?;
        let broken = |error: maxminddb::MaxMindDbError| {
            Failure::usage(format!(
                "places: {} is no sound file in MaxMind's format: {error}",
                path.display()
            ))
        };
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        let reader = Reader::from_source(bytes).map_err(broken)?;
        // All of it: what is broken in the middle would make somebody's address one of no place, of which no signal tells.
        reader.verify().map_err(broken)?;
        Ok(Self { reader, sha256 })
    }

    fn place(&self, address: IpAddr) -> Option<Place> {
        // In a database of IPv6 networks, IPv4 has a place of its own, where ::ffff:a.b.c.d is not.
        let found = self.reader.lookup(address.to_canonical()).ok()?;
        let entry = found.decode::<Entry<'_>>().ok()??;
        let code = |country: Option<Country<'_>>| {
            let letters = *country?.iso_code?.as_bytes().first_chunk::<2>()?;
            letters.iter().all(u8::is_ascii_uppercase).then_some(letters)
        };
        let country = code(entry.country).or_else(|| code(entry.registered_country))?;
        let at = entry.location.and_then(|it| it.latitude.zip(it.longitude));
        let known = at.and_then(|(latitude, longitude)| Place::new(country, latitude, longitude));
        Some(known.unwrap_or_else(|| Place::somewhere_in(country)))
    }
}

/// Where addresses are by the newest file that could be read. Cheap to clone; all clones know the same.
#[derive(Clone, Default)]
pub(crate) struct Geo(Arc<RwLock<Option<Arc<Database>>>>);

impl Geo {
    /// By that file; knows nothing where there is none.
    pub(crate) fn load(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let geo = Self::default();
        geo.reload(path)?;
        Ok(geo)
    }

    /// The same by another file, or by what is in it now.
    ///
    /// # Errors
    /// It cannot be read: what was known before stays.
    pub(crate) fn reload(&self, path: Option<&PathBuf>) -> Result<(), Failure> {
        let database = path.map(|path| Database::read(path)).transpose()?.map(Arc::new);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = database;
        Ok(())
    }

    /// SHA-256 (hex) of the file, where there is one.
    pub(crate) fn sha256(&self) -> Option<String> {
        Some(self.database()?.sha256.clone())
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Places for Geo {
    fn place(&self, address: IpAddr) -> Option<Place> {
        self.database()?.place(address)
    }
}

#[cfg(test)]
#[path = "../tests/triggers/places.rs"]
mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("places.mmdb");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn code(places: &Geo, address: &str) -> Option<String> {
        let place = places.place(address.parse().unwrap())?;
        Some(String::from_utf8(place.country.to_vec()).unwrap())
    }

    #[test]
    fn addresses_are_where_the_file_says() {
        let (_dir, path) = written(&sample::database(&sample::BERLIN_AND_SYDNEY));
        let geo = Geo::load(Some(&path)).unwrap();
        assert_eq!(code(&geo, "127.0.0.1").as_deref(), Some("DE"));
        assert_eq!(code(&geo, "::ffff:127.0.7.9").as_deref(), Some("AU"));
        assert_eq!(code(&geo, "127.0.8.1"), None);
        assert_eq!(code(&geo, "2001:db8::1"), None);
        let place = |address: &str| geo.place(address.parse().unwrap()).unwrap();
        assert!(place("127.0.0.1").distance(&place("127.0.7.1")).unwrap() > 15_000);
        assert_eq!(code(&Geo::load(None).unwrap(), "127.0.0.1"), None);
    }

    #[test]
    fn a_broken_file_is_refused_wherever_it_is_broken_and_what_was_known_stays() {
        let good = sample::database(&sample::BERLIN_AND_SYDNEY);
        let (_dir, path) = written(&good);
        let geo = Geo::load(Some(&path)).unwrap();
        let trees = good.len() - 300;
        for bad in [&b""[..], b"version: 1", &good[..good.len() - 40], &good[100..], &good[..trees]] {
            std::fs::write(&path, bad).unwrap();
            let failure = geo.reload(Some(&path)).unwrap_err();
            assert!(failure.message.contains("places.mmdb"), "{failure}");
            assert_eq!(code(&geo, "127.0.0.1").as_deref(), Some("DE"));
        }
        std::fs::write(&path, sample::database(&[([127, 0, 0], "FR", 48.8, 2.3)])).unwrap();
        geo.reload(Some(&path)).unwrap();
        assert_eq!(code(&geo, "127.0.0.1").as_deref(), Some("FR"));
        std::fs::remove_file(&path).unwrap();
        assert!(geo.reload(Some(&path)).is_err());
        assert_eq!(code(&geo, "127.0.0.1").as_deref(), Some("FR"));
        geo.reload(None).unwrap();
        assert_eq!(code(&geo, "127.0.0.1"), None);
    }

    #[test]
    fn no_changed_byte_makes_it_panic() {
        let good = sample::database(&sample::BERLIN_AND_SYDNEY);
        for at in 0..good.len() {
            for change in [1, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= change;
                let Ok(reader) = Reader::from_source(bytes) else { continue };
                let database = Database { reader, sha256: String::new() };
                for address in ["127.0.0.1", "127.0.7.1", "255.255.255.255", "::1"] {
                    let _ = database.place(address.parse().unwrap());
                }
            }
        }
    }
}
