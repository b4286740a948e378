//! The key of this device, in a file of its own beside the logins, mode 0600.

use std::path::PathBuf;

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use stepgate_types::PersonName;
use zeroize::Zeroizing;

use super::logins;
use crate::failure::Failure;
use crate::secret;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// What this machine signs with, for one person.
#[derive(Serialize, Deserialize)]
pub(super) struct DeviceKey {
    version: u32,
    /// The authenticator's id, as the gate has named it.
    pub(super) device: String,
    /// The private key (RFC 8032 section 5.1.5), hexadecimal.
    key: Zeroizing<String>,
}

impl DeviceKey {
    /// A new one.
    pub(super) fn make() -> Result<Self, Failure> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut seed[..]).map_err(|_| Failure::usage("no randomness"))?;
        let key = Zeroizing::new(data_encoding::HEXLOWER.encode(&seed[..]));
        Ok(Self { version: 1, device: String::new(), key })
    }

    /// The one that was enrolled for this person here.
    pub(super) fn of(person: &PersonName) -> Result<Self, Failure> {
        let path = path(person)?;
        if !path.exists() {
            return Err(Failure::no(format!("this device is not enrolled for {person}"))
                .hint(format!("run: stepgate device enroll --as {person} --name NAME")));
        }
        secret::check_private(&path)?;
        let trouble = |error: &std::io::Error| Failure::file("read", &path, error);
        let size = std::fs::metadata(&path).map_err(|error| trouble(&error))?.len();
        if size > MAX_FILE {
            return Err(trouble(&std::io::Error::other("it is far too large")));
        }
        let text = Zeroizing::new(std::fs::read(&path).map_err(|error| trouble(&error))?);
        serde_json::from_slice(&text).map_err(|error| trouble(&error.into()))
    }

    /// Keeps it; one that there is stays as it is, and this fails.
    pub(super) fn keep(&self, person: &PersonName) -> Result<(), Failure> {
        let path = path(person)?;
        if let Some(dir) = path.parent() {
            secret::make_private_dir(dir)?;
        }
        let text = serde_json::to_vec_pretty(self).map(Zeroizing::new);
        let text = text.map_err(|error| Failure::file("write", &path, &error.into()))?;
        secret::write_new_private(&path, &text)
    }

    /// Whether there is one of this person's here.
    pub(super) fn exists(person: &PersonName) -> Result<bool, Failure> {
        Ok(path(person)?.exists())
    }

    fn signing(&self) -> Result<SigningKey, Failure> {
        let wrong =
            || Failure::usage("the key of this device cannot be read").hint("remove its file and enrol anew");
        let bytes = data_encoding::HEXLOWER.decode(self.key.as_bytes()).map_err(|_| wrong())?;
        let bytes = Zeroizing::new(bytes);
        let seed: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| wrong())?;
        Ok(SigningKey::from_bytes(seed))
    }

    /// The public key.
    pub(super) fn public(&self) -> Result<[u8; 32], Failure> {
        Ok(self.signing()?.verifying_key().to_bytes())
    }

    /// A signature, hexadecimal.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, Failure> {
        Ok(data_encoding::HEXLOWER.encode(&self.signing()?.sign(message).to_bytes()))
    }
}

fn path(person: &PersonName) -> Result<PathBuf, Failure> {
    Ok(logins::path()?.with_file_name(format!("device-{person}.json")))
}
