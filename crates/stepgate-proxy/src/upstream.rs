//! Connections to PostgreSQL.

mod credentials;
mod dial;
mod login;
mod query;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use stepgate_types::{GroupName, SqlState};
use stepgate_wire::Problem;

pub use credentials::{Credentials, Password, Role};
pub(crate) use dial::{answers, dial_at};
pub use login::connect;
pub(crate) use login::connect_at;
pub use query::simple_query;
pub(crate) use query::{notified, simple_queries, single_statement};

use crate::{ServerKey, Stream};

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

/// How the server is told who is behind a session: always by the setting `stepgate.person`, unless not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PassPerson {
    /// By the setting alone, which triggers and functions can read.
    #[default]
    Setting,
    /// And appended to the `application_name` that the client begins with, which the server's log shows.
    ApplicationName,
    /// Not at all.
    Never,
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
    /// For people's sessions: the first role that is for one of their groups.
    pub roles: Vec<Role>,
    /// For reading the catalog.
    pub catalog: Arc<Credentials>,
    /// Take servers of a major version that is not tested.
    pub allow_untested: bool,
    /// Ask the server's planner for the number of rows where a rule hangs on it.
    pub ask_planner: bool,
    /// How the server is told who is behind a session.
    pub pass_person: PassPerson,
}

impl UpstreamConfig {
    /// The role that runs the statements of somebody in these groups, if there is one.
    #[must_use]
    pub fn role_of(&self, groups: &[GroupName]) -> Option<&Arc<Credentials>> {
        self.roles.iter().find(|role| role.is_for(groups)).map(|role| &role.credentials)
    }

    /// Whether nothing but passwords is different in the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let fixed = |it: &Self| {
            let Self {
                name, host, port, dbname, sslmode, ca, allow_untested, ask_planner, pass_person, ..
            } = it.clone();
            let switches = (sslmode, allow_untested, ask_planner, pass_person);
            let roles: Vec<_> =
                it.roles.iter().map(|role| (role.groups.clone(), role.credentials.user.clone())).collect();
            (name, host, port, dbname, ca, switches, roles, it.catalog.user.clone())
        };
        fixed(self) == fixed(other)
    }

    /// Takes over the passwords of another that [is the same](Self::is_same) otherwise.
    pub(crate) fn take_passwords(&self, other: &Self) {
        for (role, new) in self.roles.iter().zip(&other.roles) {
            role.credentials.password.replace_with(&new.credentials.password);
        }
        self.catalog.password.replace_with(&other.catalog.password);
    }
}

/// A connection that is ready for queries. Neither the secret nor what was read shows in debug output.
pub struct Upstream {
    /// The connection.
    pub stream: Stream,
    /// The address that it leads to.
    pub address: SocketAddr,
    /// What ParameterStatus reported, in order, as it came: in the client's encoding, which need not be UTF-8.
    pub params: Vec<(Bytes, Bytes)>,
    /// What it warned of meanwhile, as it was sent: that a setting was cut short, for one.
    pub notices: Vec<Bytes>,
    /// The server's process id.
    pub pid: i32,
    /// The server's cancel secret.
    pub secret: Vec<u8>,
    /// What was read beyond the first ReadyForQuery.
    pub leftover: BytesMut,
    /// The transaction status of the last ReadyForQuery: `I`, `T` or `E`.
    pub status: u8,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("pid", &self.pid).finish_non_exhaustive()
    }
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
    #[error("server says: {state} {}", in_a_line(of_its_own(state, message)))]
    Server {
        /// SQLSTATE.
        state: String,
        /// Primary message.
        message: String,
        /// Detail.
        detail: Option<String>,
        /// Hint.
        hint: Option<String>,
    },
    /// The server's version is not one that was tested.
    #[error("server version {0} is not supported (tested: 13 to 18; allow_untested: true takes others)")]
    Version(String),
    /// A connection pooler stands between.
    #[error(
        "a connection pooler answers in the server's place: sessions that share the server's could have each other's \
         search_path, prepared statements and temporary tables; let the gate connect to PostgreSQL itself"
    )]
    Pooler,
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
    /// Without what the server says of settings that a client brought: it repeats them.
    pub(crate) fn in_short(&self) -> String {
        match self {
            // Of authentication, of resources, and of operators there is nothing of the client's in it.
            Self::Server { state, .. }
                if !["28", "53", "57"].iter().any(|class| state.starts_with(class)) =>
            {
                format!("server says: {state}")
            }
            _ => self.to_string(),
        }
    }

    /// What a client may know, for the database of this name: no text of the server's, which may hold
    /// addresses and names that are none of the client's business.
    #[must_use]
    pub fn problem(&self, database: &str) -> Problem {
        let cannot = |state| Problem::fatal(state, format!("cannot reach database \"{database}\""));
        let state = if let Self::Server { state, .. } = self { state.as_str() } else { "" };
        match state {
            _ if matches!(self, Self::Pooler) => cannot(SqlState::CONNECTION_FAILURE)
                .with_detail("A connection pooler stands between the gate and the server.")
                .with_hint("Ask the gate's operator to let it connect to the server itself."),
            "3D000" => no_such_database(database),
            "42501" => Problem {
                bare: true,
                ..Problem::fatal(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("permission denied for database \"{database}\""),
                )
                .with_detail("User does not have CONNECT privilege.")
            },
            "55000" => Problem {
                bare: true,
                ..Problem::fatal(
                    SqlState::NOT_IN_PREREQUISITE_STATE,
                    format!("database \"{database}\" is not currently accepting connections"),
                )
            },
            // It is not let in whatever it does.
            _ if state.starts_with("28") => cannot(SqlState::CONNECTION_FAILURE)
                .with_detail("The server behind the gate does not let it in.")
                .with_hint("Tell the gate's operator, whose log says why."),
            "53300" => cannot(SqlState::TOO_MANY_CONNECTIONS)
                .with_detail("The server behind the gate has no connection left.")
                .with_hint("Try again when others have disconnected."),
            "57P03" => cannot(SqlState::CANNOT_CONNECT_NOW)
                .with_detail("The server behind the gate is starting up, shutting down or recovering.")
                .with_hint("Try again in a moment."),
            _ => cannot(SqlState::CONNECTION_FAILURE)
                .with_hint("Try again in a moment. If it stays so, the gate's log tells its operator why."),
        }
    }

    /// The server's own words, where it refuses a value that the client begins with: a time zone that does not exist, an
    /// encoding that it does not know or cannot convert to, what it sets by `options`. Only of a connection that is made for
    /// that client.
    #[must_use]
    pub(crate) fn refused_value(&self) -> Option<Problem> {
        let Self::Server { state, message, detail, hint } = self else { return None };
        let state = match state.as_str() {
            "0A000" => SqlState::FEATURE_NOT_SUPPORTED,
            "42704" => SqlState::UNDEFINED_OBJECT,
            state if state.starts_with("22") => SqlState::INVALID_PARAMETER_VALUE,
            _ => return None,
        };
        let (detail, hint) = (detail.clone(), hint.clone());
        Some(Problem { bare: true, detail, hint, ..Problem::fatal(state, message.clone()) })
    }
}

/// What the server says, unless it may repeat a value or a client's text: of data (22), constraints (23), `RAISE` (P0), syntax,
/// names and settings that there are not, the SQLSTATE alone is told.
fn of_its_own<'m>(state: &str, message: &'m str) -> &'m str {
    let repeats = ["22", "23", "P0", "42601", "42602", "42704"].iter().any(|class| state.starts_with(class));
    if repeats { "" } else { message }
}

/// The most bytes of a server's text in a line of the gate's log.
const MAX_LOGGED: usize = 500;

/// What a server says, as a part of one line of the log: whoever answers in its place could write lines of their own
/// otherwise, or fill the disk.
fn in_a_line(text: &str) -> String {
    let mut line = String::new();
    for letter in text.chars() {
        if line.len().saturating_add(letter.len_utf8()) > MAX_LOGGED {
            line.push_str("...");
            break;
        }
        line.push(if letter.is_control() { ' ' } else { letter });
    }
    line
}

/// PostgreSQL's own words for a database that there is not, whether the gate or the server behind it lacks it.
pub(crate) fn no_such_database(name: &str) -> Problem {
    let message = format!("database \"{name}\" does not exist");
    Problem { bare: true, ..Problem::fatal(SqlState::UNDEFINED_DATABASE, message) }
}

impl Upstream {
    /// By what the server knows it, and where.
    #[must_use]
    pub fn key(&self) -> ServerKey {
        ServerKey { pid: self.pid, secret: self.secret.clone(), address: self.address }
    }

    /// What ParameterStatus last reported for this setting; nothing where that is no UTF-8.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let (_, value) = self.params.iter().find(|(known, _)| known == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// The same of all settings, as far as it can be read. What a session goes by is ASCII; the rest is a role's name, for
    /// one, in the client's encoding.
    pub(crate) fn params_as_text(&self) -> Vec<(String, String)> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        self.params.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// Takes note of a ParameterStatus.
    pub fn learn(&mut self, (name, value): (Bytes, Bytes)) {
        match self.params.iter_mut().find(|(known, _)| *known == name) {
            Some((_, place)) => *place = value,
            None => self.params.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(state: &str, message: &str, detail: Option<&str>) -> UpstreamError {
        let (detail, hint) = (detail.map(ToOwned::to_owned), None);
        UpstreamError::Server { state: state.to_owned(), message: message.to_owned(), detail, hint }
    }

    #[test]
    fn a_server_writes_no_lines_of_its_own_into_the_gates_log_and_does_not_fill_it() {
        for state in ["28000", "53300", "57P03"] {
            let forged = says(state, "no\nWARN a line\r\x1b[2J\u{85}of its own", None);
            for logged in [forged.in_short(), forged.to_string()] {
                assert!(logged.starts_with(&format!("server says: {state} no WARN a line")), "{logged}");
                assert!(!logged.chars().any(char::is_control), "{logged}");
            }
            let long = says(state, &"\u{e9}".repeat(100_000), None).in_short();
            assert!(long.len() < 600 && long.ends_with("..."), "{}", long.len());
        }
    }

    #[test]
    fn a_value_that_the_server_refuses_is_no_outage_and_is_told_with_its_detail() {
        let list = says(
            "22023",
            "invalid value for parameter \"search_path\": \"a b\"",
            Some("List syntax is invalid."),
        );
        let problem = list.refused_value().unwrap();
        assert_eq!(problem.detail.as_deref(), Some("List syntax is invalid."));
        let encoding = says("0A000", "conversion between LATIN1 and KOI8R is not supported", None);
        let problem = encoding.refused_value().unwrap();
        assert_eq!((problem.state, problem.bare), (SqlState::FEATURE_NOT_SUPPORTED, true));
        assert_eq!(problem.primary(), "conversion between LATIN1 and KOI8R is not supported");
        assert_eq!(says("28000", "no", None).refused_value(), None);
    }
}
