//! Signed notes (C2SP signed-note) with Ed25519: a text, an empty line, signature lines.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The type byte of Ed25519 keys.
const ED25519: u8 = 1;

/// The longest note, in bytes; with a handful of signatures a checkpoint has about 500.
const MAX_NOTE_BYTES: usize = 16 * 1024;

/// A note is malformed, or its signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not in the form of a signed note or checkpoint.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// No signature by the key that was asked for.
    #[error("not signed by {0}")]
    NotSigned(String),
    /// The signature is wrong.
    #[error("the signature does not hold")]
    Forged,
    /// A list of keys proves nothing.
    #[error("{0}")]
    Keys(String),
    /// Signed by a key that another one had replaced.
    #[error("signed by a key that was replaced at {0} records, over more than those")]
    Replaced(u64),
    /// Signed by a key that was not in use yet.
    #[error("signed by a key that is in use from {0} records on, over fewer than those")]
    Early(u64),
}

/// What checks a note's signature: `name+hexid+base64(0x01 || key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        key_id(&self.name, ED25519, &self.key)
    }
}

/// `SHA-256(name || LF || type || key)`, the first four bytes.
pub(crate) fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key.as_bytes());
    let mut id = [0; 4];
    for (to, from) in id.iter_mut().zip(digest.finalize()) {
        *to = from;
    }
    id
}

/// `name+hexid+base64(type || key)`.
pub(crate) fn key_text(name: &str, kind: u8, key: &VerifyingKey) -> String {
    let bytes = [&[kind], key.as_bytes().as_slice()].concat();
    let id = u32::from_be_bytes(key_id(name, kind, key));
    format!("{name}+{id:08x}+{}", STANDARD.encode(bytes))
}

/// Name and key in [`key_text`]; `None` if it is none, or of another type.
pub(crate) fn read_key(text: &str, kind: u8) -> Option<(String, VerifyingKey)> {
    // A name holds no plus sign, but base64 does.
    let mut parts = text.splitn(3, '+');
    let (name, _id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = STANDARD.decode(key).ok()?;
    let (found, key) = bytes.split_first()?;
    let key = VerifyingKey::try_from(key).ok().filter(|_| *found == kind)?;
    // Also compares the id.
    (is_key_name(name) && key_text(name, kind, &key) == text).then(|| (name.to_owned(), key))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key_text(&self.name, ED25519, &self.key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) =
            read_key(text, ED25519).ok_or(NoteError::Malformed("no verifier key (name+id+key)"))?;
        Ok(Self { name, key })
    }
}

/// Signs notes.
pub struct NoteSigner {
    name: String,
    key: SigningKey,
}

impl NoteSigner {
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

    /// What checks this signer's notes.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The signed note of a text, which ends in a newline.
    #[must_use]
    pub fn sign(&self, text: &str) -> SignedNote {
        let line = SignatureLine {
            name: self.name.clone(),
            id: self.verifier_key().id(),
            signature: self.key.sign(text.as_bytes()).to_bytes().to_vec(),
        };
        SignedNote { text: text.to_owned(), signatures: vec![line] }
    }
}

/// A text with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<SignatureLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignatureLine {
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    pub(crate) signature: Vec<u8>,
}

impl SignatureLine {
    /// Whether it is as long as a cosignature: a time, and a signature by Ed25519 or ML-DSA-44.
    pub(crate) fn may_be_cosignature(&self) -> bool {
        [8 + 64, 8 + 2420].contains(&self.signature.len())
    }

    /// Whether `key` made it over `text`; `None`: it does not say so.
    pub(crate) fn holds(&self, key: &VerifierKey, text: &str) -> Option<bool> {
        (self.name == key.name && self.id == key.id()).then(|| {
            let signature = Signature::from_slice(&self.signature);
            signature.is_ok_and(|signature| key.key.verify_strict(text.as_bytes(), &signature).is_ok())
        })
    }
}

impl SignedNote {
    /// The signed text, which ends in a newline. Believe it only after [`SignedNote::verify`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `key` signed it. Signatures by other keys are ignored, as the specification asks.
    ///
    /// # Errors
    /// It did not.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let holds = self.signatures.iter().find_map(|line| line.holds(key, &self.text));
        match holds {
            Some(true) => Ok(()),
            Some(false) => Err(NoteError::Forged),
            None => Err(NoteError::NotSigned(key.name.clone())),
        }
    }

    /// Whether `key` signed it and nobody else did, so that no byte of it goes unchecked.
    ///
    /// # Errors
    /// It did not, or somebody else did too.
    pub fn verify_alone(&self, key: &VerifierKey) -> Result<(), NoteError> {
        if self.signatures.len() != 1 {
            return Err(NoteError::Malformed("more than one signature"));
        }
        self.verify(key)
    }

    /// The signature lines.
    pub(crate) fn lines(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// The names of those who signed it, or so it says.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|line| line.name.as_str())
    }

    /// This note with another signature line, unless it is there.
    pub(crate) fn with(mut self, line: SignatureLine) -> Self {
        if !self.signatures.contains(&line) {
            self.signatures.push(line);
        }
        self
    }

    /// The note with the signatures of both; `None` if they are of different texts.
    #[must_use]
    pub fn with_signatures_of(&self, other: &Self) -> Option<Self> {
        let both = |note: Self, line: &SignatureLine| note.with(line.clone());
        (self.text == other.text).then(|| other.signatures.iter().fold(self.clone(), both))
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            let mut signature = line.id.to_vec();
            signature.extend_from_slice(&line.signature);
            writeln!(f, "\u{2014} {} {}", line.name, STANDARD.encode(signature))?;
        }
        Ok(())
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::Malformed("too long"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed("no empty line"))?;
        let signatures = lines.lines().map(signature_line).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(NoteError::Malformed("not a signature line"))?;
        let parsed = Self { text: format!("{text}\n"), signatures };
        if parsed.to_string() == note {
            Ok(parsed)
        } else {
            Err(NoteError::Malformed("not in the form of a signed note"))
        }
    }
}

fn signature_line(line: &str) -> Option<SignatureLine> {
    let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(signature).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    is_key_name(name).then(|| SignatureLine { name: name.to_owned(), id: *id, signature: signature.to_vec() })
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter == '+' || letter.is_whitespace())
}
