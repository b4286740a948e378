//! What all sessions of a gate share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stepgate_policy::Ruleset;
use stepgate_record::Event;
use stepgate_store::{Desk, Log, LogError, People, Vault};
use stepgate_types::{Clock, Entropy};
use tokio::sync::{Semaphore, watch};

use crate::crowd::{Crowd, MAX_CROWD};
use crate::database::Database;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::{CancelRegistry, ServerTls, UpstreamConfig};
use crate::{announced, binding, taint};

/// The most connections at a time that are not sessions: those being let in, those that only cancel, and those being
/// told that there is no room.
const MAX_ADMISSIONS: usize = 2 * MAX_CROWD;

/// What a gate is made of.
pub struct Parts {
    /// The databases behind it.
    pub databases: Vec<UpstreamConfig>,
    /// Map and policy.
    pub rules: Arc<Ruleset>,
    /// The audit log.
    pub log: Log,
    /// Seals what is kept beside the log.
    pub vault: Vault,
    /// Who may connect.
    pub people: People,
    /// Where statements wait.
    pub desk: Desk,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// TLS towards clients.
    pub tls: Option<ServerTls>,
    /// Where people open a request in a browser, without a slash at the end.
    pub console_url: Option<String>,
    /// How much it takes on.
    pub limits: Limits,
}

/// A gate: what all of its sessions share.
pub struct Gate {
    pub(crate) databases: BTreeMap<String, Arc<Database>>,
    rules: watch::Sender<Arc<Ruleset>>,
    pub(crate) log: Log,
    pub(crate) vault: Vault,
    pub(crate) people: People,
    pub(crate) desk: Desk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) console_url: Option<String>,
    pub(crate) cancels: CancelRegistry,
    pub(crate) sessions: Sessions,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) admissions: Arc<Semaphore>,
    pub(crate) crowd: Crowd,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    tls: watch::Sender<Option<ServerTls>>,
}

impl Gate {
    /// A gate of these parts. Nothing is reached yet.
    ///
    /// # Errors
    /// The store cannot say what tables hold.
    pub fn new(parts: Parts) -> Result<Self, LogError> {
        let rules = watch::Sender::new(parts.rules);
        let mut taints = taint::load(&parts.log, &parts.vault)?;
        let names = parts.databases.iter().map(|config| config.name.clone());
        let mut bindings = binding::load(&parts.log, &parts.vault, names)?;
        let databases = parts.databases.into_iter().filter_map(|config| {
            let name = config.name.clone();
            let taints = taints.remove(&name).unwrap_or_default();
            let bindings = bindings.remove(&name)?;
            Some((name, Arc::new(Database::new(config, rules.subscribe(), taints, bindings))))
        });
        Ok(Self {
            databases: databases.collect(),
            rules,
            log: parts.log,
            vault: parts.vault,
            people: parts.people,
            desk: parts.desk,
            clock: parts.clock,
            entropy: parts.entropy,
            tls: watch::Sender::new(parts.tls),
            console_url: parts.console_url,
            cancels: CancelRegistry::new(),
            sessions: Sessions::default(),
            slots: Arc::new(Semaphore::new(parts.limits.sessions.min(Semaphore::MAX_PERMITS))),
            admissions: Arc::new(Semaphore::new(MAX_ADMISSIONS)),
            crowd: Crowd::default(),
            limits: parts.limits,
            metrics: Arc::default(),
        })
    }

    /// The sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The databases behind the gate, by name.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &Arc<Database>)> {
        self.databases.iter().map(|(name, database)| (name.as_str(), database))
    }

    /// How it shows itself to clients that come now.
    pub(crate) fn tls(&self) -> Option<ServerTls> {
        self.tls.borrow().clone()
    }

    /// Takes another certificate into use, for clients that come from now on.
    pub fn set_tls(&self, tls: Option<ServerTls>) {
        self.tls.send_replace(tls);
    }

    /// Whether it can serve anybody at all; else what it lacks, in one word.
    #[must_use]
    pub fn lacks(&self) -> Option<&'static str> {
        let reachable = |database: &Arc<Database>| database.view().is_some();
        if self.log.poisoned().is_some() {
            Some("log")
        } else if !self.databases.values().any(reachable) {
            Some("database")
        } else {
            None
        }
    }

    /// Map and policy in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.rules.borrow())
    }

    /// Puts other rules in force: recorded first, then used by every later decision, also those on
    /// statements that are held now.
    ///
    /// # Errors
    /// The log refused; the old rules stay.
    pub async fn set_rules(&self, rules: Arc<Ruleset>) -> Result<(), LogError> {
        self.log.append(vec![policy_loaded(&rules)], Vec::new()).await?;
        self.rules.send_replace(rules);
        for database in self.databases.values() {
            database.rules_changed().await;
        }
        Ok(())
    }

    /// Does what must be done without anybody asking, until `shutdown`: catalogs, expiry.
    pub async fn keep_house(&self, mut shutdown: watch::Receiver<bool>) {
        let mut watchers = tokio::task::JoinSet::new();
        for database in self.databases.values() {
            watchers.spawn(announced::listen(Arc::clone(database), shutdown.clone()));
            let (database, shutdown) = (Arc::clone(database), shutdown.clone());
            watchers.spawn(async move { database.watch(shutdown).await });
        }
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                // In a block of its own: the guard it returns must not live across another arm's await.
                () = async { let _ = shutdown.wait_for(|down| *down).await; } => break,
                _ = second.tick() => {
                    if let Err(error) = self.desk.expire_due().await {
                        tracing::error!(%error, "requests cannot be expired");
                    }
                }
            }
        }
        while watchers.join_next().await.is_some() {}
    }
}

/// The record of rules coming into force.
#[must_use]
pub fn policy_loaded(rules: &Ruleset) -> Event {
    Event::PolicyLoaded {
        policy_sha256: rules.sha256().to_owned(),
        rules: count(rules.rule_names().count()),
        columns: count(rules.map().labelled_columns()),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
