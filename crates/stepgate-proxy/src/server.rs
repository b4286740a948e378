//! From an accepted connection to a driven session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use stepgate_record::Event;
use stepgate_session::{Session, Setup};
use stepgate_types::{PersonName, SessionId, SqlState};
use stepgate_wire::{Problem, reply};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::crowd::Newcomer;
use crate::database::Database;
use crate::drive::{Calls, Drive, Sources};
use crate::gate::Gate;
use crate::judge::Judge;
use crate::metrics::count;
use crate::sessions::{Listed, Place, SessionInfo};
use crate::shutdown::beyond;
use crate::workers::Places;
use crate::{
    AdmitError, Admitted, AuthenticateError, Client, Registration, Shutdown, Upstream, UpstreamError, admit,
    authenticate, connect, peer,
};

/// The longest `application_name` that records and grants keep, in bytes: PostgreSQL's own limit.
const MAX_CLIENT_NAME: usize = 63;

/// How long it may take to be told that it is refused.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Takes connections until the gate is stopped, each on a worker, then waits for the sessions to end.
pub async fn serve(
    gate: Arc<Gate>,
    listener: TcpListener,
    places: Places,
    shutdown: watch::Receiver<Shutdown>,
) {
    let mut stop = shutdown.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = beyond(&mut stop, Shutdown::Serving) => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!("a session's task panicked");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => {
                    let Some((worker, share)) = places.least() else { continue };
                    let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
                    let attended = async move {
                        match moved(tcp) {
                            Ok(tcp) => attend(&gate, tcp, peer, shutdown).await,
                            Err(error) => tracing::error!(%error, "taking a connection"),
                        }
                        drop(share);
                    };
                    connections.spawn_on(attended, worker);
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others must end first.
                    tracing::error!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A connection that was accepted elsewhere, for this task's runtime.
fn moved(tcp: TcpStream) -> std::io::Result<TcpStream> {
    TcpStream::from_std(tcp.into_std()?)
}

/// One connection, from its first byte to its last.
async fn attend(gate: &Arc<Gate>, tcp: TcpStream, peer: SocketAddr, shutdown: watch::Receiver<Shutdown>) {
    // What not even fits beside those who are being told so is closed: the bound of all bounds.
    let Ok(admission) = Arc::clone(&gate.admissions).try_acquire_owned() else { return };
    let Some(newcomer) = gate.crowd.enter(peer::address(peer), gate.limits.login, Instant::now()) else {
        count(&gate.metrics.crowded_out);
        return no_room(&tcp);
    };
    let mut stop = shutdown.clone();
    let let_in = tokio::select! {
        // Boxed, as what comes next: a session does not keep the room that it took to let it in.
        let_in = Box::pin(let_in(gate, tcp, peer, newcomer)) => let_in,
        _ = beyond(&mut stop, Shutdown::Serving) => None,
    };
    let Some((client, person)) = let_in else { return };
    drop(admission);
    if let Err(error) = peer::give_up_after(client.stream.tcp(), gate.limits.slow_client) {
        tracing::warn!(%error, "a client's socket cannot be given a limit");
    }
    let (prepared, mut stream) = {
        let prepared = Box::pin(prepare(gate, &client, person, shutdown)).await;
        (prepared, client.stream)
    };
    match prepared {
        Ok(prepared) => Box::pin(prepared.run(gate, stream)).await,
        Err(problem) => {
            let _ = stream.write_all(&problem.fatal_bytes()).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// From the first byte to a proven name, in the time that there is; or to the end of a cancel request. Who gives way
/// to others is told so where they can read it: before the first byte in the clear, and once the startup packet was
/// read. In the middle of a TLS handshake there are no words for it.
async fn let_in(
    gate: &Gate,
    tcp: TcpStream,
    peer: SocketAddr,
    newcomer: Newcomer,
) -> Option<(Box<Client>, PersonName)> {
    let until = tokio::time::Instant::now() + newcomer.time;
    let mut first = [0];
    tokio::select! {
        biased;
        () = newcomer.must_go() => {
            count(&gate.metrics.crowded_out);
            no_room(&tcp);
            return None;
        }
        // Silence is answered by silence, as PostgreSQL does.
        spoken = timeout_at(until, tcp.peek(&mut first)) => drop(spoken.ok()?),
    }
    newcomer.speaks();
    let tls = gate.tls();
    let admitted = tokio::select! {
        biased;
        () = newcomer.must_go() => {
            count(&gate.metrics.crowded_out);
            return None;
        }
        admitted = timeout_at(until, admit(tcp, peer, tls.as_ref())) => admitted,
    };
    let mut client = match admitted.unwrap_or(Err(AdmitError::Timeout)) {
        Ok(Admitted::Session(client)) => client,
        Ok(Admitted::Cancel(key, mut stream)) => {
            count(&gate.metrics.cancels);
            gate.cancels.cancel(&key, peer).await;
            let _ = stream.shutdown().await;
            return None;
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "not admitted");
            return None;
        }
    };
    let authenticated = tokio::select! {
        biased;
        () = newcomer.must_go() => {
            count(&gate.metrics.crowded_out);
            Err(crowded())
        }
        authenticated = timeout_at(until, authenticate(&mut client, &gate.people, tls.as_ref())) => {
            authenticated.map_err(|_| too_slow())
        }
    };
    match authenticated {
        Ok(Ok(person)) => return Some((client, person)),
        Ok(Err(error)) => not_authenticated(gate, &client, &error),
        Err(problem) => {
            let last_words = async {
                client.stream.write_all(&problem.fatal_bytes()).await?;
                client.stream.shutdown().await
            };
            // It is refused already; that it cannot be told does not change that.
            let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        }
    }
    None
}

/// Says so in the clear to somebody who has said nothing yet, and waits for nobody.
fn no_room(tcp: &TcpStream) {
    // A new socket's buffer is empty; whoever cannot be told is refused all the same.
    let _ = tcp.try_write(&crowded().fatal_bytes());
    // What is left unread would make the kernel reset the connection, and the words could be lost.
    let _ = tcp.try_read(&mut [0; 1024]);
}

fn crowded() -> Problem {
    Problem::fatal(SqlState::TOO_MANY_CONNECTIONS, "too many connections are not logged in yet")
        .with_hint("Try again in a moment.")
}

/// PostgreSQL's own words.
fn too_slow() -> Problem {
    let message = "canceling authentication due to timeout";
    Problem { bare: true, ..Problem::fatal(SqlState::QUERY_CANCELED, message) }
}

fn not_authenticated(gate: &Gate, client: &Client, error: &AuthenticateError) {
    tracing::info!(peer = %client.peer, %error, "not authenticated");
    count(&gate.metrics.not_authenticated);
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
    /// Boxed, as it goes from future to future: each keeps room for what it was given.
    drive: Box<Drive>,
    server: crate::Stream,
    leftover: BytesMut,
    opening: BytesMut,
    _listed: Listed,
    _slot: OwnedSemaphorePermit,
    _place: Place,
}

impl Prepared {
    async fn run(self, gate: &Gate, client: crate::Stream) {
        let session = self.drive.judge.session;
        gate.metrics.session_opened();
        let span = self.drive.span.clone();
        let reason = self.drive.run(client, self.server, self.leftover, self.opening).await;
        span.in_scope(|| tracing::debug!(reason, "session ended"));
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
    shutdown: watch::Receiver<Shutdown>,
) -> Result<Prepared, Problem> {
    let slot = Arc::clone(&gate.slots).try_acquire_owned().map_err(|_| too_many(gate))?;
    let place = gate.sessions.place(&person, gate.limits.per_person).ok_or_else(|| {
        let many = gate.limits.per_person;
        count(&gate.metrics.too_many);
        Problem::fatal(
            SqlState::TOO_MANY_CONNECTIONS,
            format!("too many sessions of {person} (limit {many})"),
        )
        .with_hint("Close one that is not needed; the gate's operator sets the limit (limits.per_person).")
    })?;
    let database = gate.databases.get(&client.opening.database).cloned().ok_or_else(|| {
        let message = format!("database \"{}\" is not behind this gate", client.opening.database);
        Problem::fatal(SqlState::UNDEFINED_DATABASE, message)
    })?;
    let view = database.ensure_view().await.map_err(|error| unreachable(&database, &error))?;
    let upstream = connect(&database.config, &database.config.credentials, &client.opening.settings)
        .await
        .map_err(|error| {
            count(&database.failures);
            tracing::warn!(database = %database.config.name, %error, "cannot connect upstream");
            error.problem(&database.config.name)
        })?;
    let id = SessionId::from_bytes(random(gate)?);
    let registration = gate
        .cancels
        .register(id, upstream.pid, client.opening.minor, client.peer)
        .map_err(|_| too_many(gate))?;
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
    let address = peer::address(client.peer);
    let judge = Judge::new(Arc::clone(gate), database, id, person, address, info.client.clone());
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
    let calls = Calls::new(Sources { shutdown, kill, registration });
    let span = {
        let (person, database) = (&judge.person, &judge.database.config.name);
        tracing::info_span!("session", %id, %person, %database)
    };
    let drive = Box::new(Drive { judge, session, calls, server_key, span });
    Ok(Prepared {
        drive,
        server: upstream.stream,
        leftover: upstream.leftover,
        opening,
        _listed: listed,
        _slot: slot,
        _place: place,
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

fn too_many(gate: &Gate) -> Problem {
    count(&gate.metrics.too_many);
    Problem::fatal(SqlState::TOO_MANY_CONNECTIONS, "too many sessions")
}

fn unreachable(database: &Database, error: &crate::CatalogError) -> Problem {
    tracing::warn!(database = %database.config.name, %error, "catalog cannot be read");
    if let crate::CatalogError::Upstream(error @ UpstreamError::Pooler) = error {
        return error.problem(&database.config.name);
    }
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
