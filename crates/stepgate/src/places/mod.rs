//! Where addresses are, as a file of the user's says it: a database of cities in MaxMind's format.
//!
//! Nothing is looked up anywhere else, and what is found is rounded to some 50 km before anybody sees it.

mod mmdb;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use stepgate_policy::Place;

use self::mmdb::Mmdb;
use crate::failure::Failure;

/// The largest file that is read, in bytes: all of it is kept in memory.
const MAX_FILE: u64 = 1 << 30;

/// A file of places.
struct Cities(Mmdb);

/// What the file says; with none, nobody knows where any address is.
pub(crate) fn load(file: Option<&Path>) -> Result<Arc<dyn stepgate_policy::Places>, Failure> {
    let Some(file) = file else { return Ok(Arc::new(())) };
    let trouble = |error: &std::io::Error| Failure::file("read the places", file, error);
    let meta = std::fs::metadata(file).map_err(|error| trouble(&error))?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        let message = format!("{} is no regular file of at most {MAX_FILE} bytes", file.display());
        return Err(Failure::usage(message));
    }
    let bytes = std::fs::read(file).map_err(|error| trouble(&error))?;
    match Mmdb::new(bytes) {
        Ok(found) => Ok(Arc::new(Cities(found))),
        Err(why) => {
            let message = format!("{} is no database of places: {why}", file.display());
            Err(Failure::usage(message).hint("places names a City database in MaxMind's format (.mmdb)"))
        }
    }
}

impl stepgate_policy::Places for Cities {
    fn place(&self, address: IpAddr) -> Option<Place> {
        let Self(found) = self;
        let record = found.find(address)?;
        let country = ["country", "registered_country"];
        let country = country.into_iter().find_map(|it| found.text(record, &[it, "iso_code"]))?;
        let country = <[u8; 2]>::try_from(country.as_bytes()).ok()?;
        let degrees = |which| found.double(record, &["location", which]);
        Place::new(country, degrees("latitude")?, degrees("longitude")?)
    }
}
