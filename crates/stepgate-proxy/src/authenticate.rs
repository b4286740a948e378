//! Finding out who a client is: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, and the person's certificate besides, where one
//! is wanted.

use std::io;
use std::time::Duration;

use stepgate_record::AuthFailure;
use stepgate_store::{ScramSecret, Secret};
use stepgate_types::{PersonName, SqlState};
use stepgate_wire::read::{SaslInitialResponse, SaslResponse};
use stepgate_wire::{HEADER, MAX_SMALL, Problem, peek, reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::certificate::ClientCertificate;
use crate::scram::{self, Offer, Refused, SCRAM, SCRAM_PLUS, Unbound};
use crate::{Client, ClientAuth, ServerTls, Stream};

/// How long a client may take to authenticate: PostgreSQL's `authentication_timeout`.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to be told that it is refused.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(5);

/// What a name is challenged with.
#[derive(Clone)]
pub enum Challenge {
    /// A person; any password that fits one of the secrets is theirs. There is one at least, and all have the same salt
    /// and rounds.
    Person(PersonName, Vec<Secret>),
    /// Nobody: the same secret each time for the same name, and never the way in.
    Nobody(ScramSecret),
}

/// Who may connect.
pub trait People: Send + Sync {
    /// What to challenge this name with.
    fn challenge(&self, name: &str) -> Challenge;

    /// One of which a certificate must be for, to be this name's.
    fn certificate_names(&self, name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }
}

impl People for stepgate_store::People {
    fn challenge(&self, name: &str) -> Challenge {
        let secrets = name.parse().ok().and_then(|name| self.secrets(&name));
        // Made for known names too, so that they take as long.
        let mock = self.mock_secret(name);
        match secrets {
            Some((person, secrets)) => Challenge::Person(person, secrets),
            None => Challenge::Nobody(mock),
        }
    }

    fn certificate_names(&self, name: &str) -> Vec<String> {
        let person = name.parse().ok().and_then(|name| self.get(&name));
        match person {
            Some(person) if !person.certificates.is_empty() => person.certificates.clone(),
            _ => vec![name.to_owned()],
        }
    }
}

/// By which secret of a person's somebody has proven to be them. It is another for whoever has that name later.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    stored_key: [u8; 32],
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}

/// Who a client is, and by what that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who.
    pub person: PersonName,
    /// The SASL mechanism, in lower case.
    pub method: String,
    /// By which password that a login had minted, where by one.
    pub minted: Option<String>,
    /// SHA-256 (hex) of the certificate that was shown besides, where one was wanted.
    pub certificate_sha256: Option<String>,
    /// By which secret.
    pub(crate) proof: Proof,
}

impl Authenticated {
    /// Whether what they have proven themselves by is a secret of that person still: neither were they removed, nor was the
    /// password taken back, nor is somebody else called that by now.
    pub(crate) fn still_stands(&self, people: &stepgate_store::People) -> bool {
        let Self { minted, proof, .. } = self;
        let is_it = |secret: &Secret| secret.minted == *minted && secret.scram.stored_key == proof.stored_key;
        people.secrets(&self.person).is_some_and(|(_, secrets)| secrets.iter().any(is_it))
    }
}

/// Why a client is not in. It has been told already.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// It took too long.
    #[error("authentication took too long")]
    Timeout,
    /// The connection failed or ended (psql does that, to ask for the password and come back).
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// It broke the protocol.
    #[error("authentication: {0}")]
    Protocol(&'static str),
    /// Wrong password or no such person.
    #[error("password authentication failed")]
    Failed {
        /// The SASL mechanism.
        method: &'static str,
    },
    /// It names a mechanism that it was not offered.
    #[error("authentication: no such mechanism")]
    Mechanism,
    /// Its login is bound to another channel than the one that it comes by.
    #[error("channel binding failed")]
    Unbound {
        /// The SASL mechanism.
        method: &'static str,
        /// How.
        how: Unbound,
    },
    /// It shows no certificate, and must.
    #[error("no client certificate")]
    NoCertificate,
    /// Its certificate is good, but somebody else's.
    #[error("the client certificate is for somebody else")]
    WrongCertificate,
}

impl AuthenticateError {
    /// Why somebody has failed to prove who they are (`is_known`: there is anybody of that name), for the record alone.
    /// `None`: they have not gone on with it.
    #[must_use]
    pub const fn failure(&self, is_known: bool) -> Option<AuthFailure> {
        match self {
            Self::Failed { .. } if is_known => Some(AuthFailure::Password),
            Self::Failed { .. } => Some(AuthFailure::UnknownPerson),
            Self::Unbound { .. } => Some(AuthFailure::ChannelBinding),
            Self::NoCertificate => Some(AuthFailure::NoCertificate),
            Self::WrongCertificate => Some(AuthFailure::CertificateOfAnother),
            Self::Timeout | Self::Io(_) | Self::Protocol(_) | Self::Mechanism => None,
        }
    }

    /// How they tried to, where it came to that: the SASL mechanism, in lower case.
    #[must_use]
    pub fn method(&self) -> Option<String> {
        match self {
            Self::Failed { method } | Self::Unbound { method, .. } => Some(method.to_ascii_lowercase()),
            _ => None,
        }
    }
}

/// Asks the client for proof of its password. When it returns the person, AuthenticationOk has been sent.
///
/// Names that nobody has go through the same steps with the same kind of challenge and fail at the same one,
/// so that trying logins does not tell who exists. A certificate is looked at before: whoever has stolen a password
/// and not the certificate does not learn that the password is right.
///
/// # Errors
/// See [`AuthenticateError`].
pub async fn authenticate(
    client: &mut Client,
    people: &dyn People,
    tls: Option<&ServerTls>,
) -> Result<Authenticated, AuthenticateError> {
    let secure = client.stream.is_secure();
    let end_point = tls.filter(|_| secure).and_then(|tls| tls.end_point.as_deref());
    let verdict = match certificate(client, people, tls) {
        Ok(certificate) => match timeout(TIME_LIMIT, exchange(client, people, Offer::new(end_point))).await {
            Ok(proven) => proven.map(|Proven { person, method, minted, proof }| Authenticated {
                person,
                method: method.to_ascii_lowercase(),
                minted,
                certificate_sha256: certificate.map(|certificate| certificate.sha256),
                proof,
            }),
            Err(_) => Err(AuthenticateError::Timeout),
        },
        Err(error) => Err(error),
    };
    if let Err(error) = &verdict
        && let Some(problem) = answer(error, &client.opening.user)
    {
        // It fails already; that it cannot be told does not change how.
        let _ = timeout(LAST_WORDS_LIMIT, last_words(&mut client.stream, &problem)).await;
    }
    verdict
}

/// The client's certificate, where one is wanted. TLS has checked that it is good; here, whose it is.
fn certificate(
    client: &Client,
    people: &dyn People,
    tls: Option<&ServerTls>,
) -> Result<Option<ClientCertificate>, AuthenticateError> {
    let Some(wanted) = tls.and_then(|tls| tls.client_auth) else { return Ok(None) };
    let Some(shown) = client.stream.peer_certificate() else {
        return match wanted {
            ClientAuth::Require => Err(AuthenticateError::NoCertificate),
            ClientAuth::Optional => Ok(None),
        };
    };
    let shown = ClientCertificate::read(shown);
    let names = people.certificate_names(&client.opening.user);
    if names.iter().any(|name| shown.names.contains(name)) {
        Ok(Some(shown))
    } else {
        Err(AuthenticateError::WrongCertificate)
    }
}

/// What the client is told.
fn answer(error: &AuthenticateError, user: &str) -> Option<Problem> {
    /// As much of a name as PostgreSQL would keep of it.
    const NAMEDATALEN: usize = 63;
    let user: String = user.chars().take(NAMEDATALEN).collect();
    match error {
        AuthenticateError::Io(_) => None,
        AuthenticateError::Timeout => Some(Problem {
            bare: true,
            ..Problem::fatal(SqlState::QUERY_CANCELED, "canceling authentication due to timeout")
        }),
        AuthenticateError::Protocol(_) => Some(Problem {
            bare: true,
            ..Problem::fatal(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message")
        }),
        AuthenticateError::Mechanism => Some(Problem {
            bare: true,
            ..Problem::fatal(
                SqlState::PROTOCOL_VIOLATION,
                "client selected an invalid SASL authentication mechanism",
            )
        }),
        AuthenticateError::Unbound { how, .. } => Some(unbound(*how)),
        AuthenticateError::Failed { .. } => Some(Problem::authentication_failed(&user)),
        AuthenticateError::NoCertificate => Some(Problem {
            bare: true,
            ..Problem::fatal(
                SqlState::INVALID_AUTHORIZATION,
                "connection requires a valid client certificate",
            )
        }),
        AuthenticateError::WrongCertificate => Some(Problem {
            bare: true,
            ..Problem::fatal(
                SqlState::INVALID_AUTHORIZATION,
                format!("certificate authentication failed for user \"{user}\""),
            )
        }),
    }
}

/// PostgreSQL's own words.
fn unbound(how: Unbound) -> Problem {
    let refused =
        |message| Problem { bare: true, ..Problem::fatal(SqlState::INVALID_AUTHORIZATION, message) };
    match how {
        Unbound::Otherwise => refused("SCRAM channel binding check failed"),
        Unbound::NotOffered => refused("SCRAM channel binding negotiation error").with_detail(
            "The client supports SCRAM channel binding but thinks the server does not.  \
             However, this server does support channel binding.",
        ),
    }
}

async fn last_words(stream: &mut Stream, problem: &Problem) -> io::Result<()> {
    stream.write_all(&problem.fatal_bytes()).await?;
    stream.shutdown().await
}

/// Who has proven a password.
struct Proven {
    person: PersonName,
    method: &'static str,
    minted: Option<String>,
    proof: Proof,
}

async fn exchange(
    client: &mut Client,
    people: &dyn People,
    offer: Offer<'_>,
) -> Result<Proven, AuthenticateError> {
    let stream = &mut client.stream;
    send(stream, &reply::authentication_sasl(offer.mechanisms())).await?;

    let frame = receive(stream).await?;
    let initial = SaslInitialResponse::read(&frame)
        .map_err(|_| AuthenticateError::Protocol("malformed SASLInitialResponse"))?;
    let first = initial.data.ok_or(AuthenticateError::Protocol("no first message"))?;
    let (person, secrets) = match people.challenge(&client.opening.user) {
        Challenge::Person(person, secrets) => (Some(person), secrets),
        Challenge::Nobody(scram) => (None, vec![Secret { minted: None, scram }]),
    };
    let verifiers: Vec<_> = secrets.iter().map(|secret| secret.scram.clone()).collect();
    let method = if initial.mechanism == SCRAM_PLUS.as_bytes() { SCRAM_PLUS } else { SCRAM };
    let (expect, first) =
        offer.begin(initial.mechanism, first, &verifiers, &scram::nonce()?).map_err(refused(method))?;
    send(stream, &reply::authentication_sasl_continue(&first)).await?;

    let frame = receive(stream).await?;
    let response =
        SaslResponse::read(&frame).map_err(|_| AuthenticateError::Protocol("malformed SASLResponse"))?;
    let (proven, which) = expect.finish(response.data).map_err(refused(method))?;
    let secret = secrets.into_iter().nth(which).ok_or(AuthenticateError::Failed { method })?;
    let Secret { minted, scram: ScramSecret { stored_key, .. } } = secret;
    // Even who finds a password for a mock secret is nobody.
    let person = person.ok_or(AuthenticateError::Failed { method })?;
    let done = [reply::authentication_sasl_final(&proven), reply::authentication_ok()].concat();
    send(stream, &done).await?;
    Ok(Proven { person, method, minted, proof: Proof { stored_key } })
}

fn refused(method: &'static str) -> impl Fn(Refused) -> AuthenticateError {
    move |why| match why {
        Refused::Malformed(what) => AuthenticateError::Protocol(what),
        Refused::Mechanism => AuthenticateError::Mechanism,
        Refused::Unbound(how) => AuthenticateError::Unbound { method, how },
        Refused::Proof => AuthenticateError::Failed { method },
    }
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Exactly one frame of type `p`, and not a byte beyond it.
async fn receive(stream: &mut Stream) -> Result<Vec<u8>, AuthenticateError> {
    const MALFORMED: AuthenticateError = AuthenticateError::Protocol("SASL response expected");
    let mut frame = vec![0; HEADER];
    stream.read_exact(&mut frame).await?;
    let header = peek(&frame).ok().flatten().filter(|header| header.tag == b'p').ok_or(MALFORMED)?;
    if header.total() > MAX_SMALL {
        return Err(MALFORMED);
    }
    frame.resize(header.total(), 0);
    let body = frame.get_mut(HEADER..).ok_or(MALFORMED)?;
    stream.read_exact(body).await?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stepgate_store::{Log, LogOptions, NewPerson, Vault};
    use stepgate_testkit::{FakeClock, FakeEntropy, TempTree};
    use stepgate_types::Timestamp;
    use zeroize::Zeroizing;

    use super::*;

    fn people(tree: &TempTree) -> stepgate_store::People {
        let vault = Vault::new(&Zeroizing::new([7; 32]), Arc::new(FakeEntropy::seeded(7)));
        let options = LogOptions {
            ordinary_durable: true,
            version: "test".to_owned(),
            clock: Arc::new(FakeClock::at(Timestamp::from_micros(1_700_000_000_000_000))),
            entropy: Arc::new(FakeEntropy::seeded(8)),
            vault: vault.clone(),
        };
        let (log, _) = Log::open(tree.path(), options).unwrap();
        stepgate_store::People::open(&log, &vault).unwrap()
    }

    async fn add(people: &stepgate_store::People) {
        let name = "dana".parse().unwrap();
        people
            .add(NewPerson { name, groups: Vec::new(), service: false, password: "horse" }, None)
            .await
            .unwrap();
    }

    /// Whoever has proven to be dana by that secret of hers.
    fn proven(people: &stepgate_store::People, which: usize) -> Authenticated {
        let (person, secrets) = people.secrets(&"dana".parse().unwrap()).unwrap();
        let secret = secrets.into_iter().nth(which).unwrap();
        Authenticated {
            person,
            method: String::new(),
            minted: secret.minted,
            certificate_sha256: None,
            proof: Proof { stored_key: secret.scram.stored_key },
        }
    }

    #[tokio::test]
    async fn a_login_under_way_does_not_outlive_its_person_or_password() {
        let tree = TempTree::new("authenticate").unwrap();
        let (people, dana) = (people(&tree), "dana".parse::<PersonName>().unwrap());
        add(&people).await;
        let life = std::time::Duration::from_secs(60);
        let minted = people.mint(&dana, life, "oidc", [127, 0, 0, 1].into()).await.unwrap();
        let [own, other] = [0, 1].map(|which| proven(&people, which));
        assert!(own.still_stands(&people) && other.still_stands(&people));
        people.revoke_minted(&dana, Some(&minted.id), "logout", None).await.unwrap();
        assert!(own.still_stands(&people) && !other.still_stands(&people));
        people.remove(&dana, None).await.unwrap();
        assert!(!own.still_stands(&people));
        // The same name, the same password, the same clock; somebody else.
        add(&people).await;
        assert!(!own.still_stands(&people) && proven(&people, 0).still_stands(&people));
    }
}
