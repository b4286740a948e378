//! Watches whether databases are still what their maps were written for. What has come or gone is recorded, logged and
//! told once; what becomes of statements meanwhile, `unlisted_columns` and `unknown.tables` decide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stepgate_policy::Ruleset;
use stepgate_proxy::{Gate, View};
use stepgate_record::{Drift, Event};
use stepgate_store::Log;
use stepgate_types::{Clock, ColumnName, Entropy};
use tokio::sync::watch;

use crate::map::baseline::{self, Baseline, Change, What};

/// How often it is asked whether another catalog or map is in use; both are compared by address.
const POLL: Duration = Duration::from_millis(500);

/// The most tables or columns that one record names.
const NAMED: usize = 16;

/// What it takes to watch.
pub(super) struct Watch {
    pub(super) gate: Arc<Gate>,
    pub(super) log: Log,
    pub(super) data: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// What is known of one database.
#[derive(Default)]
struct Known {
    view: Option<Arc<View>>,
    /// Read from its file, or found not to be there.
    read: bool,
    baseline: Option<Baseline>,
}

impl Watch {
    /// Until `shutdown`.
    pub(super) async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        loop {
            tokio::select! {
                () = async { let _ = shutdown.wait_for(|down| *down).await; } => return,
                () = tokio::time::sleep(POLL) => {}
            }
            let databases = self.gate.databases();
            known.retain(|name, _| databases.iter().any(|database| database.config.name == *name));
            for database in databases {
                let name = database.config.name.clone();
                let known = known.entry(name.clone()).or_default();
                let Some(view) = database.view() else { continue };
                let is_same = |seen: &Arc<View>| {
                    Arc::ptr_eq(&seen.catalog, &view.catalog) && Arc::ptr_eq(&seen.rules, &view.rules)
                };
                if known.view.as_ref().is_some_and(is_same) {
                    continue;
                }
                if self.look(&name, &view, known).await {
                    known.view = Some(view);
                }
            }
        }
    }

    /// Whether all that had to be told was recorded; else it is tried again.
    async fn look(&self, name: &str, view: &View, known: &mut Known) -> bool {
        let file = baseline::file(&self.data, name);
        if !known.read {
            known.read = true;
            known.baseline = Baseline::read(&file).unwrap_or_else(|error| {
                tracing::warn!(database = name, %error, "what the database had before cannot be read; it is taken anew");
                None
            });
        }
        let listing = view.rules.map().listing(name);
        if listing.is_empty() {
            return true;
        }
        let changes =
            alarming(&view.rules, name, baseline::compare(&view.catalog, &listing, known.baseline.as_ref()));
        let mut next = match &known.baseline {
            Some(baseline) => baseline.clone(),
            None => self.taken(view, &listing, None),
        };
        next.forget(&changes);
        let news: Vec<Change> = changes.into_iter().filter(|change| next.tell(change)).collect();
        if !next.is_under(&listing) {
            next = self.taken(view, &listing, Some(&next));
        }
        if !self.tell(name, &news).await {
            return false;
        }
        if known.baseline.as_ref() != Some(&next) {
            keep(name, &file, &next);
            known.baseline = Some(next);
        }
        true
    }

    fn taken(
        &self,
        view: &View,
        listing: &[stepgate_policy::Listed<'_>],
        before: Option<&Baseline>,
    ) -> Baseline {
        let salt = before.and_then(Baseline::salt).unwrap_or_else(|| {
            let mut salt = [0; 16];
            // Without one, whoever may read the file can guess names better; the map beside it has most of them.
            let _ = self.entropy.fill(&mut salt);
            salt
        });
        let taken = Baseline::take(&view.catalog, listing, salt, self.clock.now().to_string());
        match before {
            Some(before) => taken.with_told_of(before),
            None => taken,
        }
    }

    /// Recorded first, then logged.
    async fn tell(&self, database: &str, news: &[Change]) -> bool {
        let kinds: BTreeSet<What> = news.iter().map(|change| change.what).collect();
        let mut events = Vec::new();
        for what in kinds {
            let of: Vec<&Change> = news.iter().filter(|change| change.what == what).collect();
            let named = of.iter().take(NAMED);
            let columns = named
                .clone()
                .filter_map(|change| Some(ColumnName::new(change.relation.clone(), change.column.clone()?)));
            let relations =
                named.filter(|change| change.column.is_none()).map(|change| change.relation.to_string());
            events.push(Event::CatalogDrifted(Drift {
                database: database.to_owned(),
                what: what.as_str().to_owned(),
                relations: relations.collect(),
                columns: columns.map(|column| column.to_string()).collect(),
                number: u64::try_from(of.len()).unwrap_or(u64::MAX),
            }));
        }
        if events.is_empty() {
            return true;
        }
        if let Err(error) = self.log.append(events, Vec::new()).await {
            tracing::error!(database, %error, "that the database has changed is not recorded");
            return false;
        }
        for change in news.iter().take(NAMED) {
            let Change { what, relation, column, .. } = change;
            let name = match column {
                Some(column) => ColumnName::new(relation.clone(), column.clone()).to_string(),
                None => relation.to_string(),
            };
            tracing::warn!(
                database,
                what = what.as_str(),
                name,
                "the database has changed and its map has not: see stepgate map diff"
            );
        }
        true
    }
}

/// What somebody has to be told of: what the map means and is gone, what is new where it means something. Of what was
/// renamed the labels follow, which is recorded by itself.
fn alarming(rules: &Ruleset, name: &str, changes: Vec<Change>) -> Vec<Change> {
    let schemas: BTreeSet<String> =
        rules.map().listing(name).iter().map(|listed| listed.relation.schema.clone()).collect();
    let is_meant = |change: &Change| match change.what {
        What::TableGone | What::ColumnGone | What::NewColumn => true,
        What::NewTable => schemas.contains(&change.relation.schema),
        What::Renamed | What::Retyped | What::UnlistedTable | What::UnlistedColumn => false,
    };
    changes.into_iter().filter(is_meant).collect()
}

/// What cannot be kept is known until the gate stops.
fn keep(database: &str, file: &Path, baseline: &Baseline) {
    if let Err(error) = baseline.write(file) {
        tracing::warn!(database, %error, "what the database has cannot be kept in {}", file.display());
    }
}
