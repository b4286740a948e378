//! An authenticator app: enrolled by an `otpauth://` URI as a phone would be, gives TOTP codes.

use std::io::{BufRead, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use totp_rs::Totp;

use crate::Error;

/// Seconds of a time step (RFC 6238 §5.2's default, which the gate uses).
const STEP: u64 = 30;

/// Seconds within which a code that was given reaches the verifier, on a slow machine.
const MARGIN: u64 = 10;

/// Knows one account's secret; gives each time step's code once.
#[derive(Debug)]
pub struct Authenticator {
    totp: Totp,
    last_step: Option<u64>,
}

impl Authenticator {
    /// Scans the QR code, so to speak.
    ///
    /// # Errors
    /// Not an `otpauth://totp/` URI as authenticator apps take it.
    pub fn enrol(otpauth_uri: &str) -> Result<Self, Error> {
        let totp = Totp::from_url(otpauth_uri.trim())
            .map_err(|_| Error::new("not an otpauth URI that authenticator apps take"))?;
        Ok(Self { totp, last_step: None })
    }

    /// The code at a time, whether given before or not.
    #[must_use]
    pub fn code_at(&self, unix_seconds: u64) -> String {
        self.totp.generate(unix_seconds).to_string()
    }

    /// The code that the screen shows now. If it was given before, waits for the next: the gate takes each
    /// code once, and a person waits for the next one too. At most one step (30 s).
    ///
    /// # Errors
    /// The machine's clock is before 1970.
    pub fn next_code(&mut self) -> Result<String, Error> {
        loop {
            let now = unix_now()?;
            let step = now.as_secs() / STEP;
            if self.last_step.is_none_or(|last| last < step) {
                self.last_step = Some(step);
                return Ok(self.code_at(now.as_secs()));
            }
            let next = Duration::from_secs((step + 1) * STEP);
            std::thread::sleep(next.saturating_sub(now));
        }
    }

    /// Like [`Self::next_code`], but uses the whole window that verifiers accept to allow for drift, one step
    /// back and one ahead (RFC 6238 §5.2): three codes without waiting, for quicker tests.
    ///
    /// # Errors
    /// The machine's clock is before 1970.
    pub fn next_code_ahead(&mut self) -> Result<String, Error> {
        let now = unix_now()?;
        let present = now.as_secs() / STEP;
        // The last step's code is soon two steps old: not for a slow reader.
        let earliest = if now.as_secs() % STEP < STEP - MARGIN { present.saturating_sub(1) } else { present };
        let step = self.last_step.map_or(earliest, |last| earliest.max(last + 1));
        if step > present + 1 {
            let until = Duration::from_secs((step - 1) * STEP);
            std::thread::sleep(until.saturating_sub(now));
            return self.next_code_ahead();
        }
        self.last_step = Some(step);
        Ok(self.code_at(step * STEP))
    }
}

fn unix_now() -> Result<Duration, Error> {
    SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::doing("the clock"))
}

/// An authenticator as a process of its own: the first line it reads is the `otpauth://` URI, each further
/// line asks for a code, which it answers with one line.
///
/// # Errors
/// The first line is not such a URI, or input or output fail.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<(), Error> {
    let mut lines = input.lines();
    let uri = lines.next().and_then(Result::ok).ok_or_else(|| Error::new("no otpauth URI"))?;
    let mut authenticator = Authenticator::enrol(&uri)?;
    for _ in lines.map_while(Result::ok) {
        let code = authenticator.next_code()?;
        writeln!(output, "{code}").and_then(|()| output.flush()).map_err(Error::doing("writing a code"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238's test secret, "12345678901234567890".
    const URI: &str = "otpauth://totp/Stepgate:dana?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Stepgate";

    #[test]
    fn codes_agree_with_rfc_6238() {
        let authenticator = Authenticator::enrol(URI).unwrap();
        // RFC 6238 appendix B, SHA-1, the last six of eight digits.
        assert_eq!(authenticator.code_at(59), "287082");
        assert_eq!(authenticator.code_at(1_111_111_109), "081804");
    }

    #[test]
    fn codes_ahead_are_never_the_same_and_stay_within_the_window() {
        let mut authenticator = Authenticator::enrol(URI).unwrap();
        let first = authenticator.next_code_ahead().unwrap();
        let step = authenticator.last_step.unwrap();
        let second = authenticator.next_code_ahead().unwrap();
        assert_ne!(first, second);
        let ahead = authenticator.last_step.unwrap();
        assert!(ahead > step && ahead <= unix_now().unwrap().as_secs() / STEP + 1);
    }

    #[test]
    fn what_is_no_otpauth_uri_is_refused() {
        assert!(Authenticator::enrol("https://example.test/").is_err());
    }
}
