//! Looking at the catalog again: for names that may have changed, and before a reply is taken that DDL may have
//! overtaken (`overtaken.rs` says when).
//!
//! Whoever keeps the catalog from being read keeps it so for seconds, or for as long as they like. A statement that waits
//! for its names is not sent, so all that comes meanwhile is heard: its own cancel request, the session's end, replies to
//! what went before. While a reply waits, nothing is read of either side; cancel requests, which the server may still hear,
//! the session's end and that of its client are heard.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use stepgate_record::Event;
use stepgate_session::Unflagged;
use stepgate_types::SqlState;
use stepgate_wire::Problem;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};
use tracing::Instrument as _;

use super::wait::{Occurred, gone};
use super::{Drive, State};
use crate::database::{self, Changed, Database, Ddl, View};
use crate::judge::Standing;
use crate::overtaken::Watched;
use crate::{Stream, refusal};

/// How often, and after how long, the catalog is looked at again for a reply that must not be taken before.
const LOOKS: usize = 3;
/// The most columns that an alarm names.
const MAX_ALARMED: usize = 16;
const LOOK: Duration = Duration::from_millis(1_100);
/// How soon it is asked again for what may have changed what a reply says, and is not known to be committed.
const HEARS: Duration = Duration::from_millis(5);
/// How long a statement waits for its names before it is asked whether there is still somebody to answer. Until then it
/// runs as PostgreSQL would run it, whose clients may go without waiting.
const PATIENCE: Duration = Duration::from_millis(500);

/// A look at the catalog that a statement waits for, or a reply.
pub(super) struct Looking {
    looked: oneshot::Receiver<bool>,
    patience: Pin<Box<Sleep>>,
    /// The client has gone; once its statement has waited for a while.
    gone: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// How DDL stood before.
    ddl: Ddl,
    /// Without it nothing is to be done.
    needed: bool,
    /// What has a greater number in the database began later.
    until: u64,
    began: Instant,
}

impl Looking {
    /// `client`: where it is to be noticed that it has gone.
    pub(super) fn poll(&mut self, client: Option<&Stream>, context: &mut Context<'_>) -> Poll<Occurred> {
        if let Poll::Ready(looked) = Pin::new(&mut self.looked).poll(context) {
            return Poll::Ready(Occurred::Looked(looked.unwrap_or(false)));
        }
        let Some(client) = client else { return Poll::Pending };
        if self.gone.is_none() && self.patience.as_mut().poll(context).is_ready() {
            self.gone = Some(gone(client));
        }
        let Some(gone) = &mut self.gone else { return Poll::Pending };
        gone.as_mut().poll(context).map(|()| Occurred::ClientGone)
    }
}

/// Looks once, or for a while: whoever keeps the catalog from being read, as others of a restore in parallel do who make
/// indexes, is most often about to be done.
async fn look(database: Arc<Database>, again: bool, done: oneshot::Sender<bool>) {
    let mut seen = sees(&database).await;
    for _ in 0..LOOKS {
        // Closed: nobody waits for it any more.
        if seen || !again || done.is_closed() {
            break;
        }
        sleep(LOOK).await;
        seen = sees(&database).await;
    }
    let _ = done.send(seen);
}

async fn sees(database: &Database) -> bool {
    let looked = database.refresh().await;
    if let Err(error) = &looked {
        tracing::warn!(%error, "catalog cannot be read for names that may have changed");
    }
    looked.is_ok()
}

impl Drive {
    /// Looks whether somebody has made just now what is not known, or changed what is: what waits in `state.pending` is
    /// decided on afterwards. `again`: also where the catalog cannot be read at once.
    pub(super) fn look_for_names(&self, state: &mut State, ddl: Ddl, again: bool) {
        state.looking = Some(self.looks(ddl, again));
    }

    fn looks(&self, ddl: Ddl, needed: bool) -> Box<Looking> {
        let (done, looked) = oneshot::channel();
        let database = Arc::clone(&self.judge.database);
        // Apart: a look that was begun goes on whatever becomes of its session, and others wait for the same.
        tokio::spawn(look(database, needed, done).instrument(self.span.clone()));
        let (until, began) = (self.judge.database.number(), Instant::now());
        Box::new(Looking {
            looked,
            patience: Box::pin(sleep(PATIENCE)),
            gone: None,
            ddl,
            needed,
            until,
            began,
        })
    }

    /// Waits for a moment until more is known of what these numbers say, which may have changed what runs.
    fn hears_of(&self, looking: Looking, numbers: BTreeSet<u64>) -> Box<Looking> {
        let (done, looked) = oneshot::channel();
        let database = Arc::clone(&self.judge.database);
        let pause = HEARS.max(looking.began.elapsed() / 4).min(LOOK);
        let hears = async move {
            sleep(pause).await;
            database.asks_about(&numbers).await;
            let _ = done.send(true);
        };
        tokio::spawn(hears.instrument(self.span.clone()));
        Box::new(Looking { looked, ..looking })
    }

    /// Decides on what has waited for that. `seen`: the catalog could be read.
    pub(super) async fn looked(&mut self, state: &mut State, seen: bool) {
        let Some(looking) = state.looking.take() else { return };
        // A hold in the middle of what came before may have ended meanwhile.
        let pending = state.pending.take().or_else(|| self.session.deciding());
        let Some(mut pending) = pending else { return self.defect(state) };
        if let Some(view) = self.judge.database.view() {
            self.session.set_catalog(Arc::clone(&view.catalog));
        }
        // With the catalog, since labels may have followed their columns to other names.
        self.session.set_taints(self.judge.database.taints.now());
        if let Some(facts) = self.session.judge_again() {
            Arc::make_mut(&mut pending).facts = facts;
        }
        self.mind_timeout(state, pending.in_transaction);
        self.decide_by(state, pending, looking.ddl, seen).await;
    }

    /// Looks at the catalog as it is now, before anything of a reply is taken.
    pub(super) fn look_again(&self, state: &mut State) {
        let ddl = self.judge.database.ddl();
        let needed = state.under_way.may_be_overtaken(ddl);
        self.has_answer(state);
        state.reviewing = Some(self.looks(ddl, needed));
    }

    /// Judges what runs by the catalog as it is now. `seen`: it could be read.
    pub(super) async fn reviewed(&mut self, state: &mut State, seen: bool) {
        let Some(review) = state.reviewing.take() else { return };
        let Some(view) = self.judge.database.view() else { return };
        if seen || !review.needed {
            let unheard = self.unheard(state, &view, &review);
            if !unheard.is_empty() {
                state.reviewing = Some(self.hears_of(*review, unheard));
                return;
            }
            return self.judge_again(state, seen.then_some(review.ddl), review.until).await;
        }
        // Once its server's end is over, it is judged by what is known then (`leaving.rs`).
        for watched in state.under_way.all() {
            let stored = watched.may_have_stored(&[], &view.catalog);
            if let Err(error) = self.judge.stored_unknown(&view, &watched.pending, stored).await {
                tracing::error!(%error, "what a statement stored is not recorded");
            }
        }
        self.end(state, &refusal::overtaken(), "overtaken");
    }

    /// What may have changed, for what runs, what its names mean, and is not known to be committed.
    fn unheard(&self, state: &State, view: &View, review: &Looking) -> BTreeSet<u64> {
        if review.began.elapsed() >= database::PATIENCE {
            return BTreeSet::new();
        }
        let (database, session) = (&self.judge.database, state.under_way.session());
        let changed = |watched: &Watched| watched.was_between(database, session, &view.catalog, review.until);
        let mut unheard = BTreeSet::new();
        for watched in state.under_way.all() {
            if let Changed::Maybe(numbers) = changed(watched) {
                unheard.extend(numbers);
            }
        }
        unheard
    }

    /// Others who wait for the outcome of what runs learn it now: their replies and this one may wait for each other.
    fn has_answer(&self, state: &mut State) {
        let only = state.under_way.only().filter(|number| self.session.owes_only(*number));
        let Some(number) = only else { return };
        match state.server.cutter.outcome() {
            Some(b'E') => {
                state.under_way.has_committed(number, Some(self.session.completed()), false);
            }
            Some(b'C') => self.author.is_answered(number),
            _ => {}
        }
    }

    /// A result shows columns that its statement was not let through for. If any of them is classified, none of it goes
    /// to the client, and the session ends.
    pub(super) async fn shows_more(&mut self, state: &mut State, number: u64, unflagged: Unflagged) {
        let mut unflagged = unflagged;
        if unflagged.unknown {
            if let Err(error) = self.judge.database.refresh().await {
                tracing::warn!(%error, "catalog cannot be read for what a result shows");
            }
            if let Some(view) = self.judge.database.view() {
                self.session.set_catalog(Arc::clone(&view.catalog));
            }
            self.session.set_taints(self.judge.database.taints.now());
            unflagged = self.session.shows_more_now();
        }
        let classified = self.judge.classified(&unflagged.columns);
        let enforced = match (classified, unflagged.unknown) {
            (None, false) => return self.session.may_show(number),
            (enforced, _) => enforced.unwrap_or(true),
        };
        let session = self.judge.session;
        tracing::error!(%session, statement = number, "a result shows what its statement was not let through for");
        let columns = unflagged.columns.iter().take(MAX_ALARMED).map(ToString::to_string).collect();
        let alarm =
            Event::AlarmRaised { session, statement: number, what: "unflagged-column".to_owned(), columns };
        if let Err(error) = self.judge.gate.log.append(vec![alarm], Vec::new()).await {
            return self.log_failed(state, &error);
        }
        if !enforced {
            return self.session.may_show(number);
        }
        let problem = Problem::fatal(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "the result has columns that this statement was not let through for",
        );
        let hint = "Connect and send it again; tell the gate's operator, whose log has an alarm.";
        let problem = problem.with_detail("Nothing of it was shown.").with_hint(hint);
        self.end(state, &problem, "alarm");
    }

    /// Judges what runs by what is known now. `ddl`: as it was before the catalog was looked at, if it was.
    /// `until`: what is greater began later.
    async fn judge_again(&mut self, state: &mut State, ddl: Option<Ddl>, until: u64) {
        let Some(view) = self.judge.database.view() else { return };
        let taints = self.judge.database.taints.now();
        let (mut overtaken, mut stored, mut failed) = (false, Vec::new(), None);
        for watched in state.under_way.judged_otherwise(&view.catalog, &taints) {
            let Some(now) = watched.now(&view.catalog, &taints) else { continue };
            match self.judge.judge_watched(&view, watched, now).await {
                Ok(Standing::Stands(own)) => stored.extend(own),
                Ok(Standing::Overtaken) => overtaken = true,
                Err(error) => failed = Some(error),
            }
        }
        let session = state.under_way.session();
        for watched in state.under_way.all() {
            match self.judge.judge_between(&view, watched, session, until).await {
                Ok(was_between) => overtaken |= was_between,
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return self.log_failed(state, &error);
        }
        if overtaken || self.session.stores(stored).is_err() {
            return self.end(state, &refusal::overtaken(), "overtaken");
        }
        if let Some(ddl) = ddl {
            state.under_way.pass(ddl, &view.catalog, &taints);
        }
    }
}
