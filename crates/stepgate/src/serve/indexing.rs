//! Keeps the log's index up with it, so that no search has to.

use std::time::Duration;

use stepgate_store::Finder;
use tokio::sync::watch;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Indexes what was recorded since, until `shutdown`.
pub(crate) async fn keep_up(finder: Finder, mut shutdown: watch::Receiver<bool>) {
    loop {
        let finder = finder.clone();
        // The index is nothing that anybody relies on: whoever searches is told what is wrong.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || finder.catch_up()).await {
            tracing::warn!(%error, "the log's index does not keep up");
        }
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
