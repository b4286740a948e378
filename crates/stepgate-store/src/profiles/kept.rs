//! Profiles on disk: what they were when the log had so many records.
//!
//! Each is sealed by its person's own key, so that it goes when they are erased, also from copies of the file. The whole
//! is held together by a keyed hash: somebody who left profiles out, or put older ones in, would make people unknown, of
//! whom nothing is unusual.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stepgate_policy::{MAX_PROFILE_BYTES, Profile};
use stepgate_record::Hash;
use stepgate_types::{Commit, SubjectKind, Who};
use subtle::ConstantTimeEq as _;

use super::Shared;
use super::take::Taking;
use crate::Vault;
use crate::files::write_atomic;
use crate::subjects::Subject;

/// The format of the file.
const VERSION: u64 = 2;

/// The most that a sealed profile takes: in JSON it is some three times as long as in memory.
const MAX_SEALED: usize = 4 * MAX_PROFILE_BYTES;

/// What the seal of a profile is bound to.
const LABEL: &str = "profile";

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u64,
    log_id: String,
    /// The number of the record that they have not seen …
    next: u64,
    /// … and the hash of the one before it.
    hash: Hash,
}

pub(super) fn path(shared: &Shared) -> PathBuf {
    // Beside the directory of checkpoints.
    shared.log.shared().checkpoints_dir.with_file_name("profiles")
}

fn mac(shared: &Shared, header: &str, body: &[u8]) -> String {
    let all = [header.as_bytes(), b"\n", body].concat();
    shared.log.shared().vault.hmac_hex("profiles", &all)
}

fn vault_of(shared: &Shared, subject: &Subject) -> Vault {
    shared.log.shared().vault.with_master(&subject.key)
}

/// Keeps them. If that fails they are made anew at the next start, or from what was kept before.
pub(super) fn keep(shared: &Shared, taking: &Taking) {
    let kept = encode(shared, taking)
        .and_then(|bytes| write_atomic(&path(shared), &bytes).map_err(|error| error.to_string()));
    if let Err(why) = kept {
        tracing::warn!(%why, "profiles cannot be kept for now; the next start will take longer");
    }
}

fn encode(shared: &Shared, taking: &Taking) -> Result<Vec<u8>, String> {
    let next = taking.next();
    let last = next.checked_sub(1).ok_or("there is nothing to keep")?;
    let hash = hash_of(shared, last)?;
    let header = Header { version: VERSION, log_id: shared.log.id().to_owned(), next, hash };
    let header = serde_json::to_string(&header).map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    for (who, profile) in taking.people() {
        let Who::Commit(commit) = who else { continue };
        // Erased, or about to be.
        let Some(subject) = shared.log.subjects().open(commit) else { continue };
        let json = serde_json::to_vec(profile).map_err(|error| error.to_string())?;
        let sealed = vault_of(shared, &subject).seal(LABEL, &json).map_err(|error| error.to_string())?;
        let length = u32::try_from(sealed.len()).map_err(|error| error.to_string())?;
        body.extend_from_slice(commit.as_bytes());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&sealed);
    }
    let mac = mac(shared, &header, &body);
    Ok([header.as_bytes(), b"\n", mac.as_bytes(), b"\n", &body].concat())
}

fn hash_of(shared: &Shared, seq: u64) -> Result<Hash, String> {
    let stored = shared.log.read(seq, seq.saturating_add(1)).next();
    let stored = stored.ok_or_else(|| format!("record {seq} is missing"))?;
    stored.map(|stored| stored.hash).map_err(|error| error.to_string())
}

/// Takes up what was kept.
///
/// # Errors
/// Why it is of no use.
pub(super) fn load(shared: &Shared) -> Result<Taking, String> {
    let bytes = match fs::read(path(shared)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("none were kept".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let malformed = || "what was kept is malformed".to_owned();
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let (Some(header), Some(claimed), Some(body)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(malformed());
    };
    let text = std::str::from_utf8(header).map_err(|_| malformed())?;
    if !bool::from(mac(shared, text, body).as_bytes().ct_eq(claimed)) {
        return Err("what was kept was changed, or is of another master key".to_owned());
    }
    let header: Header = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if header.version != VERSION || header.log_id != shared.log.id() {
        return Err("what was kept is of another log or version".to_owned());
    }
    let last = header.next.checked_sub(1).ok_or_else(malformed)?;
    if header.next > shared.log.len() || hash_of(shared, last)? != header.hash {
        return Err("what was kept is of another course of the log".to_owned());
    }
    let mut people = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (commit, after) = rest.split_first_chunk::<32>().ok_or_else(malformed)?;
        let (length, after) = after.split_first_chunk::<4>().ok_or_else(malformed)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| malformed())?;
        let (sealed, after) = after.split_at_checked(length).ok_or_else(malformed)?;
        rest = after;
        let commit = Commit::from_bytes(*commit);
        let subject = shared.log.subjects().open(&commit).filter(|it| it.kind == SubjectKind::Person);
        let Some(subject) = subject.filter(|_| length <= MAX_SEALED) else { continue };
        let json = vault_of(shared, &subject).unseal(LABEL, sealed).map_err(|error| error.to_string())?;
        let profile: Profile = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        people.push((Who::Commit(commit), profile));
    }
    Ok(Taking::of(header.next, people))
}
