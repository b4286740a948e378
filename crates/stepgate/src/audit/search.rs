//! `audit search`: the records that pass a filter.

use stepgate_record::{Filter, Reader};
use stepgate_store::{Finder, LogError, Search, Stored};
use stepgate_types::Actor;
use tokio::sync::mpsc;

use super::shown::{self, open, row};
use crate::failure::Failure;
use crate::operator::{Reply, log_error};
use crate::store::Store;

/// The most records that one search finds; `audit export` has no such bound.
const MOST: u64 = 1_000_000;

/// The most values of a filter that are looked for alone.
const MOST_ASKED: usize = 20;

/// Bytes of records that are kept between finding and showing; of more, only the numbers are.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Records that were found, in the order they were.
#[derive(Default)]
pub(super) struct Finds {
    pub(super) finds: Vec<Find>,
    bytes: usize,
}

/// One of them.
pub(super) enum Find {
    Kept(Stored),
    Numbered(u64),
}

impl Finds {
    /// Searches for at most `limit` records.
    pub(super) fn search(
        finder: &Finder,
        filter: &Filter,
        how: Search,
        limit: u64,
    ) -> Result<Self, LogError> {
        let mut finds = Self::default();
        let limit = usize::try_from(limit.min(MOST)).unwrap_or(usize::MAX);
        if limit == 0 {
            return Ok(finds);
        }
        finder.search(filter, how, &mut |stored| {
            finds.bytes = finds.bytes.saturating_add(stored.bytes.len());
            let keep = finds.bytes <= KEPT_BYTES;
            finds.finds.push(if keep { Find::Kept(stored) } else { Find::Numbered(stored.seq) });
            finds.finds.len() < limit
        })?;
        Ok(finds)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.finds.len()).unwrap_or(u64::MAX)
    }
}

impl Find {
    /// The record.
    pub(super) fn read(self, store: &Store) -> Result<Stored, Failure> {
        match self {
            Self::Kept(stored) => Ok(stored),
            Self::Numbered(seq) => match store.log.read(seq, seq.saturating_add(1)).next() {
                Some(read) => read.map_err(|error| log_error(&error)),
                None => Err(Failure::usage(format!("record {seq} is not there any more"))),
            },
        }
    }
}

/// What is searched for, and how.
pub(super) struct Wanted {
    pub(super) filter: Filter,
    pub(super) how: Search,
    pub(super) limit: u64,
}

/// Answers with a row a record. Blocks the thread.
pub(super) fn search(
    store: &Store,
    by: &Actor,
    wanted: Wanted,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    let Wanted { mut filter, how, limit } = wanted;
    shown::settle(&store.log);
    let asked = filter.clone();
    shown::resolve(&mut filter, store.log.subjects());
    let finds = Finds::search(&store.finder, &filter, how, limit).map_err(|error| log_error(&error))?;
    let found = finds.len();
    shown::told(store, by, Reader::Search, filter.for_record(), found)?;
    for find in finds.finds {
        let record = open(&find.read(store)?, store.log.subjects())?;
        out.blocking_send(Reply::Row(row(&record)))
            .map_err(|_| Failure::unreachable("nobody listens to the answer"))?;
    }
    let cut = found == limit.min(MOST);
    let mut said: Vec<String> =
        unnamed(store, &asked)?.into_iter().map(|said| format!("note: {said}")).collect();
    said.extend(cut.then(|| format!("the first {found}; there may be more: see --limit")));
    Ok((!said.is_empty()).then(|| said.join("\nstepgate: ")))
}

/// What of the filter no record at all names: misspelt, perhaps.
pub(super) fn unnamed(store: &Store, filter: &Filter) -> Result<Vec<String>, Failure> {
    let mut asked: Vec<(&str, &String, Filter)> = Vec::new();
    let alone = |text: &String| vec![text.clone()];
    for text in &filter.label {
        asked.push(("label", text, Filter { label: alone(text), ..Filter::default() }));
    }
    for text in &filter.rule {
        asked.push(("rule", text, Filter { rule: alone(text), ..Filter::default() }));
    }
    for text in &filter.database {
        asked.push(("database", text, Filter { database: alone(text), ..Filter::default() }));
    }
    for text in &filter.person {
        asked.push(("person", text, Filter { person: alone(text), ..Filter::default() }));
    }
    let mut said = Vec::new();
    for (what, text, mut filter) in asked.into_iter().take(MOST_ASKED) {
        shown::resolve(&mut filter, store.log.subjects());
        let how = Search { reverse: true, scan: false, end: u64::MAX };
        let finds = Finds::search(&store.finder, &filter, how, 1).map_err(|error| log_error(&error))?;
        if finds.len() == 0 {
            said.push(format!("no record names {what} {text:?}"));
        }
    }
    Ok(said)
}
