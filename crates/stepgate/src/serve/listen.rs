//! The gate's two ports.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use crate::config::Config;
use crate::failure::Failure;

/// Both, bound.
pub(super) struct Listeners {
    clients: TcpListener,
    people: TcpListener,
}

impl Listeners {
    /// Binds both.
    pub(super) fn bind(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            clients: bind(config, "listen", config.listen)?,
            people: bind(config, "console.listen", config.console.listen)?,
        })
    }

    /// For the runtime: clients first, then people.
    pub(super) fn into_tokio(self) -> Result<(tokio::net::TcpListener, tokio::net::TcpListener), Failure> {
        let convert = |listener: TcpListener| {
            listener
                .set_nonblocking(true)
                .and_then(|()| tokio::net::TcpListener::from_std(listener))
                .map_err(|error| Failure::usage(format!("cannot listen: {error}")))
        };
        Ok((convert(self.clients)?, convert(self.people)?))
    }
}

fn bind(config: &Config, key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
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
