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

    /// `SHA-256(name || LF || 0x01 || key)`, the first four bytes.
    fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        let mut id = [0; 4];
        for (to, from) in id.iter_mut().zip(digest) {
            *to = from;
        }
        id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        const ERROR: NoteError = NoteError::Malformed("no verifier key (name+id+key)");
        // A name holds no plus sign, but base64 does.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ERROR);
        };
        let key = STANDARD.decode(key).map_err(|_| ERROR)?;
        let Some((&ED25519, key)) = key.split_first() else { return Err(ERROR) };
        let key = VerifyingKey::try_from(key).map_err(|_| ERROR)?;
        let verifier = Self { name: name.to_owned(), key };
        // Also compares the id.
        if is_key_name(name) && verifier.to_string() == text { Ok(verifier) } else { Err(ERROR) }
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
struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
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
        let id = key.id();
        let line = self
            .signatures
            .iter()
            .find(|line| line.name == key.name && line.id == id)
            .ok_or_else(|| NoteError::NotSigned(key.name.clone()))?;
        let signature = Signature::from_slice(&line.signature).map_err(|_| NoteError::Forged)?;
        key.key.verify_strict(self.text.as_bytes(), &signature).map_err(|_| NoteError::Forged)
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

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter == '+' || letter.is_whitespace())
}
