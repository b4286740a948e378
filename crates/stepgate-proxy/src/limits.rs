//! How much a gate takes on.

use std::time::Duration;

use stepgate_store::Caps;

/// How many sessions there may be, and for how long they may do nothing good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions: usize,
    /// Sessions of one person at a time.
    pub per_person: usize,
    /// How long a client may take from connecting to being authenticated.
    pub login: Duration,
    /// How long a client that its server waits for may read nothing at all.
    pub slow_client: Duration,
    /// How long statements that run may go on after the gate was asked to stop.
    pub drain: Duration,
    /// How much one person may ask of others and of themselves.
    pub caps: Caps,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 2_000,
            per_person: 50,
            // PostgreSQL's `authentication_timeout`.
            login: Duration::from_secs(60),
            slow_client: Duration::from_secs(5 * 60),
            drain: Duration::from_secs(30),
            caps: Caps::default(),
        }
    }
}
