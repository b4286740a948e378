//! Whether a statement was overtaken by DDL while it ran.
//!
//! A statement that waits for a lock means what its names mean once it has it: another session holds
//! `BEGIN; CREATE OR REPLACE VIEW v …`, this one's harmless `SELECT … FROM v` waits, and would show what was put
//! there. So before the first of a reply is taken that was long in coming, or during which some session of the gate
//! may have committed DDL, the catalog is looked at again, and what runs is judged by it. What two transactions have changed
//! since then may have been something else in between, of which no catalog tells: whoever hangs on that is overtaken.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_session::{GoesOn, Pending, Protocol, Text, TransactionSoFar};
use stepgate_sql::{Catalog, Doubt, Facts, Mentioned, SessionState, Taints, analyze, written};
use stepgate_types::{Certainty, Kind, RelationName};

use crate::changing::{Changing, hides, named};
use crate::database::{
    Acting, Author, Between, Changed, Code, CommitsDdl, Database, Ddl, Named, Opened, act,
};
use crate::taint::{Storing, flows_of};

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
    pub(crate) executes: Option<Text>,
    /// By which its names were resolved.
    pub(crate) state: Arc<SessionState>,
    catalog: Own<Catalog>,
    /// It looks for all its names by its own path.
    on_path: bool,
    /// Its portal has returned some rows, and may return more.
    suspended: bool,
    /// How often some session might have committed DDL before, and this one of those.
    epoch: u64,
    own: u64,
    sent: Instant,
    /// It does more than its reply says.
    acting: Option<Acting>,
    /// It stores what it reads, or lays it open.
    storing: Option<Storing>,
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
    /// Whose it is.
    pub(crate) author: &'a Arc<Author>,
    pub(crate) now: Instant,
    /// A transaction is open that was begun by a statement.
    pub(crate) in_block: bool,
    /// See [`UnderWay::is_unheard`].
    pub(crate) unheard: bool,
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
            ([then], None) => {
                facts(&self.pending.text()).into_iter().map(|now| of_the_same_cursor(now, then)).collect()
            }
            _ => facts(&self.pending.text()).into(),
        }
    }

    /// Its facts by this catalog and these taints, as far as they say anything of it.
    pub(crate) fn now(&self, catalog: &Catalog, taints: &Taints) -> Option<Arc<[Facts]>> {
        let then = &self.pending.facts;
        if self.only_moves() {
            if self.state.taints.is(taints) {
                return None;
            }
            let is_unknown = |facts: &[Facts]| facts.iter().any(|it| it.certainty == Certainty::Unknown);
            // What its own transaction has made or named is known to nobody else, nor here.
            let is_own = !is_unknown(then) && is_unknown(&self.facts(&self.catalog, &self.state.taints));
            // What is there by its old names is something else by now. What was stored by them since went along.
            return (!is_own).then(|| self.facts(&self.catalog, taints));
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
    fn mentioned(&self, catalog: &Arc<Catalog>) -> Vec<Mentioned> {
        [&self.catalog, catalog].map(|it| self.named(it).mentioned()).into()
    }

    fn named(&self, catalog: &Arc<Catalog>) -> Named {
        let sql = self.executes.as_ref().map_or(&self.pending.sql, |text| &text.sql);
        // What is left of a portal may find its names by another.
        named(sql, catalog, Some(&*self.state).filter(|_| self.on_path && !self.suspended))
    }

    /// Whether it may have left more behind than a reply: code ran in it or it wrote something, or may have since DDL of the
    /// gate's sessions.
    pub(crate) fn leaves_something(&self, ddl: Ddl) -> bool {
        let does = |facts: &Facts| !facts.read_only || facts.runs_code();
        self.epoch != ddl.epoch || self.pending.facts.iter().any(does)
    }

    /// Whether what it hangs on was changed more than once between when it was last judged and that moment, by others than this
    /// session or first by them and then by itself: what that was in between is not known.
    pub(crate) fn was_between(
        &self,
        database: &Database,
        session: u64,
        catalog: &Arc<Catalog>,
        until: u64,
    ) -> Changed {
        if self.is_indifferent() {
            return Changed::No;
        }
        let own = (session, self.pending.number);
        let between = Between { since: self.epoch, until };
        database.has_changed(between, own, 2, || self.mentioned(catalog))
    }

    /// Whether it may have run code of which only this is known.
    pub(crate) fn may_have_run(&self, code: Code) -> bool {
        let writes = self.pending.facts.iter().any(|facts| !facts.read_only);
        code.runs || (code.runs_on_write && writes)
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
    /// What its open transaction changes for others.
    changing: Changing,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self {
            watched: VecDeque::new(),
            bytes: 0,
            catalog: None,
            heard: Instant::now(),
            looked: None,
            changing: Changing::default(),
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
        let Judged { goes_on, state, catalog, ddl, author, now, in_block, unheard } = by;
        if pending.transaction == TransactionSoFar::Nothing {
            self.changing.has_ended();
            // With the transaction, its portals have ended.
            self.watched.retain(|watched| !watched.suspended);
            if anew {
                // What was bound before and never executed is gone.
                self.watched.clear();
                self.changing.begins_anew();
            }
        }
        let sql = match &goes_on {
            Some(GoesOn::Prepared(text)) => &text.sql,
            _ => &pending.sql,
        };
        let on_path = goes_on.is_none();
        if self.changing.minds(&pending.facts) {
            let text = named(sql, catalog, Some(&**state).filter(|_| on_path));
            let message = (author, pending.number);
            self.changing.sends(message, &pending.facts, &text, database, in_block, ddl);
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
            let acts = act(&pending.facts, unheard);
            let flows = flows_of(&pending.facts);
            let mut watched = Watched {
                pending,
                executes,
                suspended: false,
                state: Arc::clone(state),
                catalog: self.own(catalog),
                on_path,
                epoch: ddl.epoch,
                own: self.changing.committed(),
                sent: now,
                acting: None,
                storing: None,
            };
            if acts {
                let session = self.changing.number(database);
                watched.acting = Some(database.acting(session, watched.named(catalog)));
            }
            if !flows.is_empty() {
                watched.storing = Some(database.taints.storing(flows));
            }
            self.bytes = if self.watched.is_empty() { 0 } else { self.bytes };
            self.bytes = self.bytes.saturating_add(watched.bytes());
            self.watched.push_back(watched);
        }
    }

    /// Whether the gate may hear of what is sent now long after it is done: it stands behind something else, or the client does
    /// not take what it is told (`to_client` bytes), and then nothing is heard of the server.
    pub(crate) fn is_unheard(&self, to_client: usize) -> bool {
        to_client > 0 || !self.watched.is_empty()
    }

    /// Whether what was sent last does what must not be done beside what another session does: both were decided on at once.
    pub(crate) fn clashes(&self, database: &Database, catalog: &Arc<Catalog>) -> bool {
        let acting = self.watched.back().filter(|last| last.acting.is_some());
        // What is renamed keeps what it has, by whichever name.
        let storing = acting.and_then(|last| Some((last.storing.as_ref()?, &last.state.taints)));
        self.changing.clashes(database)
            || acting.is_some_and(|last| database.is_being_changed(self.session(), || last.named(catalog)))
            || storing.is_some_and(|(storing, judged)| storing.brings_more(judged))
    }

    /// Whether a statement that is decided on must not be sent now, for another session does what must not be done beside
    /// it; what it executes has this text.
    pub(crate) fn would_clash(
        &self,
        database: &Database,
        facts: &[Facts],
        text: &Named,
        ddl: Ddl,
        unheard: bool,
    ) -> Option<Clash> {
        if hides(facts, text) {
            return Some(Clash::Hides);
        }
        if self.changing.would_clash(database, facts, text, ddl) {
            return Some(Clash::IsUsed);
        }
        let changed = act(facts, unheard) && database.is_being_changed(self.session(), || text.clone());
        changed.then_some(Clash::IsChanged)
    }

    /// Whether what it has changed in its open transaction has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.changing.is_failed()
    }

    /// Which of the database's sessions this is; none that has changed anything has the number 0.
    pub(crate) fn session(&self) -> u64 {
        self.changing.session()
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

    /// Its reply is complete; `suspended`: there may be more of it.
    pub(crate) fn is_done(&mut self, number: u64, suspended: bool) {
        let place = self.watched.iter().position(|watched| watched.pending.number == number);
        match place.and_then(|place| self.watched.get_mut(place)) {
            Some(watched) if suspended => watched.suspended = true,
            Some(_) => drop(place.and_then(|place| self.watched.remove(place))),
            None => {}
        }
    }

    /// It has prepared a transaction.
    pub(crate) fn has_prepared(&mut self, number: u64) {
        self.changing.has_prepared(number);
    }

    /// The same: so many of its statements are done if it failed; `rests`: nothing could still commit what it has done.
    pub(crate) fn has_committed(&mut self, number: u64, done: Option<usize>, rests: bool) {
        self.changing.is_done(number, done, rests);
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
            (watched.epoch, watched.own) = (ddl.epoch, self.changing.committed());
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
    /// `status`: of the transaction.
    pub(crate) fn rests(&mut self, catalog: &Arc<Catalog>, status: u8) {
        self.changing.rests(status);
        if self.watched.is_empty() && self.catalog.as_ref().is_some_and(|own| !Arc::ptr_eq(&**own, catalog)) {
            self.catalog = None;
        }
    }

    /// The message that may commit DDL, if it is one.
    pub(crate) fn only(&self) -> Option<u64> {
        self.changing.only()
    }

    /// Whether something under way may commit DDL.
    pub(crate) fn commits(&self) -> bool {
        self.changing.under_way() > 0
    }

    /// Whether a transaction is open, as others see it, that keeps them from what hangs on what it has changed.
    pub(crate) fn keeps_others(&self) -> bool {
        self.changing.is_open()
    }

    /// What may still commit DDL, what may that has been answered, that it is not committed, and what is under way, for whoever sees the server's end of the
    /// session out.
    pub(crate) fn into_parts(self) -> (Vec<CommitsDdl>, Vec<CommitsDdl>, Option<Opened>, Vec<Watched>) {
        let (commits, answered, opened) = self.changing.into_parts();
        (commits, answered, opened, self.watched.into())
    }

    fn own(&mut self, catalog: &Arc<Catalog>) -> Own<Catalog> {
        match &self.catalog {
            Some(own) if Arc::ptr_eq(&**own, catalog) => Arc::clone(own),
            _ => Arc::clone(self.catalog.insert(Arc::new(Arc::clone(catalog)))),
        }
    }

    /// Whether another session of the gate may have committed DDL since a statement under way was sent.
    pub(crate) fn may_be_overtaken(&self, ddl: Ddl) -> bool {
        let by_others = |watched: &Watched| {
            ddl.epoch.wrapping_sub(watched.epoch) != self.changing.committed().wrapping_sub(watched.own)
        };
        self.others_commit(ddl) || self.watched.iter().any(by_others)
    }

    /// Whether another session of the gate may commit DDL at any time.
    pub(crate) fn others_commit(&self, ddl: Ddl) -> bool {
        ddl.committing > self.changing.under_way()
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
    /// Nothing: nobody would know whether what the statement changes is committed.
    Hides,
}

/// Which cursor WHERE CURRENT OF meant was known when the statement was judged, and its text alone does not tell.
fn of_the_same_cursor(now: Facts, then: &Facts) -> Facts {
    let is_of_row = matches!(now.kind, Kind::Update | Kind::Delete) && now.effect.refers.is_some();
    if is_of_row && then.certainty == Certainty::Exact { now.fetched(&then.effect) } else { now }
}

/// Whether what a statement does hangs on what may change until it does it: names that are looked up when those before it are
/// done, relations that it reads once it has their locks, a view that has none beneath it among them, functions that are
/// compiled when they are first called; of DDL and utilities, whatever has its names then.
fn may_change(facts: &Facts) -> bool {
    facts.looks_up
        || !facts.relations.is_empty()
        || facts.through_views
        || !facts.is_settled()
        || matches!(facts.kind, Kind::Ddl | Kind::Utility)
}
