//! Whether a statement was overtaken by DDL while it ran.
//!
//! A statement that waits for a lock means what its names mean once it has it: another session holds
//! `BEGIN; CREATE OR REPLACE VIEW v …`, this one's harmless `SELECT … FROM v` waits, and would show what was put
//! there. So before the first of a reply is taken that was long in coming, or during which some session of the gate
//! may have committed DDL, the catalog is looked at again, and what runs is judged by it. What two transactions have changed
//! since then may have been something else in between, of which no catalog tells: whoever hangs on that is overtaken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use stepgate_session::{GoesOn, Pending, Protocol, Text, TransactionSoFar};
use stepgate_sql::{
    Catalog, Changes, Doubt, Facts, Mentioned, SessionState, Taints, Touched, analyze, written,
};
use stepgate_types::{Certainty, Kind, RelationName};

use crate::database::{Acting, CommitsDdl, Database, Ddl, Opened, Transaction, act};

/// A reply that comes sooner was not kept waiting by somebody else's transaction, or not by one outside the gate
/// that could time it.
const SOON: Duration = Duration::from_millis(100);

/// The most statements under way and portals that are not read to their end: more than a session can have replies outstanding,
/// Binds parked and portals, each as many at most. Were one let through and not remembered, it could show what it was overtaken by.
const MAX_WATCHED: usize = 4 * stepgate_session::MAX_OWED;

/// The most that may be known of them, in bytes: a few words about wide tables take megabytes. More than what is outstanding
/// and what portals may take.
const MAX_WATCHED_BYTES: usize = 64 << 20;

/// The most statements of which it is remembered what each may commit later.
const MAX_LATER: usize = 64;

/// A statement under way that others may make mean something else.
pub(crate) struct Watched {
    pub(crate) pending: Arc<Pending>,
    /// What it goes on with, if it is an EXECUTE.
    pub(crate) executes: Option<Text>,
    /// By which its names were resolved.
    pub(crate) state: Arc<SessionState>,
    catalog: Own<Catalog>,
    /// Its portal has returned some rows, and may return more.
    suspended: bool,
    /// How often some session might have committed DDL before, and this one of those.
    epoch: u64,
    own: u64,
    sent: Instant,
    /// It does more than its reply says.
    acting: Option<Acting>,
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
    /// A transaction is open that was begun by a statement.
    pub(crate) in_block: bool,
}

impl Watched {
    /// Its facts by this catalog and these taints.
    pub(crate) fn facts(&self, catalog: &Catalog, taints: &Taints) -> Arc<[Facts]> {
        let state = SessionState { taints: taints.clone(), ..(*self.state).clone() };
        let facts = |text: &Text| {
            let otherwise = text.otherwise(&state);
            analyze(&text.sql, catalog, otherwise.as_ref().unwrap_or(&state))
        };
        match (&*self.pending.facts, &self.executes) {
            ([only], Some(prepared)) => {
                facts(prepared).iter().map(|prepared| only.executed(prepared)).collect()
            }
            _ => facts(&self.pending.text()).into(),
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

    /// The names that what it does hangs on, as things were when it was judged and as they are.
    fn mentioned(&self, catalog: &Catalog) -> Vec<Mentioned> {
        let sql = self.executes.as_ref().map_or(&self.pending.sql, |text| &text.sql);
        vec![Mentioned::of(sql, &self.catalog), Mentioned::of(sql, catalog)]
    }

    /// Whether it may have left more behind than a reply: code ran in it or it wrote something, or may have since DDL of the
    /// gate's sessions.
    pub(crate) fn leaves_something(&self, ddl: Ddl) -> bool {
        let does = |facts: &Facts| !facts.read_only || facts.runs_code();
        self.epoch != ddl.epoch || self.pending.facts.iter().any(does)
    }

    /// Whether others than this session have changed what it hangs on more than once since it was last judged: what that was
    /// in between is not known. If so, whether that may have been code.
    pub(crate) fn was_between(&self, database: &Database, session: u64, catalog: &Catalog) -> Option<bool> {
        if self.is_indifferent() {
            return None;
        }
        database.has_changed(self.epoch, session, 2, || self.mentioned(catalog))
    }

    /// Whether it makes no difference what its names meant: it was let through for anything, or neither shows nor stores
    /// nor computes anything.
    fn is_indifferent(&self) -> bool {
        let does_nothing = |facts: &Facts| {
            facts.kind == Kind::Ddl
                && facts.columns.is_empty()
                && facts.flows.is_empty()
                && facts.functions.is_empty()
        };
        let facts = &self.pending.facts;
        self.only_moves()
            || facts.iter().all(does_nothing)
            || facts.iter().all(|facts| facts.certainty == Certainty::Unknown)
    }

    /// The relations in which it may have stored something, by what it was let through for, by these facts, and by what its
    /// names mean in either catalog.
    pub(crate) fn may_have_stored(&self, now: &[Facts], catalog: &Catalog) -> BTreeSet<RelationName> {
        let text = self.executes.as_ref().map_or(&self.pending.sql, |text| &text.sql);
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
    /// What the open transaction changes for others: whatever is sent next may commit it.
    has_ddl: Option<Arc<Transaction>>,
    /// What would end that is on its way.
    has_ended: bool,
    /// As others see it.
    opened: Option<Opened>,
    /// Which of the database's sessions this is, once it has changed anything.
    session: Option<u64>,
    /// What was sent that may commit DDL, by number; and what found no room there.
    commits: BTreeMap<u64, CommitsDdl>,
    commits_more: Option<CommitsDdl>,
    /// What has been done, and may not be committed before the next ReadyForQuery: a Sync commits, after whatever was deferred.
    commits_later: Vec<CommitsDdl>,
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
            has_ddl: None,
            has_ended: false,
            opened: None,
            session: None,
            commits: BTreeMap::new(),
            commits_more: None,
            commits_later: Vec::new(),
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
        let Judged { goes_on, state, catalog, ddl, now, in_block } = by;
        if pending.transaction == TransactionSoFar::Nothing {
            (self.has_ddl, self.opened) = (None, None);
            // With the transaction, its portals have ended.
            self.watched.retain(|watched| !watched.suspended);
            if anew {
                // What was bound before and never executed is gone.
                self.watched.clear();
                self.committed += u64::try_from(self.own_commits()).unwrap_or(u64::MAX);
                self.commits.clear();
                (self.commits_more, self.commits_later) = (None, Vec::new());
            }
        }
        let text = match &goes_on {
            Some(GoesOn::Prepared(text)) => &text.sql,
            _ => &pending.sql,
        };
        self.changes(&pending.facts, text, catalog, database, in_block);
        if let Some(transaction) = &self.has_ddl {
            if self.commits.len() < MAX_WATCHED {
                self.commits.insert(pending.number, database.commits_ddl(transaction));
            } else {
                self.commits_more.get_or_insert_with(|| database.commits_ddl(transaction));
            }
        }
        let depends = matches!(goes_on, Some(GoesOn::Cursor(..))) || pending.facts.iter().any(may_change);
        if depends {
            let mut pending = pending;
            let executes = match goes_on {
                Some(GoesOn::Prepared(text)) => Some(text),
                // What the cursor was let through for.
                Some(GoesOn::Cursor(text, facts)) => {
                    let pending = Arc::make_mut(&mut pending);
                    (pending.sql, pending.read, pending.facts) = (text.sql, text.read, facts);
                    None
                }
                None => None,
            };
            let text = executes.as_ref().map_or(&pending.sql, |text| &text.sql);
            let acting = act(&pending.facts).then(|| database.acting(self.number(database), text, catalog));
            let watched = Watched {
                pending,
                executes,
                suspended: false,
                state: Arc::clone(state),
                catalog: self.own(catalog),
                epoch: ddl.epoch,
                own: self.committed,
                sent: now,
                acting,
            };
            self.bytes = if self.watched.is_empty() { 0 } else { self.bytes };
            self.bytes = self.bytes.saturating_add(watched.bytes());
            self.watched.push_back(watched);
        }
    }

    /// Counts what a statement changes for others to the transaction that is open, or to one of its own.
    fn changes(
        &mut self,
        facts: &[Facts],
        sql: &Bytes,
        catalog: &Catalog,
        database: &Arc<Database>,
        in_block: bool,
    ) {
        if self.has_ddl.is_none() && !facts.iter().any(makes_for_others) {
            return;
        }
        let Changes { touched, ends, twice, code } = changed_by(facts, sql, catalog);
        let session = self.number(database);
        let before = self.has_ddl.take_if(|_| in_block && !self.has_ended);
        self.has_ended = ends;
        self.has_ddl = Some(match before {
            Some(before) if touched == Touched::Nothing && !twice => before,
            Some(before) => {
                let Transaction { number, session, touched: so_far, twice: was, code: had } =
                    before.as_ref().clone();
                let touched = so_far.and(touched);
                Arc::new(Transaction { number, session, touched, twice: was || twice, code: had || code })
            }
            None => Arc::new(Transaction { number: database.number(), session, touched, twice, code }),
        });
        // In its place: what is dropped later would take this along.
        drop(self.opened.take());
        self.opened = self.has_ddl.as_ref().map(|transaction| database.opened(transaction));
    }

    /// Which of the database's sessions this is.
    fn number(&mut self, database: &Database) -> u64 {
        *self.session.get_or_insert_with(|| database.number())
    }

    /// Whether what was sent last does what must not be done beside what another session does: both were decided on at once.
    pub(crate) fn clashes(&self, database: &Database, catalog: &Catalog) -> bool {
        let session = self.session();
        let last = self.watched.back().filter(|last| last.acting.is_some());
        let touched = self.has_ddl.as_ref().map(|transaction| &transaction.touched);
        touched.is_some_and(|touched| database.is_hung_on(session, touched))
            || last.is_some_and(|last| {
                let sql = last.executes.as_ref().map_or(&last.pending.sql, |text| &text.sql);
                database.is_being_changed(session, || Mentioned::of(sql, catalog))
            })
    }

    /// Whether a statement that is decided on must not be sent now, for another session does what must not be done beside
    /// it; what it executes has this text.
    pub(crate) fn would_clash(
        &self,
        database: &Database,
        facts: &[Facts],
        sql: &Bytes,
        catalog: &Catalog,
    ) -> Option<Clash> {
        let session = self.session();
        if facts.iter().any(makes_for_others)
            && database.is_hung_on(session, &changed_by(facts, sql, catalog).touched)
        {
            return Some(Clash::IsUsed);
        }
        let changed = act(facts) && database.is_being_changed(session, || Mentioned::of(sql, catalog));
        changed.then_some(Clash::IsChanged)
    }

    /// Which of the database's sessions this is; none that has changed anything has the number 0.
    pub(crate) fn session(&self) -> u64 {
        self.session.unwrap_or_default()
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
        let Some(commits) = self.commits.remove(&number) else { return };
        if rests {
            self.committed += 1;
        } else if self.commits_later.len() < MAX_LATER {
            self.commits_later.push(commits);
        } else {
            self.commits_later.iter().take(1).for_each(CommitsDdl::anything);
            self.committed += 1;
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
    /// `ended`: no transaction is open.
    pub(crate) fn rests(&mut self, catalog: &Arc<Catalog>, ended: bool) {
        if ended {
            (self.has_ddl, self.opened) = (None, None);
        }
        self.committed += u64::try_from(self.commits_later.len()).unwrap_or(u64::MAX);
        self.commits_later.clear();
        if self.watched.is_empty() && self.catalog.as_ref().is_some_and(|own| !Arc::ptr_eq(&**own, catalog)) {
            self.catalog = None;
        }
    }

    /// What may still commit DDL, that it is not committed, and what is under way, for whoever sees the server's end of the
    /// session out.
    pub(crate) fn into_parts(self) -> (Vec<CommitsDdl>, Option<Opened>, Vec<Watched>) {
        let commits = self.commits.into_values().chain(self.commits_more).chain(self.commits_later);
        (commits.collect(), self.opened, self.watched.into())
    }

    fn own(&mut self, catalog: &Arc<Catalog>) -> Own<Catalog> {
        match &self.catalog {
            Some(own) if Arc::ptr_eq(&**own, catalog) => Arc::clone(own),
            _ => Arc::clone(self.catalog.insert(Arc::new(Arc::clone(catalog)))),
        }
    }

    fn own_commits(&self) -> usize {
        self.commits.len() + usize::from(self.commits_more.is_some()) + self.commits_later.len()
    }

    /// Whether another session of the gate may have committed DDL since a statement under way was sent.
    pub(crate) fn may_be_overtaken(&self, ddl: Ddl) -> bool {
        let by_others = |watched: &Watched| {
            ddl.epoch.wrapping_sub(watched.epoch) != self.committed.wrapping_sub(watched.own)
        };
        self.others_commit(ddl) || self.watched.iter().any(by_others)
    }

    /// Whether another session of the gate may commit DDL at any time.
    pub(crate) fn others_commit(&self, ddl: Ddl) -> bool {
        ddl.committing > self.own_commits()
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

/// What another session does that must not be done beside a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// It runs what the statement would change.
    IsUsed,
    /// It changes what the statement would run, and has not committed that.
    IsChanged,
}

/// Whether what a statement does hangs on what may change until it does it: relations that it reads once it has their
/// locks, a view that has none beneath it among them, functions that are compiled when they are first called; of DDL and utilities, whatever has its names then.
fn may_change(facts: &Facts) -> bool {
    !facts.relations.is_empty()
        || facts.through_views
        || !facts.is_settled()
        || matches!(facts.kind, Kind::Ddl | Kind::Utility)
}

/// What statements of this text change for others. What is not understood was let through for whatever it may do.
fn changed_by(facts: &[Facts], sql: &Bytes, catalog: &Catalog) -> Changes {
    let changes = Changes::of(sql, catalog);
    let is_known = |facts: &Facts| facts.certainty != Certainty::Unknown || facts.kind == Kind::Ddl;
    if facts.iter().any(|facts| makes_for_others(facts) && is_known(facts)) {
        return changes;
    }
    Changes { ends: changes.ends, ..Changes::default() }
}

/// Whether a statement changes what other sessions' names mean, as far as it is understood.
pub(crate) fn makes_for_others(facts: &Facts) -> bool {
    facts.effect.catalog && facts.effect.creates.as_ref().is_none_or(|created| !created.temporary)
}
