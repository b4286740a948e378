//! The gate's ports.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use crate::config::Config;
use crate::failure::Failure;

/// All of them, bound.
pub(super) struct Listeners {
    clients: TcpListener,
    people: TcpListener,
    watchers: Option<TcpListener>,
}

/// The same, for the runtime.
pub(super) struct Open {
    pub(super) clients: tokio::net::TcpListener,
    pub(super) people: tokio::net::TcpListener,
    /// Of figures and health, where that is configured.
    pub(super) watchers: Option<tokio::net::TcpListener>,
}

impl Listeners {
    /// Binds them.
    pub(super) fn bind(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            clients: bind(config, "listen", config.listen)?,
            people: bind(config, "console.listen", config.console.listen)?,
            watchers: config.metrics.map(|to| bind(config, "metrics.listen", to)).transpose()?,
        })
    }

    /// For the runtime.
    pub(super) fn into_tokio(self) -> Result<Open, Failure> {
        let convert = |listener: TcpListener| {
            listener
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpListener::from_std(listener))
                .map_err(|error| Failure::usage(format!("cannot listen: {error}")))
        };
        Ok(Open {
            clients: convert(self.clients)?,
            people: convert(self.people)?,
            watchers: self.watchers.map(convert).transpose()?,
        })
    }
}

/// Connections that the kernel may keep until they are taken. The standard library's 128 are fewer than a rack of
/// application servers opens at once; who comes beyond that waits for a second and tries again.
const BACKLOG: i32 = 1_024;

fn bind(config: &Config, key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address);
    // Listening anew changes only that.
    let listener =
        listener.and_then(|listener| Ok(rustix::net::listen(&listener, BACKLOG).map(|()| listener)?));
    listener.map_err(|error| {
        let failure = Failure::usage(format!("cannot listen on {address} ({key}): {error}"));
        let file = config.file.display();
        match error.kind() {
            ErrorKind::AddrInUse => failure.hint(format!(
                "another process has port {}: `ss -ltnp` names it. Stop it, or change `{key}` in {file}",
                address.port()
            )),
            ErrorKind::PermissionDenied => {
                failure.hint(format!("ports below 1024 are for root: change `{key}` in {file}"))
            }
            _ => failure.hint(format!("is it an address of this machine? Change `{key}` in {file}")),
        }
    })
}
