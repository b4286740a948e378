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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stepgate_testkit::FakeEntropy;

    use super::*;

    /// RFC 6238 appendix B: the secret of its SHA-1 vectors.
    fn rfc_secret() -> Secret {
        Secret::from_bytes(b"12345678901234567890").unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            let step = u64::try_from(seconds).unwrap() / 30;
            assert_eq!(rfc_secret().check(code, at(seconds), None), Ok(step), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_one_step_before_and_after_and_no_longer() {
        let secret = rfc_secret();
        let step = Ok(1_111_111_111 / 30);
        for (late, expected) in
            [(-60, Err(BadCode::Wrong)), (-30, step), (0, step), (30, step), (60, Err(BadCode::Wrong))]
        {
            assert_eq!(secret.check("050471", at(1_111_111_111 + late), None), expected, "{late}");
        }
    }

    #[test]
    fn a_replayed_code_and_any_before_it_are_refused() {
        let secret = rfc_secret();
        let step = 1_111_111_111 / 30;
        let now = at(1_111_111_111);
        assert_eq!(secret.check("050471", now, Some(step - 1)), Ok(step));
        assert_eq!(secret.check("050471", now, Some(step)), Err(BadCode::Replayed));
        // The code of the step before, still within the skew, after a later one was spent.
        assert_eq!(secret.check("081804", now, Some(step)), Err(BadCode::Replayed));
    }

    #[test]
    fn what_is_no_code_is_wrong() {
        for text in ["", "05047", "0504710", "+50471", "05047a", "٠٥٠٤٧١", "-50471"] {
            assert_eq!(rfc_secret().check(text, at(1_111_111_111), None), Err(BadCode::Wrong), "{text}");
        }
        assert!(rfc_secret().check(" 050 471 ", at(1_111_111_111), None).is_ok());
    }

    #[test]
    fn the_uri_is_what_authenticator_apps_read() {
        let uri = rfc_secret().otpauth_uri(&"dana".parse().unwrap());
        assert!(uri.starts_with("otpauth://totp/Stepgate:dana?"), "{}", *uri);
        for part in ["secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer=Stepgate"] {
            assert!(uri.contains(part), "{}", *uri);
        }
        let read = Totp::from_url(uri.as_str()).unwrap();
        assert_eq!((read.digits(), read.step(), read.algorithm()), (6, 30, Algorithm::SHA1));
        let mail = rfc_secret().otpauth_uri(&"a.b@c.example".parse().unwrap());
        assert_eq!(Totp::from_url(mail.as_str()).unwrap().account_name(), "a.b@c.example");
    }

    #[test]
    fn secrets_are_160_bits_differ_and_do_not_print() {
        let entropy = FakeEntropy::seeded(1);
        let (one, other) = (Secret::generate(&entropy).unwrap(), Secret::generate(&entropy).unwrap());
        assert_eq!(one.as_bytes().len(), 20);
        assert_ne!(one.as_bytes(), other.as_bytes());
        assert_eq!(format!("{one:?}"), "Secret");
        assert!(Secret::from_bytes(&[0; 19]).is_none());
    }

    #[test]
    fn the_clock_may_stand_at_either_end_of_time() {
        for now in [i64::MIN, 0, i64::MAX] {
            let now = Timestamp::from_micros(now).plus(Duration::ZERO);
            let _ = rfc_secret().check("000000", now, None);
        }
    }
}
