//! `policies.two_person`: what is in force is what two people have approved, by its exact hash. Its files are kept in
//! the data directory, so that a restart begins with them whatever the configured files say by then.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use stepgate_record::Event;

use crate::config::Config;
use crate::failure::Failure;
use crate::rules::Texts;
use crate::store::Store;

/// Where they are kept.
fn dir(config: &Config) -> PathBuf {
    config.data.join("policies")
}

fn files(config: &Config, sha256: &str) -> (PathBuf, PathBuf) {
    let dir = dir(config);
    (dir.join(format!("{sha256}.map.yaml")), dir.join(format!("{sha256}.rules.yaml")))
}

/// Keeps what was approved, on disk before it is in force.
pub(super) fn keep(config: &Config, texts: &Texts) -> Result<(), Failure> {
    let dir = dir(config);
    let trouble = |path: &Path, error: &std::io::Error| Failure::file("keep the policy", path, error);
    std::fs::create_dir_all(&dir).map_err(|error| trouble(&dir, &error))?;
    let (map, rules) = files(config, &texts.sha256());
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
    // Of those before, nothing is needed any more; that one stays is no harm.
    for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
        if entry.path() != map && entry.path() != rules {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// What is kept of that hash, if it is what was approved.
fn kept(config: &Config, sha256: &str) -> Option<Texts> {
    let (map, rules) = files(config, sha256);
    Texts::of(&map, &rules).ok().filter(|texts| texts.sha256() == sha256)
}

/// What the gate begins with: what was approved last. Where nothing ever was, what the files say, which counts as
/// approved from then on.
///
/// # Errors
/// What was approved is neither kept nor what the files say: somebody has changed it.
pub(super) async fn begin(config: &Config, store: &Store, configured: Texts) -> Result<Texts, Failure> {
    let refused =
        |error: &dyn std::fmt::Display| Failure::usage(format!("the policy cannot be recorded: {error}"));
    store.desk.set_two_person(config.two_person.clone());
    if config.two_person.is_none() {
        return Ok(configured);
    }
    let Some(approved) = store.desk.approved_policy() else {
        keep(config, &configured)?;
        store.desk.first_policy(&configured.sha256()).await.map_err(|error| refused(&error))?;
        return Ok(configured);
    };
    let found = kept(config, &approved);
    if found.is_none() {
        tracing::error!(
            policy_sha256 = approved,
            "WHAT IS KEPT OF THE APPROVED POLICY IS NOT WHAT WAS APPROVED"
        );
        let tampered = Event::PolicyTampered { policy_sha256: approved.clone() };
        store.log.append(vec![tampered], Vec::new()).await.map_err(|error| refused(&error))?;
    }
    if configured.sha256() == approved {
        keep(config, &configured)?;
        return Ok(configured);
    }
    found
        .inspect(|_| tracing::warn!("map or policy differ from what was approved, which stays in force"))
        .ok_or_else(|| {
            Failure::usage(format!(
                "the approved policy {approved} is not what is kept of it in {}",
                dir(config).display()
            ))
            .hint("put the approved map and policy back where the configuration names them, and start again")
        })
}
