//! Large messages: they are read bit by bit, as far as there is room for them (`memory.rs`). A client's for which there is
//! none for too long, or of which nothing more comes, is let go: it fails in its place once its end has come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use stepgate_wire::{Dropped, LARGE};
use tokio::time::{Instant, Sleep, sleep};

use super::wait::Reading;
use super::{Drive, State};
use crate::memory::Share;
use crate::side::Side;

/// Bytes of a large message that are read at a time: so much is taken for what has not come yet.
const BIT: usize = 256 << 10;

/// How long a message waits for room before it is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a session that has a large message has of the memory for those.
pub(super) struct Large {
    share: Share,
    /// Until there may be room for what comes next.
    room: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    /// When its wait for room ends.
    until: Option<Instant>,
    /// Until when something more must have come.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Large {
    /// Whether there is room for so many bytes; `None`: it is waited for.
    fn has_room(&mut self, bytes: usize, context: &mut Context<'_>) -> Option<bool> {
        loop {
            if self.room.is_none() && self.share.grow_to(bytes) {
                self.until = None;
                return Some(true);
            }
            let until = *self.until.get_or_insert_with(|| Instant::now() + PATIENCE);
            let room = self.room.get_or_insert_with(|| Box::pin(self.share.waits(bytes, until)));
            let Poll::Ready(there) = room.as_mut().poll(context) else { return None };
            self.room = None;
            if !there {
                self.until = None;
                return Some(false);
            }
        }
    }

    /// Whether nothing has come for too long.
    fn stands_still(&mut self, long: Duration, context: &mut Context<'_>) -> bool {
        self.patience.get_or_insert_with(|| Box::pin(sleep(long))).as_mut().poll(context).is_ready()
    }
}

impl Drive {
    /// Reads what the client has sent; of a large message no more than there is room for. Ready with nothing: one was let
    /// go.
    pub(super) fn read_client(&self, state: &mut State, context: &mut Context<'_>) -> Poll<Reading> {
        let Some(missing) = state.client.cutter.missing() else {
            return state.client.read(context).map(Some);
        };
        if state.hold.is_some() {
            // PostgreSQL would not read it either before it is done with what comes first.
            return Poll::Pending;
        }
        let (next, kept, patience) = (missing.min(BIT), self.kept(state), self.judge.gate.patience());
        let large = self.large(&mut state.large);
        let why = match large.has_room(kept.saturating_add(next), context) {
            None => return Poll::Pending,
            Some(false) => Dropped::NoRoom,
            Some(true) => match state.client.read_at_most(next, context) {
                Poll::Ready(read) => {
                    large.patience = None;
                    return Poll::Ready(Some(read));
                }
                Poll::Pending if large.stands_still(patience, context) => Dropped::StoodStill,
                Poll::Pending => return Poll::Pending,
            },
        };
        large.patience = None;
        state.client.cutter.give_up(why);
        Poll::Ready(None)
    }

    /// Reads what the server has sent; of a large message (an error, a notice, a description), which is relayed in whole,
    /// no more than there is room for. A server waits for as long as that takes, as it does for a client that reads slowly.
    pub(super) fn read_server(
        &self,
        state: &mut State,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(missing) = state.server.cutter.missing() else { return state.server.read(context) };
        let (next, kept) = (missing.min(BIT), self.kept(state));
        let large = self.large(&mut state.large);
        loop {
            match large.has_room(kept.saturating_add(next), context) {
                Some(true) => return state.server.read_at_most(next, context),
                Some(false) => {}
                None => return Poll::Pending,
            }
        }
    }

    fn large<'l>(&self, large: &'l mut Option<Box<Large>>) -> &'l mut Large {
        large.get_or_insert_with(|| {
            let share = Share::new(Arc::clone(&self.judge.gate.memory), self.judge.person.clone());
            Box::new(Large { share, room: None, until: None, patience: None })
        })
    }

    /// A session that has had a large message has as much of the memory for those as it still needs.
    pub(super) fn account(&self, state: &mut State) {
        let kept = self.kept(state);
        let Some(large) = &mut state.large else { return };
        if kept <= LARGE && state.hold.is_none() && state.approved.is_none() {
            state.large = None;
        } else if large.room.is_none() {
            large.share.has(kept);
        }
    }

    /// Bytes of both sides that are here: read and not yet cut, not yet judged, not yet written.
    fn kept(&self, state: &State) -> usize {
        let of = |side: &Side| side.cutter.buffered().saturating_add(side.out.len());
        of(&state.client).saturating_add(of(&state.server)).saturating_add(self.session.keeps())
    }
}
