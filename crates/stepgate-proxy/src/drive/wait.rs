//! What a session waits for. Its bytes come first and cost least: what can be written is written, what can be read is
//! read, and whatever is seldom is asked only where it can be, or once it has rung (`calls.rs`).

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use stepgate_record::Release;
use stepgate_store::{End, LogError};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::calls::Call;
use super::leaving::is_lost;
use super::{Drive, Goodbye, MAX_QUEUED, State};
use crate::database::View;
use crate::peer::Lookout;
use crate::side::Side;
use crate::{Shutdown, Stream, buffers};

/// How often a held client is shown that its connection lives: the shortest read timeout seen in a driver
/// is 2 s.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What has happened.
pub(super) enum Occurred {
    /// Something came, or the end did, of either side.
    Read {
        client: Reading,
        server: Reading,
    },
    /// There is room again for what was kept back, or all is written that a session at its end waits for.
    Written,
    Released(Result<Release, LogError>),
    Answered(Option<End>),
    /// The catalog was looked at for what waits to be decided on; whether it could be read.
    Looked(bool),
    /// The same for what the server has sent.
    Reviewed(bool),
    CatalogLoaded(Option<Arc<View>>),
    /// The server has dealt with a cancel request, or nobody knows whether it has.
    CancelDelivered(bool),
    Called(Call),
    /// The server has dealt with the cancel request of a reply that is being ended, if it could be reached.
    Cut(bool),
    Tick,
    /// The client has gone, maybe behind what it sent before.
    ClientGone,
    /// The server has gone, behind what it sent before and what is not read while a row waits.
    ServerGone,
    /// The client sends nothing more, and the server answers nobody.
    ServerLost,
    /// The client reads nothing, and the server waits for it.
    ClientStalls,
}

/// What came of reading, where anything did.
pub(super) type Reading = Option<std::io::Result<usize>>;

/// What is done for as long as a statement is held.
pub(super) struct Vigil {
    tick: Interval,
    /// The client has gone.
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The server has.
    server_gone: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Vigil {
    fn over(client: &Stream, server: &Stream) -> Box<Self> {
        let mut tick = interval(KEEP_ALIVE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Box::new(Self { tick, gone: gone(client), server_gone: gone(server) })
    }
}

/// Resolves when that peer has gone.
pub(super) fn gone(peer: &Stream) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let lookout = Lookout::of(peer.tcp());
    Box::pin(async move {
        match lookout {
            Ok(lookout) => lookout.gone().await,
            Err(_) => pending().await,
        }
    })
}

impl Drive {
    /// The next thing that has happened.
    pub(super) fn poll(&mut self, state: &mut State, context: &mut Context<'_>) -> Poll<Occurred> {
        if let Poll::Ready(call) = self.calls.poll(context) {
            return Poll::Ready(Occurred::Called(call));
        }
        if let Some((release, _)) = state.releases.front_mut()
            && let Poll::Ready(release) = Pin::new(release).poll(context)
        {
            return Poll::Ready(Occurred::Released(release));
        }
        if state.under_way.keeps_others() {
            // Whoever is told that a transaction is over may tell others, whom it keeps from nothing then.
            self.settle(state);
        }
        if state.under_way.commits() {
            self.tell_author(state);
        }
        if let Poll::Ready(written) = write(state, context) {
            return Poll::Ready(written);
        }
        if let Poll::Ready(seldom) = self.poll_seldom(state, context) {
            return Poll::Ready(seldom);
        }
        let State { client, server, heard_out, goodbye, reviewing, .. } = state;
        let takes = reviewing.is_none();
        let reads = takes && !*heard_out && server.out.len() < MAX_QUEUED;
        let read_client = reads && self.session.wants_client();
        let hears = takes && *goodbye != Goodbye::Answered && client.out.len() < MAX_QUEUED;
        let read_server = hears && self.session.wants_server();
        let from_server = if read_server { if_ready(self.read_server(state, context)) } else { None };
        let from_client = if read_client { self.read_client(state, context) } else { Poll::Pending };
        if from_server.is_some() || from_client.is_ready() {
            let client = if let Poll::Ready(client) = from_client { client } else { None };
            return Poll::Ready(Occurred::Read { client, server: from_server });
        }
        self.settle(state);
        let State { client, server, releases, .. } = state;
        if !read_server && !releases.is_empty() {
            // Until its reply may be shown, that there is one is no news.
            server.mute();
        }
        client.rest();
        server.rest();
        buffers::give_back(self.session.to_client());
        buffers::give_back(self.session.to_server());
        Poll::Pending
    }

    /// Before anything more is sent, others learn whether the server has but one thing to do for this session, and will be heard
    /// as soon as that is done.
    fn tell_author(&self, state: &State) {
        let reads = state.reviewing.is_none() && state.client.out.len() < MAX_QUEUED;
        let is_heard = reads && self.session.wants_server();
        let only = state.under_way.only().filter(|number| is_heard && self.session.owes_only(*number));
        let is_one_segment = is_heard && self.session.owes_one_segment();
        self.author.owes(only, is_one_segment, self.session.may_listen());
    }

    /// What is waited for only at times.
    fn poll_seldom(&self, state: &mut State, context: &mut Context<'_>) -> Poll<Occurred> {
        match &mut state.hold {
            Some((hold, _)) => {
                // Where it is let go, it is sent: not while a cancel request is under way, which would hit it.
                if state.cancelling.is_none()
                    && let Poll::Ready(end) = Pin::new(&mut hold.waiting.ended).poll(context)
                {
                    return Poll::Ready(Occurred::Answered(end.ok()));
                }
                let vigil = state
                    .vigil
                    .get_or_insert_with(|| Vigil::over(&state.client.stream, &state.server.stream));
                if vigil.tick.poll_tick(context).is_ready() {
                    return Poll::Ready(Occurred::Tick);
                }
                if vigil.gone.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Occurred::ClientGone);
                }
                // Where it is read, its last words come first; and whom a client has said goodbye to, closes behind all that it
                // has still to be told.
                if state.goodbye == Goodbye::Unsaid
                    && !self.session.wants_server()
                    && vigil.server_gone.as_mut().poll(context).is_ready()
                {
                    return Poll::Ready(Occurred::ServerGone);
                }
            }
            None => state.vigil = None,
        }
        if let Some(cancelling) = &mut state.cancelling
            && let Poll::Ready(done) = cancelling.poll(context)
        {
            return Poll::Ready(Occurred::CancelDelivered(done));
        }
        // What is decided on then may be sent: not while a cancel request is under way, which would hit it.
        if let Some(looking) = &mut state.looking
            && state.cancelling.is_none()
            && state.hold.is_none()
            && let Poll::Ready(occurred) = looking.poll(Some(&state.client.stream), context)
        {
            return Poll::Ready(occurred);
        }
        if let Some(reviewing) = &mut state.reviewing {
            // Who only sends nothing more still wants to be answered.
            let client = (!state.heard_out).then_some(&state.client.stream);
            match reviewing.poll(client, context) {
                Poll::Ready(Occurred::Looked(seen)) => return Poll::Ready(Occurred::Reviewed(seen)),
                Poll::Ready(gone) => return Poll::Ready(gone),
                Poll::Pending => {}
            }
        }
        if let Some((_, loading)) = &mut state.loading
            && let Poll::Ready(view) = Pin::new(loading).poll(context)
        {
            return Poll::Ready(Occurred::CatalogLoaded(view.ok().flatten()));
        }
        if let Some(cutting) = &mut state.cutting
            && let Poll::Ready(cancelled) = cutting.poll(context)
        {
            return Poll::Ready(Occurred::Cut(cancelled));
        }
        if state.heard_out && state.goodbye != Goodbye::Answered {
            let is_lost =
                || -> Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(is_lost(self.server_key.address)) };
            if state.lost.get_or_insert_with(is_lost).as_mut().poll(context).is_ready() {
                return Poll::Ready(Occurred::ServerLost);
            }
        }
        let patience = self.judge.gate.patience();
        // Where nothing more comes, all of it must be read.
        let much = if state.goodbye == Goodbye::Answered { 1 } else { MAX_QUEUED };
        state.client.stalls(much, patience, context).map(|()| Occurred::ClientStalls)
    }
}

fn if_ready(read: Poll<std::io::Result<usize>>) -> Reading {
    match read {
        Poll::Ready(read) => Some(read),
        Poll::Pending => None,
    }
}

/// Writes what can be written to both sides.
fn write(state: &mut State, context: &mut Context<'_>) -> Poll<Occurred> {
    let full = |side: &Side| side.out.len() >= MAX_QUEUED;
    let were_full = (full(&state.client), full(&state.server));
    let Ok(to_client) = state.client.write(context) else { return Poll::Ready(Occurred::ClientGone) };
    let to_server = state.server.write(context).unwrap_or_else(|_| {
        // What the server said before it went may still be there to read.
        state.server.out.clear();
        state.server.unflushed = false;
        true
    });
    let has_room = (were_full.0 && !full(&state.client)) || (were_full.1 && !full(&state.server));
    let ends = state.shutdown != Shutdown::Serving || state.goodbye == Goodbye::Answered;
    let may_end = ends && (to_client || to_server);
    if has_room || may_end { Poll::Ready(Occurred::Written) } else { Poll::Pending }
}
