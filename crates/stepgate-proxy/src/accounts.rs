//! What limits count over a session or a window of time: an account for each person, rule and length, whichever sessions
//! the statements are sent in.
//!
//! A window is cut into parts; an account holds what was delivered in each, and forgets a part when all of it has left
//! the window. So a window counts a little longer than it says, and never less. Statements take from the account's
//! [`Allowance`], which holds what is on disk as delivered and was not yet: that goes up by a chunk at a time, after a write.
//! A crash loses what was left of the last chunk; nobody gets more by it.
//!
//! A *session* is a sitting: connections of a person of which each was opened within half an hour of the last delivery.
//! Who connects anew has not left.
//!
//! On disk an account has a keyed hash for a name, and holds numbers alone. Of subjects it has how many, so that a
//! restart forgets who they were: seen again, they count again.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepgate_policy::Metered;
use stepgate_record::{Event, LimitCounted};
use stepgate_session::{Allowance, Hashes, Meter};
use stepgate_store::{Change, Log, LogError, Side, Vault};
use stepgate_types::{Amount, Limit, Per, PersonName, Timestamp, Who, thousands};
use tokio::sync::{Mutex as Turn, RwLock};

/// Parts of a window.
const PARTS: u64 = 32;

/// A chunk is this part of a limit: not each row costs a sync, and what a crash loses is little.
const CHUNKS: u64 = 8;

/// Connections opened this long after the last delivery, and later, are another session.
const APART: Duration = Duration::from_secs(30 * 60);

/// How old what is on disk may say that the last delivery is.
const LATE: Duration = Duration::from_secs(5 * 60);

/// The most accounts, a kilobyte or two each. One more is not counted, and so has nothing left.
const MAX_ACCOUNTS: usize = 50_000;

/// How many entries of accounts that are over are deleted with another's write.
const SWEPT: usize = 16;

type Key = [u8; 16];

/// All accounts of a gate.
pub(crate) struct Accounts {
    by: Mutex<Book>,
    hashes: Hashes,
    /// Held alone from where entries are taken to be deleted until they are, so that what their persons get again is
    /// written after that.
    deleting: RwLock<()>,
}

#[derive(Default)]
struct Book {
    open: HashMap<Key, Arc<Account>>,
    /// From before the start, and not asked for since.
    kept: HashMap<Key, Entry>,
    /// On disk, and over.
    over: Vec<Key>,
}

/// See the module.
pub(crate) struct Account {
    key: Key,
    pub(crate) allowance: Arc<Allowance>,
    rule: String,
    per: Per,
    /// When its part is over, in microseconds.
    part_ends: AtomicI64,
    books: Turn<Books>,
}

struct Books {
    limit: Limit,
    part: u64,
    /// What was delivered in earlier parts, but for subjects.
    before: BTreeMap<u64, Amount>,
    /// When something was last to be delivered; on disk, when that was last written.
    touched: Timestamp,
    written: Timestamp,
}

/// As it is on disk: parts with rows, bytes and subjects.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    per_us: i64,
    parts: Vec<(u64, u64, u64, u64)>,
    touched_us: i64,
}

/// A limit that has no room for what is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crossed {
    pub(crate) rule: String,
    pub(crate) per: Per,
    pub(crate) limit: Limit,
    /// How much it has counted.
    counted: Amount,
    /// When some of that leaves the window.
    until: Option<Duration>,
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Rows,
    Bytes,
    Subjects,
}

impl Accounts {
    /// As they were when the gate ended.
    pub(crate) fn load(log: &Log, now: Timestamp) -> Result<Self, LogError> {
        let mut book = Book::default();
        for (key, value) in log.load(Side::Meters)? {
            let damaged = || LogError::Io("an entry of what limits have counted is damaged".to_owned());
            let mut entry: Entry = serde_json::from_slice(&value).map_err(|_| damaged())?;
            let key: Key = key.try_into().map_err(|_| damaged())?;
            // Something may have been delivered since that was written.
            entry.touched_us = Timestamp::from_micros(entry.touched_us).plus(LATE).micros();
            if entry.is_over(now) {
                book.over.push(key);
            } else {
                book.kept.insert(key, entry);
            }
        }
        Ok(Self { by: Mutex::new(book), hashes: Hashes::default(), deleting: RwLock::new(()) })
    }

    /// The account of a person for a rule's limit. `None`: there are too many.
    pub(crate) fn of(
        &self,
        vault: &Vault,
        person: &PersonName,
        metered: &Metered,
        now: Timestamp,
    ) -> Option<Arc<Account>> {
        let key = key(vault, person, metered);
        let mut book = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = book.open.get(&key) {
            return Some(Arc::clone(account));
        }
        if book.open.len() >= MAX_ACCOUNTS {
            book.sweep(now);
        }
        if book.open.len() >= MAX_ACCOUNTS {
            tracing::error!("too many people are counted: {MAX_ACCOUNTS} limits over sessions and windows");
            return None;
        }
        let entry = book.kept.remove(&key);
        // What is to be written of it from now on is not over.
        book.over.retain(|over| *over != key);
        let account = Arc::new(Account::new(key, metered, entry, now, &self.hashes));
        book.open.insert(key, Arc::clone(&account));
        Some(account)
    }

    fn has_over(&self) -> bool {
        !self.by.lock().unwrap_or_else(PoisonError::into_inner).over.is_empty()
    }

    /// Some entries that are over, to be deleted.
    fn swept(&self) -> Vec<Change> {
        let mut book = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        let from = book.over.len().saturating_sub(SWEPT);
        let over = book.over.split_off(from);
        over.into_iter().map(|key| Change::Delete { side: Side::Meters, key: key.to_vec() }).collect()
    }
}

impl Book {
    /// Forgets accounts that nobody uses, and that count nothing any more.
    fn sweep(&mut self, now: Timestamp) {
        let over = &mut self.over;
        self.open.retain(|key, account| {
            let is_over = Arc::strong_count(account) == 1
                && account
                    .books
                    .try_lock()
                    .is_ok_and(|books| account.entry(&books, Amount::NOTHING).is_over(now));
            if is_over {
                over.push(*key);
            }
            !is_over
        });
    }
}

impl Account {
    fn new(key: Key, metered: &Metered, entry: Option<Entry>, now: Timestamp, hashes: &Hashes) -> Self {
        let (parts, touched) = match entry {
            Some(entry) => (entry.parts, Timestamp::from_micros(entry.touched_us)),
            None => (Vec::new(), now),
        };
        let part = match metered.per {
            Per::Window(_) => part_of(metered.per, now),
            Per::Statement | Per::Session => parts.last().map_or(0, |part| part.0),
        };
        let seen =
            parts.iter().map(|(part, _, _, subjects)| (*part, *subjects)).filter(|(_, seen)| *seen > 0);
        let allowance = Allowance::new(metered.limit, part, seen.collect(), hashes);
        let before = parts.iter().map(|(part, rows, bytes, _)| (*part, Amount::of(*rows, *bytes)));
        let books = Books {
            limit: metered.limit,
            part,
            before: before.collect(),
            touched,
            written: Timestamp::from_micros(0),
        };
        Self {
            key,
            allowance: Arc::new(allowance),
            rule: metered.rule.clone(),
            per: metered.per,
            part_ends: AtomicI64::new(end_of(metered.per, part)),
            books: Turn::new(books),
        }
    }

    /// Ends the part that is over, if it is: then nothing is taken from what was set aside for it.
    pub(crate) fn renew(&self, now: Timestamp) {
        if now.micros() >= self.part_ends.load(Relaxed)
            && let Ok(mut books) = self.books.try_lock()
        {
            self.roll(&mut books, now, now);
        }
    }

    /// A new part, where one has begun; of a session, where `opened` is another sitting.
    fn roll(&self, books: &mut Books, now: Timestamp, opened: Timestamp) {
        let part = match self.per {
            // A clock that goes back ends no part.
            Per::Window(_) => part_of(self.per, now).max(books.part),
            Per::Statement | Per::Session if opened > books.touched.plus(APART) => {
                books.part.saturating_add(1)
            }
            Per::Statement | Per::Session => books.part,
        };
        if part == books.part {
            return;
        }
        let first = self.first_of(part);
        let used = self.allowance.begin(part, first);
        let so_far = books.before.entry(books.part).or_default();
        *so_far = so_far.and(used);
        books.before.retain(|part, _| *part >= first);
        books.part = part;
        self.part_ends.store(end_of(self.per, part), Relaxed);
    }

    const fn first_of(&self, part: u64) -> u64 {
        match self.per {
            Per::Window(_) => part.saturating_sub(PARTS),
            Per::Statement | Per::Session => part,
        }
    }

    /// Sets so much aside that the row which waits at this meter can be taken, or `all` that there is: on disk before.
    /// What the limit has no room for is [`Crossed`].
    pub(crate) async fn extend(
        &self,
        by: &By<'_>,
        meter: &Meter,
        limit: Limit,
        all: bool,
    ) -> Result<Option<Crossed>, LogError> {
        let mut books = self.books.lock().await;
        let now = by.now;
        self.roll(&mut books, now, by.opened);
        if books.limit != limit {
            // What was taken in this part stays taken.
            books.limit = limit;
            self.allowance.limit_to(limit, &by.accounts.hashes);
        }
        let takes = meter.next_of(&self.allowance);
        let (used, left) = self.allowance.now();
        let so_far = books.before.values().fold(used, |sum, part| sum.and(*part));
        let room = limit.minus(Amount { subjects: 0, ..so_far });
        let lacks = |room: Option<u64>, needed: u64| room.is_some_and(|room| room < needed);
        let of = match takes.too_many {
            _ if lacks(room.rows, takes.amount.rows) => Some(Of::Rows),
            _ if lacks(room.bytes, takes.amount.bytes) => Some(Of::Bytes),
            true => Some(Of::Subjects),
            false => None,
        };
        if let Some(of) = of {
            return Ok(Some(self.crossed(&books, limit, so_far, now, of)));
        }
        books.touched = books.touched.max(now);
        let fresh = matches!(self.per, Per::Window(_)) || now < books.written.plus(LATE);
        if left.has(takes.amount) && fresh && !all {
            return Ok(None);
        }
        let more = |limit: Option<u64>, room: Option<u64>, left: Option<u64>, needed: u64| {
            let (limit, room) = (limit.unwrap_or(0), room.unwrap_or(0));
            let chunk = if all { room } else { needed.max(limit / CHUNKS).min(room) };
            chunk.saturating_sub(left.unwrap_or(0))
        };
        let more = Amount {
            rows: more(limit.rows, room.rows, left.rows, takes.amount.rows),
            bytes: more(limit.bytes, room.bytes, left.bytes, takes.amount.bytes),
            subjects: more(limit.subjects, limit.subjects, left.subjects, takes.amount.subjects),
        };
        self.write(&mut books, by, used.and(left.amount()).and(more)).await?;
        self.allowance.add(more);
        Ok(None)
    }

    /// Writes that in this part so much is delivered.
    async fn write(&self, books: &mut Books, by: &By<'_>, now: Amount) -> Result<(), LogError> {
        let so_far = books.before.get(&books.part).copied().unwrap_or_default();
        let entry = self.entry(books, now);
        let value = serde_json::to_vec(&entry).map_err(|error| LogError::Io(error.to_string()))?;
        let put = Change::Put { side: Side::Meters, key: self.key.to_vec(), value };
        let subjects = entry.parts.last().map_or(0, |part| part.3);
        let counted = Event::LimitCounted(LimitCounted {
            person: by.person.clone(),
            rule: self.rule.clone(),
            per: self.per.to_string(),
            since_us: match self.per {
                Per::Window(_) => end_of(self.per, books.part.saturating_sub(1)),
                Per::Statement | Per::Session => 0,
            },
            rows: so_far.rows.saturating_add(now.rows),
            bytes: so_far.bytes.saturating_add(now.bytes),
            subjects,
        });
        // Last: whatever is deleted along with it, this stays.
        let append = |swept: Vec<Change>| {
            let changes = swept.into_iter().chain(std::iter::once(put)).collect();
            by.log.append(vec![counted], changes)
        };
        if by.accounts.has_over() {
            let _alone = by.accounts.deleting.write().await;
            append(by.accounts.swept()).await?;
        } else {
            let _shared = by.accounts.deleting.read().await;
            append(Vec::new()).await?;
        }
        books.written = by.now;
        Ok(())
    }

    /// As it is to be on disk when so much is taken in this part.
    fn entry(&self, books: &Books, now: Amount) -> Entry {
        let mut parts: BTreeMap<u64, Amount> = books.before.clone();
        for (part, subjects) in self.allowance.subjects_of_parts() {
            parts.entry(part).or_default().subjects = subjects;
        }
        let current = parts.entry(books.part).or_default();
        let (used, _) = self.allowance.now();
        *current = current.and(Amount::of(now.rows, now.bytes));
        // Those seen in it so far are among them.
        current.subjects = current.subjects.saturating_add(now.subjects.saturating_sub(used.subjects));
        Entry {
            per_us: match self.per {
                Per::Window(_) => length(self.per),
                Per::Statement | Per::Session => 0,
            },
            parts: parts.into_iter().map(|(part, it)| (part, it.rows, it.bytes, it.subjects)).collect(),
            touched_us: books.touched.micros(),
        }
    }

    fn crossed(&self, books: &Books, limit: Limit, so_far: Amount, now: Timestamp, of: Of) -> Crossed {
        let subjects = self.allowance.subjects_of_parts();
        let is_of = |amount: &Amount| match of {
            Of::Rows => amount.rows > 0,
            Of::Bytes => amount.bytes > 0,
            Of::Subjects => false,
        };
        let oldest = match of {
            Of::Subjects => subjects.iter().find(|(_, seen)| **seen > 0).map(|(part, _)| *part),
            _ => books.before.iter().find(|(_, amount)| is_of(amount)).map(|(part, _)| *part),
        };
        let until = matches!(self.per, Per::Window(_)).then(|| {
            let leaves = end_of(self.per, oldest.unwrap_or(books.part).saturating_add(PARTS));
            Timestamp::from_micros(leaves).since(now)
        });
        let counted = Amount { subjects: self.allowance.subjects(), ..so_far };
        Crossed { rule: self.rule.clone(), per: self.per, limit, counted, until, of }
    }
}

/// By whom, when and where it is written that something is delivered.
pub(crate) struct By<'a> {
    pub(crate) accounts: &'a Accounts,
    pub(crate) log: &'a Log,
    pub(crate) person: &'a Who,
    /// When the connection was opened.
    pub(crate) opened: Timestamp,
    pub(crate) now: Timestamp,
}

impl Crossed {
    /// Of an account that there is no room for.
    pub(crate) fn uncounted(metered: &Metered) -> Self {
        Self {
            rule: metered.rule.clone(),
            per: metered.per,
            limit: metered.limit,
            counted: Amount::NOTHING,
            until: None,
            of: Of::Rows,
        }
    }
}

/// `Limit of brake: 1,000 rows per 1h; 1,000 are counted, and the first of them leave the window in 42 min.`
impl std::fmt::Display for Crossed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (only, counted) = match self.of {
            Of::Rows => (Limit::of(self.limit.rows, None), self.counted.rows),
            Of::Bytes => (Limit::of(None, self.limit.bytes), self.counted.bytes),
            Of::Subjects => (Limit { subjects: self.limit.subjects, ..Limit::NONE }, self.counted.subjects),
        };
        let only = if only.is_none() { self.limit } else { only };
        write!(f, "Limit of {}: {only} per {}; {} counted", self.rule, self.per, thousands(counted))?;
        match self.until {
            Some(until) => write!(f, ", the first of them leave the window in {}.", whole(until)),
            None if self.per == Per::Session => {
                f.write_str(", until nothing was delivered for 30 min and you connect anew.")
            }
            None => f.write_str("."),
        }
    }
}

/// In whole seconds, minutes or hours, never less.
fn whole(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(1);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

impl Entry {
    /// Whether all of it has left its window; of a session, whether the sitting is over.
    fn is_over(&self, now: Timestamp) -> bool {
        let last = self.parts.last().map_or(0, |part| part.0);
        match self.per_us {
            0 => now > Timestamp::from_micros(self.touched_us).plus(APART),
            length => {
                now.micros().div_euclid(length)
                    > i64::try_from(last.saturating_add(PARTS)).unwrap_or(i64::MAX)
            }
        }
    }
}

/// Microseconds of a part of a window.
fn length(per: Per) -> i64 {
    match per {
        Per::Window(window) => {
            let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
            (micros / i64::try_from(PARTS).unwrap_or(1)).max(1)
        }
        Per::Statement | Per::Session => i64::MAX,
    }
}

fn part_of(per: Per, now: Timestamp) -> u64 {
    u64::try_from(now.micros() / length(per)).unwrap_or(0)
}

/// When a part is over.
fn end_of(per: Per, part: u64) -> i64 {
    let after = i64::try_from(part.saturating_add(1)).unwrap_or(i64::MAX);
    after.saturating_mul(length(per))
}

fn key(vault: &Vault, person: &PersonName, metered: &Metered) -> Key {
    let hash = vault.keyed_hash("limit account");
    let per = metered.per.to_string();
    let parts = [person.as_str().as_bytes(), metered.rule.as_bytes(), per.as_bytes()];
    let half = |side: &[u8]| hash.of(&[side, parts[0], parts[1], parts[2]]).to_be_bytes();
    let mut key = [0; 16];
    let (first, second) = key.split_at_mut(8);
    first.copy_from_slice(&half(b"0"));
    second.copy_from_slice(&half(b"1"));
    key
}

#[cfg(test)]
mod tests;
