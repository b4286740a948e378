//! What a statement may deliver before people are asked: rows and bytes are counted by headers, subjects by keyed hashes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use stepgate_sql::Catalog;
use stepgate_types::{Amount, InForce, Limit};

use crate::allowance::{Allowance, Takes};
use crate::shown::{Counting, Shown, Tells};
use crate::subjects::Rewritten;

/// No limit: nobody delivers as much.
const UNLIMITED: u64 = u64::MAX;

/// The most subjects that a statement knows again; who comes after them is somebody new each time.
const MAX_KNOWN: usize = 10_000;

/// Whether a statement stores rows, and who tells how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stores {
    /// It stores none.
    Nothing,
    /// Its command tag does.
    Told,
    /// Nothing does: a part of it stores them (`WITH … (INSERT …) SELECT`), or code that it runs. It may be any number.
    Untold,
}

/// What a statement may deliver before people are asked. Portals of the statement and what fetches from its cursor
/// draw on the same one.
///
/// Counted by one session and refilled by its driver, in one task; the atomics only make it shareable. Besides what is its
/// own, it takes from allowances that other sessions of the person take from as well.
#[derive(Debug)]
pub struct Meter {
    number: u64,
    pub(crate) enforced: bool,
    rows_left: AtomicU64,
    bytes_left: AtomicU64,
    subjects_left: AtomicU64,
    rows_out: AtomicU64,
    bytes_out: AtomicU64,
    subjects_out: AtomicU64,
    pub(crate) told: AtomicBool,
    /// Rows that its statement stores count, too.
    stores: Stores,
    /// It has.
    stored: AtomicBool,
    /// Its portal was suspended, and has not completed since.
    open_ended: AtomicBool,
    /// Of `rows_out`, those up to the last completion.
    told_of: AtomicU64,
    /// What the statement goes by; once that is taken back, nothing more passes.
    by: Mutex<Option<InForce>>,
    /// Whose data its rows are, where subjects are counted.
    tells: Option<Tells>,
    /// Those it has shown.
    seen: Mutex<HashSet<u64>>,
    allowances: Vec<Arc<Allowance>>,
    /// People have approved what follows: none of it is taken from allowances.
    exempt: AtomicBool,
    waits: Mutex<Shown>,
    /// That is taken already.
    taken: AtomicBool,
}

impl PartialEq for Meter {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Meter {}

impl Meter {
    /// The meter of statement `number`, which lets so much through and, if it `stores` rows, counts those as well. One
    /// that is not `enforced` tells when that is reached, once, and lets everything through.
    #[must_use]
    pub fn new(number: u64, left: Limit, enforced: bool, stores: Stores) -> Arc<Self> {
        Self::shared(number, left, enforced, stores, None, Vec::new())
    }

    /// The same, which takes from these allowances as well; `tells`: whose data its rows are, where any of them, or its
    /// own, counts that.
    #[must_use]
    pub fn shared(
        number: u64,
        left: Limit,
        enforced: bool,
        stores: Stores,
        tells: Option<Tells>,
        allowances: Vec<Arc<Allowance>>,
    ) -> Arc<Self> {
        let meter = Self {
            number,
            enforced,
            rows_left: AtomicU64::new(UNLIMITED),
            bytes_left: AtomicU64::new(UNLIMITED),
            subjects_left: AtomicU64::new(UNLIMITED),
            rows_out: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            subjects_out: AtomicU64::new(0),
            told: AtomicBool::new(false),
            stores,
            stored: AtomicBool::new(false),
            open_ended: AtomicBool::new(false),
            told_of: AtomicU64::new(0),
            by: Mutex::new(None),
            tells,
            seen: Mutex::default(),
            allowances,
            exempt: AtomicBool::new(false),
            waits: Mutex::default(),
            taken: AtomicBool::new(false),
        };
        meter.refill(left);
        Arc::new(meter)
    }

    /// The number of the statement that it was made for.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Whether rows wait when it is spent.
    #[must_use]
    pub const fn is_enforced(&self) -> bool {
        self.enforced
    }

    /// What it still lets through of its own.
    #[must_use]
    pub fn left(&self) -> Limit {
        let left = |left: &AtomicU64| Some(left.load(Relaxed)).filter(|left| *left != UNLIMITED);
        Limit {
            rows: left(&self.rows_left),
            bytes: left(&self.bytes_left),
            subjects: left(&self.subjects_left),
        }
    }

    /// Lets so much of its own through from here on, and tells anew when that is reached.
    pub fn refill(&self, left: Limit) {
        self.rows_left.store(left.rows.unwrap_or(UNLIMITED), Relaxed);
        self.bytes_left.store(left.bytes.unwrap_or(UNLIMITED), Relaxed);
        self.subjects_left.store(left.subjects.unwrap_or(UNLIMITED), Relaxed);
        self.told.store(false, Relaxed);
    }

    /// What lets the statement through from here on; `None`: nothing that could be taken back.
    pub fn goes_by(&self, by: Option<InForce>) {
        *self.by.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    /// Nothing more is taken from allowances: people have approved what follows.
    pub fn exempt(&self) {
        self.exempt.store(true, Relaxed);
    }

    /// What it takes from besides its own, if it still does.
    #[must_use]
    pub fn allowances(&self) -> &[Arc<Allowance>] {
        if self.exempt.load(Relaxed) { &[] } else { &self.allowances }
    }

    /// What went through it so far; of subjects, those that were counted.
    #[must_use]
    pub fn delivered(&self) -> Amount {
        Amount {
            rows: self.rows_out.load(Relaxed),
            bytes: self.bytes_out.load(Relaxed),
            subjects: self.subjects_out.load(Relaxed),
        }
    }

    /// Whether it has stored rows, of how many bytes nobody knows.
    #[must_use]
    pub fn has_stored(&self) -> bool {
        self.stored.load(Relaxed)
    }

    /// What the row that waits takes of its own.
    #[must_use]
    pub fn next(&self) -> Amount {
        let waits = *self.waits();
        self.takes(&waits)
    }

    /// What that takes of an allowance.
    #[must_use]
    pub fn next_of(&self, allowance: &Allowance) -> Takes {
        allowance.takes(&self.waits())
    }

    /// The row that would be next if that were as small as can be: what must be there before a statement runs, so that
    /// its error can be told.
    pub fn first(&self) {
        let others = self.tells.as_ref().map_or(0, Tells::all);
        *self.waits() = Shown { others, ..Shown::of(1) };
    }

    fn waits(&self) -> MutexGuard<'_, Shown> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether rows must be looked into.
    pub(crate) const fn counts_subjects(&self) -> bool {
        self.tells.is_some()
    }

    /// How the rows of a result that is described so are looked into.
    pub(crate) fn counting(
        &self,
        description: &[u8],
        catalog: &Catalog,
        rewritten: &Rewritten,
    ) -> Option<Arc<Counting>> {
        Some(Arc::new(self.tells.as_ref()?.counting(description, catalog, rewritten)))
    }

    /// What a row of so many bytes shows that begins with this piece. `None`: that is told later in it.
    pub(crate) fn see(&self, piece: &Bytes, bytes: u64, counting: Option<&Counting>) -> Option<Shown> {
        match &self.tells {
            None => Some(Shown::of(bytes)),
            Some(tells) => tells.see(piece, bytes, counting),
        }
    }

    /// What something of so many bytes shows that is no row, or cannot be read.
    pub(crate) fn unread(&self, bytes: u64) -> Shown {
        Shown { others: self.tells.as_ref().map_or(0, Tells::all), ..Shown::of(bytes) }
    }

    fn takes(&self, shown: &Shown) -> Amount {
        let mut amount = Amount::of(shown.rows, shown.bytes);
        if self.tells.is_some() {
            let seen = self.seen();
            let new = shown.hashes().iter().filter(|hash| !seen.contains(hash)).count();
            amount.subjects = shown.others.saturating_add(u64::try_from(new).unwrap_or(u64::MAX));
        }
        amount
    }

    /// Takes what a row shows, if it may go.
    pub(crate) fn take(&self, shown: &Shown) -> bool {
        let amount = self.takes(shown);
        if !self.left().has(amount) || !self.is_in_force() {
            return false;
        }
        for (at, allowance) in self.allowances().iter().enumerate() {
            if !allowance.take(shown) {
                self.allowances.iter().take(at).for_each(|taken| taken.put_back(shown));
                return false;
            }
        }
        self.count_own(shown, amount);
        true
    }

    /// Counts what a row shows, however much is left.
    pub(crate) fn count(&self, shown: &Shown) {
        self.allowances().iter().for_each(|allowance| allowance.count(shown));
        self.count_own(shown, self.takes(shown));
    }

    fn count_own(&self, shown: &Shown, amount: Amount) {
        let counters = [
            (&self.rows_left, &self.rows_out, amount.rows),
            (&self.bytes_left, &self.bytes_out, amount.bytes),
            (&self.subjects_left, &self.subjects_out, amount.subjects),
        ];
        for (left, out, taken) in counters {
            let before = left.load(Relaxed);
            if before != UNLIMITED {
                left.store(before.saturating_sub(taken), Relaxed);
            }
            out.store(out.load(Relaxed).saturating_add(taken), Relaxed);
        }
        if self.tells.is_some() {
            let mut seen = self.seen();
            let room = MAX_KNOWN.saturating_sub(seen.len());
            seen.extend(shown.hashes().iter().take(room));
        }
    }

    /// Takes the row that waits, if it may go by now: then it goes without being counted again.
    #[must_use]
    pub fn take_waiting(&self) -> bool {
        let waits = *self.waits();
        let taken = self.take(&waits);
        self.taken.store(taken, Relaxed);
        taken
    }

    /// The row that waits goes.
    pub(crate) fn goes(&self, shown: &Shown) {
        if !self.taken.swap(false, Relaxed) {
            self.count(shown);
        }
    }

    /// The row that does not go now.
    pub(crate) fn keep_waiting(&self, shown: &Shown) {
        *self.waits() = *shown;
    }

    /// Whether the number in its command tag is counted as rows that were stored.
    pub(crate) fn counts_stored(&self) -> bool {
        self.stores != Stores::Nothing
    }

    /// The statement has completed: rows that it has stored, and not shown, by its command tag. Of one that `reads`
    /// (`SELECT 5`, which CREATE TABLE AS has as well), those that it has shown are not stored. Where no tag tells how many
    /// those are, all that there was counts.
    pub(crate) fn completed(&self, rows: Option<u64>, reads: bool) {
        if self.stores == Stores::Nothing {
            return;
        }
        self.open_ended.store(false, Relaxed);
        if self.stores == Stores::Untold {
            return self.lost();
        }
        let shown = self.rows_out.load(Relaxed).saturating_sub(self.told_of.load(Relaxed));
        let told = rows.unwrap_or(0);
        let rows = told.saturating_sub(shown);
        let stored = if reads { rows } else { told };
        let left = self.rows_left.load(Relaxed);
        if left != UNLIMITED {
            self.rows_left.store(left.saturating_sub(rows), Relaxed);
        }
        if stored > 0 {
            self.stored.store(true, Relaxed);
            // How many bytes they had, and whose they are, is not told, whatever RETURNING shows of them: all that there were.
            for left in [&self.bytes_left, &self.subjects_left] {
                if left.load(Relaxed) != UNLIMITED {
                    left.store(0, Relaxed);
                }
            }
            self.allowances().iter().for_each(|allowance| allowance.count_stored(rows, stored));
        }
        self.rows_out.store(self.rows_out.load(Relaxed).saturating_add(rows), Relaxed);
        self.told_of.store(self.rows_out.load(Relaxed), Relaxed);
    }

    /// It has shown some of its rows, and stored all: how many those are is told once the others are shown, if ever.
    pub(crate) fn suspended(&self) {
        self.open_ended.store(self.stores != Stores::Nothing, Relaxed);
    }

    /// Nothing more can come of its statement.
    pub fn settled(&self) {
        if self.open_ended.load(Relaxed) {
            self.lost();
        }
    }

    /// Nobody will hear how its statement ends: the server goes on with it. What it may store counts as all that there was,
    /// or else whoever hangs up in time would store for nothing.
    pub fn lost(&self) {
        if self.stores == Stores::Nothing {
            return;
        }
        for left in [&self.rows_left, &self.bytes_left, &self.subjects_left] {
            if left.load(Relaxed) != UNLIMITED {
                left.store(0, Relaxed);
            }
        }
        self.stored.store(true, Relaxed);
        self.allowances().iter().for_each(|allowance| allowance.count_all());
    }

    /// Whether something that is no row may be shown.
    pub(crate) fn has(&self, shown: &Shown) -> bool {
        self.left().has(self.takes(shown)) && self.is_in_force() && self.allowances_have(shown)
    }

    /// The same of an error, for which no row need be left.
    pub(crate) fn has_bytes(&self, shown: &Shown) -> bool {
        self.bytes_left.load(Relaxed) >= shown.bytes && self.is_in_force() && self.allowances_have(shown)
    }

    fn allowances_have(&self, shown: &Shown) -> bool {
        self.allowances().iter().all(|allowance| allowance.has(shown))
    }

    fn is_in_force(&self) -> bool {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(InForce::is)
    }
}
