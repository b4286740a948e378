//! Configuration, certificates, passwords, map and policy taken into use while the gate runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepgate_console::Encryption;
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
use crate::rules::{Texts, has_places};
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
    let mut seen = gate.rules().sha256().to_owned();
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
                config = new;
            }
            places::reload(&geo, &config).await;
        }
        match look(&config, &gate, (&log, &desk), &seen, asked).await {
            Ok(sha256) => {
                seen = sha256;
                complained = false;
            }
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

/// Takes the files into use if they have changed since `seen`; the hash of what was seen.
async fn look(
    config: &Config,
    gate: &Gate,
    (log, desk): (&Log, &Desk),
    seen: &str,
    asked: bool,
) -> Result<String, Failure> {
    let for_read = config.clone();
    let texts = tokio::task::spawn_blocking(move || Texts::read(&for_read))
        .await
        .map_err(|error| Failure::usage(error.to_string()))??;
    let sha256 = texts.sha256();
    let (in_force, approved) = (gate.rules().sha256() == sha256, desk.approved_policy());
    let two_people = config.two_person.is_some();
    if two_people && in_force && approved.is_none() {
        // Switched on just now: what is in force counts as approved, also for the next start.
        two_person::keep(config, &texts)?;
        if let Err(error) = desk.first_policy(&sha256).await {
            tracing::error!(%error, "that the policy in force counts as approved could not be recorded");
        }
    }
    let comes_now = two_people && !in_force && approved.as_ref() == Some(&sha256);
    if sha256 == seen && !comes_now {
        if asked {
            tracing::info!("map and policy are unchanged");
        }
        return Ok(sha256);
    }
    let compiled = texts.compile(config).map_err(|errors| errors.to_string());
    let compiled = compiled.and_then(|rules| match has_places(&rules, config) {
        Ok(()) => Ok(rules),
        Err(failure) => Err(failure.to_string()),
    });
    match compiled {
        Ok(_) if two_people && approved.as_ref() != Some(&sha256) => {
            tracing::warn!(
                policy_sha256 = sha256,
                "map and policy have changed and WAIT FOR TWO PEOPLE: stepgate policy approve HASH; the old rules stay"
            );
            if let Err(error) = desk.propose_policy(&sha256).await {
                tracing::error!(%error, "what waits could not be recorded");
            }
        }
        Ok(_) if two_people && two_person::keep(config, &texts).is_err() => {
            tracing::error!(
                "the approved policy cannot be kept in the data directory; the rules in force stay"
            );
        }
        Ok(rules) => match gate.set_rules(Arc::new(rules)).await {
            Ok(()) => tracing::info!(policy_sha256 = sha256, "map and policy loaded"),
            Err(error) => tracing::error!(%error, "map and policy not loaded; the rules in force stay"),
        },
        Err(errors) => {
            tracing::error!("map and policy are not valid; THE OLD RULES STAY IN FORCE\n{errors}");
            let rejected = Event::PolicyRejected { policy_sha256: sha256.clone() };
            if let Err(error) = log.note(rejected) {
                tracing::error!(%error, "the rejection could not be recorded");
            }
        }
    }
    Ok(sha256)
}
