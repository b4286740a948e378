//! `stepgate.yaml` (DESIGN §6): raw YAML in, a configuration that can be served out.

mod approvers;
mod audit;
mod break_glass;
mod database;
mod factors;
mod ldap;
mod limits;
mod load;
mod notify;
mod oidc;
#[cfg(test)]
mod people_tests;
mod place;
#[cfg(test)]
mod schema;
mod senders;
mod sinks;
mod supplied;
mod target;
mod upkeep;
mod ways;
mod witnesses;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use audit::Audit;
pub(crate) use database::{Database, Login, Role, SslMode};
pub(crate) use ldap::{Directory, Place as DirectoryPlace};
pub(crate) use load::sha256;
pub(crate) use notify::{Chat, ChatKind, Notifier, NotifyTo};
pub(crate) use oidc::Provider;
pub(crate) use place::{HostPort, WebUrl, safe_url};
pub(crate) use senders::Senders;
pub(crate) use sinks::{FileSink, Format, Names, Rotate, Sink, Syslog, To, Webhook};
use stepgate_proxy::ClientAuth;
use stepgate_store::TwoPerson;
pub(crate) use target::WebTarget;
pub(crate) use ways::{Email, MailTls, Way, WayTo};
pub(crate) use witnesses::Witness;

/// JSON Schema (draft 2020-12) of stepgate.yaml, for editors: what the loader says counts.
pub(crate) const SCHEMA: &str = include_str!("schema.json");

/// A configuration whose every value makes sense by itself; files it names are not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file it comes from.
    pub(crate) file: PathBuf,
    /// SHA-256 (hex) of its text.
    pub(crate) sha256: String,
    /// Where clients connect.
    pub(crate) listen: SocketAddr,
    /// The HTTPS API.
    pub(crate) console: Console,
    /// Where figures and health are shown, if anywhere.
    pub(crate) metrics: Option<SocketAddr>,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// The file of the master key.
    pub(crate) master_file: PathBuf,
    /// Certificate and key of the gate, if it encrypts.
    pub(crate) tls: Option<Tls>,
    /// The databases behind the gate, by the name clients ask for.
    pub(crate) databases: BTreeMap<String, Database>,
    /// The PII map.
    pub(crate) map: PathBuf,
    /// The policy.
    pub(crate) rules: PathBuf,
    /// Who approves a changed map or policy, two of them, where that is asked for.
    pub(crate) two_person: Option<TwoPerson>,
    /// How the log is kept.
    pub(crate) audit: Audit,
    /// How much is asked of factors.
    pub(crate) factors: stepgate_store::FactorRules,
    /// Where people log in again, if anywhere.
    pub(crate) oidc: Option<Provider>,
    /// The directory that says which groups people are in, if any does.
    pub(crate) ldap: Option<Directory>,
    /// How long a password for databases is good that a login mints.
    pub(crate) login_for: Duration,
    /// Who is told of what happens.
    pub(crate) notify: Vec<Notifier>,
    /// How codes are sent, if at all.
    pub(crate) senders: Senders,
    /// Who may break the glass, if anybody.
    pub(crate) break_glass: Option<stepgate_approval::GlassRules>,
    /// How much the gate takes on.
    pub(crate) limits: stepgate_proxy::Limits,
    /// Whether open requests are kept encrypted, and go on after a restart.
    pub(crate) sealed_requests: bool,
    /// Where addresses are: a file in MaxMind's format, if there is one.
    pub(crate) places: Option<PathBuf>,
}

/// Where people's commands and browsers go.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    /// Address to listen at.
    pub(crate) listen: SocketAddr,
    /// The address that people see, without a slash at the end.
    pub(crate) url: String,
    /// Makers of authenticators that are trusted, PEM.
    pub(crate) attestation_roots: Option<PathBuf>,
    /// Proxies that say for whom they ask.
    pub(crate) proxies: stepgate_console::Proxies,
    /// Whether a login by a password alone shows nothing of what others' statements say.
    pub(crate) proven_readers: bool,
}

/// Files of the gate's own certificate.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// Certificate chain, PEM.
    pub(crate) cert: PathBuf,
    /// Private key, PEM.
    pub(crate) key: PathBuf,
    /// The CA of clients' certificates, PEM, and whether every client must have one.
    pub(crate) clients: Option<(PathBuf, ClientAuth)>,
}

impl Tls {
    /// The CA of clients' certificates, as the proxy wants it.
    pub(crate) fn clients(&self) -> Option<(&Path, ClientAuth)> {
        self.clients.as_ref().map(|(ca, auth)| (ca.as_path(), *auth))
    }
}

impl Config {
    /// The socket that operator commands use while a gate serves.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.data.join("admin.sock")
    }

    /// The CA that `init` puts beside the certificate, where it is there.
    pub(crate) fn own_ca(&self) -> Option<PathBuf> {
        let ca = self.tls.as_ref()?.cert.parent()?.join("ca.pem");
        ca.is_file().then_some(ca)
    }
}

/// A path as the file means it: relative to the directory of the file that names it.
fn relative_to(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}
