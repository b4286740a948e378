//! Whether a statement was overtaken by DDL while it ran.
//!
//! A statement that waits for a lock means what its names mean once it has it: another session holds
//! `BEGIN; CREATE OR REPLACE VIEW v …`, this one's harmless `SELECT … FROM v` waits, and would show what was put
//! there. So before the first of a reply is taken that was long in coming, or during which some session of the gate
//! may have committed DDL, the catalog is looked at again, and what runs is judged by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stepgate_session::{GoesOn, Pending, Protocol, TransactionSoFar};
use stepgate_sql::{Catalog, Doubt, Facts, SessionState, Taints, analyze, written};
use stepgate_types::{Certainty, Kind, RelationName};

use crate::database::{CommitsDdl, Database, Ddl};

/// A reply that comes sooner was not kept waiting by somebody else's transaction, or not by one outside the gate
/// that could time it.
const SOON: Duration = Duration::from_millis(100);

/// The most statements under way and portals that are not read to their end: more than a session can have replies outstanding,
/// Binds parked and portals, each as many at most. Were one let through and not remembered, it could show what it was overtaken by.
const MAX_WATCHED: usize = 4 * stepgate_session::MAX_OWED;

/// The most that may be known of them, in bytes: a few words about wide tables take megabytes. More than what is outstanding
/// and what portals may take.
const MAX_WATCHED_BYTES: usize = 64 << 20;

/// A statement under way that others may make mean something else.
pub(crate) struct Watched {
    pub(crate) pending: Arc<Pending>,
    /// What it goes on with, if it is an EXECUTE.
    pub(crate) executes: Option<Bytes>,
    /// By which its names were resolved.
    pub(crate) state: Arc<SessionState>,
    catalog: Own<Catalog>,
    /// Its portal has returned some rows, and may return more.
    suspended: bool,
    /// How often some session might have committed DDL before, and this one of those.
    epoch: u64,
    own: u64,
    sent: Instant,
}

/// What all sessions share, counted for one of them: a count of all sessions' would go from processor to processor with
/// every statement.
type Own<T> = Arc<Arc<T>>;

/// By what a statement was judged.
pub(crate) struct Judged<'a> {
    /// What it goes on with, if it is an EXECUTE or FETCH.
    pub(crate) goes_on: Option<GoesOn>,
    /// By which its names were resolved.
    pub(crate) state: &'a Arc<SessionState>,
    pub(crate) catalog: &'a Arc<Catalog>,
    /// As it was before that catalog was taken.
    pub(crate) ddl: Ddl,
    pub(crate) now: Instant,
}

impl Watched {
    /// Its facts by this catalog and these taints.
    pub(crate) fn facts(&self, catalog: &Catalog, taints: &Taints) -> Arc<[Facts]> {
        let state = SessionState { taints: taints.clone(), ..(*self.state).clone() };
        let facts = |sql: &Bytes| analyze(sql, catalog, &state);
        match (&*self.pending.facts, &self.executes) {
            ([only], Some(prepared)) => {
                facts(prepared).iter().map(|prepared| only.executed(prepared)).collect()
            }
            _ => facts(&self.pending.sql).into(),
        }
    }

    /// Its facts by this catalog and these taints, as far as they say anything of it.
    pub(crate) fn now(&self, catalog: &Catalog, taints: &Taints) -> Option<Arc<[Facts]>> {
        let then = &self.pending.facts;
        if self.only_moves() {
            // What is there by its old names is something else by now. What was stored by them since went along.
            return (!self.state.taints.is(taints)).then(|| self.facts(&self.catalog, taints));
        }
        if !matches!(&**then, [only] if only.kind == Kind::Ddl) {
            return Some(self.facts(catalog, taints));
        }
        let now = self.facts(catalog, taints);
        // It has rows for nobody, and when it is done its names mean something else. But it computes, and stores what it
        // has computed.
        let only_gone = |facts: &Facts| {
            facts.flows.is_empty()
                && facts.reasons.iter().all(|it| matches!(it.code, "unknown-relation" | "unresolved-name"))
        };
        let has_flows = then.iter().chain(&*now).any(|facts| !facts.flows.is_empty());
        let makes_view = |facts: &Facts| facts.effect.creates.as_ref().is_some_and(|created| created.view);
        if !has_flows && then.iter().all(makes_view) {
            return None;
        }
        let doubted = now.iter().any(|facts| facts.certainty == Certainty::Unknown && !only_gone(facts));
        (has_flows || doubted).then_some(now)
    }

    /// The relations in which it may have stored something, by what it was let through for, by these facts, and by what its
    /// names mean in either catalog.
    pub(crate) fn may_have_stored(&self, now: &[Facts], catalog: &Catalog) -> BTreeSet<RelationName> {
        let text = self.executes.as_ref().unwrap_or(&self.pending.sql);
        let known = self.pending.facts.iter().chain(now).flat_map(Facts::stores_in).cloned();
        let said = [&**self.catalog, catalog].into_iter().flat_map(|it| written(text, it, &self.state));
        known.chain(said).collect()
    }

    /// Whether code of somebody's own may have run in it, by what it was let through for or by these facts, and it is not
    /// understood by either: by what has changed since, code among it.
    pub(crate) fn may_have_done_anything(&self, now: &[Facts], catalog: &Catalog) -> bool {
        let all = || self.pending.facts.iter().chain(now);
        let doubts_code = |facts: &Facts| {
            facts.reasons.iter().any(|it| matches!(it.doubt, Doubt::Function | Doubt::DynamicSql))
        };
        all().any(|facts| facts.certainty == Certainty::Unknown)
            && all().any(Facts::runs_code)
            && (all().any(doubts_code) || catalog.has_new_code(&self.catalog))
    }

    /// About as many bytes as what is known of it takes.
    fn bytes(&self) -> usize {
        self.pending.facts.iter().map(Facts::bytes).fold(0, usize::saturating_add)
    }

    /// Whether it was judged by other knowledge than this.
    pub(crate) fn is_judged_otherwise(&self, catalog: &Arc<Catalog>, taints: &Taints) -> bool {
        !Arc::ptr_eq(&*self.catalog, catalog) || !self.state.taints.is(taints)
    }

    /// Whether it only gives things other names.
    fn only_moves(&self) -> bool {
        let moves = |facts: &Facts| {
            facts.effect.moves || matches!(facts.kind, Kind::Transaction | Kind::Session | Kind::Empty)
        };
        self.pending.facts.iter().all(moves)
    }

    /// One query that calls nothing: it locks all that it reads before it sends anything.
    fn is_plain(&self) -> bool {
        let is_query = |facts: &Facts| facts.kind == Kind::Select && facts.read_only && facts.is_settled();
        self.pending.protocol == Protocol::Simple && matches!(&*self.pending.facts, [only] if is_query(only))
    }
}

/// The statements of a session that are under way, by number.
pub(crate) struct UnderWay {
    /// Lowest number first.
    watched: VecDeque<Watched>,
    /// What is known of those, and of what was among them since there were last none.
    bytes: usize,
    /// By which the last of them was judged.
    catalog: Option<Own<Catalog>>,
    /// When something last came from the server.
    heard: Instant,
    /// The statement at the front when the catalog was last looked at.
    looked: Option<u64>,
    /// The open transaction has DDL in it: whatever is sent next may commit it.
    has_ddl: bool,
    /// What was sent that may commit DDL, by number; and what found no room there.
    commits: BTreeMap<u64, CommitsDdl>,
    commits_more: Option<CommitsDdl>,
    /// What has been done, and may not be committed before the next ReadyForQuery: a Sync commits, after whatever was deferred.
    commits_later: Option<CommitsDdl>,
    /// How often that was done, and the database's epoch moved by it.
    committed: u64,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self {
            watched: VecDeque::new(),
            bytes: 0,
            catalog: None,
            heard: Instant::now(),
            looked: None,
            has_ddl: false,
            commits: BTreeMap::new(),
            commits_more: None,
            commits_later: None,
            committed: 0,
        }
    }
}

impl UnderWay {
    /// Whether there is room for one more. `is_open`: more may come of the statement with that number.
    pub(crate) fn has_room(&mut self, is_open: impl Fn(u64) -> bool) -> bool {
        if self.watched.len() >= MAX_WATCHED || self.bytes > MAX_WATCHED_BYTES {
            // Portals that were closed, or made anew, half-way or before they were executed.
            self.watched.retain(|watched| is_open(watched.pending.number));
            self.bytes = self.watched.iter().map(Watched::bytes).fold(0, usize::saturating_add);
        }
        self.watched.len() < MAX_WATCHED && self.bytes <= MAX_WATCHED_BYTES
    }

    /// A statement is about to be sent, for which there is room. `anew`: nothing of what was sent before can still run.
    pub(crate) fn sends(
        &mut self,
        pending: Arc<Pending>,
        by: Judged<'_>,
        database: &Arc<Database>,
        anew: bool,
    ) {
        let Judged { goes_on, state, catalog, ddl, now } = by;
        if pending.transaction == TransactionSoFar::Nothing {
            self.has_ddl = false;
            // With the transaction, its portals have ended.
            self.watched.retain(|watched| !watched.suspended);
            if anew {
                // What was bound before and never executed is gone.
                self.watched.clear();
                self.committed += u64::try_from(self.own_commits()).unwrap_or(u64::MAX);
                self.commits.clear();
                (self.commits_more, self.commits_later) = (None, None);
            }
        }
        self.has_ddl |= pending.facts.iter().any(makes_for_others);
        if self.has_ddl && self.commits.len() < MAX_WATCHED {
            self.commits.insert(pending.number, database.commits_ddl());
        } else if self.has_ddl {
            self.commits_more.get_or_insert_with(|| database.commits_ddl());
        }
        let depends = matches!(goes_on, Some(GoesOn::Cursor(..))) || pending.facts.iter().any(may_change);
        if depends {
            let mut pending = pending;
            let executes = match goes_on {
                Some(GoesOn::Prepared(sql)) => Some(sql),
                // What the cursor was let through for.
                Some(GoesOn::Cursor(sql, facts)) => {
                    let pending = Arc::make_mut(&mut pending);
                    (pending.sql, pending.facts) = (sql, facts);
                    None
                }
                None => None,
            };
            let watched = Watched {
                pending,
                executes,
                suspended: false,
                state: Arc::clone(state),
                catalog: self.own(catalog),
                epoch: ddl.epoch,
                own: self.committed,
                sent: now,
            };
            self.bytes = if self.watched.is_empty() { 0 } else { self.bytes };
            self.bytes = self.bytes.saturating_add(watched.bytes());
            self.watched.push_back(watched);
        }
    }

    /// What was sent last compares with nothing any more: what it came in need not be kept.
    pub(crate) fn is_sent(&mut self) {
        if let Some(Watched { pending, .. }) = self.watched.back_mut()
            && !pending.values.is_empty()
        {
            let pending = Arc::make_mut(pending);
            (pending.values, pending.formats) = (Vec::new(), Vec::new());
        }
    }

    /// Its reply is complete; `suspended`: there may be more of it; `rests`: nothing could still commit what it has done.
    pub(crate) fn is_done(&mut self, number: u64, suspended: bool, rests: bool) {
        let place = self.watched.iter().position(|watched| watched.pending.number == number);
        match place.and_then(|place| self.watched.get_mut(place)) {
            Some(watched) if suspended => watched.suspended = true,
            Some(_) => drop(place.and_then(|place| self.watched.remove(place))),
            None => {}
        }
        if let Some(commits) = self.commits.remove(&number) {
            if !rests && self.commits_later.is_none() {
                self.commits_later = Some(commits);
            } else {
                self.committed += 1;
            }
        }
    }

    /// Something came from the server. Says whether the catalog must be looked at before it is taken. `described`: whose
    /// result is coming, if its columns have been described.
    pub(crate) fn hears(&mut self, now: Instant, ddl: Ddl, taints: &Taints, described: Option<u64>) -> bool {
        let heard = std::mem::replace(&mut self.heard, now);
        let Some(watched) = self.watched.front() else { return false };
        let front = watched.pending.number;
        // Not since the last one was sent: whoever goes on sending must not keep this from being noticed.
        let silent = now.saturating_duration_since(heard.max(watched.sent)) >= SOON;
        // Of several, the next may wait in turn; a plain query alone has its locks once its reply has begun.
        let settled = described == Some(front)
            && self.looked == Some(front)
            && self.watched.len() == 1
            && watched.is_plain();
        let tainted = self.watched.iter().any(|watched| !watched.state.taints.is(taints));
        if !silent && (settled || !(tainted || self.may_be_overtaken(ddl))) {
            return false;
        }
        self.looked = Some(front);
        true
    }

    /// All that is under way may be shown as things were at `ddl`, with that catalog and those taints.
    pub(crate) fn pass(&mut self, ddl: Ddl, catalog: &Arc<Catalog>, taints: &Taints) {
        let own = self.own(catalog);
        for watched in &mut self.watched {
            (watched.epoch, watched.own) = (ddl.epoch, self.committed);
            // What has moved something has the names of before.
            if !watched.only_moves() {
                watched.catalog = Arc::clone(&own);
            }
            if !watched.state.taints.is(taints) {
                Arc::make_mut(&mut watched.state).taints = taints.clone();
            }
        }
    }

    /// Nothing is under way: what was to be committed is, and another catalog than that in use is let go.
    pub(crate) fn rests(&mut self, catalog: &Arc<Catalog>) {
        if self.commits_later.take().is_some() {
            self.committed += 1;
        }
        if self.watched.is_empty() && self.catalog.as_ref().is_some_and(|own| !Arc::ptr_eq(&**own, catalog)) {
            self.catalog = None;
        }
    }

    /// What may still commit DDL, and what is under way, for whoever sees the server's end of the session out.
    pub(crate) fn into_parts(self) -> (Vec<CommitsDdl>, Vec<Watched>) {
        let commits = self.commits.into_values().chain(self.commits_more).chain(self.commits_later);
        (commits.collect(), self.watched.into())
    }

    fn own(&mut self, catalog: &Arc<Catalog>) -> Own<Catalog> {
        match &self.catalog {
            Some(own) if Arc::ptr_eq(&**own, catalog) => Arc::clone(own),
            _ => Arc::clone(self.catalog.insert(Arc::new(Arc::clone(catalog)))),
        }
    }

    fn own_commits(&self) -> usize {
        let besides = [&self.commits_more, &self.commits_later];
        self.commits.len() + besides.iter().filter(|some| some.is_some()).count()
    }

    /// Whether another session of the gate may have committed DDL since a statement under way was sent.
    pub(crate) fn may_be_overtaken(&self, ddl: Ddl) -> bool {
        let by_others = |watched: &Watched| {
            ddl.epoch.wrapping_sub(watched.epoch) != self.committed.wrapping_sub(watched.own)
        };
        ddl.committing > self.own_commits() || self.watched.iter().any(by_others)
    }

    /// What is under way.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Watched> {
        self.watched.iter()
    }

    /// What was judged by other knowledge than this.
    pub(crate) fn judged_otherwise<'s>(
        &'s self,
        catalog: &'s Arc<Catalog>,
        taints: &'s Taints,
    ) -> impl Iterator<Item = &'s Watched> {
        self.watched.iter().filter(move |watched| watched.is_judged_otherwise(catalog, taints))
    }
}

/// Whether what a statement does hangs on what may change until it does it: relations that it reads once it has their
/// locks, a view that has none beneath it among them, functions that are compiled when they are first called; of DDL and utilities, whatever has its names then.
fn may_change(facts: &Facts) -> bool {
    !facts.relations.is_empty()
        || facts.through_views
        || !facts.is_settled()
        || matches!(facts.kind, Kind::Ddl | Kind::Utility)
}

/// Whether a statement changes what other sessions' names mean, as far as it is understood.
fn makes_for_others(facts: &Facts) -> bool {
    facts.effect.catalog && facts.effect.creates.as_ref().is_none_or(|created| !created.temporary)
}
