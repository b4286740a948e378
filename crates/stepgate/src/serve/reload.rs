//! Configuration, certificates, passwords, map and policy taken into use while the gate runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepgate_console::Encryption;
use stepgate_policy::Ruleset;
use stepgate_proxy::{Gate, Settings};
use stepgate_record::Event;
use stepgate_store::{Desk, Log};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::factors::Channels;
use super::{hardening, notify, places, two_person};
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::geo::Geo;
use crate::rules::{Texts, has_what_signals_ask};
use crate::upstreams;

/// How often map and policy are looked at. Polling also sees what editors and ConfigMaps do by renaming.
const POLL: Duration = Duration::from_secs(2);

/// Watches map and policy until `shutdown`; SIGHUP looks at once, and at everything else.
pub(super) async fn watch(
    started: Config,
    gate: Arc<Gate>,
    geo: Geo,
    encryption: Arc<watch::Sender<Encryption>>,
    (log, desk): (Log, Desk),
    mut shutdown: watch::Receiver<bool>,
) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be waited for; nothing is reloaded");
        return;
    };
    let mut config = started.clone();
    let mut seen = Seen { sha256: gate.rules().sha256().to_owned(), refused: None, unloaded: None };
    let mut complained = false;
    loop {
        let asked = tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            _ = hangup.recv() => true,
            () = tokio::time::sleep(POLL) => false,
        };
        if asked {
            notify::reloading();
            if let Some(new) = configuration(&started, &gate, &encryption, (&log, &desk)).await {
                if config.two_person.is_some() && new.two_person.is_none() {
                    // What waits is not held up any more, though its files have been seen.
                    seen = Seen { sha256: gate.rules().sha256().to_owned(), refused: None, unloaded: None };
                }
                config = new;
            }
            places::reload(&geo, &config, &log).await;
        }
        // It may take a minute to read the log for the first policy that weighs signals.
        let looked = tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            looked = look(&config, &gate, (&log, &desk), &mut seen, asked) => looked,
        };
        match looked {
            Ok(()) => complained = false,
            Err(failure) if !complained => {
                complained = true;
                tracing::error!("{failure}; the rules in force stay");
            }
            Err(_) => {}
        }
        if asked {
            notify::ready();
        }
    }
}

/// The record of a configuration coming into force.
pub(super) fn loaded(config: &Config) -> Event {
    let databases = u64::try_from(config.databases.len()).unwrap_or(u64::MAX);
    Event::ConfigLoaded { config_sha256: config.sha256.clone(), databases }
}

/// Says what of rules that are valid may not be meant.
pub(super) fn may_not_be_meant(rules: &Ruleset) {
    for warning in rules.warnings() {
        tracing::warn!("policy: {warning}");
    }
}

/// A configuration and all that it names, read and found good.
struct New {
    config: Config,
    settings: Settings,
    encryption: Encryption,
    channels: Channels,
}

/// One that is not, by the hash of its text.
struct Rejected {
    sha256: String,
    failure: Failure,
}

fn read(file: &Path) -> Result<New, Rejected> {
    let rejected = |text: &str, failure| Rejected { sha256: config::sha256(text), failure };
    let text = Config::text(file).map_err(|failure| rejected("", failure))?;
    let all = || {
        let config = Config::parse(file, &text)?;
        let (tls, encryption) = super::certificates(&config)?;
        let settings = Settings { databases: upstreams::all(&config)?, limits: config.limits, tls };
        let channels = Channels::open(&config.senders)?;
        Ok(New { config, settings, encryption, channels })
    };
    all().map_err(|failure| rejected(&text, failure))
}

/// Takes the configuration into use that its file holds now, with certificates and passwords as theirs do. Where any of
/// it cannot be used, nothing is changed.
async fn configuration(
    started: &Config,
    gate: &Gate,
    encryption: &watch::Sender<Encryption>,
    (log, desk): (&Log, &Desk),
) -> Option<Config> {
    let file = started.file.clone();
    let new = match tokio::task::spawn_blocking(move || read(&file)).await {
        Ok(Ok(new)) => new,
        Ok(Err(Rejected { sha256, failure })) => {
            tracing::error!(
                "{failure}\nTHE OLD CONFIGURATION STAYS IN FORCE, certificates and passwords too"
            );
            if let Err(error) = log.note(Event::ConfigRejected { config_sha256: sha256 }) {
                tracing::error!(%error, "the rejection could not be recorded");
            }
            return None;
        }
        Err(error) => {
            tracing::error!(%error, "the configuration could not be read; the old one stays in force");
            return None;
        }
    };
    let New { config, settings, encryption: for_people, channels } = new;
    hardening::enough_files(&config.limits);
    match gate.reconfigure(settings, loaded(&config)).await {
        Ok(closed) => {
            encryption.send_replace(for_people);
            channels.connect(desk);
            desk.set_break_glass(config.break_glass.clone());
            desk.set_two_person(config.two_person.clone());
            if config.two_person.is_none()
                && let Err(error) = desk.release_policy().await
            {
                tracing::error!(%error, "that no approved policy binds any more could not be recorded");
            }
            tracing::info!(config_sha256 = config.sha256, "configuration, certificates and passwords loaded");
            if !closed.is_empty() {
                let databases = closed.join(", ");
                tracing::warn!(
                    databases,
                    "not behind the gate any more, or not as before: their sessions are ended"
                );
            }
            for what in takes_a_restart(started, &config) {
                tracing::warn!("{what} has changed, which takes a restart");
            }
            Some(config)
        }
        Err(error) => {
            tracing::error!(%error, "the configuration was not loaded; the old one stays in force");
            None
        }
    }
}

/// What is different from what the gate started with, and cannot be changed while it runs.
fn takes_a_restart(started: &Config, now: &Config) -> Vec<&'static str> {
    let fixed = [
        ("listen", started.listen == now.listen),
        ("console.listen", started.console.listen == now.console.listen),
        ("console.url", started.console.url == now.console.url),
        ("console.attestation_roots", started.console.attestation_roots == now.console.attestation_roots),
        ("console.trusted_proxies", started.console.proxies == now.console.proxies),
        ("console.proven_readers", started.console.proven_readers == now.console.proven_readers),
        ("metrics.listen", started.metrics == now.metrics),
        ("data", started.data == now.data),
        ("keys.master_file", started.master_file == now.master_file),
        ("factors", started.factors == now.factors),
        ("audit.ordinary", started.audit.ordinary_durable == now.audit.ordinary_durable),
        ("sealed_requests", started.sealed_requests == now.sealed_requests),
        ("audit.sinks", started.audit.sinks == now.audit.sinks),
        ("audit.checkpoints", started.audit.checkpoints == now.audit.checkpoints),
        ("audit.witnesses", started.audit.witnesses == now.audit.witnesses),
        ("audit.retention", started.audit.upkeep.keep == now.audit.upkeep.keep),
        ("audit.verify_every", started.audit.upkeep.verify_every == now.audit.upkeep.verify_every),
        ("oidc", started.oidc == now.oidc),
        ("ldap", started.ldap == now.ldap),
        ("login_for", started.login_for == now.login_for),
        ("notify", started.notify == now.notify),
        ("audit.track_subjects", started.audit.track_subjects == now.audit.track_subjects),
    ];
    fixed.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
}

/// What was looked at last.
struct Seen {
    /// The hash of map and policy.
    sha256: String,
    /// The approved policy that could not be put in force: said, and recorded, once.
    refused: Option<String>,
    /// Map and policy that are valid, and could not be put in force: recorded once.
    unloaded: Option<String>,
}

/// Takes the files into use if they have changed since `seen`; what is approved, whatever they say, where that takes
/// two people.
async fn look(
    config: &Config,
    gate: &Gate,
    (log, desk): (&Log, &Desk),
    seen: &mut Seen,
    asked: bool,
) -> Result<(), Failure> {
    let two_people = config.two_person.is_some();
    if two_people {
        two_person::first(gate, desk).await?;
    }
    let approved = desk.approved_policy().filter(|_| two_people);
    let for_read = config.clone();
    let texts = tokio::task::spawn_blocking(move || Texts::read(&for_read))
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(approved) = &approved {
        let tried = seen.refused.as_ref() == Some(approved) && !asked;
        if gate.rules().sha256() == approved {
            seen.refused = None;
        } else if !tried {
            let configured = texts.as_ref().ok().cloned();
            seen.refused = None;
            if let Err(failure) = two_person::enforce(config, gate, (log, desk), approved, configured).await {
                tracing::error!("{failure}; the rules in force stay");
                seen.refused = Some(approved.clone());
            }
        }
    }
    let texts = texts?;
    let sha256 = texts.sha256();
    if sha256 == seen.sha256 {
        if asked {
            tracing::info!("map and policy are unchanged");
        }
        return Ok(());
    }
    if approved.as_ref() == Some(&sha256) {
        seen.sha256 = sha256;
        // Put back where it was: an approved policy that could not be read elsewhere is tried from here.
        seen.refused = None;
        return Ok(());
    }
    let compiled = texts.compile(config).map_err(|errors| errors.to_string());
    let compiled = compiled.and_then(|rules| match has_what_signals_ask(&rules, config) {
        Ok(()) => Ok(rules),
        Err(failure) => Err(failure.to_string()),
    });
    match compiled {
        Ok(_) if two_people => {
            // Kept first: what was approved comes into force even if the files say something else by then.
            let mut needed = desk.needed_policies();
            needed.insert(gate.rules().sha256().to_owned());
            two_person::keep(config, &texts, &needed)?;
            let proposed = desk.propose_policy(&sha256).await;
            proposed.map_err(|error| Failure::usage(format!("what waits cannot be recorded: {error}")))?;
            tracing::warn!(
                policy_sha256 = sha256,
                "map and policy have changed and WAIT FOR TWO PEOPLE: stepgate policy approve HASH; the old rules stay"
            );
        }
        Ok(rules) => {
            // A copy of what is in force is always there, in case the rule is switched on.
            let mut needed = desk.needed_policies();
            needed.insert(gate.rules().sha256().to_owned());
            if let Err(failure) = two_person::keep(config, &texts, &needed) {
                tracing::error!("{failure}");
            }
            let rules = Arc::new(rules);
            match gate.set_rules(Arc::clone(&rules)).await {
                Ok(()) => {
                    tracing::info!(policy_sha256 = sha256, "map and policy loaded");
                    may_not_be_meant(&rules);
                }
                Err(error) => {
                    // Recorded once, and tried again until they are in force: the log may have room again by then.
                    if seen.unloaded.as_ref() != Some(&sha256) {
                        rejected(log, &sha256);
                        seen.unloaded = Some(sha256);
                    }
                    return Err(Failure::usage(format!("map and policy not loaded: {error}")));
                }
            }
        }
        Err(errors) => {
            tracing::error!("map and policy are not valid; THE OLD RULES STAY IN FORCE\n{errors}");
            rejected(log, &sha256);
        }
    }
    seen.sha256 = sha256;
    seen.unloaded = None;
    Ok(())
}

fn rejected(log: &Log, sha256: &str) {
    if let Err(error) = log.note(Event::PolicyRejected { policy_sha256: sha256.to_owned() }) {
        tracing::error!(%error, "the rejection could not be recorded");
    }
}
