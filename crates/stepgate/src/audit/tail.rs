//! `audit tail`: the last records, and those that follow.

use std::time::Duration;

use stepgate_record::{Filter, Reader, Sieve};
use stepgate_store::{Finder, Log, LogError, Search, Stored};
use stepgate_types::Actor;
use tokio::sync::mpsc;

use super::search::Finds;
use super::shown::{self, open, row};
use crate::failure::Failure;
use crate::operator::{Reply, log_error};
use crate::store::Store;

type Out<'a> = &'a mpsc::Sender<Reply>;

/// The most records that are shown of those before.
const MOST: u64 = 10_000;

/// Records that are read at once while following.
const AT_ONCE: u64 = 256;

/// Whoever has not taken a record after so long is told so, and the tail ends: the records are not lost, the log
/// has them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which records.
pub(super) struct Wanted {
    pub(super) lines: u64,
    pub(super) follow: bool,
    pub(super) filter: Filter,
}

/// The answer was cut off: whoever asked is gone.
fn gone() -> Failure {
    Failure::unreachable("nobody listens to the answer")
}

/// The last `lines` records that pass, and, where `follow`, each new one that does: none is skipped.
pub(super) async fn tail(
    store: &Store,
    by: &Actor,
    wanted: Wanted,
    out: Out<'_>,
) -> Result<Option<String>, Failure> {
    let Wanted { lines, follow, filter } = wanted;
    let mut durable = store.log.watch();
    let log = store.log.clone();
    let settled = tokio::task::spawn_blocking(move || {
        shown::settle(&log);
        log.len()
    });
    // Everything before this is found by searching, everything else by following.
    let mut next = settled.await.map_err(|_| Failure::usage("the tail broke off"))?;
    let sieve = {
        let (store, by, out) = (store.share(), by.clone(), out.clone());
        let work = move || begin(&store, &by, (lines, filter), next, &out);
        tokio::task::spawn_blocking(work).await.map_err(|_| Failure::usage("the tail broke off"))??
    };
    if !follow {
        return Ok(None);
    }
    loop {
        while next < store.log.len() {
            let (finder, log, sieve) = (store.finder.clone(), store.log.clone(), sieve.clone());
            let read = tokio::task::spawn_blocking(move || piece(&finder, &log, &sieve, next)).await;
            let (end, found) = read.map_err(|_| Failure::usage("the tail broke off"))??;
            for stored in found {
                let reply = Reply::Row(row(&open(&stored, store.log.subjects())?));
                match tokio::time::timeout(PATIENCE, out.send(reply)).await {
                    Ok(sent) => sent.map_err(|_| gone())?,
                    Err(_) => return Err(too_slow(stored.seq)),
                }
            }
            next = end;
        }
        tokio::select! {
            changed = durable.changed() => changed.map_err(|_| Failure::unreachable("the gate has stopped"))?,
            () = out.closed() => return Err(gone()),
        }
        if let Some(why) = store.log.poisoned() {
            return Err(Failure::unreachable(format!("the log has ended: {why}")));
        }
    }
}

/// Shows the last records before `end`; returns what those that follow are held against.
fn begin(
    store: &Store,
    by: &Actor,
    (lines, mut filter): (u64, Filter),
    end: u64,
    out: Out<'_>,
) -> Result<Sieve, Failure> {
    shown::resolve(&mut filter, store.log.subjects());
    let how = Search { reverse: true, scan: false, end };
    let mut finds =
        Finds::search(&store.finder, &filter, how, lines.min(MOST)).map_err(|error| log_error(&error))?;
    shown::told(store, by, Reader::Tail, filter.for_record(), finds.len())?;
    finds.finds.reverse();
    for find in finds.finds {
        let stored = find.read(store)?;
        let reply = Reply::Row(row(&open(&stored, store.log.subjects())?));
        out.blocking_send(reply).map_err(|_| gone())?;
    }
    Ok(filter.sieve())
}

/// The records from `next` on that pass, of those that are read at once, and the number to go on with.
fn piece(finder: &Finder, log: &Log, sieve: &Sieve, next: u64) -> Result<(u64, Vec<Stored>), Failure> {
    if next < log.floor() {
        return Err(Failure::no(format!("record {next} was deleted by retention before it could be shown")));
    }
    let end = log.len().min(next.saturating_add(AT_ONCE));
    let mut found = Vec::new();
    let mut take = || -> Result<(), LogError> {
        for stored in log.read(next, end) {
            let stored = stored?;
            if finder.matches(sieve, &stored)? {
                found.push(stored);
            }
        }
        Ok(())
    };
    take().map_err(|error| log_error(&error))?;
    Ok((end, found))
}

fn too_slow(seq: u64) -> Failure {
    Failure::no(format!(
        "this reads more slowly than records are made: the tail ends before record {seq}, and nothing was skipped"
    ))
    .hint("narrow it down with a filter, or let a sink carry the log away: docs/OPERATING.md")
}
