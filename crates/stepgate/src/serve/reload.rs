//! Map, policy and certificate taken into use while the gate runs.

use std::sync::Arc;
use std::time::Duration;

use stepgate_console::Encryption;
use stepgate_proxy::Gate;
use stepgate_record::Event;
use stepgate_store::Log;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::notify;
use crate::config::Config;
use crate::failure::Failure;
use crate::rules::Texts;

/// How often the files are looked at. Polling also sees what editors and ConfigMaps do by renaming.
const POLL: Duration = Duration::from_secs(2);

/// Watches map and policy until `shutdown`; SIGHUP looks at once, and at the certificate.
pub(super) async fn watch(
    config: Config,
    gate: Arc<Gate>,
    encryption: Arc<watch::Sender<Encryption>>,
    log: Log,
    mut shutdown: watch::Receiver<bool>,
) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be waited for; map and policy are not reloaded");
        return;
    };
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
            certificates(&config, &gate, &encryption).await;
        }
        match look(&config, &gate, &log, &seen, asked).await {
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

/// Takes the certificate into use that its files hold now, for connections that come from now on. What cannot be used
/// changes nothing.
async fn certificates(config: &Config, gate: &Gate, encryption: &watch::Sender<Encryption>) {
    let for_read = config.clone();
    let read = tokio::task::spawn_blocking(move || super::certificates(&for_read)).await;
    match read.map_err(|error| Failure::usage(error.to_string())).and_then(|read| read) {
        Ok((tls, new)) => {
            gate.set_tls(tls);
            encryption.send_replace(new);
            if config.tls.is_some() {
                tracing::info!("certificate loaded");
            }
        }
        Err(failure) => tracing::error!("{failure}; the certificate in use stays"),
    }
}

/// Takes the files into use if they have changed since `seen`; the hash of what was seen.
async fn look(config: &Config, gate: &Gate, log: &Log, seen: &str, asked: bool) -> Result<String, Failure> {
    let for_read = config.clone();
    let texts = tokio::task::spawn_blocking(move || Texts::read(&for_read))
        .await
        .map_err(|error| Failure::usage(error.to_string()))??;
    let sha256 = texts.sha256();
    if sha256 == seen {
        if asked {
            tracing::info!("map and policy are unchanged");
        }
        return Ok(sha256);
    }
    match texts.compile(config) {
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
