//! What a session leaves behind at its server.
//!
//! PostgreSQL lets a statement run on whose client has gone, commits it, and notices when it has something to say. So it
//! is here: a client that goes without waiting for an answer finds its work done. But whoever it was keeps their place
//! until the server has closed its end, else who connects, sends something long and goes, again and again, would have as
//! many of the server's processes as there are.
//!
//! A server that answers nobody any more closes no end either: the kernel may take a quarter of an hour to find that out.
//! What is left there is broken off as soon as the server has been asked in vain, and the place is free: it keeps nobody
//! from anything where nobody gets in.
//!
//! A session that was ended (by the operator, by an alarm, since its person has no access any more) ends at the server
//! too: what runs is cancelled, and what was sent behind it does not run.

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use super::calls::{Call, Calls};
use super::fate::Fate;
use crate::catalog::connect_for_catalog_at;
use crate::database::{CommitsDdl, Database, Opened};
use crate::judge::Judge;
use crate::overtaken::Watched;
use crate::{ServerKey, Shutdown, Stream, UpstreamError, forward_cancel, simple_query, upstream};

/// How much of what the server still says is read for a client that has gone. Beyond that PostgreSQL itself, whose buffer
/// is 8 kB, would have found the client gone, and have stopped.
const MAX_UNHEARD: usize = 64 << 10;

/// How long after a cancel request that did not end the session the next one is sent: a request that comes between two
/// statements cancels nothing.
const AGAIN: Duration = Duration::from_millis(250);
/// And at most how long after it.
const MUCH_LATER: Duration = Duration::from_secs(60);

/// After how long in which nothing came of what was left the server is asked whether it answers anybody, and how long it
/// may take to.
const SILENCE: Duration = Duration::from_secs(5);
/// And how long at most until it is asked again.
const SILENCE_AGAIN: Duration = Duration::from_secs(20);

/// How soon it is asked once more where it did not answer: one lost packet says nothing.
const ONCE_MORE: Duration = Duration::from_millis(500);

/// How often, and how long apart, the catalog is looked at for what was left.
const LOOKS: usize = 60;
const LOOK: Duration = Duration::from_secs(1);

/// How many questions whether a server answers are under way at once.
static QUESTIONS: Semaphore = Semaphore::const_new(32);

/// How many cancel requests of sessions that end are under way at once: when the gate stops, all of them end.
static CANCELS: Semaphore = Semaphore::const_new(32);

/// What a session was at its end.
pub(super) struct Left {
    /// None: it was broken off.
    pub(super) server: Option<Stream>,
    /// What was let through and not sent yet.
    pub(super) unsent: BytesMut,
    pub(super) judge: Judge,
    /// By what the server knows it.
    pub(super) key: ServerKey,
    /// What runs may commit DDL.
    pub(super) commits: Vec<CommitsDdl>,
    /// So may what is answered.
    pub(super) answered: Vec<CommitsDdl>,
    /// What is not committed.
    pub(super) opened: Option<Opened>,
    /// What runs, or may.
    pub(super) watched: Vec<Watched>,
    /// Which of those sessions it is whose DDL is counted.
    pub(super) number: u64,
    /// What becomes of that.
    pub(super) fate: Fate,
    /// The server would go on with something else if what runs were cancelled.
    pub(super) several: bool,
    /// The server answers nobody.
    pub(super) lost: bool,
}

/// The server's end of a session that is over, while something runs there. Of these there are no more than there may be
/// sessions.
pub(crate) struct Leaving {
    left: Left,
    /// What runs may run on.
    runs_on: bool,
    since: Instant,
}

/// Why what runs on is not waited for any more.
enum Over {
    /// The server has closed its end, or the gate leaves it alone.
    Gone,
    /// The server answers nobody.
    Lost,
    /// The server says too much to nobody.
    TooMuch,
    /// Somebody who may has ended it.
    Killed,
}

impl Leaving {
    /// `runs_on`: whether what runs may, and be committed. If not, [`Self::call_off`] comes next.
    pub(super) fn behind(mut left: Left, runs_on: bool) -> Self {
        if !runs_on {
            left.unsent.clear();
        }
        Self { left, runs_on, since: Instant::now() }
    }

    fn database(&self) -> &Arc<Database> {
        &self.left.judge.database
    }

    /// Has the server end what runs, of which it still says how it ends.
    pub(super) async fn cancel(&self) {
        cancel(self.database(), &self.left.key).await;
    }

    /// Has the server end what runs, and nothing sent behind it begin. That it has been told is all that is waited for.
    pub(super) async fn call_off(&mut self) {
        self.runs_on = false;
        if self.left.several
            && let Some(server) = self.left.server.take()
        {
            // What was sent lies with the server already. With its next answer it finds the connection reset, which ends
            // its process before it takes the next message.
            break_off(server);
        }
        let Left { server, judge, key, .. } = &mut self.left;
        let closes = async {
            if let Some(server) = server {
                // Whatever comes of it: the request that is sent beside it does not need it.
                let _ = timeout(SILENCE, server.shutdown()).await;
            }
        };
        tokio::join!(closes, cancel(&judge.database, key));
    }

    /// Waits until the server has closed its end, or answers nobody. Until then a cancel request still reaches what runs,
    /// and whoever may end sessions ends it.
    pub(crate) async fn see_out(mut self, mut calls: Calls) {
        if self.left.lost {
            return self.give_up();
        }
        if self.runs_on {
            match self.run_on(&mut calls).await {
                Over::Gone => return self.ends(),
                Over::Lost => return self.give_up(),
                // A client that has gone would have been found out by the first of several answers. How one ends is heard.
                Over::TooMuch => self.left.several |= !self.left.fate.is_of_one_segment(),
                Over::Killed => {}
            }
            self.call_off().await;
        }
        let mut patience = AGAIN;
        while !self.is_gone_within(patience).await {
            let key = &self.left.key;
            if !cancel(self.database(), key).await && is_silent(key.address).await {
                return self.give_up();
            }
            patience = patience.saturating_mul(2).min(MUCH_LATER);
        }
        self.ends();
    }

    /// The server has closed its end. What it did last, nobody has heard of: somebody may have changed what it did it by.
    fn ends(self) {
        let Left { judge, commits, answered, opened, watched, number, fate, .. } = self.left;
        let database = Arc::clone(&judge.database);
        fate.befalls(&commits, &answered);
        drop((commits, answered, opened));
        let ddl = database.ddl();
        if !watched.iter().any(|watched| watched.leaves_something(ddl)) {
            return;
        }
        let judges = async move {
            for _ in 0..LOOKS {
                if database.refresh().await.is_ok() || database.is_closed() {
                    break;
                }
                sleep(LOOK).await;
            }
            let Some(view) = database.view() else { return };
            if let Err(error) = judge.judge_left(&view, &watched, number).await {
                tracing::error!(%error, "what a session has left stored something that is not recorded");
            }
        };
        // Nobody waits for it: the session's place is free.
        tokio::spawn(judges.in_current_span());
    }

    /// Nobody is left to say goodbye to.
    fn give_up(mut self) {
        let database = &self.database().config.name;
        tracing::warn!(%database, "the server answers nobody: what a session has left there is broken off");
        if let Some(server) = self.left.server.take() {
            break_off(server);
        }
        let Left { commits, answered, watched, .. } = &self.left;
        if !commits.is_empty() || !answered.is_empty() || !watched.is_empty() {
            // The server may be back before it has noticed, and commit what runs.
            let waits = async move {
                while !self.database().is_closed() && !self.is_gone_within(SILENCE_AGAIN).await {}
                self.ends();
            };
            tokio::spawn(waits.in_current_span());
        }
    }

    async fn run_on(&mut self, calls: &mut Calls) -> Over {
        let Left { server: Some(server), unsent, judge, key, fate, .. } = &mut self.left else {
            return Over::Gone;
        };
        let (mut from, mut to) = tokio::io::split(server);
        let sends = async {
            // If it takes no more, it has closed, or soon does.
            if to.write_all_buf(unsent).await.is_ok() {
                let _ = to.shutdown().await;
            }
            pending().await
        };
        let hears = async {
            let (mut unread, mut heard) = ([0; 4 << 10], 0_usize);
            loop {
                match from.read(&mut unread).await {
                    Ok(0) | Err(_) => return Over::Gone,
                    Ok(read) => {
                        heard = heard.saturating_add(read);
                        fate.hears(unread.get(..read).unwrap_or_default());
                    }
                }
                if heard > MAX_UNHEARD {
                    return Over::TooMuch;
                }
            }
        };
        let called = async {
            loop {
                match poll_fn(|context| calls.poll(context)).await {
                    Call::Kill => return Over::Killed,
                    // As PostgreSQL does, whose process outlives its client, too. Its own connection waits until then.
                    Call::Cancel(_notice) => _ = cancel(&judge.database, key).await,
                    Call::Shutdown(Shutdown::Now) => return Over::Gone,
                    Call::Shutdown(_) | Call::Learn => {}
                }
            }
        };
        let lost = async {
            is_lost(key.address).await;
            Over::Lost
        };
        tokio::select! {
            over = hears => over,
            over = called => over,
            over = lost => over,
            over = sends => over,
        }
    }

    async fn is_gone_within(&mut self, patience: Duration) -> bool {
        let Some(server) = &mut self.left.server else {
            sleep(patience).await;
            return self.is_gone().await;
        };
        let (fate, mut unread) = (&mut self.left.fate, [0; 4 << 10]);
        let closes = async {
            while let Ok(read @ 1..) = server.read(&mut unread).await {
                fate.hears(unread.get(..read).unwrap_or_default());
            }
        };
        timeout(patience, closes).await.is_ok()
    }

    /// Whether the server has no process of that number; one that began later is another. Process ids of all sessions are
    /// shown to everybody.
    async fn is_gone(&self) -> bool {
        let _permit = QUESTIONS.acquire().await;
        let Left { key, judge, .. } = &self.left;
        let (pid, seconds) = (key.pid, self.since.elapsed().as_secs());
        let asks = async {
            let mut connection = connect_for_catalog_at(&judge.database.config, key.address).await?;
            let sql = format!(
                "SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = {pid} \
                 AND backend_start OPERATOR(pg_catalog.<=) \
                 (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => {seconds}))"
            );
            simple_query(&mut connection, &sql).await
        };
        match timeout(SILENCE, asks).await.unwrap_or(Err(UpstreamError::Timeout(SILENCE.as_secs()))) {
            Ok(rows) => rows.is_empty(),
            Err(error) => {
                tracing::warn!(%error, "cannot ask whether a session that was ended is over");
                false
            }
        }
    }
}

/// Whether the server has been told.
async fn cancel(database: &Database, key: &ServerKey) -> bool {
    // Never closed.
    let _permit = CANCELS.acquire().await;
    let told = timeout(SILENCE, forward_cancel(&database.config, key)).await;
    let told = told.unwrap_or(Err(UpstreamError::Timeout(SILENCE.as_secs())));
    if let Err(error) = &told {
        tracing::warn!(%error, "cancelling what a session that is over has left behind");
    }
    told.is_ok()
}

/// Resolves when the server at that address answers nobody any more. For sessions that nobody waits for: who does wait can leave.
pub(super) async fn is_lost(address: SocketAddr) {
    let mut patience = SILENCE;
    loop {
        sleep(patience).await;
        if is_silent(address).await {
            return;
        }
        patience = patience.saturating_mul(2).min(SILENCE_AGAIN);
    }
}

/// Whether the server answers nobody, asked twice.
async fn is_silent(address: SocketAddr) -> bool {
    if !does_not_answer(address).await {
        return false;
    }
    sleep(ONCE_MORE).await;
    does_not_answer(address).await
}

/// Whether the server does not answer. What the gate itself lacks to ask it, a descriptor, says nothing.
async fn does_not_answer(address: SocketAddr) -> bool {
    let _permit = QUESTIONS.acquire().await;
    match timeout(SILENCE, upstream::answers(address)).await {
        Ok(Ok(())) => false,
        Ok(Err(UpstreamError::Refused { source, .. })) => is_the_peers(&source),
        Ok(Err(_)) | Err(_) => true,
    }
}

/// Whether it is the other side, or the way there, that an attempt to connect has failed by.
fn is_the_peers(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    )
}

/// What is left is not sent, nor is it waited for.
fn break_off(server: Stream) {
    if let Err(error) = SockRef::from(server.tcp()).set_linger(Some(Duration::ZERO)) {
        tracing::warn!(%error, "breaking off a session");
    }
}
