//! `stepgate serve`.

mod drift;
mod factors;
mod foresee;
pub(crate) mod hardening;
mod indexing;
mod listen;
mod logging;
mod notify;
mod observed;
mod passkeys;
mod places;
mod provider;
mod reload;
mod supplied;
mod two_person;
mod warnings;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepgate_approval::{Method, OidcFactor};
use stepgate_console::oidc::Oidc;
use stepgate_console::{Api, Encryption};
use stepgate_policy::Ruleset;
use stepgate_proxy::{
    Gate, HABITS, Parts, Places, ServerTls, Shutdown, UpstreamConfig, Workers, policy_loaded,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::args::ServeArgs;
use crate::certificate;
use crate::config::Config;
use crate::deliver::{self, Delivery};
use crate::failure::Failure;
use crate::ldap;
use crate::oidc;
use crate::operator::{self, AdminSocket, Operations, log_error};
use crate::output;
use crate::rules;
use crate::store::Store;
use crate::upstreams;

/// Stack of each worker, in bytes: analysis recurses over what the parser made of a statement. Memory is
/// taken only as it is touched.
const STACK: usize = 32 * 1024 * 1024;

/// How long sessions may take to end once they were told to, and everything else.
const GRACE: Duration = Duration::from_secs(10);

/// How long the first look at each database may take before the gate says that it is ready.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Everything that must be right before anything is opened.
struct Ready {
    texts: rules::Texts,
    /// Of those texts; `None` where what is in force is what was approved.
    rules: Option<Ruleset>,
    upstreams: Vec<UpstreamConfig>,
    tls: Option<ServerTls>,
    encryption: Encryption,
    /// Where addresses are.
    geo: crate::geo::Geo,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(config: &Path, args: &ServeArgs) -> Result<(), Failure> {
    let config = Config::load(config)?;
    logging::init(args.log);
    hardening::enough_files(&config.limits);
    let ready = prepare(&config)?;
    // Not only a short command is waited for: a gate that ends as this one begins closes its socket before its log.
    let served = || Ok(operator::is_served(&config).unwrap_or(false));
    let store = match Store::open_once_free(&config, served)? {
        Some(store) => store,
        // Which says by whom it is in use.
        None => Store::open(&config)?,
    };
    store.log.set_upkeep(config.audit.upkeep);
    let outcome = open_doors(&config, ready, &store);
    let closed = store.close();
    outcome.and(closed)
}

fn open_doors(config: &Config, ready: Ready, store: &Store) -> Result<(), Failure> {
    // The operator's first: who sees the others open finds this one open too.
    let socket = AdminSocket::bind(&config.admin_socket())?;
    let listeners = listen::Listeners::bind(config)?;
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot start: {error}"));
    // Each session that reads a long text keeps a thread while it waits for its turn.
    let blocking = config.limits.sessions.saturating_add(512);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK)
        .max_blocking_threads(512)
        .enable_all()
        .build()
        .map_err(cannot)?;
    let workers = Workers::start(STACK, blocking).map_err(cannot)?;
    let served = runtime.block_on(serve(config, ready, store, socket, listeners, workers.places()));
    runtime.shutdown_timeout(Duration::from_secs(1));
    workers.stop(Duration::from_secs(1));
    served
}

fn prepare(config: &Config) -> Result<Ready, Failure> {
    let texts = rules::Texts::read(config)?;
    let rules = config.two_person.is_none().then(|| rules::compiled(&texts, config)).transpose()?;
    let upstreams = upstreams::all(config)?;
    deliver::check(&config.audit)?;
    deliver::check_notifiers(&config.notify)?;
    deliver::check_senders(&config.senders)?;
    if config.audit.checkpoints.is_empty() {
        tracing::warn!("no checkpoint leaves this host: see audit.checkpoints");
    }
    if config.tls.is_none() {
        tracing::warn!("no tls is configured: the gate listens on loopback only");
    }
    let (tls, encryption) = certificates(config)?;
    let geo = places::load(config)?;
    Ok(Ready { texts, rules, upstreams, tls, encryption, geo })
}

/// The certificate as its files are now: for clients, and for the API.
fn certificates(config: &Config) -> Result<(Option<ServerTls>, Encryption), Failure> {
    let Some(tls) = &config.tls else { return Ok((None, Encryption::Plain)) };
    let encryption = Encryption::Tls(certificate::server_config(tls)?);
    let tls = ServerTls::load(&tls.cert, &tls.key, tls.clients());
    Ok((Some(tls.map_err(|error| Failure::usage(error.to_string()))?), encryption))
}

async fn serve(
    config: &Config,
    ready: Ready,
    store: &Store,
    socket: AdminSocket,
    listeners: listen::Listeners,
    places: Places,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let store = store.share();
    let rules = two_person::begin(config, &store, ready.texts, ready.rules).await?;
    reload::may_not_be_meant(&rules);
    let files = [reload::loaded(config), policy_loaded(&rules)];
    let events = files.into_iter().chain(places::loaded(&ready.geo)).collect();
    store.log.append(events, Vec::new()).await.map_err(|error| log_error(&error))?;
    if let Some(passkeys) = passkeys::factor(config)? {
        store.desk.plug(Arc::new(passkeys));
    }
    let gate = gate(config, &store, rules, ready.upstreams, ready.tls, &ready.geo)?;
    let (drain, draining) = watch::channel(Shutdown::Serving);
    let delivery = Arc::new(
        Delivery::new(&config.audit, &config.data, &store.log, &store.clock)
            .notifying(&config.notify, &config.console.url)
            .telling_people(&store.desk),
    );
    store.desk.set_break_glass(config.break_glass.clone());
    factors::plug(config, &store)?;
    let observed = observed::Observed {
        gate: Arc::clone(&gate),
        delivery: Arc::clone(&delivery),
        drain: draining.clone(),
    };
    let oidc = oidc::provider(config, &store.clock, &store.entropy)?;
    let known_provider = oidc.clone();
    let api = api(config, &store, &gate, observed, oidc);
    let kept = (store.log.clone(), store.desk.clone());
    let listen::Open { clients, people, watchers } = listeners.into_tokio()?;
    let (down, shutdown) = watch::channel(false);
    let finder = store.finder.clone();
    let drift = drift::Watch {
        gate: Arc::clone(&gate),
        log: store.log.clone(),
        data: config.data.clone(),
        clock: Arc::clone(&store.clock),
        entropy: Arc::clone(&store.entropy),
    };
    let people_and_desk = (store.people.clone(), store.desk.clone());
    supplied::keep_to_configuration(config, &people_and_desk.0, &people_and_desk.1).await?;
    let directory = config.ldap.as_ref().map(ldap::Lookup::new).transpose()?;
    let operations = Arc::new(Operations {
        store,
        sessions: Some(gate.sessions().clone()),
        delivery: Arc::clone(&delivery),
    });

    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(delivery.start(&config.audit, &shutdown)?);
    tasks.spawn(indexing::keep_up(finder, shutdown.clone()));
    tasks.spawn(drift.run(shutdown.clone()));
    tasks.spawn(supplied::end_what_is_over(people_and_desk.0.clone(), shutdown.clone()));
    if let Some(oidc) = known_provider {
        tasks.spawn(provider::keep_known(oidc, shutdown.clone()));
    }
    if let Some(directory) = directory {
        tasks.spawn(supplied::follow(directory, people_and_desk, shutdown.clone()));
    }
    tasks.spawn(operator::serve(socket, operations, shutdown.clone()));
    let encryption = Arc::new(watch::Sender::new(ready.encryption));
    if let (Some(listener), Some(address)) = (watchers, config.metrics) {
        // On loopback there is nobody to hide it from, and no name that a certificate could be good for.
        let plain = watch::channel(Encryption::Plain).1;
        let encryption = if address.ip().is_loopback() { plain } else { encryption.subscribe() };
        let (api, down) = (Arc::clone(&api), wait_for(shutdown.clone()));
        tasks.spawn(stepgate_console::serve_watchers(api, listener, encryption, down));
    }
    tasks.spawn(stepgate_console::serve(api, people, encryption.subscribe(), wait_for(shutdown.clone())));
    tasks.spawn({
        let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
        async move { gate.keep_house(shutdown).await }
    });
    tasks.spawn(reload::watch(
        config.clone(),
        Arc::clone(&gate),
        ready.geo,
        encryption,
        kept,
        shutdown.clone(),
    ));
    // Whoever sees a door open may ask it to stop: a signal counts also before the first look is over.
    let early = tokio::select! {
        why = signals.next() => Some(why),
        () = async { tokio::join!(first_look(&gate), gate.know_people(HABITS)); } => None,
    };
    let sessions = tokio::spawn(stepgate_proxy::serve(Arc::clone(&gate), clients, places, draining));
    output::print_line(&ready_line(config))?;
    let watchdog = tokio::spawn(notify::feed_watchdog());
    notify::ready();

    tasks.spawn(warnings::watch(Arc::clone(&gate), wait_for(shutdown.clone())));

    let why = match early {
        Some(why) => why,
        None => signals.next().await,
    };
    notify::stopping();
    tracing::info!(signal = why, sessions = gate.sessions().len(), "stopping");
    end_sessions(&gate, sessions, &drain, &mut signals).await;
    watchdog.abort();
    down.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("not all that the gate does besides ended in time");
        tasks.shutdown().await;
    }
    Ok(())
}

fn gate(
    config: &Config,
    store: &Store,
    rules: Ruleset,
    databases: Vec<UpstreamConfig>,
    tls: Option<ServerTls>,
    geo: &crate::geo::Geo,
) -> Result<Arc<Gate>, Failure> {
    let gate = Gate::new(Parts {
        databases,
        rules: Arc::new(rules),
        log: store.log.clone(),
        vault: store.vault.clone(),
        people: store.people.clone(),
        desk: store.desk.clone(),
        clock: Arc::clone(&store.clock),
        entropy: Arc::clone(&store.entropy),
        tls,
        console_url: Some(config.console.url.clone()),
        limits: config.limits,
        track_subjects: config.audit.track_subjects,
        profiles: store.profiles()?,
        places: Arc::new(geo.clone()),
    });
    Ok(Arc::new(gate.map_err(|error| log_error(&error))?))
}

/// The API, and the factor that goes by way of it.
fn api(
    config: &Config,
    store: &Store,
    gate: &Arc<Gate>,
    observed: observed::Observed,
    oidc: Option<Arc<Oidc>>,
) -> Arc<Api> {
    if let Some(oidc) = &oidc {
        store.desk.plug(Arc::new(OidcFactor));
        store.desk.connect(Method::Oidc, Arc::<Oidc>::clone(oidc));
    }
    Api::new(stepgate_console::Parts {
        oidc,
        desk: store.desk.clone(),
        people: store.people.clone(),
        log: store.log.clone(),
        clock: Arc::clone(&store.clock),
        entropy: Arc::clone(&store.entropy),
        url: config.console.url.clone(),
        proxies: config.console.proxies.clone(),
        proven_readers: config.console.proven_readers,
        minting: supplied::minting(config),
        foresee: Arc::new(foresee::Foresee(Arc::clone(gate))),
        policies: Arc::new(two_person::Policies { data: config.data.clone(), gate: Arc::clone(gate) }),
        observed: Arc::new(observed),
    })
}

/// Has sessions end: in order for as long as they may take, or until a second signal; then whatever they do.
async fn end_sessions(
    gate: &Gate,
    mut sessions: JoinHandle<()>,
    drain: &watch::Sender<Shutdown>,
    signals: &mut Signals,
) {
    drain.send_replace(Shutdown::Draining);
    tokio::select! {
        _ = &mut sessions => {}
        why = signals.next() => tracing::info!(signal = why, "stopping at once"),
        () = tokio::time::sleep(gate.limits().drain) => {
            tracing::warn!(sessions = gate.sessions().len(), "some sessions are not done in time and are ended");
        }
    }
    drain.send_replace(Shutdown::Now);
    if !sessions.is_finished() && tokio::time::timeout(GRACE, &mut sessions).await.is_err() {
        tracing::warn!("some sessions did not end in time and were cut off");
        sessions.abort();
    }
}

async fn wait_for(mut shutdown: watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|down| *down).await;
}

/// Loads each catalog once. A database that is down does not keep the gate from serving: its sessions get
/// 08006 until it is up.
async fn first_look(gate: &Gate) {
    for database in gate.databases() {
        let name = &database.config.name;
        match tokio::time::timeout(FIRST_LOOK, database.load()).await {
            Ok(Ok(_)) => tracing::info!(database = %name, "catalog loaded"),
            Ok(Err(error)) => tracing::warn!(database = %name, %error, "not reachable yet; trying on"),
            Err(_) => tracing::warn!(database = %name, "has not answered yet; trying on"),
        }
    }
}

fn ready_line(config: &Config) -> String {
    let names: Vec<_> = config.databases.keys().map(String::as_str).collect();
    let tls = if config.tls.is_some() { "TLS" } else { "no TLS" };
    format!(
        "stepgate {} ready: clients {} ({tls}), people {}, databases {}",
        env!("CARGO_PKG_VERSION"),
        config.listen,
        config.console.url,
        names.join(", ")
    )
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let trouble = |error: std::io::Error| Failure::usage(format!("cannot wait for signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(trouble)?,
            interrupt: signal(SignalKind::interrupt()).map_err(trouble)?,
        })
    }

    /// The next one's name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
