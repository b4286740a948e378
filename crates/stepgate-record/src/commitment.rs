//! How a commitment is made: for whoever is shown a value and its key, to check it.

use sha2::{Digest as _, Sha256};
use stepgate_types::{Commit, SubjectKind};

/// Separates these from any other use of HMAC.
const LABEL: &[u8] = b"stepgate subject v1";

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// The commitment to a value: HMAC-SHA-256 (RFC 2104) under the value's own key of the label
/// `stepgate subject v1`, the kind's word, a zero byte and the value.
#[must_use]
pub fn commitment(kind: SubjectKind, value: &str, key: &[u8; 32]) -> Commit {
    let pad = |with: u8| {
        let mut block = [with; BLOCK];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(LABEL).chain_update(kind.as_str());
    let inner = inner.chain_update([0]).chain_update(value).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner);
    Commit::from_bytes(outer.finalize().into())
}
