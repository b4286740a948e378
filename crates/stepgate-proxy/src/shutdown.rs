//! How far a gate is on its way out.

use tokio::sync::watch;

/// How far a gate is on its way out; it only ever goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Not at all.
    #[default]
    Serving,
    /// Nobody is let in any more. Sessions end as soon as they are between transactions, held statements at once.
    Draining,
    /// Everything ends now.
    Now,
}

/// Resolves once it is further on than `known`, with how far. A gate that nobody can stop any more stops.
pub(crate) async fn beyond(shutdown: &mut watch::Receiver<Shutdown>, known: Shutdown) -> Shutdown {
    match shutdown.wait_for(|now| *now > known).await {
        Ok(now) => *now,
        Err(_) => Shutdown::Now,
    }
}
