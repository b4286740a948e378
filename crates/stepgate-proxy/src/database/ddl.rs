//! DDL that the gate's own sessions have committed, or may be about to: how far behind a catalog may be, and which names
//! may have meant something else in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use stepgate_sql::Mentioned;

use super::Database;
use super::author::Author;
use super::made::{Code, Made, Seen, Transaction, code_of};
use super::phases::Phase;

/// The most commits that are remembered, and the most names in them: of what is older, nothing is known.
const MAX_COMMITS: usize = 8_192;
const MAX_NAMES: usize = 131_072;

/// DDL of a database's sessions at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ddl {
    /// How often some may have been committed.
    pub(crate) epoch: u64,
    /// How many statements under way may commit some at any time.
    pub(crate) committing: usize,
}

/// What may be committed at any time, and what was.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// By the number of what may commit it.
    pub(super) under_way: BTreeMap<u64, UnderWay>,
    /// Of transactions that are open, whatever is under way in them; by session.
    open: BTreeMap<u64, Arc<Transaction>>,
    /// Oldest first.
    done: VecDeque<Done>,
    /// The names in those.
    names: usize,
    /// The newest epoch of which nothing is known any more, and the newest of those with code in it.
    forgotten: u64,
    forgotten_code: u64,
    last: u64,
    /// The newest epoch of what may have made something that nobody has seen.
    unseen: u64,
}

/// What may commit a transaction at any time.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) transaction: Arc<Transaction>,
    /// Whose it is, and which of their messages.
    pub(super) author: Arc<Author>,
    pub(super) message: u64,
    /// It is one statement.
    pub(super) is_one: bool,
    pub(super) since: Instant,
    /// It had committed nothing at a moment after that number was given.
    pub(super) uncommitted: u64,
}

/// Whether what names mean has changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    No,
    /// If it is committed by now what these have done, of which nothing has been heard.
    Maybe(BTreeSet<u64>),
    /// What of somebody's code they may have meant.
    Yes(Code),
}

/// Between which moments something may have changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Between {
    /// How often DDL had been committed.
    pub(crate) since: u64,
    /// What has a greater number began later.
    pub(crate) until: u64,
}

/// What may have been committed.
#[derive(Debug)]
struct Done {
    /// The epoch that it began.
    epoch: u64,
    transaction: Arc<Transaction>,
    /// How many names it was counted with.
    names: usize,
}

impl Commits {
    fn is_done(&mut self, number: u64, epoch: u64) {
        let Some(UnderWay { transaction, .. }) = self.under_way.remove(&number) else { return };
        let seen = transaction.seen();
        if seen.has_unseen() {
            self.unseen = epoch;
        }
        if seen.is_nothing() {
            return;
        }
        // Each statement of a transaction may be the one that commits it; and who drops what is there to no effect does so as
        // often as they like.
        let is_same = |done: &Done| {
            Arc::ptr_eq(&done.transaction, &transaction)
                || seen.only_drops() && done.transaction.session == seen.session && {
                    let before = done.transaction.seen();
                    before.only_drops() && before.drops_as(&seen)
                }
        };
        if let Some(before) = self.done.iter().rposition(is_same).and_then(|at| self.done.remove(at)) {
            self.names = self.names.saturating_sub(before.names);
        }
        let names = seen.names();
        self.names = self.names.saturating_add(names);
        self.done.push_back(Done { epoch, transaction, names });
        while self.done.len() > MAX_COMMITS || self.names > MAX_NAMES {
            let Some(gone) = self.done.pop_front() else { break };
            self.names = self.names.saturating_sub(gone.names);
            self.forgotten = gone.epoch;
            if gone.transaction.seen().code() != Code::default() {
                self.forgotten_code = gone.epoch;
            }
        }
    }

    /// What was committed since then.
    fn since(&self, epoch: u64) -> impl Iterator<Item = &Arc<Transaction>> {
        self.done.iter().rev().take_while(move |done| done.epoch > epoch).map(|done| &done.transaction)
    }

    /// All that has made something since then, and that session's own. And whether something may have been made that nobody has
    /// seen.
    fn settled(&self, epoch: u64, session: u64) -> (Vec<Seen>, bool) {
        let going = self.under_way.values().map(|it| &it.transaction).chain(self.open.values());
        let own: Vec<&Arc<Transaction>> = going.filter(|it| it.session == session).collect();
        let epoch = own.iter().map(|it| it.since).min().map_or(epoch, |since| since.min(epoch));
        let makers = self.since(epoch).chain(own).map(|it| it.seen()).collect();
        (makers, self.unseen > epoch || self.forgotten > epoch)
    }

    /// All that may have made something since then, whoever it is of: what is not done was judged earlier, maybe. And whether
    /// something may have been made that nobody has seen.
    fn makers(&self, epoch: u64) -> (Vec<Seen>, bool) {
        let going = || self.under_way.values().map(|it| &it.transaction).chain(self.open.values());
        let epoch = going().map(|it| it.since).min().map_or(epoch, |since| since.min(epoch));
        let makers = self.since(epoch).chain(going()).map(|it| it.seen()).collect();
        (makers, self.unseen > epoch || self.forgotten > epoch)
    }
}

/// A statement under way that may commit DDL. Dropped when it is done, or the server's end of its session is.
pub(crate) struct CommitsDdl {
    database: Arc<Database>,
    /// 0: it commits none.
    number: u64,
    /// Or prepares some, or commits what was prepared.
    _phase: Option<Phase>,
}

/// A session that has changed something in the transaction that is open. Dropped when that has ended, or the server's end of
/// the session has.
pub(crate) struct Opened {
    database: Arc<Database>,
    session: u64,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.database.commits().open.remove(&self.session);
    }
}

impl CommitsDdl {
    /// Of a statement that prepares what it has done, or commits what was prepared; what it commits itself is counted apart.
    pub(crate) fn phase(phase: Phase) -> Self {
        Self { database: Arc::clone(phase.database()), number: 0, _phase: Some(phase) }
    }

    /// A message of its transaction is done, so many of its statements if it failed.
    pub(crate) fn settles(&self, transaction: &Transaction, number: u64, done: Option<usize>) {
        self.database.settles(transaction, number, done);
    }

    /// Its message has done nothing.
    pub(crate) fn fails(&self) {
        if let Some(it) = self.database.commits().under_way.get(&self.number) {
            it.transaction.settles(it.message, Some(0), None);
        }
    }

    /// Nothing of its transaction is committed, nor will be.
    pub(crate) fn nothing_is_committed(&self) {
        if let Some(it) = self.database.commits().under_way.get(&self.number) {
            it.transaction.fails();
        }
    }

    /// It may commit anything, any number of times.
    pub(crate) fn anything(&self) {
        let commits = self.database.commits();
        let transaction = commits.under_way.get(&self.number).map(|it| Arc::clone(&it.transaction));
        drop(commits);
        if let Some(transaction) = transaction {
            transaction.anything();
        }
    }
}

impl Drop for CommitsDdl {
    fn drop(&mut self) {
        if self.number == 0 {
            return;
        }
        let mut commits = self.database.commits();
        let before = self.database.epoch.fetch_add(1, Ordering::SeqCst);
        commits.is_done(self.number, before.saturating_add(1));
        self.database.committing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Database {
    pub(super) fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where DDL of the gate's sessions stands now.
    pub(crate) fn ddl(&self) -> Ddl {
        // In this order: whoever is done with committing has moved the epoch before.
        let committing = self.committing.load(Ordering::SeqCst);
        Ddl { epoch: self.epoch.load(Ordering::SeqCst), committing }
    }

    /// Whether a session of the gate may have committed DDL since the catalog was last looked at.
    pub(crate) fn is_behind(&self) -> bool {
        self.looked_at.load(Ordering::SeqCst) < self.epoch.load(Ordering::SeqCst)
    }

    /// Somebody beside the gate has committed DDL.
    pub(crate) fn ddl_elsewhere(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// A session is about to send a message of that number, which may commit this. `is_one`: see [`UnderWay`].
    pub(crate) fn commits_ddl(
        self: &Arc<Self>,
        transaction: &Arc<Transaction>,
        (author, message): (&Arc<Author>, u64),
        is_one: bool,
    ) -> CommitsDdl {
        self.committing.fetch_add(1, Ordering::SeqCst);
        let number = self.number();
        let (transaction, author) = (Arc::clone(transaction), Arc::clone(author));
        let since = Instant::now();
        let under_way = UnderWay { transaction, author, message, is_one, since, uncommitted: 0 };
        self.commits().under_way.insert(number, under_way);
        CommitsDdl { database: Arc::clone(self), number, _phase: None }
    }

    /// A number that nothing else in this database has.
    pub(crate) fn number(&self) -> u64 {
        let mut commits = self.commits();
        commits.last = commits.last.saturating_add(1);
        commits.last
    }

    /// A session has changed this in the transaction that is open.
    pub(crate) fn opened(self: &Arc<Self>, transaction: &Arc<Transaction>) -> Opened {
        self.commits().open.insert(transaction.session, Arc::clone(transaction));
        Opened { database: Arc::clone(self), session: transaction.session }
    }

    /// A message of a transaction is done, so many of its statements if it failed: what it hung on was there, or was not.
    fn settles(&self, transaction: &Transaction, number: u64, done: Option<usize>) {
        let hangs = transaction.hangs(number);
        if hangs || done.is_some() {
            let made = hangs.then(|| {
                let (makers, anything) = self.makers(transaction.since);
                Made::by(&makers, anything)
            });
            transaction.settles(number, done, made.as_ref());
        }
    }

    /// All that may have made something since then.
    pub(super) fn makers(&self, epoch: u64) -> (Vec<Seen>, bool) {
        self.commits().makers(epoch)
    }

    /// What other sessions have changed and not committed, or may commit at any time.
    pub(super) fn changing(&self, session: u64) -> Vec<Seen> {
        let commits = self.commits();
        let all = commits.open.values().chain(commits.under_way.values().map(|it| &it.transaction));
        all.filter(|it| it.session != session).map(|it| it.seen()).collect()
    }

    /// Whether as many transactions as that, one of another session's among them, have changed in between, if only for a
    /// while, what such names mean; it is asked which names only if it matters. What the session does itself may change them
    /// back, but for what that statement does which has these names.
    pub(crate) fn has_changed(
        &self,
        between: Between,
        own: (u64, u64),
        enough: usize,
        mentioned: impl FnOnce() -> Vec<Mentioned>,
    ) -> Changed {
        let commits = self.commits();
        let Between { since: epoch, until } = between;
        if commits.forgotten > epoch {
            let code = commits.forgotten_code > epoch;
            return Changed::Yes(Code { runs: code, runs_on_write: code });
        }
        let (session, statement) = own;
        let seen = |it: &Arc<Transaction>| match it.seen() {
            own if own.session == session => own.beside(statement),
            other => other,
        };
        let mut all: Vec<Seen> = commits.since(epoch).map(seen).collect();
        let (mut makers, anything) = commits.settled(epoch, session);
        let mut unheard = BTreeMap::new();
        for (number, it) in &commits.under_way {
            if it.transaction.session == session {
                all.push(seen(&it.transaction));
            } else if *number <= until && it.is_answered() {
                all.push(it.transaction.seen());
                makers.push(it.transaction.seen());
            } else if *number <= until && it.uncommitted <= until {
                unheard.insert(*number, it.transaction.seen());
            }
        }
        drop(commits);
        let all_there_is = || all.iter().chain(unheard.values());
        let is_other = |it: &Seen| it.session != session;
        if !all_there_is().any(is_other) || all_there_is().map(Seen::weight).sum::<usize>() < enough {
            return Changed::No;
        }
        let counts = Counts { session, enough };
        let mentioned = mentioned();
        if let Some(hit) = counts.hit(&all, &makers, anything, &mentioned) {
            return Changed::Yes(code_of(&hit, &makers));
        }
        if unheard.is_empty() {
            return Changed::No;
        }
        let numbers: Vec<u64> = unheard.keys().copied().collect();
        let settled = all.len();
        all.extend(unheard.into_values());
        makers.extend(all.iter().skip(settled).cloned());
        let Some(hit) = counts.hit(&all, &makers, anything, &mentioned) else { return Changed::No };
        let is_hit = |it: &Seen| hit.iter().any(|hit| std::ptr::eq(*hit, it));
        let unheard = numbers.iter().zip(all.iter().skip(settled));
        let hits: BTreeSet<u64> = unheard.filter(|(_, it)| is_hit(it)).map(|(number, _)| *number).collect();
        // What they make may be all that makes others count.
        Changed::Maybe(if hits.is_empty() { numbers.into_iter().collect() } else { hits })
    }
}

/// What counts as a change for a session.
struct Counts {
    session: u64,
    enough: usize,
}

impl Counts {
    /// Those that change what such names mean, if they are enough.
    fn hit<'s>(
        &self,
        all: &'s [Seen],
        makers: &[Seen],
        anything: bool,
        mentioned: &[Mentioned],
    ) -> Option<Vec<&'s Seen>> {
        let made = Made::by(makers, anything);
        let is_hit = |it: &&Seen| mentioned.iter().any(|names| made.changes(it, names));
        let hit: Vec<&Seen> = all.iter().filter(is_hit).collect();
        let mut changed: BTreeMap<u64, usize> = BTreeMap::new();
        for it in &hit {
            let of = changed.entry(it.number).or_default();
            *of = it.weight().max(*of);
        }
        let others = hit.iter().any(|it| it.session != self.session);
        (others && changed.values().sum::<usize>() >= self.enough).then_some(hit)
    }
}
