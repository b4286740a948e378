//! From an accepted connection to a driven session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use stepgate_record::{AuthFailed, Door, Event, NoEntry, SessionOpened, SessionRefused};
use stepgate_session::{Session, Setup};
use stepgate_store::{Bell, LogError};
use stepgate_types::{PersonName, SessionId, SqlState};
use stepgate_wire::{Problem, reply};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use tracing::Instrument as _;

use crate::crowd::Newcomer;
use crate::database::Author;
use crate::databases::InUse;
use crate::doing::Doing;
use crate::drive::{Calls, Drive, End, Sources, State, begin};
use crate::gate::Gate;
use crate::judge::Judge;
use crate::metrics::count;
use crate::peer::Lookout;
use crate::reach::{Reached, Refused, no_answer, reach, unknown};
use crate::sessions::{Full, Listed, Place, SessionInfo};
use crate::shutdown::beyond;
use crate::workers::Places;
use crate::{
    AdmitError, Admitted, AuthenticateError, Authenticated, Client, Credentials, Registration, Shutdown,
    Upstream, admit, authenticate, peer,
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
    let places = places.with_bells(&gate.log);
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
                    let Some((worker, bell, share)) = places.least() else { continue };
                    let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
                    let attended = async move {
                        match moved(tcp) {
                            Ok(tcp) => attend(&gate, tcp, peer, shutdown, bell).await,
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
async fn attend(
    gate: &Arc<Gate>,
    tcp: TcpStream,
    peer: SocketAddr,
    shutdown: watch::Receiver<Shutdown>,
    bell: Option<Bell>,
) {
    // What not even fits beside those who are being told so is closed: the bound of all bounds.
    let Ok(admission) = Arc::clone(&gate.admissions).try_acquire_owned() else { return };
    let Some(newcomer) = gate.crowd.enter(peer::address(peer), gate.limits().login, Instant::now()) else {
        count(&gate.metrics.crowded_out);
        return no_room(&tcp);
    };
    // Boxed, as what comes next: a session does not keep the room that it took to let it in.
    if let Some(mut ready) = Box::pin(enter(gate, tcp, peer, newcomer, admission, shutdown)).await {
        ready.drive.bell = bell;
        Box::pin(ready.run(gate)).await;
    }
}

/// All that comes before a session. `None`: there is none, and the client has been told why.
async fn enter(
    gate: &Arc<Gate>,
    tcp: TcpStream,
    peer: SocketAddr,
    newcomer: Newcomer,
    admission: OwnedSemaphorePermit,
    shutdown: watch::Receiver<Shutdown>,
) -> Option<Ready> {
    let (client, who) = Box::pin(let_in(gate, tcp, peer, newcomer, shutdown.clone())).await?;
    let proven = (who.person.clone(), who.method.clone());
    drop(admission);
    if let Err(error) = peer::give_up_after(client.stream.tcp(), gate.limits().slow_client) {
        tracing::warn!(%error, "a client's socket cannot be given a limit");
    }
    match Box::pin(prepare(gate, &client, who, shutdown)).await {
        Ok(Prepared { drive, server, leftover, opening, stays }) => {
            let state = begin(client.stream, server, &leftover, &opening);
            Some(Ready { drive, state, stays })
        }
        Err(refused) => {
            not_let_in(gate, &client, proven, refused.reason);
            let mut stream = client.stream;
            let _ = stream.write_all(&refused.problem.fatal_bytes()).await;
            let _ = stream.shutdown().await;
            None
        }
    }
}

/// From the first byte to a proven name, in the time that there is; or to the end of a cancel request. Who gives way
/// to others, or comes to a gate that stops, is told so where they can read it: before the first byte in the clear, and once
/// the startup packet was read. In the middle of a TLS handshake there are no words for it.
async fn let_in(
    gate: &Gate,
    tcp: TcpStream,
    peer: SocketAddr,
    newcomer: Newcomer,
    mut stop: watch::Receiver<Shutdown>,
) -> Option<(Box<Client>, Authenticated)> {
    let until = tokio::time::Instant::now() + newcomer.time;
    let mut first = [0];
    tokio::select! {
        biased;
        () = newcomer.must_go() => {
            count(&gate.metrics.crowded_out);
            no_room(&tcp);
            return None;
        }
        _ = beyond(&mut stop, Shutdown::Serving) => {
            say_in_the_clear(&tcp, &stopping().problem);
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
        _ = beyond(&mut stop, Shutdown::Serving) => return None,
        admitted = timeout_at(until, admit(tcp, peer, tls.as_ref())) => admitted,
    };
    let mut client = match admitted.unwrap_or(Err(AdmitError::Timeout)) {
        Ok(Admitted::Session(client)) => {
            newcomer.is_introduced();
            client
        }
        Ok(Admitted::Cancel(key, mut stream)) => {
            count(&gate.metrics.cancels);
            // What runs on while the gate drains can be cancelled as ever.
            tokio::select! {
                _ = gate.cancels.cancel(&key, peer) => {}
                _ = beyond(&mut stop, Shutdown::Draining) => {}
            }
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
        _ = beyond(&mut stop, Shutdown::Serving) => Err(stopping().problem),
        authenticated = timeout_at(until, authenticate(&mut client, &gate.people, tls.as_ref())) => {
            authenticated.map_err(|_| too_slow())
        }
    };
    match authenticated {
        Ok(Ok(who)) => return Some((client, who)),
        Ok(Err(error)) => not_authenticated(gate, &client, &error),
        Err(problem) => {
            let last_words = async {
                client.stream.write_all(&problem.fatal_bytes()).await?;
                client.stream.shutdown().await
            };
            // It is refused already; that it cannot be told does not change that.
            let _ = timeout(LAST_WORDS, last_words).await;
        }
    }
    None
}

/// There is no room for somebody who has said nothing yet.
fn no_room(tcp: &TcpStream) {
    say_in_the_clear(tcp, &crowded());
}

/// Says so in the clear to somebody who has said nothing yet, and waits for nobody.
fn say_in_the_clear(tcp: &TcpStream, problem: &Problem) {
    // A new socket's buffer is empty; whoever cannot be told is refused all the same.
    let _ = tcp.try_write(&problem.fatal_bytes());
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
    let known = client.opening.user.parse::<PersonName>().ok().filter(|name| gate.people.get(name).is_some());
    let reason = error.failure(known.is_some());
    if reason.is_none() {
        return;
    }
    let address = peer::address(client.peer);
    let failed = AuthFailed {
        reason,
        method: error.method(),
        database: gate.databases.known_name(&client.opening.database),
        door: Some(Door::Database),
        ..AuthFailed::of(known.map(Into::into), address.into())
    };
    let event = gate.failures.failed(failed, address, gate.clock.monotonic());
    if let Some(event) = event
        && let Err(error) = gate.log.note(event)
    {
        tracing::error!(%error, "recording a failed authentication");
    }
}

/// Somebody who has proven who they are gets no session.
fn not_let_in(gate: &Gate, client: &Client, (person, method): (PersonName, String), reason: Option<NoEntry>) {
    let Some(reason) = reason else { return };
    let client_name = client_name(client.opening.setting("application_name").unwrap_or_default());
    let refused = SessionRefused {
        person: (&person).into(),
        address: peer::address(client.peer).into(),
        client: client_name.as_str().into(),
        database: gate.databases.known_name(&client.opening.database),
        reason,
        method,
        more: None,
    };
    let event = gate.failures.refused(person, refused, gate.clock.monotonic());
    if let Some(event) = event
        && let Err(error) = gate.log.note(event)
    {
        tracing::error!(%error, "recording that somebody is not let in");
    }
}

/// A session that its server has let in.
struct Prepared {
    drive: Box<Drive>,
    server: crate::Stream,
    leftover: BytesMut,
    opening: BytesMut,
    stays: Stays,
}

/// What is kept for as long as a session lives, at the server too.
struct Stays {
    _listed: Listed,
    _place: Place,
    _in_use: InUse,
}

/// A session that is ready to be driven. In boxes, as it goes from future to future: each keeps room for what it was
/// given.
struct Ready {
    drive: Box<Drive>,
    state: Box<State>,
    stays: Stays,
}

impl Ready {
    async fn run(self, gate: &Gate) {
        let Self { drive, state, stays } = self;
        let session = drive.judge.session;
        gate.metrics.session_opened();
        let span = drive.span.clone();
        let End { reason, leaving } = drive.run(state).await;
        span.in_scope(|| tracing::debug!(reason, "session ended"));
        let event = Event::SessionClosed { session, reason: reason.to_owned() };
        if let Err(error) = gate.log.note(event) {
            tracing::error!(%session, %error, "recording the end of a session");
        }
        if let Some(leaving) = leaving {
            let (leaving, calls) = *leaving;
            // It keeps its place, but a gate that stops does not wait for it.
            let seen_out = async move {
                leaving.see_out(calls).await;
                drop(stays);
            };
            tokio::spawn(seen_out.instrument(span));
        }
    }
}

/// Connects upstream and opens the session. An error is the client's last message.
async fn prepare(
    gate: &Arc<Gate>,
    client: &Client,
    who: Authenticated,
    shutdown: watch::Receiver<Shutdown>,
) -> Result<Prepared, Refused> {
    let person = who.person.clone();
    let limits = gate.limits();
    let place = gate.sessions.place(&person, &limits).map_err(|full| match full {
        Full::All => too_many(gate),
        Full::Person => Refused::new(NoEntry::TooManyOfPerson, too_many_of(gate, &person, limits.per_person)),
    })?;
    let mut stop = shutdown.clone();
    let Reached { in_use, role, view, upstream } = tokio::select! {
        reached = timeout(limits.login, reach(gate, client, &person)) => {
            reached.unwrap_or_else(|_| Err(no_answer(&client.opening.database, limits.login)))?
        }
        _ = beyond(&mut stop, Shutdown::Serving) => return Err(stopping()),
        () = gone(client) => return Err(left()),
    };
    let database = Arc::clone(in_use.database());
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
        server: upstream.address,
        password: who.minted.clone(),
        doing: Doing::Active,
    };
    let listed = gate.sessions.enter(info.clone());
    // Whoever closed it before that did not see this session.
    if database.is_closed() {
        return Err(unknown(&client.opening.database));
    }
    // And whoever removed the person, or took the password back.
    if !who.still_stands(&gate.people) {
        return Err(no_longer_known());
    }
    let opened = record_opened(gate, &role, &info, client, who).await;
    // There is no other log to say that in.
    opened.map_err(|problem| Refused { problem, reason: None })?;
    let address = peer::address(client.peer);
    let changes = database.changes();
    let judge = Judge::new(Arc::clone(gate), database, id, person, role, address, info.client)
        .of_manner(client.manner.clone())
        .until(shutdown.clone());
    let opening = opening(&upstream, &registration);
    let tracked = judge.tracked_keys();
    let mut session = Session::new(Setup {
        id,
        pid: upstream.pid,
        catalog: Arc::clone(&view.catalog),
        parameters: upstream.params_as_text(),
        settings: client.opening.settings.clone(),
        secret: random(gate)?,
    });
    session.shares(place.room.clone());
    if let Some(keys) = &tracked {
        session.track(Arc::clone(keys));
    }
    let (kill, doing) = (Arc::clone(&listed.kill), listed.teller());
    let server_key = upstream.key();
    let author = Arc::new(Author::new(upstream.pid, Arc::clone(&kill)));
    let calls = Calls::new(Sources { shutdown, kill, registration, changes });
    let span = {
        let (person, database) = (&judge.person, &judge.database.config.name);
        tracing::info_span!("session", %id, %person, %database)
    };
    let drive =
        Box::new(Drive { judge, session, tracked, calls, server_key, author, bell: None, span, doing });
    Ok(Prepared {
        drive,
        server: upstream.stream,
        leftover: upstream.leftover,
        opening,
        stays: Stays { _listed: listed, _place: place, _in_use: in_use },
    })
}

/// Resolves when the client has gone.
async fn gone(client: &Client) {
    match Lookout::of(client.stream.tcp()) {
        Ok(lookout) => lookout.gone().await,
        // It is found out once it is spoken to.
        Err(_) => std::future::pending().await,
    }
}

/// Nobody is there to be told, and nobody waits: what was theirs is free for others.
fn left() -> Refused {
    let problem = Problem::fatal(SqlState::CONNECTION_FAILURE, "the client has gone");
    Refused { problem, reason: None }
}

/// As in a session whose person has been removed.
fn no_longer_known() -> Refused {
    let problem = crate::refusal::no_longer_known();
    Refused::new(NoEntry::NoLongerKnown, Problem { severity: stepgate_wire::Severity::Fatal, ..problem })
}

/// By this SQLSTATE libpq goes on to the next of several hosts, as with a PostgreSQL that shuts down.
fn stopping() -> Refused {
    let problem = Problem::fatal(SqlState::CANNOT_CONNECT_NOW, "the gate is stopping");
    Refused::new(NoEntry::Stopping, problem.with_hint("Connect again in a moment."))
}

fn too_many_of(gate: &Gate, person: &PersonName, many: usize) -> Problem {
    count(&gate.metrics.too_many);
    let message = format!("too many sessions of {person} (limit {many})");
    Problem::fatal(SqlState::TOO_MANY_CONNECTIONS, message)
        .with_hint("Close one that is not needed; the gate's operator sets the limit (limits.per_person).")
}

/// What the server told the gate at startup, and the gate's own key in place of the server's.
fn opening(upstream: &Upstream, registration: &Registration) -> BytesMut {
    let mut opening = BytesMut::new();
    upstream.notices.iter().for_each(|notice| opening.extend_from_slice(notice));
    for (name, value) in &upstream.params {
        opening.extend_from_slice(&reply::parameter_status(name, value));
    }
    opening.extend_from_slice(&reply::backend_key_data(registration.key.pid, &registration.key.secret));
    opening.extend_from_slice(&reply::ready_for_query(upstream.status));
    opening
}

async fn record_opened(
    gate: &Gate,
    role: &Credentials,
    info: &SessionInfo,
    client: &Client,
    who: Authenticated,
) -> Result<(), Problem> {
    let event = Event::SessionOpened(Box::new(SessionOpened {
        session: info.session,
        person: (&info.person).into(),
        database: info.database.clone(),
        db_user: role.user.clone(),
        address: info.address.as_str().into(),
        client: info.client.as_str().into(),
        tls: client.stream.is_secure(),
        method: Some(who.method),
        certificate_sha256: who.certificate_sha256,
        password: who.minted,
        startup: Some(client.manner.startup.clone()),
        hello: client.manner.tls.clone(),
    }));
    let recorded = gate.log.append_in_time(vec![event], Vec::new()).await;
    if matches!(recorded, Err(LogError::Late)) {
        // That it is open will be recorded.
        let event = Event::SessionClosed { session: info.session, reason: "log".to_owned() };
        if let Err(error) = gate.log.note_with_room(event).await {
            tracing::error!(session = %info.session, %error, "recording the end of a session");
        }
    }
    recorded.map(drop).map_err(|error| Problem {
        severity: stepgate_wire::Severity::Fatal,
        ..crate::refusal::log_failed(&error)
    })
}

fn random<const N: usize>(gate: &Gate) -> Result<[u8; N], Refused> {
    let mut bytes = [0; N];
    gate.entropy
        .fill(&mut bytes)
        .map_err(|_| Refused::new(NoEntry::Gate, Problem::fatal(SqlState::SYSTEM_ERROR, "no randomness")))?;
    Ok(bytes)
}

fn too_many(gate: &Gate) -> Refused {
    count(&gate.metrics.too_many);
    let problem = Problem::fatal(SqlState::TOO_MANY_CONNECTIONS, "too many sessions").with_hint(
        "Try again when others have disconnected; the gate's operator sets the limit (limits.sessions).",
    );
    Refused::new(NoEntry::TooManySessions, problem)
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
