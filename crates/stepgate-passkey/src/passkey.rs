//! A passkey as it is kept.

use std::fmt;

use stepgate_types::{Entropy, Strength};
use webauthn_rs_core::proto as library;

use crate::answer::to_base64;
use crate::cbor::Reader;
use crate::transports::Transports;
use crate::{MAX_ID, Rejected};

/// The form of [`Passkey::secret`].
const VERSION: u8 = 1;

/// Which person a passkey was made for: random, so that it says nothing about them (Web Authentication level 3,
/// section 14.6.1). All passkeys of a person have the same one.
#[derive(Clone, PartialEq, Eq)]
pub struct UserHandle([u8; 32]);

impl UserHandle {
    /// A fresh one.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn generate(entropy: &dyn Entropy) -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// One that was kept; `None` if it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for UserHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserHandle")
    }
}

/// What is known of where a key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attestation {
    /// Nothing was asked for, or nothing said.
    None,
    /// The key vouches for itself, which proves nothing.
    Itself,
    /// A maker vouches, but none that the operator named.
    Untrusted,
    /// Chains to a root that the operator named.
    Trusted,
}

/// A public key: x and y of a point, or an RSA modulus and exponent.
#[derive(Clone, PartialEq, Eq)]
enum Key {
    Es256([u8; 32], [u8; 32]),
    Es384([u8; 48], [u8; 48]),
    Rs256(Box<[u8; 256]>, [u8; 3]),
}

/// One passkey or security key of one person: what must be kept to verify its answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Passkey {
    id: Vec<u8>,
    key: Key,
    backup_eligible: bool,
    aaguid: [u8; 16],
    transports: Transports,
    attestation: Attestation,
    person: UserHandle,
    state: State,
}

/// What changes with use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    counter: u32,
    backed_up: bool,
}

impl Passkey {
    /// From what the library verified, and what it does not keep.
    pub(crate) fn new(
        verified: &library::Credential,
        aaguid: [u8; 16],
        transports: Transports,
        attestation: Attestation,
        person: UserHandle,
    ) -> Result<Self, Rejected> {
        Ok(Self {
            id: verified.cred_id.clone(),
            key: Key::of(&verified.cred).ok_or(Rejected::BadKey)?,
            backup_eligible: verified.backup_eligible,
            aaguid,
            transports,
            attestation,
            person,
            state: State { counter: verified.counter, backed_up: verified.backup_state },
        })
    }

    /// From [`Passkey::secret`] and [`Passkey::state`], as they were stored; `None` if they are anything else.
    #[must_use]
    pub fn read(secret: &[u8], state: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(secret);
        let [VERSION, kind, nature, transports] = reader.array()? else { return None };
        let key = match kind {
            1 => Key::Es256(reader.array()?, reader.array()?),
            2 => Key::Es384(reader.array()?, reader.array()?),
            3 => Key::Rs256(Box::new(reader.array()?), reader.array()?),
            _ => return None,
        };
        let attestation = match nature >> 1 {
            0 => Attestation::None,
            1 => Attestation::Itself,
            2 => Attestation::Untrusted,
            3 => Attestation::Trusted,
            _ => return None,
        };
        let (aaguid, person) = (reader.array()?, UserHandle(reader.array()?));
        let id = Some(reader.rest()).filter(|id| (1..=MAX_ID).contains(&id.len()))?.to_vec();
        let mut reader = Reader::new(state);
        let (counter, backed_up) = (u32::from_be_bytes(reader.array()?), reader.array()?);
        if !reader.rest().is_empty() || backed_up > [1] {
            return None;
        }
        Some(Self {
            id,
            key,
            backup_eligible: nature & 1 == 1,
            aaguid,
            transports: Transports::from_bits(transports)?,
            attestation,
            person,
            state: State { counter, backed_up: backed_up == [1] },
        })
    }

    /// What never changes, in some 150 bytes, 900 at most: version, kind of key, nature (in the lowest bit whether it
    /// is backup eligible, above it the attestation), transports, key, AAGUID, user handle, id. Not secret in itself,
    /// but nobody's business.
    #[must_use]
    pub fn secret(&self) -> Vec<u8> {
        let nature = self.attestation as u8 * 2 + u8::from(self.backup_eligible);
        let (kind, first, second): (u8, &[u8], &[u8]) = match &self.key {
            Key::Es256(x, y) => (1, x, y),
            Key::Es384(x, y) => (2, x, y),
            Key::Rs256(n, e) => (3, &**n, e),
        };
        let head = [VERSION, kind, nature, self.transports.bits()];
        [&head[..], first, second, &self.aaguid, &self.person.0, &self.id].concat()
    }

    /// What changes with use: the counter in four bytes, and whether it is backed up in one.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let [a, b, c, d] = self.state.counter.to_be_bytes();
        vec![a, b, c, d, u8::from(self.state.backed_up)]
    }

    /// Its id, which the authenticator chose: no secret, and never used twice.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// The same in base64url, as browsers write it.
    #[must_use]
    pub fn id_text(&self) -> String {
        to_base64(&self.id)
    }

    /// How often it has signed, as the authenticator says; 0 for ever where it does not count.
    #[must_use]
    pub const fn counter(&self) -> u32 {
        self.state.counter
    }

    /// Whether the key can be copied to other devices (BE): a passkey that is synced. Never changes.
    #[must_use]
    pub const fn is_backup_eligible(&self) -> bool {
        self.backup_eligible
    }

    /// Whether it has been, as last heard (BS).
    #[must_use]
    pub const fn is_backed_up(&self) -> bool {
        self.state.backed_up
    }

    /// The kind of authenticator (AAGUID) as a UUID; zeros where it does not say. Proven only by a trusted attestation.
    #[must_use]
    pub fn aaguid(&self) -> String {
        let hex: String = self.aaguid.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [hex.get(..8), hex.get(8..12), hex.get(12..16), hex.get(16..20), hex.get(20..)];
        parts.map(Option::unwrap_or_default).join("-")
    }

    /// Where the browser may find it: hints for the next time.
    #[must_use]
    pub fn transports(&self) -> Vec<&'static str> {
        self.transports.words()
    }

    /// What is known of where the key lives.
    #[must_use]
    pub const fn attestation(&self) -> Attestation {
        self.attestation
    }

    /// Whom it was made for.
    #[must_use]
    pub const fn person(&self) -> &UserHandle {
        &self.person
    }

    /// How much an answer by it proves. A key that cannot leave its device is one that says so (BE unset) where a
    /// trusted maker vouches for what says it (NIST SP 800-63B-4: AAL3 needs a key that cannot be exported).
    #[must_use]
    pub fn strength(&self) -> Strength {
        if !self.backup_eligible && self.attestation == Attestation::Trusted {
            Strength::DeviceBound
        } else {
            Strength::PhishingResistant
        }
    }

    /// What has changed by an answer: to be durable before the answer counts.
    pub(crate) const fn answered(&mut self, counter: u32, backed_up: bool) {
        self.state = State { counter, backed_up };
    }

    /// As the library wants it.
    pub(crate) fn to_library(&self) -> library::Credential {
        library::Credential {
            cred_id: self.id.clone(),
            cred: self.key.to_library(),
            counter: self.state.counter,
            transports: None,
            user_verified: true,
            backup_eligible: self.backup_eligible,
            backup_state: self.state.backed_up,
            registration_policy: library::UserVerificationPolicy::Required,
            extensions: library::RegisteredExtensions::none(),
            attestation: library::ParsedAttestation::default(),
            attestation_format: library::AttestationFormat::None,
        }
    }
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passkey").field("counter", &self.state.counter).finish_non_exhaustive()
    }
}

impl Key {
    /// Only where algorithm and curve belong together (RFC 9053 section 2.1, as Web Authentication narrows it).
    fn of(key: &library::COSEKey) -> Option<Self> {
        use library::{COSEAlgorithm as Algorithm, COSEKeyType as Type, ECDSACurve as Curve};
        Some(match (key.type_, &key.key) {
            (Algorithm::ES256, Type::EC_EC2(key)) if key.curve == Curve::SECP256R1 => {
                Self::Es256(exactly(&key.x)?, exactly(&key.y)?)
            }
            (Algorithm::ES384, Type::EC_EC2(key)) if key.curve == Curve::SECP384R1 => {
                Self::Es384(exactly(&key.x)?, exactly(&key.y)?)
            }
            (Algorithm::RS256, Type::RSA(key)) => Self::Rs256(Box::new(exactly(&key.n)?), key.e),
            _ => return None,
        })
    }

    fn to_library(&self) -> library::COSEKey {
        use library::{COSEAlgorithm as Algorithm, COSEKeyType as Type, ECDSACurve as Curve};
        let ec2 = |curve, x: &[u8], y: &[u8]| {
            Type::EC_EC2(library::COSEEC2Key { curve, x: x.to_vec(), y: y.to_vec() })
        };
        let (type_, key) = match self {
            Self::Es256(x, y) => (Algorithm::ES256, ec2(Curve::SECP256R1, x, y)),
            Self::Es384(x, y) => (Algorithm::ES384, ec2(Curve::SECP384R1, x, y)),
            Self::Rs256(n, e) => (Algorithm::RS256, Type::RSA(library::COSERSAKey { n: n.to_vec(), e: *e })),
        };
        library::COSEKey { type_, key }
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}
