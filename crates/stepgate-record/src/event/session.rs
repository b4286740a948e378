//! Sessions.

use serde::{Deserialize, Serialize};
use stepgate_types::{SessionId, Who};

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
