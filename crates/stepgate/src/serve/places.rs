//! Where addresses are.

use crate::config::Config;
use crate::failure::Failure;
use crate::geo::Geo;

/// As the user's file says it, if there is one.
pub(super) fn load(config: &Config) -> Result<Geo, Failure> {
    Geo::load(config.places.as_ref())
}

/// As another file says it now, or the same. Sessions that are open stay where they were when they began.
pub(super) async fn reload(geo: &Geo, config: &Config) {
    let (geo, path) = (geo.clone(), config.places.clone());
    let reloaded = tokio::task::spawn_blocking(move || geo.reload(path.as_ref())).await;
    match reloaded.map_err(|error| Failure::usage(error.to_string())).flatten() {
        Ok(()) if config.places.is_some() => tracing::info!("places loaded"),
        Ok(()) => {}
        Err(failure) => tracing::error!("{failure}; addresses are where they were before"),
    }
}
