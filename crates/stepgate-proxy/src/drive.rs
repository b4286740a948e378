//! Drives one session: moves bytes both ways, independently and bounded, and asks the judge.
//!
//! One task a session. Whatever it waits for, it also waits for: the other side, a cancel request, the
//! end of a hold, the gate's end. Nothing is awaited outside the one `wait` but the log and the desk,
//! which answer within an fsync or fail, the catalog, which answers within seconds or fails, and the server's
//! planner, which answers within a quarter of one or is not waited for.

mod act;
mod calls;
mod end;
mod hold;
mod look;
mod started;
mod wait;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use stepgate_session::{Pending, Session};
use stepgate_store::PendingRelease;
use stepgate_types::SqlState;
use stepgate_wire::{Cutter, FrameError, Problem};
use tokio::sync::oneshot;

use self::calls::Call;
pub(crate) use self::calls::{Calls, Sources};
use self::started::Started;
use self::wait::{Occurred, Vigil};
use crate::database::{Ddl, Moment, View};
use crate::judge::{Hold, Judge};
use crate::metrics::OpenHold;
use crate::overtaken::UnderWay;
use crate::side::Side;
use crate::{Shutdown, Stream, aside, buffers};

/// Bytes that may wait to be written to either side before no more are read from the other.
const MAX_QUEUED: usize = 256 << 10;

/// Why a session ended; the word in `session.closed`.
pub(crate) type Reason = &'static str;

/// What is driven.
pub(crate) struct Drive {
    pub(crate) judge: Judge,
    pub(crate) session: Session,
    pub(crate) calls: Calls,
    /// The server's process id and cancel secret.
    pub(crate) server_key: (i32, Vec<u8>),
}

struct State {
    client: Side,
    server: Side,
    releases: VecDeque<(PendingRelease, Instant)>,
    hold: Option<(Box<Hold>, OpenHold)>,
    /// While it lasts.
    vigil: Option<Box<Vigil>>,
    /// A hold that is over, and how DDL stood then: until the server has said what names mean.
    approved: Option<(Box<Hold>, Ddl)>,
    pending: Option<Arc<Pending>>,
    loading: Option<(u64, oneshot::Receiver<Option<Arc<View>>>)>,
    started: Started,
    under_way: UnderWay,
    /// What the session has learnt of its database.
    learnt: Option<Moment>,
    /// When what is being dealt with came, or the last statement was decided on.
    now: Instant,
    looked_for_names: Option<Instant>,
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
        let mut cutter = Cutter::server();
        // Into a buffer of the size that threads lend to each other.
        buffers::lend(cutter.buffer());
        cutter.push(&leftover);
        drop(leftover);
        let mut state = State {
            client: Side::new(client, Cutter::client(), opening),
            server: Side::new(server, cutter, BytesMut::new()),
            releases: VecDeque::new(),
            hold: None,
            vigil: None,
            approved: None,
            pending: None,
            loading: None,
            started: Started::default(),
            under_way: UnderWay::default(),
            learnt: None,
            now: Instant::now(),
            looked_for_names: None,
            shutdown: Shutdown::default(),
            ending: None,
        };
        self.session.read_long_texts_by(aside::one_by_one);
        while state.ending.is_none() {
            let occurred = self.wait(&mut state).await;
            state.now = Instant::now();
            self.react(&mut state, occurred).await;
            self.work(&mut state).await;
            self.go_on_with_approved(&mut state).await;
            self.drain(&mut state);
        }
        self.finish(state).await
    }

    async fn react(&mut self, state: &mut State, occurred: Occurred) {
        match occurred {
            Occurred::Read { client, server } => {
                match server {
                    Some(Ok(1..)) => self.server_speaks(state).await,
                    Some(_) => self.server_gone(state),
                    None => {}
                }
                if !matches!(client, None | Some(Ok(1..))) {
                    state.ending.get_or_insert("client-gone");
                }
            }
            Occurred::Written => {}
            Occurred::Released(release) => {
                let since = state.releases.pop_front().map_or(state.now, |(_, since)| since);
                self.released(state, release, since);
            }
            Occurred::Answered(end) => self.answered(state, end).await,
            Occurred::CatalogLoaded(view) => self.catalog_loaded(state, view),
            Occurred::Called(Call::Shutdown(how_far)) => state.shutdown = how_far,
            Occurred::Called(Call::Kill) => {
                let problem =
                    Problem::fatal(SqlState::ADMIN_SHUTDOWN, "this session was ended by the gate's operator");
                self.end(state, &problem, "killed");
            }
            Occurred::Called(Call::Cancel(notice)) => self.cancelled(state, notice).await,
            Occurred::Tick => self.tick(state).await,
            Occurred::ClientGone => state.ending = Some("client-gone"),
            Occurred::ClientStalls => self.client_stalls(state),
        }
    }

    /// Something came from the server: the catalog is looked at before it is taken, where that must be.
    async fn server_speaks(&mut self, state: &mut State) {
        self.learn(state);
        let (names, _) = self.session.resolves_by();
        if state.under_way.hears(state.now, self.judge.database.ddl(), &names.taints) {
            self.look_again(state).await;
        }
    }

    /// The session learns what is new of its database.
    fn learn(&mut self, state: &mut State) {
        let database = &self.judge.database;
        let moment = database.moment();
        if state.learnt == Some(moment) {
            return;
        }
        if let Some(view) = database.view() {
            self.session.set_catalog(Arc::clone(&view.catalog));
        }
        self.session.set_taints(database.taints.now());
        state.learnt = Some(moment);
    }

    /// Hands on what has been read, and does what the session asks for, until there is nothing left to do.
    async fn work(&mut self, state: &mut State) {
        while state.ending.is_none() {
            self.learn(state);
            buffers::lend(self.session.to_client());
            buffers::lend(self.session.to_server());
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
            state.client.take(self.session.to_client());
            state.server.take(self.session.to_server());
            if !moved && !acted {
                return;
            }
        }
    }

    /// Hands one frame of each side to the session, as far as it wants them.
    fn hand_on(&mut self, state: &mut State) -> Result<bool, FrameError> {
        let mut moved = false;
        while self.session.wants_server()
            && state.client.out.len() + self.session.to_client().len() < MAX_QUEUED
        {
            if self.session.relays_rows()
                && let Some(run) = state.server.cutter.run()
            {
                self.session.on_rows(&run);
            } else if let Some(piece) = state.server.cutter.next()? {
                self.session.on_server(&piece);
            } else {
                break;
            }
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
}
