//! One database behind the gate: how to reach it, what is in it, and how map and policy fit that.

mod acting;
mod author;
mod ddl;
mod freshness;
mod keys;
mod made;
mod past;
mod phases;
mod rest;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stepgate_policy::{Bound, Ruleset};
use stepgate_sql::{Bindings, Catalog, Taints};
use stepgate_types::RelationName;
use tokio::sync::{Mutex, watch};
use tracing::Instrument as _;

use crate::catalog::{sizes, temporary, writable};
use crate::databases::Use;
use crate::planner::Planner;
use crate::taint::SharedTaints;
use crate::{
    CatalogError, Fingerprint, ServerIdentity, Upstream, UpstreamConfig, UpstreamError, connect_for_catalog,
    fingerprint, load_from, locks, server_identity,
};

use acting::Acts;
pub(crate) use acting::{Acting, Named, act, runs};
pub(crate) use author::{Author, PATIENCE};
use ddl::Commits;
pub(crate) use ddl::{Between, Changed, CommitsDdl, Ddl, Opened};
use freshness::Freshness;
use keys::Keys;
pub(crate) use keys::Writing;
pub(crate) use made::{Code, Transaction};
pub(crate) use past::Past;
use phases::Phases;
pub(crate) use phases::{Phase, anything};

/// How often the server is asked whether its catalog has changed. What changes through the gate is known
/// at once; this is for what changes beside it.
const POLL: Duration = Duration::from_secs(2);

/// How often sessions that do nothing are told at most that their catalog has changed.
const TOLD_APART: Duration = Duration::from_millis(500);

/// How often it is asked how large tables are.
const SIZES: Duration = Duration::from_secs(60);

/// Catalog and rules as they are at one moment, fitted to each other.
#[derive(Debug)]
pub struct View {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Map and policy.
    pub rules: Arc<Ruleset>,
    /// How the map fits the catalog.
    pub bound: Bound,
    /// What changes whenever the catalog does.
    pub fingerprint: Fingerprint,
    /// Of which server.
    pub(crate) server: ServerIdentity,
}

/// One database behind the gate.
pub struct Database {
    /// How it is reached.
    pub config: UpstreamConfig,
    view: watch::Sender<Option<Arc<View>>>,
    /// Calls sessions that wait for their clients, when there is another.
    changes: watch::Sender<()>,
    rules: watch::Receiver<Arc<Ruleset>>,
    /// What its tables hold of labelled columns.
    pub(crate) taints: Arc<SharedTaints>,
    /// How often another view was taken into use.
    views: AtomicU64,
    /// How often some session may have committed DDL.
    epoch: AtomicU64,
    /// How many statements under way may commit DDL.
    committing: AtomicUsize,
    /// What that is, and what was committed.
    commits: std::sync::Mutex<Commits>,
    /// What was prepared, to be committed by whoever says its name.
    phases: std::sync::Mutex<Phases>,
    /// What is under way and does more than its reply says.
    acts: std::sync::Mutex<Acts>,
    /// The epoch at which the catalog was last looked at.
    looked_at: AtomicU64,
    /// Whether the catalog in use is the server's.
    freshness: Freshness,
    /// How often the server could not be reached, or its catalog not be read.
    pub(crate) failures: AtomicU64,
    /// Columns that tell whose a row is.
    pub(crate) keys: Keys,
    /// Estimates rows, where asked.
    pub(crate) planner: Arc<Planner>,
    /// Who uses it.
    pub(crate) usage: Use,
    /// Whether somebody keeps its catalog fresh.
    watched: AtomicBool,
    /// Whether there are connections to it: somebody uses it, or did a moment ago.
    awake: watch::Sender<bool>,
    closed: watch::Sender<bool>,
    /// The catalog's connection; one load at a time.
    reader: Mutex<Reader>,
}

struct Reader {
    connection: Option<Upstream>,
    /// The catalog in use was read over it.
    has_read: bool,
    /// Which server was last reached.
    server: Option<ServerIdentity>,
    past: Past,
    /// What was known of tables when columns were last bound, and those for whose labels there was no room.
    bound_with: Taints,
    lost: BTreeSet<RelationName>,
    fingerprint: Option<Fingerprint>,
    /// What was temporary then.
    temporary: Option<String>,
    /// What was locked, if that kept some view from being read.
    locks: Option<String>,
    /// How large tables were, and when that was asked.
    sizes: Option<(String, Instant)>,
    /// When the server was last asked whether its catalog has changed.
    asked: Option<Instant>,
    /// When the catalog could last not be read.
    failed: Option<Instant>,
}

/// What a catalog may be left unread for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unless {
    /// Nothing: what no fingerprint tells of may have changed.
    Never,
    /// It is the same, temporary objects apart.
    Same,
    /// It is the same, with all that is temporary.
    AllSame,
}

/// How the server says that its catalog is.
struct Now {
    fingerprint: Fingerprint,
    temporary: Option<String>,
}

impl Now {
    async fn ask(connection: &mut Upstream, unless: Unless) -> Result<Self, UpstreamError> {
        let fingerprint = fingerprint(connection).await?;
        let temporary = if unless == Unless::AllSame { Some(temporary(connection).await?) } else { None };
        Ok(Self { fingerprint, temporary })
    }
}

impl Reader {
    /// Whether the catalog is not what it was, or could be read further than it was.
    async fn has_changed(&self, connection: &mut Upstream, now: &Now) -> Result<bool, UpstreamError> {
        let other = |temporary: &String| self.temporary.as_ref() != Some(temporary);
        if self.fingerprint.as_ref() != Some(&now.fingerprint) || now.temporary.as_ref().is_some_and(other) {
            return Ok(true);
        }
        match &self.locks {
            Some(known) => Ok(known != &locks(connection).await?),
            None => Ok(false),
        }
    }
}

/// How often, and how long apart, the catalog is read in vain because somebody changes it between one look and the
/// next.
const ATTEMPTS: u32 = 8;
const APART: Duration = Duration::from_millis(10);

/// How long after a failure nobody is made to wait for another.
const RECENTLY: Duration = Duration::from_secs(1);

/// View and taints of a database as they were at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    views: u64,
    taints: u64,
}

impl Database {
    pub(crate) fn new(
        config: UpstreamConfig,
        rules: watch::Receiver<Arc<Ruleset>>,
        taints: Arc<SharedTaints>,
        past: Past,
    ) -> Self {
        let reader = Reader {
            connection: None,
            has_read: false,
            server: None,
            past,
            bound_with: Taints::default(),
            lost: BTreeSet::new(),
            fingerprint: None,
            temporary: None,
            locks: None,
            sizes: None,
            asked: None,
            failed: None,
        };
        Self {
            config,
            view: watch::Sender::new(None),
            changes: watch::Sender::new(()),
            rules,
            taints,
            views: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            committing: AtomicUsize::new(0),
            commits: std::sync::Mutex::default(),
            phases: std::sync::Mutex::default(),
            acts: std::sync::Mutex::default(),
            looked_at: AtomicU64::new(0),
            freshness: Freshness::default(),
            failures: AtomicU64::new(0),
            keys: Keys::default(),
            planner: Arc::default(),
            usage: Use::default(),
            watched: AtomicBool::new(false),
            awake: watch::Sender::new(true),
            closed: watch::Sender::new(false),
            reader: Mutex::new(reader),
        }
    }

    /// It is not behind the gate any more, or nobody uses it: nothing more is read, nor written of it.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Whether it is.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Becomes true when it is.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Whether somebody keeps its catalog fresh.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::SeqCst)
    }

    /// Whether nobody did until now; somebody does from now on.
    pub(crate) fn begin_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::SeqCst)
    }

    /// Whether something of it is being read or written.
    pub(crate) fn is_busy(&self) -> bool {
        self.reader.try_lock().is_err()
    }

    /// Which database of which server it is; `None` until that could be asked.
    pub(crate) fn identity(&self) -> Option<ServerIdentity> {
        self.view().map(|view| view.server.clone())
    }

    /// Catalog and rules as of now; `None` until the catalog has been loaded once.
    #[must_use]
    pub fn view(&self) -> Option<Arc<View>> {
        self.view.borrow().clone()
    }

    /// The policy in force.
    pub(crate) fn policy_sha256(&self) -> String {
        self.rules.borrow().sha256().to_owned()
    }

    /// What changes whenever view or taints do: after they have, so that who asks first for this and then for them has
    /// at least what it stands for.
    pub(crate) fn moment(&self) -> Moment {
        Moment { views: self.views.load(Ordering::SeqCst), taints: self.taints.version() }
    }

    /// Catalog and rules, for who is about to use it: the catalog is loaded if it never was, or if it was not looked at
    /// since nobody used it. Only for who counts as one that does. Whoever stops waiting for it keeps nobody else from it.
    pub(crate) async fn ensure_view(self: &Arc<Self>) -> Result<Arc<View>, CatalogError> {
        if let Some(view) = self.view().filter(|_| *self.awake.borrow()) {
            return Ok(view);
        }
        let database = Arc::clone(self);
        let loads = tokio::spawn(async move { database.load_first().await }.in_current_span());
        loads.await.unwrap_or(Err(CatalogError::Closed))
    }

    async fn load_first(&self) -> Result<Arc<View>, CatalogError> {
        let begun = Instant::now();
        let mut reader = self.reader.lock().await;
        if reader.failed.is_some_and(|failed| failed >= begun) {
            // Who waited for somebody else's turn need not wait for the same again: of a server that takes a minute not to
            // answer, the tenth would hear so after ten.
            return Err(CatalogError::Recently);
        }
        if let Some(view) = self.view().filter(|_| *self.awake.borrow()) {
            // Somebody else has just done it.
            return Ok(view);
        }
        let view = match self.still(&mut reader).await {
            Some(view) => view,
            None => self.load_with(&mut reader, Unless::Never).await?,
        };
        self.awake.send_replace(true);
        Ok(view)
    }

    /// Whether there are connections to it, from now on.
    pub(crate) fn awake(&self) -> watch::Receiver<bool> {
        self.awake.subscribe()
    }

    /// Loads the catalog again, unless nothing in it has changed, not even what is temporary.
    ///
    /// # Errors
    /// See [`CatalogError`]; the catalog that was known stays.
    pub async fn load(&self) -> Result<Arc<View>, CatalogError> {
        let mut reader = self.reader.lock().await;
        self.load_with(&mut reader, Unless::AllSame).await
    }

    async fn load_with(&self, reader: &mut Reader, unless: Unless) -> Result<Arc<View>, CatalogError> {
        let mut loaded = self.try_load(reader, unless).await;
        for attempt in 1..ATTEMPTS {
            if loaded.as_ref().is_err_and(CatalogError::is_passing) {
                tokio::time::sleep(APART * attempt).await;
                loaded = self.try_load(reader, unless).await;
            }
        }
        match loaded {
            Ok(_) => {
                reader.failed = None;
                self.is_current();
            }
            Err(_) => {
                _ = self.failures.fetch_add(1, Ordering::Relaxed);
                self.has_failed(reader);
            }
        }
        loaded
    }

    fn is_current(&self) {
        if self.freshness.is_current(Instant::now()) {
            // What was decided meanwhile is decided anew.
            self.views.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn has_failed(&self, reader: &mut Reader) {
        let now = Instant::now();
        reader.failed = Some(now);
        if self.freshness.failed(now) {
            self.views.fetch_add(1, Ordering::SeqCst);
            tracing::error!(database = %self.config.name, "the catalog is too old to be relied on");
        }
    }

    /// Whether the catalog in use is too old to be relied on.
    pub(crate) fn is_outdated(&self) -> bool {
        self.freshness.is_outdated()
    }

    /// How long ago the catalog was last known to be the server's; `None` until it was read once.
    pub(crate) fn catalog_age(&self) -> Option<Duration> {
        self.freshness.age()
    }

    async fn try_load(&self, reader: &mut Reader, unless: Unless) -> Result<Arc<View>, CatalogError> {
        if self.is_closed() {
            return Err(CatalogError::Closed);
        }
        // Asked first: what changes in between is found by the next poll.
        reader.asked = Some(Instant::now());
        let epoch = self.epoch.load(Ordering::SeqCst);
        let has_read = std::mem::take(&mut reader.has_read);
        let (mut connection, was_there, now) = self.ask(reader, unless).await?;
        let view = self.view();
        if let Some(view) = view.as_ref().filter(|_| was_there && unless != Unless::Never)
            && !reader.has_changed(&mut connection, &now).await?
        {
            (reader.connection, reader.has_read) = (Some(connection), has_read);
            self.bind_stored(reader).await?;
            self.looked_at.fetch_max(epoch, Ordering::SeqCst);
            return Ok(Arc::clone(view));
        }
        let server = server_identity(&mut connection).await?;
        let locks = locks(&mut connection).await?;
        let temporary = match now.temporary {
            None => temporary(&mut connection).await?,
            Some(temporary) => temporary,
        };
        let same_code =
            reader.fingerprint.as_ref().is_some_and(|before| before.has_same_code(&now.fingerprint));
        let catalog_if =
            |usable: bool| view.as_ref().filter(|_| usable).map(|view| Arc::clone(&view.catalog));
        let (before, known) = (catalog_if(same_code), catalog_if(was_there && has_read));
        let catalog = Arc::new(load_from(&mut connection, before, known).await?);
        // What was stored since in a table that has another name by now, was stored under the name of before.
        if reader.server.as_ref() == Some(&server) {
            self.bind_stored(reader).await?;
        }
        reader.server = Some(server);
        self.bind(&catalog, reader).await?;
        (reader.connection, reader.has_read) = (Some(connection), true);
        (reader.fingerprint, reader.temporary) = (Some(now.fingerprint), Some(temporary));
        reader.locks = catalog.has_locked().then_some(locks);
        let view = self.set(catalog, reader);
        self.looked_at.fetch_max(epoch, Ordering::SeqCst);
        Ok(view)
    }

    /// Asks the server how its catalog is: over the connection there is, or another if that has failed; with it, whether it
    /// was there. It is taken out, so that one that failed half-way is never used again.
    async fn ask(&self, reader: &mut Reader, unless: Unless) -> Result<(Upstream, bool, Now), UpstreamError> {
        if let Some(mut connection) = reader.connection.take()
            && let Ok(now) = Now::ask(&mut connection, unless).await
        {
            return Ok((connection, true, now));
        }
        let mut connection = connect_for_catalog(&self.config).await?;
        let now = Now::ask(&mut connection, unless).await?;
        Ok((connection, false, now))
    }

    /// Takes new rules into use.
    pub(crate) async fn rules_changed(&self) {
        let mut reader = self.reader.lock().await;
        let Some(view) = self.view() else { return };
        self.set(Arc::clone(&view.catalog), &reader);
        match self.bind(&view.catalog, &mut reader).await {
            Ok(()) => drop(self.set(Arc::clone(&view.catalog), &reader)),
            Err(error) => tracing::error!(database = %self.config.name, %error, "labels cannot be bound"),
        }
    }

    /// Binds what is labelled to its columns as that catalog has them.
    async fn bind(&self, catalog: &Catalog, reader: &mut Reader) -> Result<(), CatalogError> {
        let Some(server) = &reader.server else { return Ok(()) };
        if self.is_closed() {
            return Err(CatalogError::Closed);
        }
        let (taints, rules) = (self.taints.now(), Arc::clone(&self.rules.borrow()));
        let bindings = reader.past.read(&self.config.name).await?;
        reader.lost = bindings.follow(server, catalog, &self.taints, &rules).await?;
        reader.bound_with = taints;
        Ok(())
    }

    /// Binds what was stored since the catalog in use was read. On disk before this returns.
    pub(crate) async fn bind_now(&self) -> Result<(), CatalogError> {
        let mut reader = self.reader.lock().await;
        self.bind_stored(&mut reader).await
    }

    /// The same with the catalog in use, if anything was stored since.
    async fn bind_stored(&self, reader: &mut Reader) -> Result<(), CatalogError> {
        match self.view() {
            Some(view) if !reader.bound_with.is(&self.taints.now()) => self.bind(&view.catalog, reader).await,
            _ => Ok(()),
        }
    }

    fn set(&self, catalog: Arc<Catalog>, reader: &Reader) -> Arc<View> {
        let rules = Arc::clone(&self.rules.borrow());
        let server = reader.server.clone().unwrap_or_default();
        let bindings = reader.past.known().and_then(|bindings| bindings.of(&server));
        let names = bindings.map(Bindings::former_names).unwrap_or_default();
        let mut bound = rules.bind(&self.config.name, &*catalog, &names);
        bound.doubt(&reader.lost);
        let known = self.view();
        for alarm in bound.alarms() {
            if known.as_ref().is_none_or(|known| !known.bound.alarms().contains(alarm)) {
                tracing::error!(database = %self.config.name, "{alarm}");
            }
        }
        let fingerprint = reader.fingerprint.clone().unwrap_or_default();
        let view = Arc::new(View { catalog, rules, bound, fingerprint, server });
        self.view.send_replace(Some(Arc::clone(&view)));
        self.views.fetch_add(1, Ordering::SeqCst);
        view
    }

    /// Keeps the catalog fresh for as long as the gate runs.
    pub(crate) async fn watch(&self, mut shutdown: watch::Receiver<bool>) {
        let mut reachable = true;
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|down| *down) => return,
                () = tokio::time::sleep(POLL) => {}
            }
            self.planner.tidy();
            if self.rests().await {
                continue;
            }
            match self.refresh_all().await {
                Ok(()) if reachable => {}
                Ok(()) => {
                    reachable = true;
                    tracing::info!(database = %self.config.name, "catalog can be read again");
                }
                Err(error) if reachable => {
                    reachable = false;
                    tracing::warn!(database = %self.config.name, %error, "catalog cannot be read");
                }
                Err(_) => {}
            }
        }
    }

    async fn refresh_all(&self) -> Result<(), CatalogError> {
        self.refresh().await?;
        self.refresh_sizes().await
    }

    /// Loads the catalog if tables have grown or shrunk much: estimates are made from it.
    async fn refresh_sizes(&self) -> Result<(), CatalogError> {
        let mut reader = self.reader.lock().await;
        if reader.sizes.as_ref().is_some_and(|(_, asked)| asked.elapsed() < SIZES) {
            return Ok(());
        }
        let Some(mut connection) = reader.connection.take() else { return Ok(()) };
        let now = sizes(&mut connection).await?;
        reader.connection = Some(connection);
        let before = reader.sizes.replace((now.clone(), Instant::now()));
        match before {
            Some((before, _)) if before != now => self.load_with(&mut reader, Unless::Never).await.map(drop),
            _ => Ok(()),
        }
    }

    /// The relations that a role may write.
    pub(crate) async fn writable_by(&self, role: &str) -> Result<BTreeSet<RelationName>, UpstreamError> {
        let mut reader = self.reader.lock().await;
        let known = reader.connection.take();
        let (mut connection, was_there) = match known {
            Some(connection) => (connection, true),
            None => (connect_for_catalog(&self.config).await?, false),
        };
        let writable = writable(&mut connection, role).await?;
        reader.connection = was_there.then_some(connection);
        Ok(writable)
    }

    /// What is known of it from now on.
    pub(crate) fn views(&self) -> watch::Receiver<Option<Arc<View>>> {
        self.view.subscribe()
    }

    /// Resolves when a session that does nothing is to learn what is known now.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Calls the sessions whenever there is another view. A catalog of thousands of tables takes tens of megabytes: no
    /// session keeps one that is used no more only since it has had nothing to do.
    pub(crate) async fn tell_changes(&self, mut shutdown: watch::Receiver<bool>) {
        let mut views = self.views();
        let tells = async {
            while views.changed().await.is_ok() {
                self.changes.send_replace(());
                tokio::time::sleep(TOLD_APART).await;
            }
        };
        tokio::select! {
            () = tells => {}
            _ = shutdown.wait_for(|down| *down) => {}
        }
    }

    /// Loads the catalog if the server says that it has changed.
    pub(crate) async fn refresh(&self) -> Result<(), CatalogError> {
        self.refresh_since(Instant::now()).await
    }

    /// The same, unless the server has been asked since.
    pub(crate) async fn refresh_since(&self, moment: Instant) -> Result<(), CatalogError> {
        let mut reader = self.reader.lock().await;
        if reader.failed.is_some_and(|failed| failed.elapsed() < RECENTLY) {
            return Err(CatalogError::Recently);
        }
        if reader.asked.is_some_and(|asked| asked >= moment) && reader.fingerprint.is_some() {
            return Ok(());
        }
        self.load_with(&mut reader, Unless::Same).await.map(drop)
    }
}
