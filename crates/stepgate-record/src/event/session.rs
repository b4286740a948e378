//! Sessions.

use serde::{Deserialize, Serialize};
use stepgate_types::{SessionId, Who};

/// By which door somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// PostgreSQL's protocol.
    Database,
    /// The console and its API.
    Console,
}

/// Why somebody has not proven who they are, in a word and no other than these. It is for the record alone: who is
/// refused hears nothing that tells whether there is anybody of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthFailure {
    /// The password is wrong.
    Password,
    /// Nobody here has that name.
    UnknownPerson,
    /// No certificate was shown, and one must be.
    NoCertificate,
    /// The certificate is good, and somebody else's.
    CertificateOfAnother,
    /// The login is bound to another channel than the one that it came by: somebody may stand between.
    ChannelBinding,
    /// The passkey does not log that person in.
    Passkey,
    /// The password is right, and a service's: those do not log in there.
    Service,
    /// Too many had failed: the password was not looked at.
    Throttled,
}

/// Somebody failed to prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthFailed {
    /// Who, if known to the gate.
    pub person: Option<Who>,
    /// Peer address, without port.
    pub address: Who,
    /// How many more have failed from the same network without a record of their own; of those that were told to wait,
    /// and of services, of the same person alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
    /// Why; records from before this was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<AuthFailure>,
    /// How they tried to: `scram-sha-256`, `scram-sha-256-plus`, `password`, `passkey`; left out where it did not come to
    /// that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Name of the database in the gate's configuration, where they asked for one that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// At which door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<Door>,
}

impl AuthFailed {
    /// Of which nothing is known but who and from where.
    #[must_use]
    pub const fn of(person: Option<Who>, address: Who) -> Self {
        Self { person, address, more: None, reason: None, method: None, database: None, door: None }
    }
}

/// Why somebody who has proven who they are gets no session, in a word and no other than these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoEntry {
    /// There are as many sessions as there may be.
    TooManySessions,
    /// The person has as many as one may have.
    TooManyOfPerson,
    /// As many databases of wildcards are in use as there may be.
    TooManyDatabases,
    /// No such database is behind the gate.
    UnknownDatabase,
    /// None of the person's groups has a role in it.
    NoRole,
    /// The server does not let that role in.
    ServerRefused,
    /// The server is not reached, or what is reached is none that can be used.
    ServerUnreachable,
    /// The server takes longer than a login may.
    ServerTooSlow,
    /// The person was removed, or the password taken back, while the server was being reached.
    NoLongerKnown,
    /// The gate is stopping.
    Stopping,
    /// The gate cannot do its own part.
    Gate,
}

/// Somebody who has proven who they are gets no session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRefused {
    /// Who.
    pub person: Who,
    /// Peer address, without port.
    pub address: Who,
    /// As in `session.opened`.
    pub client: Who,
    /// Name of the database in the gate's configuration, or of one of a wildcard that is there. What else a client may
    /// have asked for is no name, and not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Why.
    pub reason: NoEntry,
    /// How they proved who they are: `scram-sha-256` or `scram-sha-256-plus`.
    pub method: String,
    /// How many more there were of the same person for the same reason without a record of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}

/// A person connected and proved who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionOpened {
    /// The session.
    pub session: SessionId,
    /// Who.
    pub person: Who,
    /// Name of the database in the gate's configuration.
    pub database: String,
    /// The role the gate uses upstream.
    pub db_user: String,
    /// Peer address, without port.
    pub address: Who,
    /// `application_name`, if it is made of harmless characters only; a known program's stands plain.
    pub client: Who,
    /// Whether the client's side is encrypted.
    pub tls: bool,
    /// How the person proved who they are: `scram-sha-256` or `scram-sha-256-plus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// SHA-256 (hex) of the client's certificate, where one was shown besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// By which password that a login had minted, where by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What its startup packet looks like, whatever the values in it: 8 bytes of a hash (hex).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<String>,
    /// What its TLS hello looks like: 8 bytes of a hash (hex).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hello: Option<String>,
}
