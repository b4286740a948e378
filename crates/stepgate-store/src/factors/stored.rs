//! Entries of factors as they lie on disk: sealed by their person's own key.

use serde::{Deserialize, Serialize};
use stepgate_approval::{AuthenticatorId, Credential};
use stepgate_types::{PersonName, Strength, Timestamp};
use zeroize::Zeroizing;

use super::Keeping;
use crate::subjects::Old;
use crate::{Entry, Log, PersonError, Vault, VaultError};

/// What follows the person in the key of [`Keeping`]; no authenticator's id is like it.
pub(super) const KEEPING: &str = "~";

/// What is stored of an authenticator, sealed. Older versions wrote the first two alone.
#[derive(Serialize, Deserialize)]
struct Stored {
    secret: Vec<u8>,
    enrolled_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts_from_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strength: Option<Strength>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    state: Vec<u8>,
}

/// One entry.
pub(super) enum Entered {
    Credential(Credential),
    Keeping(Keeping),
}

fn label(name: &PersonName, what: &str) -> String {
    format!("factors/{}/{what}", name.as_str())
}

pub(super) fn seal(
    vault: &Vault,
    name: &PersonName,
    credential: &Credential,
) -> Result<Vec<u8>, PersonError> {
    let stored = Stored {
        secret: credential.secret.to_vec(),
        enrolled_us: credential.enrolled.micros(),
        name: Some(credential.name.clone()),
        counts_from_us: Some(credential.counts_from.micros()),
        strength: Some(credential.strength),
        state: credential.state.clone(),
    };
    seal_json(vault, &label(name, &credential.id.to_string()), &stored)
}

pub(super) fn seal_keeping(
    vault: &Vault,
    name: &PersonName,
    keeping: &Keeping,
) -> Result<Vec<u8>, PersonError> {
    seal_json(vault, &label(name, KEEPING), keeping)
}

fn seal_json(vault: &Vault, label: &str, value: &impl Serialize) -> Result<Vec<u8>, PersonError> {
    let json = serde_json::to_vec(value).map(Zeroizing::new);
    let json = json.map_err(|error| PersonError::Limit(error.to_string()))?;
    Ok(vault.seal(label, &json)?)
}

/// An entry and whose it is, and what is to be moved if an older stepgate left it.
pub(super) fn unseal(
    log: &Log,
    vault: &Vault,
    entry: Entry,
) -> Result<(PersonName, Entered, Option<Old>), PersonError> {
    let (key, sealed) = &entry;
    let (name, what, json, is_old) = match log.subjects().kept(key, vault) {
        Some(kept) => {
            let kept = kept?;
            let json = kept.vault.unseal(&label(&kept.person, &kept.what), sealed)?;
            (kept.person, kept.what, json, false)
        }
        None => {
            // Names of people hold no control character.
            let key = std::str::from_utf8(key).ok().and_then(|key| key.split_once('\0'));
            let key = key.and_then(|(name, what)| Some((name.parse::<PersonName>().ok()?, what.to_owned())));
            let (name, what) = key.ok_or(VaultError::DoesNotOpen)?;
            let json = vault.unseal(&label(&name, &what), sealed)?;
            (name, what, json, true)
        }
    };
    let entered = read(&what, &json).ok_or(VaultError::DoesNotOpen)?;
    let old = is_old.then(|| Old {
        person: name.clone(),
        what: what.clone(),
        label: label(&name, &what),
        plain: json,
        entry,
    });
    Ok((name, entered, old))
}

fn read(what: &str, json: &[u8]) -> Option<Entered> {
    if what == KEEPING {
        return serde_json::from_slice(json).ok().map(Entered::Keeping);
    }
    let id: AuthenticatorId = what.parse().ok()?;
    let stored: Stored = serde_json::from_slice(json).ok()?;
    Some(Entered::Credential(Credential {
        name: stored.name.unwrap_or_else(|| id.method().as_str().to_owned()),
        enrolled: Timestamp::from_micros(stored.enrolled_us),
        counts_from: Timestamp::from_micros(stored.counts_from_us.unwrap_or(stored.enrolled_us)),
        strength: stored.strength.unwrap_or_else(|| id.method().strength()),
        state: stored.state,
        secret: Zeroizing::new(stored.secret),
        id,
    }))
}
