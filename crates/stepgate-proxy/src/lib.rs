//! The rim: sockets, TLS, authentication, upstream connections, cancel requests; drives sessions.

mod admit;
mod authenticate;
mod cancel;
mod catalog;
mod digest;
mod peer;
mod scram;
mod stream;
mod tls;
mod upstream;

pub use admit::{AdmitError, Admitted, Client, admit};
pub use authenticate::{AuthenticateError, Challenge, People, authenticate};
pub use cancel::{CancelNotice, CancelRegistry, Registration, RegistryFull, forward_cancel};
pub use catalog::{CatalogError, connect_for_catalog, fingerprint, load, load_from};
pub use stream::Stream;
pub use tls::{ServerTls, TlsError};
pub use upstream::{Credentials, SslMode, Upstream, UpstreamConfig, UpstreamError, connect, simple_query};
