//! Drives one session: moves bytes both ways, independently and bounded, and asks the judge.
//!
//! One task a session. Whatever it waits for, it also waits for: the other side, a cancel request, the
//! end of a hold, the gate's end. Nothing is awaited outside the one `select!` but the log and the desk,
//! which answer within an fsync or fail, the catalog, which answers within seconds or fails, and the server's
//! planner, which answers within a quarter of one or is not waited for.

mod act;
mod end;
mod hold;
mod look;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use stepgate_session::{Pending, Session};
use stepgate_store::{End, LogError, PendingRelease};
use stepgate_types::SqlState;
use stepgate_wire::{Cutter, FrameError, Problem};
use tokio::sync::{Notify, oneshot, watch};

use crate::aside;
use crate::database::{Ddl, View};
use crate::judge::{Hold, Judge};
use crate::metrics::OpenHold;
use crate::overtaken::UnderWay;
use crate::peer::Lookout;
use crate::shutdown::beyond;
use crate::side::{Side, read, write};
use crate::{CancelNotice, Registration, Shutdown, Stream};

/// Bytes that may wait to be written to either side before no more are read from the other.
const MAX_QUEUED: usize = 256 << 10;

/// How often a held client is shown that its connection lives: the shortest read timeout seen in a driver
/// is 2 s.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Why a session ended; the word in `session.closed`.
pub(crate) type Reason = &'static str;

/// What is driven.
pub(crate) struct Drive {
    pub(crate) judge: Judge,
    pub(crate) session: Session,
    pub(crate) registration: Registration,
    pub(crate) kill: Arc<Notify>,
    pub(crate) shutdown: watch::Receiver<Shutdown>,
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
    /// The client has gone, behind what it sent before.
    ClientGone,
    /// The client reads nothing, and the server waits for it.
    ClientStalls,
    Shutdown(Shutdown),
}

struct State {
    client: Side,
    server: Side,
    releases: VecDeque<(PendingRelease, Instant)>,
    hold: Option<(Box<Hold>, OpenHold)>,
    /// A hold that is over, and how DDL stood then: until the server has said what names mean.
    approved: Option<(Box<Hold>, Ddl)>,
    pending: Option<Pending>,
    loading: Option<(u64, oneshot::Receiver<Option<Arc<View>>>)>,
    started: HashMap<u64, Instant>,
    under_way: UnderWay,
    looked_for_names: Option<Instant>,
    /// What analysis has taken since a decision was last asked for.
    analysing: Duration,
    /// Sees a client go whose statement is held.
    lookout: Option<Lookout>,
    shutdown: Shutdown,
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
            analysing: Duration::ZERO,
            lookout: None,
            shutdown: Shutdown::default(),
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
            self.drain(&mut state);
        }
        self.finish(state).await
    }

    /// Waits for the next thing to happen.
    async fn wait(&mut self, state: &mut State, second: &mut tokio::time::Interval) -> Occurred {
        let State { client, server, releases, hold, loading, lookout, .. } = state;
        let read_client = server.out.len() < MAX_QUEUED && self.session.wants_client();
        let read_server = client.out.len() < MAX_QUEUED && self.session.wants_server();
        let (to_client, to_server) = (client.has_work(), server.has_work());
        let holding = hold.is_some();
        if !holding {
            *lookout = None;
        } else if lookout.is_none() {
            *lookout = Lookout::of(client.stream.tcp()).ok();
        }
        let stalled = client.stalled(MAX_QUEUED);
        let patience = stalled.map_or(Duration::ZERO, |_| self.judge.gate.limits().slow_client);
        let (mut client_in, mut client_out) = tokio::io::split(&mut client.stream);
        let (mut server_in, mut server_out) = tokio::io::split(&mut server.stream);
        tokio::select! {
            how = beyond(&mut self.shutdown, state.shutdown) => Occurred::Shutdown(how),
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
            () = gone(lookout), if holding => Occurred::ClientGone,
            () = patience_ends(stalled, patience), if stalled.is_some() => Occurred::ClientStalls,
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
            Occurred::ClientGone => state.ending = Some("client-gone"),
            Occurred::ClientStalls => self.client_stalls(state),
            Occurred::Shutdown(how) => state.shutdown = how,
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
            // Rows are not what is analysed; what names mean, the server may just have said.
            let begun = self.session.is_probing().then(Instant::now);
            self.session.on_server(&piece);
            state.analysing += begun.map(|begun| begun.elapsed()).unwrap_or_default();
            state.client.out.unsplit(self.session.to_client().split());
            moved = true;
        }
        if self.session.wants_client()
            && state.server.out.len() < MAX_QUEUED
            && let Some(piece) = state.client.cutter.next()?
        {
            let begun = Instant::now();
            self.session.on_client(piece);
            state.analysing += begun.elapsed();
            moved = true;
        }
        Ok(moved)
    }
}

async fn front(
    releases: &mut VecDeque<(PendingRelease, Instant)>,
) -> Result<stepgate_record::Release, LogError> {
    match releases.front_mut() {
        Some((release, _)) => release.await,
        None => std::future::pending().await,
    }
}

async fn gone(lookout: &Option<Lookout>) {
    match lookout {
        Some(lookout) => lookout.gone().await,
        None => std::future::pending().await,
    }
}

async fn patience_ends(stalled: Option<Instant>, patience: Duration) {
    match stalled {
        Some(since) => tokio::time::sleep(patience.saturating_sub(since.elapsed())).await,
        None => std::future::pending().await,
    }
}

async fn answer(hold: &mut Option<(Box<Hold>, OpenHold)>) -> Option<End> {
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
