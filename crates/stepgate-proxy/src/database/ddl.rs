//! DDL that the gate's own sessions have committed, or may be about to: how far behind a catalog may be, and which names
//! may have meant something else in between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use stepgate_sql::{Mentioned, Touched};

use super::Database;

/// The most commits that are remembered, and the most names in them: of what is older, nothing is known.
const MAX_COMMITS: usize = 8_192;
const MAX_NAMES: usize = 65_536;

/// DDL of a database's sessions at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ddl {
    /// How often some may have been committed.
    pub(crate) epoch: u64,
    /// How many statements under way may commit some at any time.
    pub(crate) committing: usize,
}

/// What one transaction with DDL changes, as far as it has come.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    /// Which of the database's.
    pub(crate) number: u64,
    /// Whose.
    pub(crate) session: u64,
    pub(crate) touched: Touched,
    /// It may be more than one.
    pub(crate) twice: bool,
    /// Somebody's code may be among it.
    pub(crate) code: bool,
}

impl Transaction {
    fn names(&self) -> usize {
        match &self.touched {
            Touched::Names(names) => names.len(),
            _ => 1,
        }
    }
}

/// What may be committed at any time, and what was.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// By the number of what may commit it.
    under_way: BTreeMap<u64, Arc<Transaction>>,
    /// Of transactions that are open, whatever is under way in them; by session.
    open: BTreeMap<u64, Arc<Transaction>>,
    /// With the epoch that it began, oldest first.
    done: VecDeque<(u64, Arc<Transaction>)>,
    /// The names in those.
    names: usize,
    /// The newest epoch of which nothing is known any more, and the newest of those with code in it.
    forgotten: u64,
    forgotten_code: u64,
    last: u64,
}

impl Commits {
    fn is_done(&mut self, number: u64, epoch: u64) {
        let Some(transaction) = self.under_way.remove(&number) else { return };
        if transaction.touched == Touched::Nothing {
            return;
        }
        // Each statement of a transaction may be the one that commits it.
        if let Some((at, _)) = self.done.back_mut().filter(|(_, last)| Arc::ptr_eq(last, &transaction)) {
            *at = epoch;
            return;
        }
        self.names = self.names.saturating_add(transaction.names());
        self.done.push_back((epoch, transaction));
        while self.done.len() > MAX_COMMITS || self.names > MAX_NAMES {
            let Some((epoch, gone)) = self.done.pop_front() else { break };
            self.names = self.names.saturating_sub(gone.names());
            self.forgotten = epoch;
            if gone.code {
                self.forgotten_code = epoch;
            }
        }
    }
}

/// A statement under way that may commit DDL. Dropped when it is done, or the server's end of its session is.
pub(crate) struct CommitsDdl {
    database: Arc<Database>,
    number: u64,
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
    /// It may commit anything, any number of times.
    pub(crate) fn anything(&self) {
        let mut commits = self.database.commits();
        if let Some(transaction) = commits.under_way.get_mut(&self.number) {
            let Transaction { number, session, .. } = **transaction;
            *transaction = Arc::new(Transaction {
                number,
                session,
                touched: Touched::Anything,
                twice: true,
                code: true,
            });
        }
    }
}

impl Drop for CommitsDdl {
    fn drop(&mut self) {
        let mut commits = self.database.commits();
        let before = self.database.epoch.fetch_add(1, Ordering::SeqCst);
        commits.is_done(self.number, before.saturating_add(1));
        self.database.committing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Database {
    fn commits(&self) -> MutexGuard<'_, Commits> {
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

    /// A session is about to send what may commit this.
    pub(crate) fn commits_ddl(self: &Arc<Self>, transaction: &Arc<Transaction>) -> CommitsDdl {
        self.committing.fetch_add(1, Ordering::SeqCst);
        let mut commits = self.commits();
        commits.last = commits.last.saturating_add(1);
        let number = commits.last;
        commits.under_way.insert(number, Arc::clone(transaction));
        CommitsDdl { database: Arc::clone(self), number }
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

    /// What other sessions have changed and not committed, or may commit at any time.
    pub(super) fn changing(&self, session: u64) -> Vec<Arc<Transaction>> {
        let commits = self.commits();
        let all = commits.open.values().chain(commits.under_way.values());
        all.filter(|it| it.session != session).cloned().collect()
    }

    /// Whether as many transactions of other sessions as that may have changed since then, if only for a while, what such
    /// names mean, and, if so, whether they mean somebody's code; it is asked which names only if it matters.
    pub(crate) fn has_changed(
        &self,
        epoch: u64,
        session: u64,
        enough: usize,
        mentioned: impl FnOnce() -> Vec<Mentioned>,
    ) -> Option<bool> {
        let commits = self.commits();
        if commits.forgotten > epoch {
            return Some(commits.forgotten_code > epoch);
        }
        let done = commits.done.iter().rev().take_while(|(at, _)| *at > epoch).map(|(_, it)| it);
        let others: Vec<Arc<Transaction>> =
            done.chain(commits.under_way.values()).filter(|it| it.session != session).cloned().collect();
        drop(commits);
        let weight = |it: &Transaction| if it.twice { 2 } else { 1 };
        if others.iter().map(|it| weight(it)).sum::<usize>() < enough {
            return None;
        }
        let mentioned = mentioned();
        let (mut changed, mut code): (BTreeMap<u64, usize>, bool) = (BTreeMap::new(), false);
        for it in others.iter().filter(|it| mentioned.iter().any(|names| names.hangs_on(&it.touched))) {
            let of = changed.entry(it.number).or_default();
            *of = weight(it).max(*of);
            code |= it.code;
        }
        (changed.values().sum::<usize>() >= enough).then_some(code)
    }
}
