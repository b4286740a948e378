//! Keys derived from the master key, and what they seal.
//!
//! Derivation is HKDF-SHA-256 (RFC 5869) with one block of output: a key of its own for each purpose, so
//! that none is ever used for two. Sealing is XChaCha20-Poly1305, whose 192-bit nonce may be random.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use stepgate_types::Entropy;
use zeroize::Zeroizing;

/// HKDF's salt: separates these keys from any other use of the same master key.
const SALT: &[u8] = b"stepgate vault v1";

/// Bytes of an XChaCha20 nonce.
const NONCE_BYTES: usize = 24;

/// A sealed value cannot be opened, or nothing can be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Another key, another label, or changed bytes.
    #[error("the sealed value does not open: it was changed, or the master key is another one")]
    DoesNotOpen,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    NoEntropy,
    /// Too much for one value.
    #[error("too large to be sealed")]
    TooLarge,
}

/// Seals secrets and makes commitments with keys derived from the master key. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    root: Arc<Zeroizing<[u8; 32]>>,
    entropy: Arc<dyn Entropy>,
}

impl Vault {
    /// From the 32 bytes of the master key.
    #[must_use]
    pub fn new(master: &Zeroizing<[u8; 32]>, entropy: Arc<dyn Entropy>) -> Self {
        Self { root: Arc::new(hmac_sha256(SALT, &[&master[..]])), entropy }
    }

    /// A vault of another master key.
    pub(crate) fn with_master(&self, master: &Zeroizing<[u8; 32]>) -> Self {
        Self::new(master, Arc::clone(&self.entropy))
    }

    /// The key for one purpose.
    pub(crate) fn key(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        hmac_sha256(&self.root[..], &[purpose.as_bytes(), &[1]])
    }

    /// So many bytes longer than the plaintext is what [`Vault::seal`] makes: nonce and tag.
    pub(crate) const OVERHEAD: usize = NONCE_BYTES + 16;

    /// Random bytes.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], VaultError> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes).map_err(|_| VaultError::NoEntropy)?;
        Ok(bytes)
    }

    /// Encrypts and authenticates `plaintext`, bound to `label` (what and whose it is).
    ///
    /// # Errors
    /// No randomness for the nonce.
    pub fn seal(&self, label: &str, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE_BYTES] = self.random()?;
        let payload = Payload { msg: plaintext, aad: label.as_bytes() };
        let sealed = self.cipher().encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| VaultError::TooLarge)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Vault::seal`] made under the same label.
    ///
    /// # Errors
    /// It does not open.
    pub fn unseal(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::DoesNotOpen)?;
        let payload = Payload { msg: sealed, aad: label.as_bytes() };
        let opened = self.cipher().decrypt(XNonce::from_slice(nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| VaultError::DoesNotOpen)
    }

    /// HMAC-SHA-256 of `data` under a key of its own for `label`, as hexadecimal.
    #[must_use]
    pub fn hmac_hex(&self, label: &str, data: &[u8]) -> String {
        HEXLOWER.encode(&self.hmac(label, data)[..])
    }

    pub(crate) fn hmac(&self, label: &str, data: &[u8]) -> Zeroizing<[u8; 32]> {
        hmac_sha256(&self.key(&format!("hmac {label}"))[..], &[data])
    }

    /// Hashes under a key of its own for `label`.
    #[must_use]
    pub fn keyed_hash(&self, label: &str) -> KeyedHash {
        let key = self.key(&format!("hash {label}"));
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        KeyedHash(Hmac::new_from_slice(&key[..]).expect("a key of any length"))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key("seal")).into())
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

/// HMAC-SHA-256 under a key that is set up once: for what is hashed very often.
#[derive(Clone)]
pub struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// The first 64 bits of the HMAC over these parts, each with its length before it. Allocates nothing.
    #[must_use]
    pub fn of(&self, parts: &[&[u8]]) -> u64 {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        let hash = mac.finalize().into_bytes();
        hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHash")
    }
}

/// HMAC-SHA-256 over the parts, one after the other.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::CountingEntropy;

    fn vault(master: u8) -> Vault {
        Vault::new(&Zeroizing::new([master; 32]), Arc::new(CountingEntropy::default()))
    }

    #[test]
    fn what_is_sealed_opens_under_the_same_key_and_label_only() {
        let sealed = vault(1).seal("factors/dana", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(vault(1).unseal("factors/dana", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(vault(1).unseal("factors/erin", &sealed), Err(VaultError::DoesNotOpen));
        assert_eq!(vault(2).unseal("factors/dana", &sealed), Err(VaultError::DoesNotOpen));
        assert_eq!(vault(1).unseal("factors/dana", &[]), Err(VaultError::DoesNotOpen));
    }

    #[test]
    fn no_changed_byte_of_a_sealed_value_opens() {
        let sealed = vault(1).seal("x", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault(1).unseal("x", &changed), Err(VaultError::DoesNotOpen), "byte {at}");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_the_same_way() {
        let vault = vault(1);
        assert_ne!(vault.seal("x", b"secret").unwrap(), vault.seal("x", b"secret").unwrap());
    }

    #[test]
    fn commitments_depend_on_key_label_and_data() {
        let one = vault(1).hmac_hex("reason", b"x");
        assert_eq!(one.len(), 64);
        assert_eq!(one, vault(1).hmac_hex("reason", b"x"));
        assert_ne!(one, vault(1).hmac_hex("other", b"x"));
        assert_ne!(one, vault(1).hmac_hex("reason", b"y"));
        assert_ne!(one, vault(2).hmac_hex("reason", b"x"));
    }

    #[test]
    fn keyed_hashes_depend_on_key_label_and_where_parts_begin() {
        let hash = |master, label: &str, parts: &[&[u8]]| vault(master).keyed_hash(label).of(parts);
        let one = hash(1, "x", &[b"ab", b"c"]);
        assert_eq!(one, hash(1, "x", &[b"ab", b"c"]));
        for other in
            [hash(2, "x", &[b"ab", b"c"]), hash(1, "y", &[b"ab", b"c"]), hash(1, "x", &[b"a", b"bc"])]
        {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(HEXLOWER.encode(&mac[..]), expected);
    }
}
