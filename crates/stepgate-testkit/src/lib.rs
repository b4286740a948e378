//! Throwaway PostgreSQL, supervised processes, fake clock and entropy, an authenticator: what tests and
//! the demo need, and nothing that the gate itself uses.
//!
//! Nothing started here outlives the process that started it, also when that is killed: see
//! [`Supervised`].

mod authenticator;
mod binaries;
mod clock;
mod cluster;
mod entropy;
mod error;
mod gate;
mod person;
mod port;
mod provider;
mod psql;
pub mod security_key;
mod skip;
mod supervised;
mod temp_tree;
mod template;
mod user;
mod wait;

pub use authenticator::{Authenticator, serve as serve_authenticator};
pub use binaries::Binaries;
pub use clock::FakeClock;
pub use cluster::{Cluster, ClusterBuilder, HostAuth};
pub use entropy::FakeEntropy;
pub use error::Error;
pub use gate::{Gate, Outcome};
pub use person::Person;
pub use port::{free_address, free_port};
pub use provider::Provider;
pub use psql::{Psql, Reply};
pub use security_key::SecurityKey;
pub use skip::skip;
pub use supervised::{Supervised, SupervisedBuilder};
pub use temp_tree::TempTree;
pub use wait::{until, until_some};
