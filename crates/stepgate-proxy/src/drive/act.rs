//! What the session asks for is done: a statement is judged and sent, held or refused; its end is written down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_record::Event;
use stepgate_session::{Action, Ending, Pending};
use stepgate_sql::Facts;
use stepgate_store::{Log, LogError, PendingRelease};
use stepgate_types::{Kind, SqlState};
use stepgate_wire::Problem;
use tokio::sync::oneshot;

use super::{Drive, State};
use crate::database::{Ddl, View};
use crate::judge::Verdict;
use crate::overtaken::Judged;
use crate::refusal;

/// Whoever sends unknown names has the server asked about its catalog at most so often.
const RECENTLY: Duration = Duration::from_millis(100);

impl Drive {
    pub(super) async fn act(&mut self, state: &mut State, action: Action) {
        match action {
            Action::Decide(pending) => self.decide(state, pending).await,
            Action::Withdraw { .. } => self.withdraw(state, false).await,
            Action::Completed { number, sqlstate, rows, bytes, suspended } => {
                let started = state.started.take(number);
                state.under_way.is_done(number, suspended);
                self.judge.gate.metrics.completed(rows, bytes, sqlstate.is_some());
                let took =
                    started.map(|started| state.now.saturating_duration_since(started)).unwrap_or_default();
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
            Action::ShowsMore { number, unflagged } => self.shows_more(state, number, unflagged).await,
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

    async fn decide(&mut self, state: &mut State, mut pending: Arc<Pending>) {
        let arrived = std::mem::replace(&mut state.now, Instant::now());
        self.judge.gate.metrics.analysed(state.now.saturating_duration_since(arrived));
        let ddl = self.judge.database.ddl();
        let rested = state.looked_for_names.is_none_or(|looked| looked.elapsed() >= RECENTLY);
        let unknown = rested && self.may_be_known_by_now(&pending.facts);
        let behind = self.judge.database.is_behind();
        let mut looked = true;
        if unknown || behind {
            state.looked_for_names = Some(Instant::now());
            looked = Box::pin(self.look_for_names(&mut pending)).await;
        }
        let before = if unknown || behind { None } else { self.judge.decide_as_before(&pending) };
        let verdict = if let Some(verdict) = before {
            let begun = std::mem::replace(&mut state.now, Instant::now());
            self.judge.gate.metrics.thought(state.now.saturating_duration_since(begun));
            verdict
        } else {
            let verdict = if behind && !looked && pending.facts.iter().any(has_names) {
                // What is known of them was true before somebody changed it.
                Verdict::Refuse(refusal::catalog_unknown())
            } else {
                Box::pin(self.judge.decide(&mut pending, self.session.resolves_by())).await
            };
            state.now = Instant::now();
            verdict
        };
        state.pending = Some(pending);
        self.obey(state, verdict, ddl);
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

    /// `ddl`: as it was before the catalog was taken by which this was judged.
    pub(super) fn obey(&mut self, state: &mut State, verdict: Verdict, ddl: Ddl) {
        match verdict {
            Verdict::Pass(pass, release, stored) => {
                if let Some(pending) = state.pending.take() {
                    state.started.insert(pending.number, state.now);
                    // By what it was judged, before what it stores itself is known.
                    let refers = |facts: &Facts| matches!(facts.kind, Kind::Execute | Kind::Cursor);
                    let refers = pending.facts.iter().any(refers);
                    let goes_on = refers.then(|| self.session.goes_on(&pending.sql)).flatten();
                    let (names, catalog) = self.session.resolves_by();
                    let by = Judged { goes_on, state: names, catalog, ddl, now: state.now };
                    state.under_way.sends(pending, by, &self.judge.database, self.session.is_idle());
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
                if released.is_none() {
                    state.releases.extend(release.map(|release| (release, state.now)));
                }
                if self.session.pass(pass).is_err() {
                    return self.defect(state);
                }
                if let Some(released) = released {
                    self.released(state, released, state.now);
                }
            }
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
}

/// Whether what a statement does hangs on the catalog.
fn has_names(facts: &Facts) -> bool {
    !matches!(facts.kind, Kind::Transaction | Kind::Session | Kind::Empty)
}

/// Queues an event, waiting for room where there is none.
async fn note(log: &Log, event: Event) -> Result<(), LogError> {
    match log.note(event.clone()) {
        Err(LogError::Full) => log.append(vec![event], Vec::new()).await.map(drop),
        other => other,
    }
}
