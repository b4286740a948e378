//! Waiting for something to become true, with a bound.

use std::time::{Duration, Instant};

use crate::Error;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Returns once `condition` holds.
///
/// # Errors
/// It did not within `limit`; the error names `what`.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<(), Error> {
    until_some(what, limit, || condition().then_some(()))
}

/// Returns what `probe` finds, once it finds something.
///
/// # Errors
/// It did not within `limit`; the error names `what`.
pub fn until_some<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if began.elapsed() > limit {
            return Err(Error::new(format!("waited {limit:?} in vain for {what}")));
        }
        std::thread::sleep(INTERVAL);
    }
}
