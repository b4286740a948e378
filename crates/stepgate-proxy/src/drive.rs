//! Drives one session: moves bytes both ways, independently and bounded, and asks the judge.
//!
//! One task a session. Whatever it waits for, it also waits for: the other side, a cancel request, the
//! end of a hold, the gate's end. Nothing is awaited outside the one `select!` but the log and the desk,
//! which answer within an fsync or fail, the catalog, which answers within seconds or fails, and the server's
//! planner, which answers within a quarter of one or is not waited for.

mod look;
mod release;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use stepgate_record::Event;
use stepgate_session::{Action, Ending, Pending, Session};
use stepgate_sql::Facts;
use stepgate_store::{End, Log, LogError, PendingRelease};
use stepgate_types::{Kind, SqlState};
use stepgate_wire::{Cutter, FrameError, Problem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot, watch};

use crate::aside;
use crate::database::{CommitsDdl, Ddl, View};
use crate::judge::{Hold, Judge, Verdict};
use crate::overtaken::{Judged, UnderWay};
use crate::side::{Side, read, write};
use crate::{CancelNotice, Registration, Stream, forward_cancel, refusal};

/// Bytes that may wait to be written to either side before no more are read from the other.
const MAX_QUEUED: usize = 256 << 10;

/// The most statements whose start is remembered. A portal that is bound and never executed has no end; beyond
/// this, durations of what is still under way are lost (recorded as 0), not memory.
const MAX_STARTED: usize = 8_192;

/// How often a held client is shown that its connection lives: the shortest read timeout seen in a driver
/// is 2 s.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Whoever sends unknown names has the server asked about its catalog at most so often.
const RECENTLY: Duration = Duration::from_millis(100);

/// How long the last words to a client may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a session ended; the word in `session.closed`.
pub(crate) type Reason = &'static str;

/// How long the server may go on with what a session left behind.
const SEE_OUT: Duration = Duration::from_secs(60 * 60);

/// What is driven.
pub(crate) struct Drive {
    pub(crate) judge: Judge,
    pub(crate) session: Session,
    pub(crate) registration: Registration,
    pub(crate) kill: Arc<Notify>,
    pub(crate) shutdown: watch::Receiver<bool>,
    /// The server's process id and cancel secret.
    pub(crate) server_key: (i32, Vec<u8>),
}

/// What has happened.
enum Occurred {
    FromClient(std::io::Result<usize>),
    FromServer(std::io::Result<usize>),
    ToClient(std::io::Result<usize>),
    ToServer(std::io::Result<usize>),
    Released(Result<stepgate_record::Release, LogError>),
    Answered(Option<End>),
    CatalogLoaded(Option<Arc<View>>),
    Cancel(Option<CancelNotice>),
    Tick,
    Kill,
    Shutdown,
}

struct State {
    client: Side,
    server: Side,
    releases: VecDeque<PendingRelease>,
    hold: Option<(Box<Hold>, Instant)>,
    /// A hold that is over, and how DDL stood then: until the server has said what names mean.
    approved: Option<(Box<Hold>, Ddl)>,
    pending: Option<Pending>,
    loading: Option<(u64, oneshot::Receiver<Option<Arc<View>>>)>,
    started: HashMap<u64, Instant>,
    under_way: UnderWay,
    looked_for_names: Option<Instant>,
    ending: Option<Reason>,
}

impl Drive {
    /// Runs the session to its end; `opening` is what the client is told first. Returns why it ended.
    pub(crate) async fn run(
        mut self,
        client: Stream,
        server: Stream,
        leftover: BytesMut,
        opening: BytesMut,
    ) -> Reason {
        let mut state = State {
            client: Side::new(client, Cutter::client(), opening),
            server: Side::new(server, Cutter::server().with(leftover), BytesMut::new()),
            releases: VecDeque::new(),
            hold: None,
            approved: None,
            pending: None,
            loading: None,
            started: HashMap::new(),
            under_way: UnderWay::default(),
            looked_for_names: None,
            ending: None,
        };
        self.session.read_long_texts_by(aside::one_by_one);
        let mut second = tokio::time::interval(KEEP_ALIVE);
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while state.ending.is_none() {
            let occurred = self.wait(&mut state, &mut second).await;
            self.react(&mut state, occurred).await;
            self.work(&mut state).await;
            self.go_on_with_approved(&mut state).await;
        }
        self.finish(state).await
    }

    /// Waits for the next thing to happen.
    async fn wait(&mut self, state: &mut State, second: &mut tokio::time::Interval) -> Occurred {
        let State { client, server, releases, hold, loading, .. } = state;
        let read_client = server.out.len() < MAX_QUEUED && self.session.wants_client();
        let read_server = client.out.len() < MAX_QUEUED && self.session.wants_server();
        let (to_client, to_server) = (client.has_work(), server.has_work());
        let holding = hold.is_some();
        let (mut client_in, mut client_out) = tokio::io::split(&mut client.stream);
        let (mut server_in, mut server_out) = tokio::io::split(&mut server.stream);
        tokio::select! {
            _ = self.shutdown.wait_for(|down| *down) => Occurred::Shutdown,
            () = self.kill.notified() => Occurred::Kill,
            notice = self.registration.notices.recv() => Occurred::Cancel(notice),
            release = front(releases), if !releases.is_empty() => Occurred::Released(release),
            end = answer(hold), if holding => Occurred::Answered(end),
            view = loaded(loading), if loading.is_some() => Occurred::CatalogLoaded(view),
            written = write(&mut client_out, &client.out), if to_client => Occurred::ToClient(written),
            written = write(&mut server_out, &server.out), if to_server => Occurred::ToServer(written),
            read = read(&mut server_in, &mut server.cutter), if read_server => Occurred::FromServer(read),
            read = read(&mut client_in, &mut client.cutter), if read_client => Occurred::FromClient(read),
            _ = second.tick(), if holding => Occurred::Tick,
        }
    }

    async fn react(&mut self, state: &mut State, occurred: Occurred) {
        match occurred {
            Occurred::FromClient(Ok(1..)) => {}
            Occurred::FromServer(Ok(1..)) => {
                let taints = self.judge.database.taints.now();
                if state.under_way.hears(self.judge.database.ddl(), &taints) {
                    self.look_again(state).await;
                }
            }
            Occurred::FromClient(_) => state.ending = Some("client-gone"),
            Occurred::FromServer(_) => self.server_gone(state),
            Occurred::ToClient(written) => {
                if !state.client.wrote(written) {
                    state.ending = Some("client-gone");
                }
            }
            Occurred::ToServer(written) => {
                if !state.server.wrote(written) {
                    // What the server said before it went may still be there to read.
                    state.server.out.clear();
                    state.server.unflushed = false;
                }
            }
            Occurred::Released(release) => self.released(state, release),
            Occurred::Answered(end) => self.answered(state, end).await,
            Occurred::CatalogLoaded(view) => self.catalog_loaded(state, view),
            Occurred::Cancel(notice) => self.cancelled(state, notice).await,
            Occurred::Tick => self.tick(state).await,
            Occurred::Kill => {
                let problem =
                    Problem::fatal(SqlState::ADMIN_SHUTDOWN, "this session was ended by the gate's operator");
                self.end(state, &problem, "killed");
            }
            Occurred::Shutdown => {
                let problem = Problem::fatal(SqlState::ADMIN_SHUTDOWN, "the gate is stopping")
                    .with_hint("Connect again in a moment; a held statement must be sent again.");
                self.end(state, &problem, "shutdown");
            }
        }
    }

    /// Hands on what has been read, and does what the session asks for, until there is nothing left to do.
    async fn work(&mut self, state: &mut State) {
        while state.ending.is_none() {
            if let Some(view) = self.judge.database.view() {
                self.session.set_catalog(Arc::clone(&view.catalog));
            }
            self.session.set_taints(self.judge.database.taints.now());
            let moved = match self.hand_on(state) {
                Ok(moved) => moved,
                Err(error) => {
                    let problem = match error {
                        FrameError::TooLong { .. } => {
                            Problem::fatal(SqlState::PROGRAM_LIMIT_EXCEEDED, error.to_string())
                        }
                        _ => Problem::fatal(SqlState::PROTOCOL_VIOLATION, error.to_string()),
                    };
                    self.end(state, &problem, "protocol");
                    return;
                }
            };
            let mut acted = false;
            while let Some(action) = self.session.action() {
                acted = true;
                self.act(state, action).await;
            }
            state.client.out.unsplit(self.session.to_client().split());
            state.server.out.unsplit(self.session.to_server().split());
            if !moved && !acted {
                return;
            }
        }
    }

    /// Hands one frame of each side to the session, as far as it wants them.
    fn hand_on(&mut self, state: &mut State) -> Result<bool, FrameError> {
        let mut moved = false;
        while self.session.wants_server()
            && state.client.out.len() < MAX_QUEUED
            && let Some(piece) = state.server.cutter.next()?
        {
            self.session.on_server(&piece);
            state.client.out.unsplit(self.session.to_client().split());
            moved = true;
        }
        if self.session.wants_client()
            && state.server.out.len() < MAX_QUEUED
            && let Some(piece) = state.client.cutter.next()?
        {
            self.session.on_client(piece);
            moved = true;
        }
        Ok(moved)
    }

    async fn act(&mut self, state: &mut State, action: Action) {
        match action {
            Action::Decide(mut pending) => {
                let ddl = self.judge.database.ddl();
                let rested = state.looked_for_names.is_none_or(|looked| looked.elapsed() >= RECENTLY);
                let locked = self.judge.database.view().is_some_and(|view| view.catalog.has_locked());
                let unknown = rested && pending.facts.iter().any(|facts| may_be_known_by_now(facts, locked));
                let behind = self.judge.database.is_behind();
                let mut looked = true;
                if unknown || behind {
                    state.looked_for_names = Some(Instant::now());
                    looked = self.look_for_names(&mut pending).await;
                }
                let verdict = if behind && !looked && pending.facts.iter().any(has_names) {
                    // What is known of them was true before somebody changed it.
                    Verdict::Refuse(refusal::catalog_unknown())
                } else {
                    self.judge.decide(&mut pending, self.session.resolves_by()).await
                };
                state.pending = Some(*pending);
                self.obey(state, verdict, ddl);
            }
            Action::Withdraw { .. } => self.withdraw(state).await,
            Action::Completed { number, sqlstate, rows, bytes, suspended } => {
                let started = state.started.remove(&number);
                state.under_way.is_done(number, suspended);
                let took = started.map(|started| started.elapsed()).unwrap_or_default();
                let event = Event::StatementCompleted {
                    session: self.judge.session,
                    statement: number,
                    sqlstate,
                    rows,
                    bytes,
                    duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                };
                if let Err(error) = note(&self.judge.gate.log, event).await {
                    self.log_failed(state, &error);
                }
            }
            Action::NotParsed { number, sqlstate } => {
                let event =
                    Event::StatementParseFailed { session: self.judge.session, statement: number, sqlstate };
                if let Err(error) = note(&self.judge.gate.log, event).await {
                    self.log_failed(state, &error);
                }
            }
            Action::LoadCatalog { change } => {
                if state.loading.is_none() {
                    state.loading = Some((change, self.load_catalog()));
                }
            }
            Action::End(ending) => {
                state.ending = Some(match ending {
                    Ending::Terminate => "terminate",
                    Ending::Protocol => "protocol",
                    Ending::Defect => "defect",
                });
            }
        }
    }

    /// `ddl`: as it was before the catalog was taken by which this was judged.
    fn obey(&mut self, state: &mut State, verdict: Verdict, ddl: Ddl) {
        match verdict {
            Verdict::Pass(pass, release, stored) => {
                if let Some(pending) = &state.pending {
                    // By what it was judged, before what it stores itself is known.
                    let refers = |facts: &Facts| matches!(facts.kind, Kind::Execute | Kind::Cursor);
                    let refers = pending.facts.iter().any(refers);
                    let goes_on = refers.then(|| self.session.goes_on(&pending.sql)).flatten();
                    let (names, catalog) = self.session.resolves_by();
                    let by = Judged { goes_on, state: names, catalog, ddl };
                    state.under_way.sends(pending, by, &self.judge.database, self.session.is_idle());
                }
                self.session.set_taints(self.judge.database.taints.now());
                if self.session.stores(stored).is_err() {
                    let problem = Problem::fatal(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        "too many temporary tables of this session hold copies of labelled columns",
                    );
                    return self.end(state, &problem, "limit");
                }
                if let Some(pending) = state.pending.take() {
                    if state.started.len() >= MAX_STARTED {
                        state.started.clear();
                    }
                    state.started.insert(pending.number, Instant::now());
                }
                state.releases.extend(release);
                if self.session.pass(pass).is_err() {
                    self.defect(state);
                }
            }
            Verdict::Hold(hold) => {
                self.session.hold(&hold.notice);
                state.hold = Some((hold, Instant::now()));
            }
            Verdict::Refuse(problem) => {
                state.pending = None;
                self.session.refuse(&problem);
            }
        }
    }

    fn released(&mut self, state: &mut State, release: Result<stepgate_record::Release, LogError>) {
        state.releases.pop_front();
        match release {
            Ok(release) => {
                if self.session.release(release).is_err() {
                    self.defect(state);
                }
            }
            Err(error) => self.log_failed(state, &error),
        }
    }

    fn catalog_loaded(&mut self, state: &mut State, view: Option<Arc<View>>) {
        let Some((change, _)) = state.loading.take() else { return };
        match view {
            Some(view) => {
                self.session.set_taints(self.judge.database.taints.now());
                self.session.catalog_loaded(change, Arc::clone(&view.catalog));
            }
            None => self.session.catalog_failed(),
        }
    }

    fn load_catalog(&self) -> oneshot::Receiver<Option<Arc<View>>> {
        let (done, loading) = oneshot::channel();
        let database = Arc::clone(&self.judge.database);
        tokio::spawn(async move {
            let view = database.load().await;
            if let Err(error) = &view {
                tracing::warn!(database = %database.config.name, %error, "catalog cannot be read");
            }
            // Nobody listens any more if the session has ended.
            let _ = done.send(view.ok());
        });
        loading
    }

    /// Ctrl-C, or a driver's timeout: what is held ends here, what runs is the server's to cancel.
    async fn cancelled(&mut self, state: &mut State, notice: Option<CancelNotice>) {
        let Some(notice) = notice else { return };
        if let Some((hold, _)) = state.hold.take() {
            state.pending = None;
            let request = hold.waiting.request;
            if let Err(error) = self.judge.gate.desk.cancel(request, hold.statement).await {
                tracing::warn!(%error, "cancelling a request");
            }
            self.session.refuse(&refusal::cancelled(request));
            return;
        }
        let database = Arc::clone(&self.judge.database);
        let (pid, secret) = self.server_key.clone();
        tokio::spawn(async move {
            if let Err(error) = forward_cancel(&database.config, pid, &secret).await {
                tracing::warn!(%error, "forwarding a cancel request");
            }
            // Only now may the client's cancel connection close.
            drop(notice);
        });
    }

    async fn tick(&mut self, state: &mut State) {
        let over = state
            .hold
            .as_ref()
            .is_some_and(|(hold, since)| hold.limit.is_some_and(|limit| since.elapsed() >= limit));
        if !over {
            self.session.keep_alive();
            return;
        }
        if let Some((hold, since)) = state.hold.take() {
            state.pending = None;
            let request = hold.waiting.request;
            if let Err(error) = self.judge.gate.desk.withdraw(request, hold.statement).await {
                tracing::warn!(%error, "withdrawing a request");
            }
            self.session
                .refuse(&refusal::held_too_long(request, hold.limit.unwrap_or_else(|| since.elapsed())));
        }
    }

    async fn withdraw(&self, state: &mut State) {
        state.pending = None;
        state.approved = None;
        if let Some((hold, _)) = state.hold.take()
            && let Err(error) = self.judge.gate.desk.withdraw(hold.waiting.request, hold.statement).await
        {
            tracing::warn!(%error, "withdrawing a request");
        }
    }

    fn server_gone(&mut self, state: &mut State) {
        if self.session.server_said_fatal() {
            state.ending = Some("server-gone");
            return;
        }
        let problem =
            Problem::fatal(SqlState::CONNECTION_FAILURE, "the database server closed the connection")
                .with_hint("Connect again.");
        self.end(state, &problem, "server-gone");
    }

    fn log_failed(&mut self, state: &mut State, error: &LogError) {
        let problem = refusal::log_failed(error);
        self.end(state, &problem, "log");
    }

    fn defect(&mut self, state: &mut State) {
        tracing::error!(session = %self.judge.session, "a token or hold does not fit: the session is ended");
        let problem = Problem::fatal(SqlState::SYSTEM_ERROR, "the session's state is inconsistent");
        self.end(state, &problem, "defect");
    }

    fn end(&mut self, state: &mut State, problem: &Problem, reason: Reason) {
        self.session.end(problem, Ending::Defect);
        state.client.out.unsplit(self.session.to_client().split());
        state.ending = Some(reason);
    }

    /// Last words, and nothing left open.
    async fn finish(self, mut state: State) -> Reason {
        let reason = state.ending.unwrap_or("defect");
        self.withdraw(&mut state).await;
        let State { mut client, mut server, under_way, .. } = state;
        let last_words = async {
            if reason == "terminate" {
                let _ = server.stream.write_all(&server.out).await;
            }
            let _ = server.stream.shutdown().await;
            let _ = client.stream.write_all(&client.out).await;
            let _ = client.stream.shutdown().await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        let commits = under_way.into_commits();
        if !commits.is_empty() {
            tokio::spawn(see_out(server.stream, commits));
        }
        reason
    }
}

/// Waits for the server's end of a session that is over: what it was doing it goes on doing, and may commit DDL.
async fn see_out(mut server: Stream, commits: Vec<CommitsDdl>) {
    let mut unread = [0; 4 << 10];
    let closes = async { while server.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
    if tokio::time::timeout(SEE_OUT, closes).await.is_err() {
        tracing::warn!("the server has not closed its end of a session that is over, and may yet commit DDL");
    }
    drop(commits);
}

/// Whether what a statement does hangs on the catalog.
fn has_names(facts: &Facts) -> bool {
    !matches!(facts.kind, Kind::Transaction | Kind::Session | Kind::Empty)
}

/// Whether a statement names a relation or column that the catalog in use does not have, or, where something was
/// `locked` when the catalog was read, one of which not all is known.
fn may_be_known_by_now(facts: &Facts, locked: bool) -> bool {
    facts.reasons.iter().any(|reason| match reason.code {
        "unknown-relation" | "unresolved-name" => true,
        "view-or-policy-with-unknown-parts" | "unknown-function" => locked,
        _ => false,
    })
}

/// Queues an event, waiting for room where there is none.
async fn note(log: &Log, event: Event) -> Result<(), LogError> {
    match log.note(event.clone()) {
        Err(LogError::Full) => log.append(vec![event], Vec::new()).await.map(drop),
        other => other,
    }
}

async fn front(releases: &mut VecDeque<PendingRelease>) -> Result<stepgate_record::Release, LogError> {
    match releases.front_mut() {
        Some(release) => release.await,
        None => std::future::pending().await,
    }
}

async fn answer(hold: &mut Option<(Box<Hold>, Instant)>) -> Option<End> {
    match hold {
        Some((hold, _)) => (&mut hold.waiting.ended).await.ok(),
        None => std::future::pending().await,
    }
}

async fn loaded(loading: &mut Option<(u64, oneshot::Receiver<Option<Arc<View>>>)>) -> Option<Arc<View>> {
    match loading {
        Some((_, loading)) => loading.await.ok().flatten(),
        None => std::future::pending().await,
    }
}
