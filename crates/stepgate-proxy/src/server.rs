//! From an accepted connection to a driven session.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use stepgate_record::Event;
use stepgate_session::{Session, Setup};
use stepgate_types::{PersonName, SessionId, SqlState};
use stepgate_wire::{Problem, reply};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;

use crate::database::Database;
use crate::drive::Drive;
use crate::gate::Gate;
use crate::judge::Judge;
use crate::sessions::{Listed, SessionInfo};
use crate::{
    Admitted, AuthenticateError, Client, Registration, Upstream, admit, authenticate, connect, peer,
};

/// The longest `application_name` that records and grants keep, in bytes: PostgreSQL's own limit.
const MAX_CLIENT_NAME: usize = 63;

/// Takes connections until `shutdown`, then waits for the sessions to end.
pub async fn serve(gate: Arc<Gate>, listener: TcpListener, shutdown: watch::Receiver<bool>) {
    let mut stop = shutdown.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // In a block of its own: the guard it returns must not live across another arm's await.
            () = async { let _ = stop.wait_for(|down| *down).await; } => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!("a session's task panicked");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => {
                    let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
                    connections.spawn(async move { attend(&gate, tcp, peer, shutdown).await });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others must end first.
                    tracing::error!(%error, "accepting a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, from its first byte to its last.
async fn attend(gate: &Arc<Gate>, tcp: TcpStream, peer: SocketAddr, shutdown: watch::Receiver<bool>) {
    // Nobody who has not proven anything may hold more than their share: beyond it, connections are closed.
    let Ok(admission) = Arc::clone(&gate.admissions).try_acquire_owned() else { return };
    let mut client = match admit(tcp, peer, gate.tls.as_ref()).await {
        Ok(Admitted::Session(client)) => client,
        Ok(Admitted::Cancel(key, mut stream)) => {
            gate.cancels.cancel(&key, peer).await;
            let _ = stream.shutdown().await;
            return;
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "not admitted");
            return;
        }
    };
    let person = match authenticate(&mut client, &gate.people, gate.tls.as_ref()).await {
        Ok(person) => person,
        Err(error) => return not_authenticated(gate, &client, &error).await,
    };
    drop(admission);
    match prepare(gate, &client, person, shutdown).await {
        Ok(prepared) => prepared.run(gate, client.stream).await,
        Err(problem) => {
            let _ = client.stream.write_all(&problem.fatal_bytes()).await;
            let _ = client.stream.shutdown().await;
        }
    }
}

async fn not_authenticated(gate: &Gate, client: &Client, error: &AuthenticateError) {
    tracing::info!(peer = %client.peer, %error, "not authenticated");
    if matches!(error, AuthenticateError::Failed) {
        let known = client.opening.user.parse().ok().filter(|name| gate.people.get(name).is_some());
        let event =
            Event::SessionAuthFailed { person: known, address: peer::address(client.peer).to_string() };
        if let Err(error) = gate.log.note(event) {
            tracing::error!(%error, "recording a failed authentication");
        }
    }
}

/// A session that is ready to be driven, and what it keeps for as long as it lives.
struct Prepared {
    drive: Drive,
    server: crate::Stream,
    leftover: BytesMut,
    opening: BytesMut,
    _listed: Listed,
    _slot: OwnedSemaphorePermit,
}

impl Prepared {
    async fn run(self, gate: &Gate, client: crate::Stream) {
        let session = self.drive.judge.session;
        let reason = Box::pin(self.drive.run(client, self.server, self.leftover, self.opening)).await;
        let event = Event::SessionClosed { session, reason: reason.to_owned() };
        if let Err(error) = gate.log.note(event) {
            tracing::error!(%session, %error, "recording the end of a session");
        }
    }
}

/// Connects upstream and opens the session. An error is the client's last message.
async fn prepare(
    gate: &Arc<Gate>,
    client: &Client,
    person: PersonName,
    shutdown: watch::Receiver<bool>,
) -> Result<Prepared, Problem> {
    let slot = Arc::clone(&gate.slots).try_acquire_owned().map_err(|_| too_many())?;
    let database = gate.databases.get(&client.opening.database).cloned().ok_or_else(|| {
        let message = format!("database \"{}\" is not behind this gate", client.opening.database);
        Problem::fatal(SqlState::UNDEFINED_DATABASE, message)
    })?;
    let view = database.ensure_view().await.map_err(|error| unreachable(&database, &error))?;
    let upstream = connect(&database.config, &database.config.credentials, &client.opening.settings)
        .await
        .map_err(|error| {
            tracing::warn!(database = %database.config.name, %error, "cannot connect upstream");
            error.problem(&database.config.name)
        })?;
    let id = SessionId::from_bytes(random(gate)?);
    let registration =
        gate.cancels.register(id, upstream.pid, client.opening.minor, client.peer).map_err(|_| too_many())?;
    let info = SessionInfo {
        session: id,
        person: person.clone(),
        database: database.config.name.clone(),
        address: peer::address(client.peer).to_string(),
        client: client_name(client.opening.setting("application_name").unwrap_or_default()),
        opened: gate.clock.now().to_string(),
        pid: upstream.pid,
    };
    record_opened(gate, &database, &info, client.stream.is_secure()).await?;
    let judge = Judge {
        gate: Arc::clone(gate),
        database,
        session: id,
        person,
        address: peer::address(client.peer),
        client: info.client.clone(),
    };
    let listed = gate.sessions.enter(info);
    let opening = opening(&upstream, &registration);
    let session = Session::new(Setup {
        id,
        catalog: Arc::clone(&view.catalog),
        parameters: upstream.params,
        nonce: u64::from_be_bytes(random(gate)?),
    });
    let kill = Arc::clone(&listed.kill);
    let server_key = (upstream.pid, upstream.secret);
    let drive = Drive { judge, session, registration, kill, shutdown, server_key };
    Ok(Prepared {
        drive,
        server: upstream.stream,
        leftover: upstream.leftover,
        opening,
        _listed: listed,
        _slot: slot,
    })
}

/// What the server told the gate at startup, and the gate's own key in place of the server's.
fn opening(upstream: &Upstream, registration: &Registration) -> BytesMut {
    let mut opening = BytesMut::new();
    for (name, value) in &upstream.params {
        opening.extend_from_slice(&reply::parameter_status(name, value));
    }
    opening.extend_from_slice(&reply::backend_key_data(registration.key.pid, &registration.key.secret));
    opening.extend_from_slice(&reply::ready_for_query(upstream.status));
    opening
}

async fn record_opened(
    gate: &Gate,
    database: &Database,
    info: &SessionInfo,
    tls: bool,
) -> Result<(), Problem> {
    let event = Event::SessionOpened {
        session: info.session,
        person: info.person.clone(),
        database: info.database.clone(),
        db_user: database.config.credentials.user.clone(),
        address: info.address.clone(),
        client: info.client.clone(),
        tls,
    };
    gate.log.append(vec![event], Vec::new()).await.map(drop).map_err(|error| Problem {
        severity: stepgate_wire::Severity::Fatal,
        ..crate::refusal::log_failed(&error)
    })
}

fn random<const N: usize>(gate: &Gate) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    gate.entropy.fill(&mut bytes).map_err(|_| Problem::fatal(SqlState::SYSTEM_ERROR, "no randomness"))?;
    Ok(bytes)
}

fn too_many() -> Problem {
    Problem::fatal(SqlState::TOO_MANY_CONNECTIONS, "too many sessions")
}

fn unreachable(database: &Database, error: &crate::CatalogError) -> Problem {
    tracing::warn!(database = %database.config.name, %error, "catalog cannot be read");
    let message = format!("cannot reach database \"{}\"", database.config.name);
    Problem::fatal(SqlState::CONNECTION_FAILURE, message).with_hint(
        "The gate is up, the server behind it is not, or does not let it in. Tell the gate's operator.",
    )
}

/// `application_name` as records may hold it: a name that could carry data, or forge a line, is no name.
fn client_name(name: &str) -> String {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b" ._-/:()+".contains(&byte);
    if name.len() <= MAX_CLIENT_NAME && name.bytes().all(harmless) {
        name.to_owned()
    } else {
        "other".to_owned()
    }
}
