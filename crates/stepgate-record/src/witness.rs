//! Cosignatures of witnesses (C2SP tlog-cosignature v1): somebody else has seen this tree, and that it continues
//! every one that they saw before. Whoever holds the log's own key can then no longer show two histories.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use stepgate_types::Timestamp;

use crate::note::{SignatureLine, is_key_name, key_id, key_text, read_key};
use crate::{NoteError, SignedNote};

/// The type byte of keys of Ed25519 cosignatures.
const COSIGNATURE: u8 = 4;

/// Bytes of the time before the signature.
const TIME_BYTES: usize = 8;

/// What checks a witness's cosignatures: `name+hexid+base64(0x04 || key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: VerifyingKey,
}

impl WitnessKey {
    /// Who.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When this witness cosigned the note; `None` if it did not.
    ///
    /// # Errors
    /// There is a line in its name that does not hold.
    pub fn cosigned(&self, note: &SignedNote) -> Result<Option<Timestamp>, NoteError> {
        let mut newest = None;
        for line in note.lines().iter().filter(|line| self.is_named_by(line)) {
            newest = newest.max(Some(self.time_of(line, note.text()).ok_or(NoteError::Forged)?));
        }
        Ok(newest)
    }

    pub(crate) fn is_named_by(&self, line: &SignatureLine) -> bool {
        line.name == self.name && line.id == key_id(&self.name, COSIGNATURE, &self.key)
    }

    fn time_of(&self, line: &SignatureLine, text: &str) -> Option<Timestamp> {
        let (time, signature) = line.signature.split_first_chunk::<TIME_BYTES>()?;
        let time = u64::from_be_bytes(*time);
        let signature = Signature::from_slice(signature).ok()?;
        self.key.verify_strict(message(time, text).as_bytes(), &signature).ok()?;
        let micros = i64::try_from(time).ok()?.checked_mul(1_000_000)?;
        Some(Timestamp::from_micros(micros))
    }
}

impl SignedNote {
    /// The note with those lines of `other`, a note of the same text, that name this witness.
    #[must_use]
    pub fn with_lines_of(&self, other: &Self, witness: &WitnessKey) -> Self {
        let lines = other.lines().iter().filter(|line| witness.is_named_by(line));
        lines.fold(self.clone(), |note, line| note.with(line.clone()))
    }

    /// The witnesses that have cosigned it, where everybody but `owner` who signed it is one of `witnesses`, and once.
    ///
    /// # Errors
    /// One of the other lines is not of any of them, or does not hold.
    pub fn cosigned_by<'w>(
        &self,
        owner: &str,
        witnesses: &'w [WitnessKey],
    ) -> Result<Vec<&'w WitnessKey>, NoteError> {
        let mut found: Vec<&WitnessKey> = Vec::new();
        for line in self.lines().iter().filter(|line| line.name != owner) {
            let witness = witnesses.iter().find(|witness| witness.is_named_by(line));
            let witness = witness.ok_or_else(|| NoteError::NotSigned("a known witness".to_owned()))?;
            if found.contains(&witness) {
                return Err(NoteError::Malformed("two lines by one witness"));
            }
            witness.cosigned(self)?;
            found.push(witness);
        }
        Ok(found)
    }
}

/// What a cosignature signs.
fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key_text(&self.name, COSIGNATURE, &self.key))
    }
}

impl FromStr for WitnessKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = read_key(text, COSIGNATURE)
            .ok_or(NoteError::Malformed("no verifier key of a witness (name+id+key, of type 4)"))?;
        Ok(Self { name, key })
    }
}

/// Cosigns: what a witness does. The gate itself never is one.
pub struct Cosigner {
    name: String,
    key: SigningKey,
}

impl Cosigner {
    /// From a name and the 32 secret bytes of an Ed25519 key.
    ///
    /// # Errors
    /// The name is empty, or holds white space or a plus sign.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if is_key_name(name) {
            Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
        } else {
            Err(NoteError::Malformed("no name for a key"))
        }
    }

    /// What checks this witness's cosignatures.
    #[must_use]
    pub fn key(&self) -> WitnessKey {
        WitnessKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The note with this witness's line, made so many seconds after 1970.
    #[must_use]
    pub fn cosign(&self, note: &SignedNote, time: u64) -> SignedNote {
        let signature = self.key.sign(message(time, note.text()).as_bytes());
        note.clone().with(SignatureLine {
            name: self.name.clone(),
            id: key_id(&self.name, COSIGNATURE, &self.key.verifying_key()),
            signature: [time.to_be_bytes().as_slice(), &signature.to_bytes()].concat(),
        })
    }
}
