//! Codes that are sent by e-mail or SMS: weak, bound to one request, good once and for ten minutes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use stepgate_types::Entropy;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{Begun, Ceremony, Credential, Enrolled, Factor, FactorError, Message, Method, Proof, Verified};

/// Digits of a code (NIST SP 800-63B-4 section 3.1.3.2: at least six).
const DIGITS: usize = 8;

/// The longest address: of e-mail it is 254 bytes (RFC 5321 section 4.5.3.1).
const MAX_ADDRESS: usize = 254;

/// Bytes of a keyed hash.
const HASH: usize = 32;

/// One of both methods, with the key under which codes are hashed.
pub struct SentCode {
    method: Method,
    key: Zeroizing<[u8; 32]>,
}

impl SentCode {
    /// By e-mail.
    #[must_use]
    pub const fn email(key: Zeroizing<[u8; 32]>) -> Self {
        Self { method: Method::Email, key }
    }

    /// By SMS.
    #[must_use]
    pub const fn sms(key: Zeroizing<[u8; 32]>) -> Self {
        Self { method: Method::Sms, key }
    }

    /// With the binding: a code that was sent for one request fits no other.
    fn hash(&self, binding: &[u8; 32], code: &str) -> [u8; HASH] {
        // HMAC takes keys of any length (RFC 2104).
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key[..]) else { return [0; HASH] };
        mac.update(binding);
        mac.update(code.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn send(&self, ceremony: &Ceremony<'_>, to: &str) -> Result<(Message, [u8; HASH]), FactorError> {
        let code = digits(ceremony.entropy, DIGITS)?;
        let what = ceremony.request.map_or("to change how you verify yourself".to_owned(), |request| {
            format!("for request {request}")
        });
        let text = Zeroizing::new(format!(
            "{} is your Stepgate code {what}. It is good for ten minutes. Nobody will ever ask you for it.",
            *code
        ));
        let hash = self.hash(&ceremony.binding, &code);
        Ok((Message { to: to.to_owned(), text, subject: None }, hash))
    }

    fn fits(&self, binding: &[u8; 32], kept: &[u8], proof: &Proof) -> Result<(), FactorError> {
        let Proof::Code(code) = proof else { return Err(FactorError::Malformed) };
        let code: Zeroizing<String> = Zeroizing::new(code.chars().filter(|letter| *letter != ' ').collect());
        if kept.len() == HASH && bool::from(self.hash(binding, &code).ct_eq(kept)) {
            return Ok(());
        }
        Err(FactorError::Wrong)
    }
}

/// A code of so many digits, each as likely as any other.
pub(crate) fn digits(entropy: &dyn Entropy, count: usize) -> Result<Zeroizing<String>, FactorError> {
    let mut code = Zeroizing::new(String::with_capacity(count));
    let mut byte = [0];
    // Of 256 tries, 250 give a digit: this many fail about never.
    for _ in 0..count.saturating_mul(32) {
        if code.len() == count {
            return Ok(code);
        }
        entropy.fill(&mut byte).map_err(|_| FactorError::NoEntropy)?;
        let [byte] = byte;
        if byte < 250 {
            code.push(char::from(b'0' + byte % 10));
        }
    }
    Err(FactorError::NoEntropy)
}

fn address(credential: &Credential) -> Result<&str, FactorError> {
    std::str::from_utf8(&credential.secret).map_err(|_| FactorError::UnknownAuthenticator)
}

/// Enough of an address to know it by.
fn hint(address: &str) -> String {
    let mut letters = address.chars();
    let first: String = letters.by_ref().take(2).collect();
    let last: String = letters.rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{first}…{last}")
}

impl Factor for SentCode {
    fn method(&self) -> Method {
        self.method
    }

    fn begin(&self, ceremony: &Ceremony<'_>) -> Result<Begun, FactorError> {
        let credential = ceremony.credentials.last().ok_or(FactorError::NotEnrolled)?;
        let to = address(credential)?;
        let (message, hash) = self.send(ceremony, to)?;
        let shown = json!({"sent_to": hint(to)});
        // Which one it was sent to is kept with it: that may be replaced meanwhile.
        let kept = [hash.as_slice(), credential.id.to_string().as_bytes()].concat();
        Ok(Begun { shown, kept: Zeroizing::new(kept), message: Some(message) })
    }

    fn check(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Verified, FactorError> {
        let (hash, id) = kept.split_at_checked(HASH).ok_or(FactorError::Malformed)?;
        let sent_to = ceremony.credentials.iter().find(|it| it.id.to_string().as_bytes() == id);
        let credential = sent_to.ok_or(FactorError::UnknownAuthenticator)?;
        self.fits(&ceremony.binding, hash, proof)?;
        Ok(Verified {
            id: credential.id.clone(),
            strength: credential.strength,
            state: credential.state.clone(),
            counter: 0,
        })
    }

    fn enrol(&self, ceremony: &Ceremony<'_>, about: &Value) -> Result<Begun, FactorError> {
        let to = about.get("address").and_then(Value::as_str).ok_or(FactorError::Malformed)?;
        let good = match self.method {
            Method::Sms => to.starts_with('+') && to.bytes().skip(1).all(|byte| byte.is_ascii_digit()),
            _ => to.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
        };
        if !good
            || to.len() > MAX_ADDRESS
            || to.chars().any(|letter| letter.is_control() || letter.is_whitespace())
        {
            return Err(FactorError::Malformed);
        }
        let (message, hash) = self.send(ceremony, to)?;
        let kept = Zeroizing::new([&hash[..], to.as_bytes()].concat());
        Ok(Begun { shown: json!({"sent_to": hint(to)}), kept, message: Some(message) })
    }

    fn confirm(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Enrolled, FactorError> {
        let (hash, to) = kept.split_at_checked(HASH).ok_or(FactorError::Malformed)?;
        self.fits(&ceremony.binding, hash, proof)?;
        Ok(Enrolled {
            secret: Zeroizing::new(to.to_vec()),
            state: Vec::new(),
            strength: self.method.strength(),
            counter: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stepgate_testkit::FakeEntropy;
    use stepgate_types::Timestamp;

    use super::*;
    use crate::AuthenticatorId;
    use crate::fixture::person;

    fn with<T>(binding: u8, f: impl FnOnce(&Ceremony<'_>) -> T) -> T {
        with_mailbox(1, binding, f)
    }

    fn with_mailbox<T>(number: u8, binding: u8, f: impl FnOnce(&Ceremony<'_>) -> T) -> T {
        let credential = Arc::new(Credential {
            id: AuthenticatorId::new(Method::Email, [number; 4]),
            name: "mail".to_owned(),
            enrolled: Timestamp::from_micros(0),
            counts_from: Timestamp::from_micros(0),
            strength: Method::Email.strength(),
            state: Vec::new(),
            secret: Zeroizing::new(b"dana@example.com".to_vec()),
        });
        let (dana, entropy) = (person("dana"), FakeEntropy::seeded(binding.into()));
        f(&Ceremony {
            person: &dana,
            credentials: &[credential],
            binding: [binding; 32],
            request: None,
            now: Timestamp::from_micros(0),
            entropy: &entropy,
        })
    }

    fn email() -> SentCode {
        SentCode::email(Zeroizing::new([1; 32]))
    }

    fn code(begun: &Begun) -> Proof {
        let text = &begun.message.as_ref().unwrap().text;
        Proof::Code(Zeroizing::new(text.split(' ').next().unwrap().to_owned()))
    }

    #[test]
    fn a_code_is_good_for_what_it_was_sent_for_and_nothing_else() {
        let begun = with(1, |ceremony| email().begin(ceremony)).unwrap();
        let code = code(&begun);
        assert!(with(1, |ceremony| email().check(ceremony, &begun.kept, &code)).is_ok());
        // The same code, offered for another request; and checked against what was kept for another.
        let other = with(2, |ceremony| email().begin(ceremony)).unwrap();
        for (binding, kept) in [(2, &begun.kept), (2, &other.kept), (1, &other.kept)] {
            let crossed = with(binding, |ceremony| email().check(ceremony, kept, &code));
            assert_eq!(crossed, Err(FactorError::Wrong));
        }
    }

    #[test]
    fn a_code_sent_to_an_address_that_was_replaced_is_none_of_the_new_one() {
        let begun = with_mailbox(1, 1, |ceremony| email().begin(ceremony)).unwrap();
        let code = code(&begun);
        let replaced = with_mailbox(2, 1, |ceremony| email().check(ceremony, &begun.kept, &code));
        assert_eq!(replaced, Err(FactorError::UnknownAuthenticator));
    }

    #[test]
    fn neither_code_nor_address_is_shown_and_the_code_is_not_kept() {
        let begun = with(1, |ceremony| email().begin(ceremony)).unwrap();
        let Proof::Code(code) = code(&begun) else { panic!("no code") };
        assert_eq!((code.len(), code.bytes().all(|byte| byte.is_ascii_digit())), (8, true));
        assert_eq!(begun.shown, json!({"sent_to": "da….com"}));
        assert!(!begun.kept.windows(8).any(|window| window == code.as_bytes()));
        assert_eq!(begun.message.unwrap().to, "dana@example.com");
    }

    #[test]
    fn an_address_is_enrolled_by_the_code_sent_there() {
        let about = json!({"address": "dana@example.net"});
        let begun = with(1, |ceremony| email().enrol(ceremony, &about)).unwrap();
        let enrolled = with(1, |ceremony| email().confirm(ceremony, &begun.kept, &code(&begun))).unwrap();
        assert_eq!(enrolled.secret.as_slice(), b"dana@example.net");
        let wrong = Proof::Code(Zeroizing::new("00000000".to_owned()));
        assert!(with(1, |ceremony| email().confirm(ceremony, &begun.kept, &wrong)).is_err());
        for address in ["", "dana", "dana@", "da na@example.net", "dana@example.net\r\nBcc: eve@example.net"]
        {
            let refused = with(1, |ceremony| email().enrol(ceremony, &json!({"address": address})).map(drop));
            assert_eq!(refused, Err(FactorError::Malformed), "{address}");
        }
    }
}
