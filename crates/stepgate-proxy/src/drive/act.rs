//! What the session asks for is done: a statement is judged and sent, held or refused; its end is written down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_record::{Completed, Event, KeySource, Refusal};
use stepgate_session::{Action, Ending, GoesOn, Meter, Pending, Unflagged};
use stepgate_sql::Facts;
use stepgate_store::{End, LogError, PendingRelease};
use stepgate_types::{Kind, SqlState};
use stepgate_wire::Problem;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::{Drive, Goodbye, State};
use crate::changing::named;
use crate::database::{Ddl, View, act};
use crate::judge::Verdict;
use crate::overtaken::{Clash, Judged};
use crate::{CancelNotice, refusal};

/// Whoever sends unknown names has the server asked about its catalog at most so often.
const RECENTLY: Duration = Duration::from_millis(100);

/// Of how many statements that have ended unsaid the log is told at once.
const TOLD_AT_ONCE: usize = 64;

/// What cannot be done at once.
pub(super) enum Waits {
    Decide(Arc<Pending>),
    Withdraw,
    ShowsMore(u64, Unflagged),
    /// What a meter lets through is out; bytes of the next row.
    Threshold(Arc<Meter>, u64),
    /// There was no room for it in the log's queue.
    Note(Box<Event>),
    /// The catalog was looked at for what waits to be decided on; whether it could be read.
    Looked(bool),
    /// The same for what the server has sent.
    Reviewed(bool),
    /// A hold is over.
    Answered(Option<End>),
    Cancelled(CancelNotice),
    Tick,
}

impl Drive {
    /// Does what can be done at once, which is nearly all that is ever asked for; gives back what must be waited for.
    pub(super) fn act_at_once(&mut self, state: &mut State, action: Action) -> Option<Waits> {
        match action {
            Action::Decide(pending) if self.tracked.is_some() => {
                self.note_named(state, &pending);
                self.decide_as_before(state, pending).map(Waits::Decide)
            }
            Action::Decide(pending) => self.decide_as_before(state, pending).map(Waits::Decide),
            Action::Completed { number, sqlstate, done, prepared, rows, bytes, suspended, goes_on } => {
                let started = state.started.take(number);
                state.under_way.is_done(number, suspended);
                let rests = self.session.rests_in().is_some();
                if prepared {
                    state.under_way.has_prepared(number);
                }
                state.under_way.has_committed(number, done, rests);
                if !state.limited.is_empty() {
                    self.settle_limited(state);
                }
                self.judge.has_ended(number, sqlstate.is_some());
                self.judge.gate.metrics.completed(rows, bytes, sqlstate.as_deref());
                let took = started.map(|started| state.now.saturating_duration_since(started));
                let completed = Completed {
                    session: self.judge.session,
                    statement: number,
                    rows,
                    bytes,
                    duration_us: u64::try_from(took.unwrap_or_default().as_micros()).unwrap_or(u64::MAX),
                };
                self.note_completed(state, &completed, sqlstate, goes_on)
            }
            Action::Subjects { number, relation, keys, more } => {
                let event = self.judge.subjects(number, &relation, KeySource::Output, &keys, more);
                self.note(state, event)
            }
            Action::NotParsed { number, sqlstate } => {
                let session = self.judge.session;
                self.judge.gate.metrics.server_refused(&sqlstate);
                self.note(state, Event::StatementParseFailed { session, statement: number, sqlstate })
            }
            Action::LimitsOver => {
                self.settle_limited(state);
                None
            }
            Action::Withdraw { .. } => Some(Waits::Withdraw),
            Action::Threshold { meter, next } => Some(Waits::Threshold(meter, next)),
            Action::ShowsMore { number, unflagged } => Some(Waits::ShowsMore(number, unflagged)),
            Action::LoadCatalog { change } => {
                if state.loading.is_none() {
                    state.loading = Some((change, self.load_catalog()));
                }
                None
            }
            Action::Goodbye => {
                // As of a client that is heard out, the server is asked at times whether it is still there.
                (state.heard_out, state.goodbye) = (true, Goodbye::Said);
                None
            }
            Action::End(ending) => {
                state.ending = Some(match ending {
                    Ending::Terminate => "terminate",
                    Ending::Protocol => "protocol",
                    Ending::Limit => "limit",
                    Ending::Defect => "defect",
                });
                None
            }
        }
    }

    /// Does what is waited for: for the log, the desk or the catalog.
    pub(super) async fn act(&mut self, state: &mut State, waits: Waits) {
        match waits {
            Waits::Decide(pending) => self.decide(state, pending).await,
            Waits::Withdraw => self.withdraw(state, false).await,
            Waits::Threshold(meter, next) => self.threshold(state, &meter, next).await,
            Waits::ShowsMore(number, unflagged) => self.shows_more(state, number, unflagged).await,
            Waits::Looked(seen) => self.looked(state, seen).await,
            Waits::Reviewed(seen) => self.reviewed(state, seen).await,
            Waits::Answered(end) => self.answered(state, end).await,
            Waits::Cancelled(notice) => self.cancelled(state, notice).await,
            Waits::Tick => self.tick(state).await,
            Waits::Note(event) => {
                if let Err(error) = self.judge.gate.log.note_with_room(*event).await {
                    self.log_failed(state, &error);
                }
            }
        }
        state.has_waited();
    }

    /// Queues a statement's end, or its pause where its portal is `suspended`; gives it back if there is no room.
    fn note_completed(
        &mut self,
        state: &mut State,
        completed: &Completed,
        sqlstate: Option<String>,
        suspended: bool,
    ) -> Option<Waits> {
        if sqlstate.is_none() && !suspended {
            match self.judge.gate.log.note_completed(completed) {
                Ok(()) => return None,
                Err(LogError::Full) => return Some(Waits::Note(Box::new(completed.event()))),
                Err(error) => self.log_failed(state, &error),
            }
            return None;
        }
        let Completed { session, statement, rows, bytes, duration_us } = *completed;
        let event =
            Event::StatementCompleted { session, statement, sqlstate, rows, bytes, duration_us, suspended };
        self.note(state, event)
    }

    /// Queues an event; gives it back if there is no room.
    pub(super) fn note(&mut self, state: &mut State, event: Event) -> Option<Waits> {
        match self.judge.gate.log.note(&event) {
            Ok(()) => {}
            Err(LogError::Full) => return Some(Waits::Note(Box::new(event))),
            Err(error) => self.log_failed(state, &error),
        }
        None
    }

    /// Records the keys that a statement names. One that there is no room for is missing; then its statement counts
    /// as one that may have read anybody's data.
    fn note_named(&mut self, state: &mut State, pending: &Pending) {
        let Some(tracked) = &self.tracked else { return };
        let (_, catalog) = self.session.resolves_by();
        for event in self.judge.named_subjects(tracked, pending, catalog) {
            match self.judge.gate.log.note(&event) {
                Ok(()) | Err(LogError::Full) => {}
                Err(error) => return self.log_failed(state, &error),
            }
        }
    }

    /// Decides as the last time, if that is known; else gives the statement back.
    fn decide_as_before(&mut self, state: &mut State, pending: Arc<Pending>) -> Option<Arc<Pending>> {
        let (ddl, decides) = (self.judge.database.ddl(), Instant::now());
        if !pending.in_transaction {
            state.outside = decides;
        }
        let doubtful = pending.facts.iter().any(|facts| !facts.reasons.is_empty());
        if doubtful || self.judge.database.is_behind() || self.clash(state, &pending, ddl).is_some() {
            return Some(pending);
        }
        let otherwise = self.session.reads_otherwise(&pending);
        let names = otherwise.as_ref().unwrap_or(self.session.resolves_by().0);
        let Some(verdict) = self.judge.decide_as_before(&pending, names) else { return Some(pending) };
        let metrics = &self.judge.gate.metrics;
        metrics.analysed(decides.saturating_duration_since(state.now));
        state.now = Instant::now();
        metrics.thought(state.now.saturating_duration_since(decides));
        state.pending = Some(pending);
        self.obey(state, verdict, ddl);
        None
    }

    /// What is judged next may wait, but not for longer than the server lets its transaction go on (PostgreSQL 17,
    /// `transaction_timeout`).
    pub(super) fn mind_timeout(&mut self, state: &State, in_transaction: bool) {
        let timeout = self.session.transaction_timeout().filter(|_| in_transaction);
        self.judge.transaction_left = timeout.map(|timeout| timeout.saturating_sub(state.outside.elapsed()));
    }

    async fn decide(&mut self, state: &mut State, pending: Arc<Pending>) {
        self.mind_timeout(state, pending.in_transaction);
        if !state.limited.is_empty() {
            self.settle_limited(state);
        }
        let arrived = std::mem::replace(&mut state.now, Instant::now());
        self.judge.gate.metrics.analysed(state.now.saturating_duration_since(arrived));
        let ddl = self.judge.database.ddl();
        let rested = state.looked_for_names.is_none_or(|looked| looked.elapsed() >= RECENTLY);
        let unknown = rested && self.may_be_known_by_now(&pending.facts);
        let behind = self.judge.database.is_behind();
        if unknown || behind {
            state.looked_for_names = Some(Instant::now());
            let again = behind && pending.facts.iter().any(has_names);
            state.pending = Some(pending);
            return self.look_for_names(state, ddl, again);
        }
        self.decide_by(state, pending, ddl, true).await;
    }

    /// Decides by the catalog in use. `seen`: nothing keeps it from being what the server has.
    pub(super) async fn decide_by(
        &mut self,
        state: &mut State,
        mut pending: Arc<Pending>,
        ddl: Ddl,
        seen: bool,
    ) {
        let behind = !seen && self.judge.database.is_behind();
        let clash = self.clash(state, &pending, ddl);
        let verdict = if let Some(clash) = clash {
            self.judge.fail(&pending, Refusal::CatalogUnknown, refusal::clash(clash)).await
        } else if behind && pending.facts.iter().any(has_names) {
            // What is known of them was true before somebody changed it.
            self.judge.fail(&pending, Refusal::CatalogUnknown, refusal::catalog_unknown()).await
        } else {
            let otherwise = self.session.reads_otherwise(&pending);
            let (names, catalog) = self.session.resolves_by();
            self.judge.decide(&mut pending, (otherwise.as_ref().unwrap_or(names), catalog)).await
        };
        state.now = Instant::now();
        state.pending = Some(pending);
        self.obey_unless_called_off(state, verdict, ddl).await;
    }

    /// What another session does that must not be done beside this.
    fn clash(&mut self, state: &State, pending: &Pending, ddl: Ddl) -> Option<Clash> {
        let refers = |facts: &Facts| matches!(facts.kind, Kind::Execute | Kind::Cursor);
        let refers = pending.facts.iter().any(refers);
        let makes = pending.facts.iter().any(Facts::changes_names_of_others) || state.under_way.has_failed();
        let unheard = state.under_way.is_unheard(state.client.out.len());
        if !refers && !act(&pending.facts, unheard) && !makes {
            return None;
        }
        let goes_on = refers.then(|| self.session.goes_on(&pending.text())).flatten();
        let (sql, facts) = match &goes_on {
            Some(GoesOn::Prepared(text)) => (&text.sql, &pending.facts),
            Some(GoesOn::Cursor(text, facts)) => (&text.sql, facts),
            None => (&pending.sql, &pending.facts),
        };
        let otherwise = self.session.reads_otherwise(pending);
        let (names, catalog) = self.session.resolves_by();
        let names = otherwise.as_ref().unwrap_or(names);
        let text = named(sql, catalog, Some(&**names).filter(|_| goes_on.is_none()));
        state.under_way.would_clash(&self.judge.database, facts, &text, ddl, unheard)
    }

    /// Whether a statement names a relation or column that the catalog in use does not have, or, where something was
    /// locked when the catalog was read, one of which not all is known.
    fn may_be_known_by_now(&self, facts: &[Facts]) -> bool {
        let locked = || self.judge.database.view().is_some_and(|view| view.catalog.has_locked());
        let mut reasons = facts.iter().flat_map(|facts| &facts.reasons);
        reasons.any(|reason| match reason.code {
            "unknown-relation" | "unresolved-name" => true,
            "view-or-policy-with-unknown-parts" | "unknown-function" => locked(),
            _ => false,
        })
    }

    /// Whether one more statement can be kept track of. Of those that nothing more can come of, though no reply has said so
    /// (a portal that was made anew before it was executed), the log is told, of some at a time.
    fn has_room(&self, state: &mut State) -> bool {
        let is_open = |number: u64| self.session.is_open(number);
        if state.started.has_many() {
            let gone = state.started.numbers().filter(|number| !is_open(*number));
            for statement in gone.take(TOLD_AT_ONCE).collect::<Vec<_>>() {
                let session = self.judge.session;
                let event =
                    Event::StatementOutcomeUnknown { session, statement, rows: Some(0), bytes: Some(0) };
                // Where the log has no room now, it has by one of the next.
                if self.judge.gate.log.note(&event).is_err() {
                    break;
                }
                state.started.take(statement);
            }
        }
        !state.started.is_full() && state.under_way.has_room(is_open)
    }

    /// `ddl`: as it was before the catalog was taken by which this was judged.
    pub(super) fn obey(&mut self, state: &mut State, verdict: Verdict, ddl: Ddl) {
        match verdict {
            Verdict::Pass(pass, release, stored) => {
                if let Some(pending) = state.pending.take() {
                    let has_room = self.has_room(state);
                    state.started.insert(pending.number, state.now);
                    if !has_room {
                        return self.end(state, &refusal::too_many_open(), "limit");
                    }
                    // By what it was judged, before what it stores itself is known.
                    let refers = |facts: &Facts| matches!(facts.kind, Kind::Execute | Kind::Cursor);
                    let refers = pending.facts.iter().any(refers);
                    let goes_on = refers.then(|| self.session.goes_on(&pending.text())).flatten();
                    let otherwise = self.session.reads_otherwise(&pending);
                    let (names, catalog) = self.session.resolves_by();
                    let names = otherwise.as_ref().unwrap_or(names);
                    let in_block = self.session.is_in_block();
                    let author = &self.author;
                    let unheard = state.under_way.is_unheard(state.client.out.len());
                    let now = state.now;
                    let by = Judged { goes_on, state: names, catalog, ddl, author, now, in_block, unheard };
                    let anew = self.session.begins_anew();
                    state.under_way.sends(pending, by, &self.judge.database, anew);
                    if state.under_way.clashes(&self.judge.database, self.session.resolves_by().1) {
                        return self.end(state, &refusal::overtaken(), "overtaken");
                    }
                }
                self.learn(state);
                if self.session.stores(stored).is_err() {
                    let problem = Problem::fatal(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        "too many temporary tables of this session hold copies of labelled columns",
                    );
                    return self.end(state, &problem, "limit");
                }
                let mut release = release;
                let released = release.as_mut().filter(|_| state.releases.is_empty());
                let released = released.and_then(PendingRelease::try_release);
                if released.is_none()
                    && let Some(release) = release
                {
                    let release = match &self.bell {
                        Some(bell) => release.wait_for(bell),
                        None => release,
                    };
                    state.releases.push_back((release, state.now));
                }
                if self.session.pass(pass).is_err() {
                    return self.defect(state);
                }
                state.under_way.is_sent();
                if let Some(released) = released {
                    self.released(state, released, state.now);
                }
            }
            Verdict::Limited(limited, verdict) => {
                self.limit(state, *limited);
                self.obey(state, *verdict, ddl);
            }
            Verdict::Hold(_) if state.hold.is_some() => self.defect(state),
            Verdict::Hold(hold) => {
                self.session.hold(&hold.notice);
                state.hold = Some((hold, self.judge.gate.metrics.hold()));
            }
            Verdict::Refuse(problem) => {
                state.pending = None;
                self.session.refuse(&problem);
            }
        }
    }

    /// A record has come far enough for its reply, that has waited for it `since`.
    pub(super) fn released(
        &mut self,
        state: &mut State,
        release: Result<stepgate_record::Release, LogError>,
        since: Instant,
    ) {
        self.judge.gate.metrics.logged(state.now.saturating_duration_since(since));
        match release {
            Ok(release) => {
                if self.session.release(release).is_err() {
                    self.defect(state);
                }
            }
            Err(error) => self.log_failed(state, &error),
        }
    }

    pub(super) fn catalog_loaded(&mut self, state: &mut State, view: Option<Arc<View>>) {
        let Some((change, _)) = state.loading.take() else { return };
        // It may be older by now than what was learnt since.
        state.learnt = None;
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
        let loads = async move {
            let view = database.load().await;
            if let Err(error) = &view {
                tracing::warn!(database = %database.config.name, %error, "catalog cannot be read");
            }
            // Nobody listens any more if the session has ended.
            let _ = done.send(view.ok());
        };
        tokio::spawn(loads.instrument(self.span.clone()));
        loading
    }
}

/// Whether what a statement does hangs on the catalog.
fn has_names(facts: &Facts) -> bool {
    !matches!(facts.kind, Kind::Transaction | Kind::Session | Kind::Empty)
}
