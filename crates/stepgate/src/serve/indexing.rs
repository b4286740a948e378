//! Keeps the log's index up with it, so that searches need not.

use std::time::{Duration, Instant};

use stepgate_store::Finder;
use tokio::sync::watch;

/// How often it is looked whether there is something new.
const EVERY: Duration = Duration::from_secs(1);

/// Records that are indexed at once.
const AT_ONCE: u64 = 1_000;

/// How many times as long as the work took nothing is done, while so many records are not indexed yet: a twentieth of
/// one core is enough mostly. A search reads what is missing, so that must not become too much.
const fn rest(lag: u64) -> u32 {
    match lag {
        ..16_384 => 19,
        16_384..32_768 => 4,
        32_768..65_536 => 1,
        65_536.. => 0,
    }
}

/// Indexes what was recorded since, until `shutdown`.
pub(crate) async fn keep_up(finder: Finder, mut shutdown: watch::Receiver<bool>) {
    loop {
        let lag = finder.lag();
        let (finder, began) = (finder.clone(), Instant::now());
        let more = tokio::task::spawn_blocking(move || finder.catch_up(AT_ONCE)).await;
        let pause = match more {
            Ok(Ok(true)) => began.elapsed() * rest(lag),
            Ok(Ok(false)) | Err(_) => EVERY,
            // The index is nothing that anybody relies on: whoever searches is told what is wrong.
            Ok(Err(error)) => {
                tracing::warn!(%error, "the log's index does not keep up");
                EVERY
            }
        };
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
