//! How the provider is called.

use axum::http::{Request, Response};

/// The longest answer of a provider that is read, in bytes.
pub const MAX_ANSWER: u64 = 1024 * 1024;

/// Calls a provider. Follows no redirects: an answer from elsewhere is none of the provider's (and a gate that can be
/// sent anywhere is a way into its network). Blocks the thread, for a bounded time.
pub trait Fetch: Send + Sync {
    /// One call; the answer has at most [`MAX_ANSWER`] bytes.
    ///
    /// # Errors
    /// No answer came, or too much of one.
    fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable>;
}

/// The provider could not be called. Says nothing of what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the identity provider cannot be reached: {0}")]
pub struct Unreachable(pub String);
