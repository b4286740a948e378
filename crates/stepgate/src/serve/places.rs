//! Where addresses are.

use stepgate_record::Event;
use stepgate_store::Log;

use crate::config::Config;
use crate::failure::Failure;
use crate::geo::Geo;

/// As the user's file says it, if there is one.
pub(super) fn load(config: &Config) -> Result<Geo, Failure> {
    Geo::load(config.places.as_ref())
}

/// The record of the file that is in force, if there is one.
pub(super) fn loaded(geo: &Geo) -> Option<Event> {
    Some(Event::PlacesLoaded { places_sha256: geo.sha256()? })
}

/// As another file says it now, or the same. Sessions that are open stay where they were when they began.
pub(super) async fn reload(geo: &Geo, config: &Config, log: &Log) {
    let before = geo.sha256();
    reload_file(geo, config, log).await;
    if geo.sha256() != before
        && let Some(event) = loaded(geo)
    {
        note(log, event);
    }
}

fn note(log: &Log, event: Event) {
    if let Err(error) = log.note(event) {
        tracing::error!(%error, "what came of the file of places could not be recorded");
    }
}

async fn reload_file(geo: &Geo, config: &Config, log: &Log) {
    let (geo, path) = (geo.clone(), config.places.clone());
    let reloaded = tokio::task::spawn_blocking(move || geo.reload(path.as_ref())).await;
    match reloaded.map_err(|error| Failure::usage(error.to_string())).flatten() {
        Ok(()) if config.places.is_some() => tracing::info!("places loaded"),
        Ok(()) => {}
        Err(failure) => {
            tracing::error!("{failure}; addresses are where they were before");
            note(log, Event::ConfigRejected { config_sha256: config.sha256.clone() });
        }
    }
}
