//! Finding out who a client is: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS.

use std::io;

use stepgate_store::ScramSecret;
use stepgate_types::PersonName;

use crate::{Client, ServerTls};

/// What a name is challenged with.
#[derive(Clone)]
pub enum Challenge {
    /// A person; the password that fits the secret is theirs.
    Person(PersonName, ScramSecret),
    /// Nobody: the same secret each time for the same name, and never the way in.
    Nobody(ScramSecret),
}

/// Who may connect.
pub trait People: Send + Sync {
    /// What to challenge this name with.
    fn challenge(&self, name: &str) -> Challenge;
}

impl People for stepgate_store::People {
    fn challenge(&self, name: &str) -> Challenge {
        let person = name.parse().ok().and_then(|name| self.get(&name));
        // Made for known names too, so that they take as long.
        let mock = self.mock_secret(name);
        match person {
            Some(person) => Challenge::Person(person.name.clone(), person.scram.clone()),
            None => Challenge::Nobody(mock),
        }
    }
}

/// Why a client is not in. It has been told already.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// It took too long.
    #[error("authentication took too long")]
    Timeout,
    /// The connection failed or ended.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// It broke the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// Wrong password or no such person.
    #[error("password authentication failed")]
    Failed,
}

/// Asks the client for proof of its password. When it returns the person, AuthenticationOk has been sent.
///
/// # Errors
/// See [`AuthenticateError`].
pub async fn authenticate(
    client: &mut Client,
    people: &dyn People,
    tls: Option<&ServerTls>,
) -> Result<PersonName, AuthenticateError> {
    let _ = (client, people, tls);
    Err(AuthenticateError::Failed)
}
