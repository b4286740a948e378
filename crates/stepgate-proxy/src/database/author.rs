//! Sessions that have DDL under way, of which others cannot tell whether it is committed.
//!
//! Whoever hangs on what it changes waits until that is known. Where it is all that its server has to do, the server is asked
//! whether its transaction goes on. What waits behind something else of its own session may keep others waiting for as long as
//! its author likes, who needs no rights for it: that session is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

use super::Database;
use super::ddl::{Changed, UnderWay};
use crate::catalog::in_transaction;

/// How long after it was sent what is not all that its server has to do may be in the way of others.
const GRACE: Duration = Duration::from_secs(1);

/// The same for whatever has neither written anything nor waits, of a session that may LISTEN: that may be committed.
const GRACE_OF_LISTENERS: Duration = Duration::from_millis(250);

/// How long in all it is waited for that something is known of it: then it counts as committed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_millis(250);

/// A session of the gate, as those see it who wait for what it has under way.
#[derive(Debug)]
pub(crate) struct Author {
    /// The server's process.
    pid: i32,
    /// Ends it.
    kill: Arc<Notify>,
    /// The message that is all that the server has still to answer; 0: there is none, or more.
    only: AtomicU64,
    /// What it has of this session is of one transaction, and nothing of it ends that or commits as it goes.
    is_one_segment: AtomicBool,
    stays: AtomicBool,
    listens: AtomicBool,
    /// The message to which something that is no error has come, which nobody has taken yet; 0: none.
    answered: AtomicU64,
    in_the_way: AtomicBool,
}

impl Author {
    pub(crate) fn new(pid: i32, kill: Arc<Notify>) -> Self {
        Self {
            pid,
            kill,
            only: AtomicU64::new(0),
            is_one_segment: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            listens: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            in_the_way: AtomicBool::new(false),
        }
    }

    /// Something that changes names is to be sent. `stays`: it ends no transaction, and commits nothing as it goes; `first`:
    /// nothing else of that sort is under way.
    pub(crate) fn sends(&self, stays: bool, first: bool) {
        let before = first || self.stays.load(Ordering::SeqCst);
        self.stays.store(before && stays, Ordering::SeqCst);
    }

    /// Before anything more is sent to the server: whether that is all it has to answer. `listens`: the server may have
    /// something to do besides, for who NOTIFY.
    pub(crate) fn owes(&self, only: Option<u64>, is_one_segment: bool, listens: bool) {
        // Mostly it is what it was.
        if self.listens() != listens {
            self.listens.store(listens, Ordering::SeqCst);
        }
        self.only.store(only.unwrap_or_default(), Ordering::SeqCst);
        self.is_one_segment.store(is_one_segment, Ordering::SeqCst);
    }

    /// Whether nothing of what it has under way ends its transaction, or commits as it goes.
    pub(crate) fn keeps_open(&self) -> bool {
        self.stays.load(Ordering::SeqCst)
    }

    /// Whether nothing is committed of it as long as its transaction goes on.
    fn stays(&self) -> bool {
        self.is_one_segment.load(Ordering::SeqCst) && self.keeps_open()
    }

    fn listens(&self) -> bool {
        self.listens.load(Ordering::SeqCst)
    }

    /// Something that is no error has come to that message, and is not taken yet.
    pub(crate) fn is_answered(&self, message: u64) {
        self.answered.store(message, Ordering::SeqCst);
    }

    /// Whether it is ended since others waited for it.
    pub(crate) fn is_in_the_way(&self) -> bool {
        self.in_the_way.load(Ordering::SeqCst)
    }

    fn ends(&self) {
        self.in_the_way.store(true, Ordering::SeqCst);
        self.kill.notify_one();
    }
}

impl UnderWay {
    /// It is done, for all that others know.
    pub(super) fn is_answered(&self) -> bool {
        self.author.answered.load(Ordering::SeqCst) == self.message
    }

    /// Whether the server is at it, for all that is known.
    fn is_begun(&self) -> bool {
        self.is_one && self.author.only.load(Ordering::SeqCst) == self.message
    }
}

impl Database {
    /// Waits until something is known of what `unheard` says hangs in the air.
    pub(crate) async fn hears(&self, unheard: impl Fn() -> Changed) {
        let (began, mut pause) = (Instant::now(), FIRST);
        while let Changed::Maybe(numbers) = unheard()
            && began.elapsed() < PATIENCE
        {
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LATER);
            self.asks_about(&numbers).await;
        }
    }

    /// Asks the server about those of these that are all that it has to do, and ends sessions that are in the way.
    pub(crate) async fn asks_about(&self, numbers: &BTreeSet<u64>) {
        // What is asked after this was not committed before it.
        let moment = self.number();
        let asked: Vec<i32> = {
            let commits = self.commits();
            let under_way = numbers.iter().filter_map(|number| commits.under_way.get(number));
            under_way.filter(|it| it.author.stays()).map(|it| it.author.pid).collect()
        };
        if asked.is_empty() {
            return self.urges(|number, _| numbers.contains(&number));
        }
        let going = match self.in_transaction(&asked).await {
            Ok(going) => going,
            Err(error) => {
                return tracing::warn!(%error, "cannot ask the server which transactions go on");
            }
        };
        let mut commits = self.commits();
        for number in numbers {
            // Nothing was sent behind it until now: the transaction is that in which it is done.
            if let Some(it) = commits.under_way.get_mut(number)
                && it.author.stays()
                && going.get(&it.author.pid).is_some_and(|writes| *writes || !it.author.listens())
            {
                it.uncommitted = moment;
            }
        }
        drop(commits);
        self.urges(|number, it| numbers.contains(&number) && it.uncommitted < moment);
    }

    /// Ends the sessions of those that have been in the way for long, and that their servers need not have begun.
    pub(super) fn urges(&self, in_the_way: impl Fn(u64, &UnderWay) -> bool) {
        for (number, it) in &self.commits().under_way {
            // Of what commits as it goes the server was not asked, whoever listens.
            let was_asked = it.author.listens() && it.author.stays();
            let grace = if was_asked { GRACE_OF_LISTENERS } else { GRACE };
            if it.since.elapsed() > grace && (was_asked || !it.is_begun()) && in_the_way(*number, it) {
                it.author.ends();
            }
        }
    }

    /// Those of these processes that have a transaction, and whether each has written something in it, or waits for a lock.
    async fn in_transaction(&self, pids: &[i32]) -> Result<BTreeMap<i32, bool>, crate::UpstreamError> {
        let mut reader = self.reader.lock().await;
        let (mut connection, was_there) = match reader.connection.take() {
            Some(connection) => (connection, true),
            None => (crate::catalog::connect_for_catalog(&self.config).await?, false),
        };
        let going = in_transaction(&mut connection, pids).await?;
        reader.connection = was_there.then_some(connection);
        Ok(going)
    }
}
