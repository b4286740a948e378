//! What all sessions of a gate share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stepgate_policy::{Places, Ruleset};
use stepgate_record::Event;
use stepgate_store::{Desk, Log, LogError, People, Profiles, Vault};
use stepgate_types::{Clock, Entropy};
use tokio::sync::{Semaphore, watch};

use crate::accounts::Accounts;
use crate::crowd::{Crowd, MAX_CROWD};
use crate::database::Database;
use crate::databases::Databases;
use crate::failures::Failures;
use crate::judge::Preparing;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::{CancelRegistry, ServerTls, UpstreamConfig};

/// The most connections at a time that are not sessions: those being let in, those that only cancel, and those being
/// told that there is no room.
const MAX_ADMISSIONS: usize = 2 * MAX_CROWD;

/// How long what is usual for people is waited for at most. A log of a million records is read in some seconds, and but
/// once: what was made of it is kept.
pub const HABITS: Duration = Duration::from_secs(60);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

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
    /// Whether records tell, as keyed hashes, whose data statements name and show (`subject_key` of the map).
    pub track_subjects: bool,
    /// What is usual for whom: read only where the policy weighs signals.
    pub profiles: Profiles,
    /// Where addresses are.
    pub places: Arc<dyn Places>,
}

/// What a gate can take into use while it runs, besides map and policy.
pub struct Settings {
    /// The databases behind it.
    pub databases: Vec<UpstreamConfig>,
    /// How much it takes on.
    pub limits: Limits,
    /// TLS towards clients.
    pub tls: Option<ServerTls>,
}

/// A gate: what all of its sessions share.
pub struct Gate {
    pub(crate) databases: Databases,
    rules: watch::Sender<Arc<Ruleset>>,
    pub(crate) log: Log,
    pub(crate) vault: Vault,
    pub(crate) people: People,
    pub(crate) desk: Desk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) console_url: Option<String>,
    pub(crate) track_subjects: bool,
    pub(crate) accounts: Accounts,
    pub(crate) profiles: Profiles,
    places: Arc<dyn Places>,
    pub(crate) cancels: CancelRegistry,
    pub(crate) sessions: Sessions,
    pub(crate) admissions: Arc<Semaphore>,
    pub(crate) crowd: Crowd,
    pub(crate) failures: Failures,
    pub(crate) memory: Arc<Memory>,
    limits: watch::Sender<Limits>,
    /// `slow_client` of them, in milliseconds, which is asked for with each move of bytes.
    patience: AtomicU64,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) preparing: Preparing,
    tls: watch::Sender<Option<ServerTls>>,
}

impl Gate {
    /// A gate of these parts. Nothing is reached yet.
    ///
    /// # Errors
    /// The store cannot say what tables hold.
    pub fn new(parts: Parts) -> Result<Self, LogError> {
        teach(&parts.profiles, &parts.rules, &parts.places);
        parts.desk.set_budget(parts.rules.budget().map(|budget| budget.prompts_per_person_per_day));
        let rules = watch::Sender::new(parts.rules);
        let sessions = Sessions::default();
        parts.desk.set_caps(parts.limits.caps);
        let ends = sessions.clone();
        parts.desk.on_disowned(Box::new(move |session| {
            let _has_gone_already = !ends.kill(session);
        }));
        let databases = Databases::new(parts.databases, rules.subscribe(), &parts.log, &parts.vault)?;
        let accounts = Accounts::load(&parts.log, parts.clock.now())?;
        Ok(Self {
            databases,
            rules,
            log: parts.log,
            vault: parts.vault,
            people: parts.people,
            desk: parts.desk,
            clock: parts.clock,
            entropy: parts.entropy,
            tls: watch::Sender::new(parts.tls),
            console_url: parts.console_url,
            track_subjects: parts.track_subjects,
            accounts,
            profiles: parts.profiles,
            places: parts.places,
            cancels: CancelRegistry::new(),
            sessions,
            admissions: Arc::new(Semaphore::new(MAX_ADMISSIONS)),
            crowd: Crowd::default(),
            failures: Failures::default(),
            memory: Arc::new(Memory::new(parts.limits.message, parts.limits.message_memory)),
            limits: watch::Sender::new(parts.limits),
            patience: AtomicU64::new(millis(parts.limits.slow_client)),
            metrics: Arc::default(),
            preparing: Preparing::default(),
        })
    }

    /// The sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What is usual for whom.
    #[must_use]
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// The databases that are open, by name: those that are configured, and those of wildcards that are in use.
    #[must_use]
    pub fn databases(&self) -> Vec<Arc<Database>> {
        self.databases.known()
    }

    /// How much it takes on at this moment.
    #[must_use]
    pub fn limits(&self) -> Limits {
        *self.limits.borrow()
    }

    /// How long a client that its server waits for may read nothing at all.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.load(Ordering::Relaxed))
    }

    /// How it shows itself to clients that come now.
    pub(crate) fn tls(&self) -> Option<ServerTls> {
        self.tls.borrow().clone()
    }

    /// Takes a changed configuration into use, recorded by this event first. Sessions go on, but for those of databases
    /// that are gone or are reached in another way now: the names of those.
    ///
    /// # Errors
    /// The log refused; everything stays.
    pub async fn reconfigure(&self, settings: Settings, event: Event) -> Result<Vec<String>, LogError> {
        self.log.append(vec![event], Vec::new()).await?;
        self.limits.send_replace(settings.limits);
        self.desk.set_caps(settings.limits.caps);
        self.memory.set(settings.limits.message, settings.limits.message_memory);
        self.patience.store(millis(settings.limits.slow_client), Ordering::Relaxed);
        self.tls.send_replace(settings.tls);
        let closed = self.databases.replace(settings.databases);
        for name in &closed {
            self.sessions.kill_database(name);
        }
        Ok(closed)
    }

    /// Whether it can serve anybody at all; else what it lacks, in one word.
    #[must_use]
    pub fn lacks(&self) -> Option<&'static str> {
        match self.databases.named() {
            _ if self.log.poisoned().is_some() || self.log.has_no_space() => Some("log"),
            // Those of wildcards are reached when somebody asks.
            (1.., false) => Some("database"),
            _ => None,
        }
    }

    /// Map and policy in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&self.rules.borrow())
    }

    /// Puts other rules in force: recorded first, then used by every later decision, also those on
    /// statements that are held now. Where they are the first to weigh signals, the log is read before, and the old ones
    /// decide meanwhile.
    ///
    /// # Errors
    /// The log refused; the old rules stay.
    pub async fn set_rules(&self, rules: Arc<Ruleset>) -> Result<(), LogError> {
        let weighs = rules.risk().is_some();
        if weighs {
            teach(&self.profiles, &rules, &self.places);
            self.know_people(HABITS).await;
        }
        if let Err(error) = self.log.append(vec![policy_loaded(&rules)], Vec::new()).await {
            teach(&self.profiles, &self.rules(), &self.places);
            return Err(error);
        }
        self.desk.set_budget(rules.budget().map(|budget| budget.prompts_per_person_per_day));
        self.rules.send_replace(Arc::clone(&rules));
        if !weighs {
            teach(&self.profiles, &rules, &self.places);
        }
        for database in self.databases() {
            database.rules_changed().await;
        }
        Ok(())
    }

    /// Waits until the log has said what is usual for people, where the policy weighs signals, and for so long at most:
    /// from then on what takes that knowledge counts as unusual ([`stepgate_policy::observe_unread`]).
    pub async fn know_people(&self, patience: Duration) {
        let ready = async {
            while !self.profiles.is_ready() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if self.profiles.are_asked_for() && tokio::time::timeout(patience, ready).await.is_err() {
            let lag = self.profiles.lag();
            tracing::warn!(
                lag,
                "what is usual for people is not known yet: until it is, it counts as unusual"
            );
        }
    }

    /// Does what must be done without anybody asking, until `shutdown`: catalogs, expiry.
    pub async fn keep_house(&self, mut shutdown: watch::Receiver<bool>) {
        let looked_after = self.databases.keep(shutdown.clone());
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut failing = false;
        let each_second = async {
            loop {
                tokio::select! {
                    // In a block of its own: the guard it returns must not live across another arm's await.
                    () = async { let _ = shutdown.wait_for(|down| *down).await; } => break,
                    _ = second.tick() => {
                        self.databases.tidy();
                        self.note_failures(false);
                        match self.desk.expire_due().await {
                            Ok(()) if std::mem::take(&mut failing) => {
                                tracing::info!("requests are expired again");
                            }
                            Ok(()) => {}
                            // Once: a disk may be full for hours.
                            Err(error) if !std::mem::replace(&mut failing, true) => {
                                tracing::error!(%error, "requests cannot be expired");
                            }
                            Err(_) => {}
                        }
                    }
                }
            }
        };
        tokio::join!(looked_after, each_second);
        self.note_failures(true);
    }

    /// Records failed logins and refusals that were only counted; `all`: also those of this minute.
    fn note_failures(&self, all: bool) {
        for event in self.failures.due(self.clock.monotonic(), all) {
            if let Err(error) = self.log.note(event) {
                tracing::error!(%error, "recording who did not get in");
            }
        }
    }
}

/// Profiles learn as the policy says; where it weighs no signals, nobody needs them.
fn teach(profiles: &Profiles, rules: &Ruleset, places: &Arc<dyn Places>) {
    profiles.teach(rules.risk().map(|risk| risk.teaching), Arc::clone(places));
}

/// The record of rules coming into force.
#[must_use]
pub fn policy_loaded(rules: &Ruleset) -> Event {
    Event::PolicyLoaded {
        policy_sha256: rules.sha256().to_owned(),
        rules: count(rules.rule_names().count()),
        columns: count(rules.map().labelled_columns()),
        map_sha256: Some(rules.map_sha256().to_owned()),
        policy_file_sha256: Some(rules.policy_file_sha256().to_owned()),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
