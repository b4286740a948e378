//! Makers of authenticators that the operator trusts.

use std::time::{Duration, SystemTime};

use stepgate_types::Timestamp;
use webauthn_rs_core::attestation::verify_attestation_ca_chain;
use webauthn_rs_core::proto::{AttestationCaList, ParsedAttestationData};

use crate::Attestation;

/// Roots of attestation. A key whose attestation chains to one of them, and that cannot be copied, is `device-bound`.
/// Each is a list of its own: the library looks at one root of a name only, and makers renew theirs under old names.
#[derive(Clone)]
pub struct Roots(Vec<AttestationCaList>);

/// Roots at most: makers of authenticators are some dozens.
const MAX_ROOTS: usize = 256;

/// The text is no list of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not PEM certificates, one after the other, 256 at most")]
pub struct BadRoots;

impl Roots {
    /// From certificates in PEM, one after the other (RFC 7468).
    ///
    /// # Errors
    /// [`BadRoots`].
    pub fn from_pem(text: &str) -> Result<Self, BadRoots> {
        const END: &str = "-----END CERTIFICATE-----";
        let mut roots = Vec::new();
        for one in text.split_inclusive(END).map(str::trim).filter(|one| !one.is_empty()) {
            if roots.len() == MAX_ROOTS {
                return Err(BadRoots);
            }
            roots.push(AttestationCaList::try_from(one.as_bytes()).map_err(|_| BadRoots)?);
        }
        if roots.is_empty() { Err(BadRoots) } else { Ok(Self(roots)) }
    }

    /// What this attestation is worth at this moment.
    pub(crate) fn judge(&self, attested: &ParsedAttestationData, now: Timestamp) -> Attestation {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.unix_seconds());
        match attested {
            ParsedAttestationData::None => Attestation::None,
            ParsedAttestationData::Self_ => Attestation::Itself,
            _ => {
                let trusts = |root| matches!(verify_attestation_ca_chain(attested, root, now), Ok(Some(_)));
                if self.0.iter().any(trusts) { Attestation::Trusted } else { Attestation::Untrusted }
            }
        }
    }
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roots").field("roots", &self.0.len()).finish_non_exhaustive()
    }
}
