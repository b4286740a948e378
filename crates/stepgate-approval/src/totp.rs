//! Time-based one-time passwords (RFC 6238): SHA-1, six digits, 30 seconds, 160-bit secrets. What every
//! authenticator app understands.

use std::fmt;

use stepgate_types::{Entropy, PersonName, Timestamp};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// Bytes of a secret: 160 bits (RFC 4226 section 4, R6).
const SECRET: usize = 20;

/// Digits of a code.
const DIGITS: usize = 6;

/// Seconds of a time step.
const STEP: u64 = 30;

/// How many steps before and after the present one are looked at, for clocks that differ and people who
/// type slowly (RFC 6238 section 5.2 recommends at most one).
const SKEW: u64 = 1;

/// Who issued it, as shown by authenticator apps.
const ISSUER: &str = "Stepgate";

/// A person's TOTP secret. Wiped when dropped; never shown, other than as the URI of an enrolment.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; SECRET]>);

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    /// It is not the code of any step near this moment.
    #[error("wrong code")]
    Wrong,
    /// It, or a later one, has been used already (RFC 6238 section 5.2: a code is used once).
    #[error("this code has been used already; wait for the next one")]
    Replayed,
}

impl Secret {
    /// A fresh secret.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn generate(entropy: &dyn Entropy) -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; SECRET]);
        entropy.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// A secret that was stored; `None` if it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// Its bytes, to be stored encrypted.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// The `otpauth://` URI of an enrolment. Holds the secret.
    #[must_use]
    pub fn otpauth_uri(&self, person: &PersonName) -> Zeroizing<String> {
        // Only a colon in the account makes this fail, and names have none.
        Zeroizing::new(self.totp(person.as_str()).to_url().unwrap_or_default())
    }

    /// The time step whose code this is. Accepts only steps after `last`, the last one that was spent.
    /// Blanks are ignored, since apps show codes as `123 456`. Takes the same time whichever digit is
    /// wrong.
    ///
    /// # Errors
    /// [`BadCode`].
    pub fn check(&self, code: &str, now: Timestamp, last: Option<u64>) -> Result<u64, BadCode> {
        let code: Zeroizing<String> = Zeroizing::new(code.chars().filter(|letter| *letter != ' ').collect());
        if code.len() != DIGITS {
            return Err(BadCode::Wrong);
        }
        let totp = self.totp("");
        let present = now.unix_seconds() / STEP;
        let (mut found, mut matched) = (0, Choice::from(0));
        for step in present.saturating_sub(SKEW)..=present.saturating_add(SKEW) {
            let expected = Zeroizing::new(totp.generate(step.saturating_mul(STEP)).to_string());
            let equal = expected.as_bytes().ct_eq(code.as_bytes());
            found.conditional_assign(&step, equal);
            matched |= equal;
        }
        match (bool::from(matched), last) {
            (false, _) => Err(BadCode::Wrong),
            (true, Some(last)) if found <= last => Err(BadCode::Replayed),
            (true, _) => Ok(found),
        }
    }

    fn totp(&self, account: &str) -> Totp {
        // `build` would only look for what is constant here.
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_skew(1)
            .with_step_duration(STEP)
            .with_secret(self.0.to_vec())
            .with_issuer(Some(ISSUER))
            .with_account_name(account)
            .build_noncompliant()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
