//! Drives one session: moves bytes both ways, independently and bounded, and asks the judge.
//!
//! One task a session. Whatever it waits for, it also waits for: the other side, a cancel request, the
//! end of a hold, the gate's end. Nothing is awaited outside the one `wait` but the log and the desk,
//! which answer within an fsync or fail, the catalog where something is let go that has waited or has run already, which
//! answers within seconds or fails, and the server's planner, which answers within a quarter of one or is not waited for.

mod act;
mod calls;
mod cancel;
mod end;
mod fate;
mod grounds;
mod hold;
mod large;
mod leaving;
mod look;
mod meter;
mod news;
mod started;
mod wait;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use stepgate_session::{Pending, Session, TrackedKeys};
use stepgate_sql::{By, Mentioned};
use stepgate_store::{Bell, PendingRelease};
use stepgate_types::SqlState;
use stepgate_wire::{Cutter, FrameError, Piece, Problem};
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use self::act::Waits;
use self::calls::Call;
pub(crate) use self::calls::{Calls, Sources};
use self::cancel::Cancelling;
pub(crate) use self::end::End;
use self::end::client_gone;
use self::grounds::Grounds;
use self::large::Large;
use self::look::Looking;
use self::started::Started;
use self::wait::{Occurred, Vigil};
use crate::database::{Author, Between, Changed, Ddl, Moment, View};
use crate::doing::{Doing, Teller};
use crate::judge::{Hold, Judge, Limited};
use crate::metrics::{OpenHold, count};
use crate::overtaken::UnderWay;
use crate::side::Side;
use crate::{ServerKey, Shutdown, Stream, aside, buffers, refusal};

/// Bytes that may wait to be written to either side before no more are read from the other.
const MAX_QUEUED: usize = 256 << 10;

/// Why a session ended; the word in `session.closed`.
pub(crate) type Reason = &'static str;

/// What is driven.
pub(crate) struct Drive {
    pub(crate) judge: Judge,
    pub(crate) session: Session,
    /// Whose keys records tell, if any.
    pub(crate) tracked: Option<Arc<TrackedKeys>>,
    pub(crate) calls: Calls,
    /// By what the server knows it.
    pub(crate) server_key: ServerKey,
    /// By what those know it who wait for its DDL.
    pub(crate) author: Arc<Author>,
    /// That of its worker, where it waits for what is released.
    pub(crate) bell: Option<Bell>,
    /// Names the session in logs. Entered for what waits, which is where there is anything to tell: to enter it for
    /// each statement costs as much as deciding on one.
    pub(crate) span: Span,
    /// Tells those who list sessions what it does.
    pub(crate) doing: Teller,
}

/// How far a session is.
pub(crate) struct State {
    client: Side,
    server: Side,
    releases: VecDeque<(PendingRelease, Instant)>,
    hold: Option<(Box<Hold>, OpenHold)>,
    /// What its client was told of the request since.
    news: news::News,
    /// While it lasts.
    vigil: Option<Box<Vigil>>,
    /// A hold that is over, and how DDL stood then: until the server has said what names mean.
    approved: Option<(Box<Hold>, Ddl)>,
    pending: Option<Arc<Pending>>,
    /// What waits to be decided on waits for the catalog.
    looking: Option<Box<Looking>>,
    /// What the server has sent does: nothing is taken of either side.
    reviewing: Option<Box<Looking>>,
    cancelling: Option<Cancelling>,
    /// When the last cancel request had been dealt with.
    cancelled: Option<Instant>,
    loading: Option<(u64, oneshot::Receiver<Option<Arc<View>>>)>,
    started: Started,
    /// Statements whose rows are limited, by the numbers of their meters.
    limited: BTreeMap<u64, Limited>,
    /// What is being ended since it has reached its limit.
    cutting: Option<meter::Cutting>,
    /// A large message of the client's comes, or has not left yet.
    large: Option<Box<Large>>,
    under_way: UnderWay,
    /// What the session has learnt of its database.
    learnt: Option<Moment>,
    /// By what its portals and cursors were let through.
    grounds: Grounds,
    /// When what is being dealt with came, or the last statement was decided on.
    now: Instant,
    looked_for_names: Option<Instant>,
    /// How often DDL had been committed when something last came from the server.
    ddl_heard: u64,
    /// When a statement was last decided on outside a transaction: the open one, if any, has begun since.
    outside: Instant,
    shutdown: Shutdown,
    /// Nothing more comes from the client.
    heard_out: bool,
    /// It has sent something that is no message, and is told so once what came before is done.
    broken: Option<Box<Problem>>,
    /// Since it has said goodbye.
    goodbye: Goodbye,
    /// Until the server that such a client's statements run at answers nobody.
    lost: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ending: Option<Reason>,
}

/// How far the end of a session is that its client has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    Unsaid,
    /// The server is told, and still answers what came before.
    Said,
    /// The server has closed its end: what it has said is written to the client.
    Answered,
}

/// What a session begins with; `leftover` is what the server has said already, and `opening` what the client is told
/// first. Boxed before it is driven: a future keeps room for what it is given besides what it makes of it.
pub(crate) fn begin(client: Stream, server: Stream, leftover: &[u8], opening: &[u8]) -> Box<State> {
    let mut cutter = Cutter::server();
    // Into a buffer of the size that threads lend to each other.
    buffers::lend(cutter.buffer());
    cutter.push(leftover);
    let mut out = BytesMut::new();
    buffers::lend(&mut out);
    out.extend_from_slice(opening);
    Box::new(State {
        client: Side::new(client, Cutter::client(), out),
        server: Side::new(server, cutter, BytesMut::new()),
        releases: VecDeque::new(),
        hold: None,
        news: news::News::default(),
        vigil: None,
        approved: None,
        pending: None,
        looking: None,
        reviewing: None,
        cancelling: None,
        cancelled: None,
        loading: None,
        started: Started::default(),
        limited: BTreeMap::new(),
        cutting: None,
        large: None,
        under_way: UnderWay::default(),
        learnt: None,
        grounds: Grounds::default(),
        now: Instant::now(),
        looked_for_names: None,
        ddl_heard: 0,
        outside: Instant::now(),
        shutdown: Shutdown::default(),
        heard_out: false,
        broken: None,
        goodbye: Goodbye::Unsaid,
        lost: None,
        ending: None,
    })
}

/// What its end is told whose bytes cannot be cut into messages.
fn violation(error: &FrameError) -> Problem {
    let state = match error {
        FrameError::TooLong { .. } => SqlState::PROGRAM_LIMIT_EXCEEDED,
        _ => SqlState::PROTOCOL_VIOLATION,
    };
    Problem::fatal(state, error.to_string())
}

impl State {
    /// Something else was waited for.
    fn has_waited(&mut self) {
        self.client.looks_again();
        self.server.looks_again();
    }
}

impl Drive {
    /// Runs the session to its end, from what [`begin`] has made. Returns why it ended.
    pub(crate) async fn run(mut self: Box<Self>, mut state: Box<State>) -> End {
        self.session.read_long_texts_by(aside::one_by_one);
        state.client.cutter.allow(self.judge.gate.memory.message());
        while state.ending.is_none() {
            let occurred = poll_fn(|context| self.poll(&mut state, context)).await;
            state.now = Instant::now();
            if let Some(waits) = self.react(&mut state, occurred) {
                self.wait_for(&mut state, waits).await;
            }
            self.work_on(&mut state).await;
            if state.approved.is_some() && !self.session.is_probing() && state.ending.is_none() {
                let span = self.span.clone();
                Box::pin(self.go_on_with_approved(&mut state).instrument(span)).await;
                state.has_waited();
                self.work_on(&mut state).await;
            }
            if state.large.is_some() {
                self.account(&mut state);
            }
            self.drain(&mut state);
            self.leave_if_heard_out(&mut state);
        }
        let span = self.span.clone();
        Box::pin(self.finish(*state).instrument(span)).await
    }

    /// What waits is apart, and boxed: its future is some kilobytes, which would be moved about each time.
    fn wait_for(&mut self, state: &mut State, waits: Waits) -> Pin<Box<impl Future<Output = ()>>> {
        if state.hold.is_none() {
            self.doing.tell(Doing::Active);
        }
        let span = self.span.clone();
        Box::pin(self.act(state, waits).instrument(span))
    }

    /// Tells what it does while it has nothing to do but wait, and lets go of what it needs no longer then.
    fn settle(&mut self, state: &mut State) {
        let rests = self.session.rests_in();
        self.doing.tell(match &state.hold {
            Some((hold, _)) => Doing::Held(hold.waiting.request),
            None => rests.map_or(Doing::Active, Doing::at_rest),
        });
        if let Some(status) = rests {
            self.session.forget_catalog_before();
            state.under_way.rests(self.session.resolves_by().1, status);
        }
    }

    async fn work_on(&mut self, state: &mut State) {
        while let Some(waits) = self.work(state) {
            self.wait_for(state, waits).await;
        }
    }

    /// Takes note of what has happened; gives back what must be waited for.
    fn react(&mut self, state: &mut State, occurred: Occurred) -> Option<Waits> {
        match occurred {
            Occurred::Read { client, server } => {
                match client {
                    None | Some(Ok(1..)) => {}
                    // What it sent before is done as PostgreSQL would do it.
                    Some(Ok(_)) => state.heard_out = true,
                    Some(Err(_)) => client_gone(state),
                }
                match server {
                    Some(Ok(1..)) => self.server_speaks(state),
                    Some(_) => self.server_gone(state),
                    None => {}
                }
            }
            Occurred::Written => {}
            Occurred::Released(release) => {
                let since = state.releases.pop_front().map_or(state.now, |(_, since)| since);
                self.released(state, release, since);
            }
            Occurred::Answered(end) => return Some(Waits::Answered(end)),
            Occurred::Looked(seen) => return Some(Waits::Looked(seen)),
            Occurred::Reviewed(seen) => return Some(Waits::Reviewed(seen)),
            Occurred::CatalogLoaded(view) => self.catalog_loaded(state, view),
            Occurred::CancelDelivered(done) => self.cancel_delivered(state, done),
            Occurred::Cut(cancelled) => self.cut(state, cancelled),
            Occurred::Called(Call::Shutdown(how_far)) => state.shutdown = how_far,
            Occurred::Called(Call::Kill) => {
                let (problem, reason) = match self.author.is_in_the_way() {
                    true => (refusal::in_the_way(), "in-the-way"),
                    false => (refusal::killed(), "killed"),
                };
                self.end(state, &problem, reason);
            }
            Occurred::Called(Call::Cancel(notice)) => return Some(Waits::Cancelled(notice)),
            // As whatever it is woken by.
            Occurred::Called(Call::Learn) => {}
            Occurred::Tick => return Some(Waits::Tick),
            Occurred::ClientGone => client_gone(state),
            Occurred::ServerGone => self.server_gone(state),
            Occurred::ServerLost => self.server_lost(state),
            Occurred::ClientStalls => self.client_stalls(state),
        }
        None
    }

    /// Something came from the server: the catalog is looked at before it is taken, where that must be.
    fn server_speaks(&mut self, state: &mut State) {
        if state.limited.values().any(Limited::has_accounts) {
            let now = self.judge.gate.clock.now();
            state.limited.values().for_each(|limited| limited.renew(now));
        }
        self.learn(state);
        let ddl = self.judge.database.ddl();
        if ddl.epoch != state.ddl_heard || state.under_way.others_commit(ddl) {
            state.ddl_heard = ddl.epoch;
            self.doubt_parsed(state);
        }
        let (names, _) = self.session.resolves_by();
        let described = self.session.described();
        if state.under_way.hears(state.now, ddl, &names.taints, described) {
            self.look_again(state);
        }
    }

    /// What is parsed while another session changes what its names mean may be parsed by either.
    fn doubt_parsed(&mut self, state: &State) {
        let database = &self.judge.database;
        let Some(view) = database.view() else { return };
        let session = state.under_way.session();
        // Under which path it was, is not known.
        let names = |sql: &Bytes| vec![Mentioned::of(sql, &view.catalog, &By::anything())];
        self.session.doubt_parsed(|sql, since| {
            let between = Between { since, until: u64::MAX };
            database.has_changed(between, (session, 0), 1, || names(sql)) != Changed::No
        });
    }

    /// The session learns what is new of its database.
    fn learn(&mut self, state: &mut State) {
        self.learn_groups(state);
        let database = &self.judge.database;
        self.session.set_ddl(database.ddl().epoch);
        let moment = database.moment();
        if state.learnt == Some(moment) {
            return;
        }
        if let Some(view) = database.view() {
            self.session.set_catalog(Arc::clone(&view.catalog));
            if state.grounds.has_other_rules(view.rules.sha256()) {
                self.session.rules_changed();
            }
        }
        self.session.set_taints(database.taints.now());
        state.learnt = Some(moment);
    }

    /// Hands on what has been read, and does what the session asks for, until there is nothing left to do; or until
    /// something must be waited for, which is given back.
    fn work(&mut self, state: &mut State) -> Option<Waits> {
        while state.ending.is_none() {
            self.learn(state);
            let mut acted = false;
            while let Some(action) = self.session.action() {
                acted = true;
                let waits = self.act_at_once(state, action);
                if waits.is_some() {
                    return waits;
                }
            }
            state.client.take(self.session.to_client());
            state.server.take(self.session.to_server());
            if state.ending.is_some() {
                break;
            }
            match self.hand_on(state) {
                Ok(moved) if moved || acted => {}
                Ok(_) => break,
                Err(error) => self.end(state, &violation(&error), "protocol"),
            }
        }
        None
    }

    /// Hands frames of each side to the session, as far as it wants them. What one of the client's asks for is done before
    /// the next is handed on; and what came before one that is none, before the client is told so. An error is the server's.
    fn hand_on(&mut self, state: &mut State) -> Result<bool, FrameError> {
        let mut moved = false;
        if state.reviewing.is_some() {
            return Ok(moved);
        }
        if state.server.cutter.buffered() > 0 {
            buffers::lend(self.session.to_client());
        }
        while state.server.cutter.buffered() > 0
            && self.session.wants_server()
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
        if state.client.cutter.buffered() > 0 {
            buffers::lend(self.session.to_server());
        }
        while !self.session.has_actions()
            && self.session.wants_client()
            && state.server.out.len() + self.session.to_server().len() < MAX_QUEUED
            && state.broken.is_none()
        {
            let piece = match state.client.cutter.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    (state.heard_out, state.broken) = (true, Some(Box::new(violation(&error))));
                    break;
                }
            };
            if matches!(piece, Piece::Dropped { .. }) {
                count(&self.judge.gate.metrics.dropped);
            }
            self.session.on_client(piece);
            moved = true;
        }
        Ok(moved)
    }
}
