//! What a session's open transaction changes for others, and what it has under way that may commit that.
//!
//! A transaction that has failed counts for nobody until a savepoint brings it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use stepgate_sql::{By, Catalog, Changes, Facts, SessionState, TwoPhase};
use stepgate_types::{Certainty, Kind};

use crate::database::{Author, CommitsDdl, Database, Ddl, Named, Opened, Phase, Transaction, anything, runs};

/// The most statements under way of which it is remembered what each may commit, and the most of those that are done of
/// which it is remembered what each may commit later.
const MAX_COMMITS: usize = 4 * stepgate_session::MAX_OWED;
const MAX_LATER: usize = 64;

/// See the module.
#[derive(Default)]
pub(crate) struct Changing {
    /// What the open transaction changes for others: whatever is sent next may commit it.
    transaction: Option<Arc<Transaction>>,
    /// What would end that is on its way.
    has_ended: bool,
    /// It has failed: nothing of it is committed unless it goes back to a savepoint.
    has_failed: bool,
    /// It has done something before that is not counted to it.
    is_part: bool,
    /// As others see it.
    opened: Option<Opened>,
    /// Which of the database's sessions this is, once it has changed anything.
    session: Option<u64>,
    /// What was sent that may commit it, by number; and what found no room there.
    commits: BTreeMap<u64, (CommitsDdl, Arc<Transaction>)>,
    commits_more: Option<CommitsDdl>,
    /// What has been done, and may not be committed before the next ReadyForQuery: a Sync commits, after whatever was deferred.
    commits_later: Vec<CommitsDdl>,
    /// What was sent that prepares it, or commits what was prepared, by number.
    phases: BTreeMap<u64, Vec<Phase>>,
    /// How often that was done, and the database's epoch moved by it.
    committed: u64,
}

impl Changing {
    /// No transaction is open.
    pub(crate) fn has_ended(&mut self) {
        (self.transaction, self.opened, self.has_failed, self.is_part) = (None, None, false, false);
    }

    /// Nothing of what was sent before can still run.
    pub(crate) fn begins_anew(&mut self) {
        self.committed += u64::try_from(self.under_way()).unwrap_or(u64::MAX);
        self.commits.clear();
        self.never_ran();
        (self.commits_more, self.commits_later) = (None, Vec::new());
    }

    /// Nothing is under way: what was to be committed is. `status`: of the transaction.
    pub(crate) fn rests(&mut self, status: u8) {
        match status {
            b'I' => {
                self.has_ended();
                // What was bound and never executed.
                self.never_ran();
                for (number, (commits, transaction)) in std::mem::take(&mut self.commits) {
                    commits.settles(&transaction, number, Some(0));
                    self.committed += 1;
                }
                self.committed += u64::from(self.commits_more.take().is_some());
            }
            b'E' if self.transaction.is_some() => (self.has_failed, self.opened) = (true, None),
            _ => {}
        }
        self.committed += u64::try_from(self.commits_later.len()).unwrap_or(u64::MAX);
        self.commits_later.clear();
    }

    /// Nothing of what prepares transactions, or commits what was prepared, and was not answered, was executed.
    fn never_ran(&mut self) {
        std::mem::take(&mut self.phases).into_values().flatten().for_each(|phase| phase.ends(true));
    }

    /// Whether it matters that such statements are sent: they change something for others, or may commit what does.
    pub(crate) fn minds(&self, facts: &[Facts]) -> bool {
        let matters = |facts: &Facts| facts.changes_names_of_others() || facts.effect.prepares;
        self.transaction.is_some() || facts.iter().any(matters)
    }

    /// A message that matters, with that number and those statements, is about to be sent. Counts what it changes for others
    /// to the transaction that is open, or to one of its own.
    pub(crate) fn sends(
        &mut self,
        (author, number): (&Arc<Author>, u64),
        facts: &[Facts],
        text: &Named,
        database: &Arc<Database>,
        in_block: bool,
        ddl: Ddl,
    ) {
        let each = changed_by(facts, text, database);
        let is_one = facts.len() == 1;
        let said: Vec<TwoPhase> = each.iter().filter_map(|changes| changes.phase.clone()).collect();
        if self.transaction.is_none() && !facts.iter().any(Facts::changes_names_of_others) {
            // It prepares what changes nothing for others.
            return self.phases(number, facts, &said, database, Changes::default());
        }
        let stays =
            !each.iter().any(|changes| changes.ends || changes.commits || changes.lasts || changes.unseen);
        author.sends(stays, self.under_way() == 0);
        let ends = each.iter().any(|changes| changes.ends);
        let restores = each.iter().any(|changes| changes.restores);
        if self.has_failed && !restores && !ends {
            // It fails.
            return;
        }
        let goes_on = in_block && !self.has_ended && (!self.has_failed || restores);
        (self.has_ended, self.has_failed) = (ends, false);
        let session = self.number(database);
        let begins = || Arc::new(Transaction::new(database.number(), session, ddl.epoch));
        let before = self.transaction.take();
        self.is_part = in_block && before.is_some() && (self.is_part || !goes_on);
        let transaction = before.filter(|_| goes_on).unwrap_or_else(begins);
        transaction.adds(number, each);
        let changes = if self.is_part { anything() } else { transaction.at_any_time() };
        self.phases(number, facts, &said, database, changes);
        // In its place: what is dropped later would take this along.
        drop(self.opened.take());
        self.opened = Some(database.opened(&transaction));
        let commits = || database.commits_ddl(&transaction, (author, number), is_one);
        if self.commits.len() < MAX_COMMITS {
            self.commits.insert(number, (commits(), Arc::clone(&transaction)));
        } else {
            self.commits_more.get_or_insert_with(commits);
        }
        self.transaction = Some(transaction);
    }

    /// That message prepares a transaction that changes this, or commits or undoes a prepared one, by what it has `said`.
    fn phases(
        &mut self,
        number: u64,
        facts: &[Facts],
        said: &[TwoPhase],
        database: &Arc<Database>,
        changes: Changes,
    ) {
        // Of several statements it may be any part.
        let changes = || if facts.len() == 1 { changes.clone() } else { anything() };
        let mut phases: Vec<Phase> = Vec::new();
        for phase in said {
            phases.push(match phase {
                TwoPhase::Prepares(name) => database.prepares(Some(name), changes()),
                TwoPhase::Commits(name) | TwoPhase::Undoes(name) => database.ends_prepared(name),
            });
        }
        let named = said.iter().filter(|phase| matches!(phase, TwoPhase::Prepares(_))).count();
        if facts.iter().filter(|facts| facts.effect.prepares).count() > named {
            phases.push(database.prepares(None, anything()));
        }
        if !phases.is_empty() {
            self.phases.insert(number, phases);
        }
    }

    /// That message has prepared a transaction.
    pub(crate) fn has_prepared(&mut self, number: u64) {
        self.phases.get_mut(&number).into_iter().flatten().for_each(Phase::has_prepared);
    }

    /// That message is done, so many of its statements if it failed; `rests`: nothing could still commit what it has done.
    pub(crate) fn is_done(&mut self, number: u64, done: Option<usize>, rests: bool) {
        let phases = self.phases.remove(&number).into_iter().flatten();
        phases.for_each(|phase| phase.ends(done.is_some()));
        let Some((commits, transaction)) = self.commits.remove(&number) else { return };
        commits.settles(&transaction, number, done);
        if rests {
            self.committed += 1;
        } else if self.commits_later.len() < MAX_LATER {
            self.commits_later.push(commits);
        } else {
            self.commits_later.iter().take(1).for_each(CommitsDdl::anything);
            self.committed += 1;
        }
    }

    /// Which of the database's sessions this is.
    pub(crate) fn number(&mut self, database: &Database) -> u64 {
        *self.session.get_or_insert_with(|| database.number())
    }

    /// The same; none that has changed anything has the number 0.
    pub(crate) fn session(&self) -> u64 {
        self.session.unwrap_or_default()
    }

    /// Whether what is open changes what others are doing, who were decided on at once.
    pub(crate) fn clashes(&self, database: &Database) -> bool {
        let counts = self.transaction.as_ref().filter(|_| !self.has_failed);
        counts.is_some_and(|transaction| database.is_hung_on(transaction))
    }

    /// Whether these statements must not be sent, for they change what others are doing.
    pub(crate) fn would_clash(&self, database: &Database, facts: &[Facts], text: &Named, ddl: Ddl) -> bool {
        let makes = facts.iter().any(Facts::changes_names_of_others);
        if !makes && !self.has_failed {
            return false;
        }
        let each = changed_by(facts, text, database);
        let comes_back = || self.transaction.as_ref().is_some_and(|it| database.is_hung_on(it));
        if self.has_failed && each.iter().any(|changes| changes.restores) && comes_back() {
            return true;
        }
        makes && {
            let alone = Transaction::new(0, self.session(), ddl.epoch);
            alone.adds(0, each);
            database.is_hung_on(&alone)
        }
    }

    /// Whether a transaction of its own that has changed something has failed.
    pub(crate) fn is_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether a transaction is open, as others see it.
    pub(crate) const fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// How much of this is under way.
    pub(crate) fn under_way(&self) -> usize {
        self.commits.len() + usize::from(self.commits_more.is_some()) + self.commits_later.len()
    }

    /// The message that may commit something, if it is one.
    pub(crate) fn only(&self) -> Option<u64> {
        let others = self.commits_more.is_some() || !self.commits_later.is_empty();
        let mut numbers = self.commits.keys().copied();
        numbers.next().filter(|_| !others && numbers.next().is_none())
    }

    /// How often something was committed.
    pub(crate) const fn committed(&self) -> u64 {
        self.committed
    }

    /// What may still commit, what may that has been answered, and that it is not committed.
    pub(crate) fn into_parts(self) -> (Vec<CommitsDdl>, Vec<CommitsDdl>, Option<Opened>) {
        let commits = self.commits.into_values().map(|(commits, _)| commits).collect();
        let phases = self.phases.into_values().flatten().map(CommitsDdl::phase);
        let later = self.commits_more.into_iter().chain(self.commits_later).chain(phases);
        (commits, later.collect(), self.opened)
    }
}

/// Whether a message ends a transaction, behind what may take as long as its author likes, before it changes something for
/// others: nobody could tell whether that is committed.
pub(crate) fn hides(facts: &[Facts], text: &Named) -> bool {
    let Some(last) = facts.iter().rposition(Facts::changes_names_of_others) else { return false };
    let is_short =
        |facts: &Facts| matches!(facts.kind, Kind::Ddl | Kind::Transaction | Kind::Session | Kind::Empty);
    let Some(long) = facts.iter().position(|facts| !is_short(facts)).filter(|long| *long < last) else {
        return false;
    };
    let each = Changes::each(&text.sql, &text.catalog, &text.by);
    let between = each.get(long..last).filter(|_| each.len() == facts.len()).unwrap_or(&each);
    between.iter().any(|changes| changes.ends)
}

/// What statements of this text change for others, each by itself where that can be told. What is not understood was let
/// through for whatever it may do.
fn changed_by(facts: &[Facts], text: &Named, database: &Database) -> Vec<Changes> {
    let Named { sql, catalog, by } = text;
    let mut each = Changes::each(sql, catalog, by);
    for changes in &mut each {
        // What was prepared under a name that nothing is known of may change anything.
        if let Some(TwoPhase::Commits(name)) = &changes.phase
            && let Some(prepared) = database.prepared(name)
        {
            let (ends, phase) = (changes.ends, changes.phase.take());
            *changes = Changes { ends, phase, ..prepared };
        }
    }
    let is_known = |facts: &Facts| facts.certainty != Certainty::Unknown || facts.kind == Kind::Ddl;
    let is_unseen = facts.iter().any(|facts| facts.changes_names_of_others() && !is_known(facts));
    if !facts.iter().any(|facts| facts.changes_names_of_others() && is_known(facts)) {
        for changes in &mut each {
            let (ends, restores, phase) = (changes.ends, changes.restores, changes.phase.take());
            *changes = Changes { ends, restores, unseen: is_unseen, phase, ..Changes::default() };
        }
        return each;
    }
    if each.len() != facts.len() {
        let mut all = Changes::default();
        each.into_iter().for_each(|changes| all.add(changes));
        // Of which statement it is, is not known.
        each = vec![Changes::default(), Changes { lasts: true, ..all }];
    }
    // What a view calls runs when it is read, defaults and checks when something is written.
    let is_open = |facts: &Facts| facts.certainty == Certainty::Unknown || runs(facts);
    let calls = facts.iter().any(|facts| facts.changes_names_of_others() && is_open(facts));
    for changes in &mut each {
        changes.code |= calls && changes.view;
        changes.code_on_write |= calls;
        changes.unseen |= is_unseen;
    }
    each
}

/// A text that is read by the state of a session, if it is read now.
pub(crate) fn named(sql: &Bytes, catalog: &Arc<Catalog>, state: Option<&SessionState>) -> Named {
    let by = state.map_or_else(By::anything, By::session);
    Named { sql: sql.clone(), catalog: Arc::clone(catalog), by }
}
