//! The rim: sockets, TLS, authentication, upstream connections, cancel requests; drives sessions.

mod accounts;
mod admit;
mod announced;
mod apart;
mod aside;
mod authenticate;
mod binding;
mod buffers;
mod cancel;
mod catalog;
mod certificate;
mod changing;
mod crowd;
mod database;
mod databases;
mod der;
mod digest;
mod doing;
mod drive;
mod failures;
mod gate;
mod judge;
mod limits;
mod manner;
mod memory;
mod metrics;
mod overtaken;
mod peer;
mod planner;
mod reach;
mod refusal;
mod scram;
mod server;
mod sessions;
mod shutdown;
mod side;
mod stream;
mod taint;
mod tls;
mod upstream;
mod workers;

pub use admit::{AdmitError, Admitted, Client, admit};
pub use authenticate::{AuthenticateError, Authenticated, Challenge, People, authenticate};
pub use cancel::{CancelNotice, CancelRegistry, RegisterError, Registration, ServerKey, forward_cancel};
pub use catalog::{
    CatalogError, Fingerprint, ServerIdentity, connect_for_catalog, fingerprint, load, load_from, locks,
    server_identity,
};
pub use crowd::MAX_CROWD;
pub use database::{Database, View};
pub use doing::Doing;
pub use gate::{Gate, HABITS, Parts, Settings, policy_loaded};
pub use judge::{AskAhead, CannotAsk, before_it_runs};
pub use limits::{Limits, MAX_MESSAGE};
pub use manner::Manner;
pub use planner::Planner;
pub use refusal::{foretell, foretell_at_limit};
pub use scram::Unbound;
pub use server::serve;
pub use sessions::{SessionInfo, Sessions};
pub use shutdown::Shutdown;
/// What a client is told, as [`foretell`] gives it.
pub use stepgate_wire::Problem;
pub use stream::Stream;
pub use tls::{ClientAuth, ServerTls, TlsError};
pub use upstream::{
    Credentials, PassPerson, Password, Role, SslMode, Upstream, UpstreamConfig, UpstreamError, connect,
    simple_query,
};
pub use workers::{Places, Workers};
