//! People at an OpenID provider (OpenID Connect Core 1.0): they log in there instead of by a password here, and whoever
//! answers a request logs in there once more, for which the ID token that comes back must say so for this very request.
//!
//! Nothing that a provider can be asked for is trusted to have happened: `prompt=login` and `max_age` are requests, and
//! only `auth_time`, `acr`, `nonce` and `sub` of a token that it signed count.

mod claims;
mod device;
mod errand;
mod fetch;
mod flow;
mod groups;
mod health;
mod pending;
mod provider;

pub use claims::{Authenticated, Called};
pub use device::{DeviceLogin, Polled};
pub use errand::{Errand, Program};
pub use fetch::{Fetch, MAX_ANSWER, Unreachable};
pub(crate) use flow::CLOCK_SKEW;
pub use flow::{Begun, OidcError};
pub use groups::{Groups, Rules};
pub use provider::{Accepted, Oidc, Settings};
