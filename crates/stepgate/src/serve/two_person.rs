//! `policies.two_person`: what is in force is what two people have approved, by its exact hash. What waits, what was
//! approved and what is in force are kept in the data directory by their hashes, so that what was approved comes into
//! force, and a restart begins with it, whatever the configured files say by then.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepgate_console::{KeptPolicies, PolicyTexts};
use stepgate_policy::Ruleset;
use stepgate_proxy::Gate;
use stepgate_record::Event;
use stepgate_store::{Desk, Log};

use super::reload::may_not_be_meant;
use crate::config::Config;
use crate::failure::Failure;
use crate::rules::{Texts, compiled};
use crate::store::Store;

/// Where they are kept.
fn dir(data: &Path) -> PathBuf {
    data.join("policies")
}

fn files(data: &Path, sha256: &str) -> (PathBuf, PathBuf) {
    let dir = dir(data);
    (dir.join(format!("{sha256}.map.yaml")), dir.join(format!("{sha256}.rules.yaml")))
}

/// Keeps a policy: on disk before it waits or is in force. What else is kept is deleted, except `needed`.
///
/// # Errors
/// It is not kept as a whole.
pub(super) fn keep(config: &Config, texts: &Texts, needed: &BTreeSet<String>) -> Result<(), Failure> {
    let dir = dir(&config.data);
    let trouble = |path: &Path, error: &std::io::Error| Failure::file("keep the policy", path, error);
    std::fs::create_dir_all(&dir).map_err(|error| trouble(&dir, &error))?;
    let sha256 = texts.sha256();
    if !matches!(kept(&config.data, &sha256), Kept::Whole(_)) {
        let (map, rules) = files(&config.data, &sha256);
        for (path, text) in [(&map, texts.map()), (&rules, texts.rules())] {
            let write = || {
                let mut file = tempfile::NamedTempFile::new_in(&dir)?;
                file.write_all(text.as_bytes())?;
                file.as_file().sync_all()?;
                file.persist(path)?;
                std::fs::File::open(&dir)?.sync_all()
            };
            write().map_err(|error| trouble(path, &error))?;
        }
    }
    // That one stays is no harm.
    for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.split('.').next()).unwrap_or_default();
        if of != sha256 && !needed.contains(of) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// What is kept of a hash.
enum Kept {
    /// All that was.
    Whole(Texts),
    /// Something else.
    Other,
    /// Not both files.
    Missing,
}

fn kept(data: &Path, sha256: &str) -> Kept {
    let (map, rules) = files(data, sha256);
    if !map.exists() || !rules.exists() {
        return Kept::Missing;
    }
    match Texts::of(&map, &rules) {
        Ok(texts) if texts.sha256() == sha256 => Kept::Whole(texts),
        _ => Kept::Other,
    }
}

/// What is kept, for who approves it.
pub(super) struct Policies {
    pub(super) data: PathBuf,
    pub(super) gate: Arc<Gate>,
}

impl KeptPolicies for Policies {
    fn in_force(&self) -> String {
        self.gate.rules().sha256().to_owned()
    }

    fn texts(&self, policy_sha256: &str) -> Option<PolicyTexts> {
        let Kept::Whole(texts) = kept(&self.data, policy_sha256) else { return None };
        let (map, rules) = (texts.map().to_owned(), texts.rules().to_owned());
        Some(PolicyTexts { policy_sha256: texts.sha256(), map, rules })
    }
}

fn refused(error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("the policy cannot be recorded: {error}"))
}

/// What was approved: what is kept of it, else what is configured, if that is it.
async fn approved_texts(
    config: &Config,
    log: &Log,
    approved: &str,
    configured: Option<Texts>,
) -> Result<Texts, Failure> {
    let what = match kept(&config.data, approved) {
        Kept::Whole(texts) => return Ok(texts),
        Kept::Other => {
            tracing::error!(
                policy_sha256 = approved,
                "WHAT IS KEPT OF THE APPROVED POLICY IS NOT WHAT WAS APPROVED"
            );
            let tampered = Event::PolicyTampered { policy_sha256: approved.to_owned() };
            log.append(vec![tampered], Vec::new()).await.map_err(|error| refused(&error))?;
            "is not what is kept of it in"
        }
        Kept::Missing => "is not kept in",
    };
    configured.filter(|texts| texts.sha256() == approved).ok_or_else(|| {
        Failure::usage(format!("the approved policy {approved} {what} {}", dir(&config.data).display())).hint(
            "put the approved map and policy back where the configuration names them (`stepgate policy lint` prints \
             their hash), or their two files from a backup into that directory, and start again; or take \
             `policies.two_person` out of the configuration, which is recorded",
        )
    })
}

/// What the gate begins with: what was approved last. Where nothing ever was, what the files say, which counts as
/// approved from then on.
///
/// # Errors
/// What was approved is neither kept nor what the files say: somebody has changed it. Or it is not valid.
pub(super) async fn begin(
    config: &Config,
    store: &Store,
    configured: Texts,
    ready: Option<Ruleset>,
) -> Result<Ruleset, Failure> {
    let desk = &store.desk;
    desk.set_two_person(config.two_person.clone());
    let approved = if config.two_person.is_some() {
        desk.approved_policy()
    } else {
        desk.release_policy().await.map_err(|error| refused(&error))?;
        None
    };
    let Some(approved) = approved else {
        // Nothing counts as approved that the gate cannot begin with.
        let rules = ready.map_or_else(|| compiled(&configured, config), Ok)?;
        keep(config, &configured, &desk.needed_policies())?;
        if config.two_person.is_some() {
            desk.first_policy(rules.sha256()).await.map_err(|error| refused(&error))?;
        }
        return Ok(rules);
    };
    let differs = configured.sha256() != approved;
    let texts = approved_texts(config, &store.log, &approved, Some(configured)).await?;
    if differs {
        tracing::warn!("map or policy differ from what was approved, which stays in force");
    }
    let rules = compiled(&texts, config)?;
    keep(config, &texts, &desk.needed_policies())?;
    Ok(rules)
}

/// Where nothing was approved, what is in force counts as approved from here on: the rule was switched on just now.
pub(super) async fn first(gate: &Gate, desk: &Desk) -> Result<(), Failure> {
    if desk.approved_policy().is_some() {
        return Ok(());
    }
    let in_force = gate.rules().sha256().to_owned();
    desk.first_policy(&in_force).await.map_err(|error| refused(&error))
}

/// Puts in force what was approved, if it is not, whatever the configured files say by now.
///
/// # Errors
/// It is neither kept nor configured, or not valid: what is in force stays.
pub(super) async fn enforce(
    config: &Config,
    gate: &Gate,
    (log, desk): (&Log, &Desk),
    approved: &str,
    configured: Option<Texts>,
) -> Result<(), Failure> {
    let texts = approved_texts(config, log, approved, configured).await?;
    let rules = compiled(&texts, config)?;
    keep(config, &texts, &desk.needed_policies())?;
    let rules = Arc::new(rules);
    gate.set_rules(Arc::clone(&rules)).await.map_err(|error| refused(&error))?;
    tracing::info!(policy_sha256 = approved, "the approved map and policy loaded");
    may_not_be_meant(&rules);
    Ok(())
}
