//! Keeps the log's index up with it, so that searches need not.

use std::time::{Duration, Instant};

use stepgate_store::Finder;
use tokio::sync::watch;

/// How often it is looked whether there is something new.
const EVERY: Duration = Duration::from_secs(1);

/// Records that are indexed at once.
const AT_ONCE: u64 = 1_000;

/// So many times as long as the work took nothing is done while others record: that is a fiftieth of one core. A search
/// reads what is missing.
const REST: u32 = 49;

/// Once more records than this are left, it takes a tenth, …
const MANY: u64 = 262_144;
const SHORT: u32 = 9;

/// … and once as many are, all of it: else searches would read more and more.
const TOO_MANY: u64 = 1_000_000;

/// Indexes what was recorded since, until `shutdown`.
pub(crate) async fn keep_up(finder: Finder, mut shutdown: watch::Receiver<bool>) {
    let mut before = 0;
    loop {
        let (finder, began) = (finder.clone(), Instant::now());
        let lag = tokio::task::spawn_blocking(move || finder.catch_up(AT_ONCE)).await;
        let pause = match lag {
            Ok(Ok((left @ 1.., records))) => {
                let others_record = std::mem::replace(&mut before, records) != records;
                let rest = match left {
                    _ if left > TOO_MANY => 0,
                    _ if left > MANY => SHORT,
                    _ => REST,
                };
                began.elapsed() * if others_record { rest } else { 1 }
            }
            Ok(Ok((0, _))) | Err(_) => EVERY,
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
