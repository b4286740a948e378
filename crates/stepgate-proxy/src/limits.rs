//! How much a gate takes on.

use std::time::Duration;

use stepgate_store::Caps;

/// The longest message that PostgreSQL takes, in bytes.
pub const MAX_MESSAGE: usize = stepgate_wire::MAX_STREAMED;

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
    /// The most bytes that a message with a statement or its values may have (Query, Parse, Bind, FunctionCall), header
    /// included.
    pub message: usize,
    /// The most bytes that large ones may have together while they come, are judged and are written on.
    pub message_memory: usize,
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
            message: 64 << 20,
            message_memory: 256 << 20,
            caps: Caps::default(),
        }
    }
}
