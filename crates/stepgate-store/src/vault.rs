//! Keys derived from the master key, and what they seal.

use std::sync::Arc;

use stepgate_types::Entropy;
use zeroize::Zeroizing;

/// A sealed value cannot be opened, or nothing can be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Another key, another label, or changed bytes.
    #[error("the sealed value does not open: it was changed, or the master key is another one")]
    DoesNotOpen,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    NoEntropy,
}

/// Seals secrets and makes commitments with keys derived from the master key. Cheap to clone.
#[derive(Clone)]
pub struct Vault {}

impl Vault {
    /// From the 32 bytes of the master key.
    #[must_use]
    pub fn new(_master: &Zeroizing<[u8; 32]>, _entropy: Arc<dyn Entropy>) -> Self {
        Self {}
    }

    /// Encrypts and authenticates `plaintext`, bound to `label` (what and whose it is).
    ///
    /// # Errors
    /// No randomness for the nonce.
    pub fn seal(&self, _label: &str, _plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        Err(VaultError::NoEntropy)
    }

    /// Opens what [`Vault::seal`] made under the same label.
    ///
    /// # Errors
    /// It does not open.
    pub fn unseal(&self, _label: &str, _sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        Err(VaultError::DoesNotOpen)
    }

    /// HMAC-SHA-256 of `data` under a key of its own for `label`, as hexadecimal.
    #[must_use]
    pub fn hmac_hex(&self, _label: &str, _data: &[u8]) -> String {
        String::new()
    }
}
