//! Recovery codes: a list that is printed once, for the day when everything else is lost. Each is good once.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use stepgate_types::Entropy;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::{Begun, Ceremony, Enrolled, Factor, FactorError, Method, Proof, Verified};

/// Codes of a list.
const CODES: u8 = 10;

/// Letters of a code, of 32 that differ when read aloud (Crockford base32): 80 bits. NIST SP 800-63B-4 section 4.2.1.1
/// asks for 64.
const LETTERS: usize = 16;

/// Crockford's base32 alphabet: no I, L, O or U.
const ALPHABET: [u8; 32] = *b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Bytes of a keyed hash.
const HASH: usize = 32;

/// Recovery codes, of which only hashes under this key are kept.
pub struct Recovery(Zeroizing<[u8; 32]>);

impl Recovery {
    /// With the key of the hashes.
    #[must_use]
    pub const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Whether this could be a recovery code, as people type it. Codes of apps and messages are far shorter.
    #[must_use]
    pub fn looks_like(code: &str) -> bool {
        normal(code).is_some()
    }

    fn hash(&self, code: &[u8; LETTERS]) -> [u8; HASH] {
        // HMAC takes keys of any length (RFC 2104); were that untrue, no code would ever fit another.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0[..]) else { return [0; HASH] };
        mac.update(code);
        mac.finalize().into_bytes().into()
    }
}

/// The letters of a code: any case, with or without dashes and blanks, I and L as 1, O as 0.
fn normal(code: &str) -> Option<Zeroizing<[u8; LETTERS]>> {
    let mut letters = Zeroizing::new([0; LETTERS]);
    let mut typed = code.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
    for letter in letters.iter_mut() {
        *letter = match typed.next()?.to_ascii_uppercase() {
            b'I' | b'L' => b'1',
            b'O' => b'0',
            other if ALPHABET.contains(&other) => other,
            _ => return None,
        };
    }
    typed.next().is_none().then_some(letters)
}

fn fresh(entropy: &dyn Entropy) -> Result<Zeroizing<[u8; LETTERS]>, FactorError> {
    let mut letters = Zeroizing::new([0; LETTERS]);
    entropy.fill(letters.as_mut()).map_err(|_| FactorError::NoEntropy)?;
    for letter in letters.iter_mut() {
        *letter = ALPHABET.get(usize::from(*letter & 31)).copied().unwrap_or(b'0');
    }
    Ok(letters)
}

fn shown(letters: &[u8; LETTERS]) -> String {
    let groups = letters.chunks(4).map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join("-")
}

fn used(state: &[u8]) -> u16 {
    state.try_into().map_or(0, u16::from_be_bytes)
}

impl Factor for Recovery {
    fn method(&self) -> Method {
        Method::Recovery
    }

    fn begin(&self, _: &Ceremony<'_>) -> Result<Begun, FactorError> {
        Ok(Begun { shown: json!({}), kept: Zeroizing::new(Vec::new()), message: None })
    }

    fn check(&self, ceremony: &Ceremony<'_>, _: &[u8], proof: &Proof) -> Result<Verified, FactorError> {
        let Proof::Code(code) = proof else { return Err(FactorError::Malformed) };
        let hash = self.hash(&*normal(code).ok_or(FactorError::Wrong)?);
        let Some(credential) = ceremony.credentials.last() else { return Err(FactorError::NotEnrolled) };
        let (mut found, mut at) = (Choice::from(0), 0_u16);
        for (number, known) in (0_u16..).zip(credential.secret.chunks(HASH)) {
            let equal = known.ct_eq(&hash);
            at.conditional_assign(&number, equal);
            found |= equal;
        }
        let bit = 1_u16.checked_shl(u32::from(at)).unwrap_or(0);
        let spent = used(&credential.state);
        if !bool::from(found) || bit == 0 {
            return Err(FactorError::Wrong);
        }
        if spent & bit != 0 {
            return Err(FactorError::Replayed);
        }
        let spent = spent | bit;
        Ok(Verified {
            id: credential.id.clone(),
            strength: credential.strength,
            state: spent.to_be_bytes().to_vec(),
            counter: u64::from(u32::from(CODES).saturating_sub(spent.count_ones())),
        })
    }

    /// The codes are shown here, and nowhere else.
    fn enrol(&self, ceremony: &Ceremony<'_>, _: &Value) -> Result<Begun, FactorError> {
        let (mut codes, mut kept) = (Vec::new(), Zeroizing::new(Vec::new()));
        for _ in 0..CODES {
            let letters = fresh(ceremony.entropy)?;
            kept.extend(self.hash(&letters));
            codes.push(shown(&letters));
        }
        Ok(Begun { shown: json!({"codes": codes}), kept, message: None })
    }

    /// Nothing is to be proven: who gets a list has proven themselves for it.
    fn confirm(&self, _: &Ceremony<'_>, kept: &[u8], _: &Proof) -> Result<Enrolled, FactorError> {
        Ok(Enrolled {
            secret: Zeroizing::new(kept.to_vec()),
            state: 0_u16.to_be_bytes().to_vec(),
            strength: Method::Recovery.strength(),
            counter: u64::from(CODES),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stepgate_testkit::FakeEntropy;
    use stepgate_types::Timestamp;

    use super::*;
    use crate::fixture::person;
    use crate::{AuthenticatorId, Credential};

    fn with<T>(credentials: &[Arc<Credential>], f: impl FnOnce(&Ceremony<'_>) -> T) -> T {
        let (dana, entropy) = (person("dana"), FakeEntropy::seeded(1));
        f(&Ceremony {
            person: &dana,
            credentials,
            binding: [0; 32],
            request: None,
            now: Timestamp::from_micros(0),
            entropy: &entropy,
        })
    }

    fn recovery(key: u8) -> Recovery {
        Recovery::new(Zeroizing::new([key; 32]))
    }

    fn typed(code: &str) -> Proof {
        Proof::Code(Zeroizing::new(code.to_owned()))
    }

    fn list() -> (Vec<String>, Credential) {
        let begun = with(&[], |ceremony| recovery(1).enrol(ceremony, &Value::Null)).unwrap();
        let codes = begun.shown["codes"].as_array().unwrap();
        let codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
        let enrolled = with(&[], |ceremony| recovery(1).confirm(ceremony, &begun.kept, &typed(""))).unwrap();
        let credential = Credential {
            id: AuthenticatorId::only(Method::Recovery),
            name: "recovery".to_owned(),
            enrolled: Timestamp::from_micros(0),
            counts_from: Timestamp::from_micros(0),
            strength: enrolled.strength,
            state: enrolled.state,
            secret: enrolled.secret,
        };
        (codes, credential)
    }

    #[test]
    fn there_are_ten_codes_of_eighty_bits_and_none_is_kept() {
        let (codes, credential) = list();
        assert_eq!(codes.len(), 10);
        for code in &codes {
            assert_eq!(code.len(), 19, "{code}");
            let letters = normal(code).unwrap();
            let kept = |bytes: &[u8]| credential.secret.windows(bytes.len()).any(|window| window == bytes);
            assert!(!kept(&letters[..]) && !kept(code.as_bytes()));
        }
        assert!(codes.iter().all(|code| codes.iter().filter(|other| *other == code).count() == 1));
    }

    #[test]
    fn each_code_is_good_once_and_in_any_order() {
        let (codes, mut credential) = list();
        for (left, code) in (0..10).rev().zip(codes.iter().rev()) {
            let sloppy = typed(&code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l"));
            let check = |credential: &Credential, proof: &Proof| {
                with(&[Arc::new(credential.clone())], |ceremony| recovery(1).check(ceremony, &[], proof))
            };
            let verified = check(&credential, &sloppy).unwrap();
            assert_eq!(verified.counter, left);
            credential.state = verified.state;
            assert_eq!(check(&credential, &sloppy), Err(FactorError::Replayed));
        }
    }

    #[test]
    fn nothing_else_is_a_code() {
        let (codes, credential) = list();
        let check = |key, proof: &Proof| {
            with(&[Arc::new(credential.clone())], |ceremony| recovery(key).check(ceremony, &[], proof))
        };
        for text in ["", "123456", "0000-0000-0000-0000", "UUUU-0000-0000-0000", &format!("{}0", codes[0])] {
            assert_eq!(check(1, &typed(text)), Err(FactorError::Wrong), "{text}");
        }
        assert_eq!(check(2, &typed(&codes[0])), Err(FactorError::Wrong), "another key");
        assert!(!Recovery::looks_like("123 456") && Recovery::looks_like(&codes[0]));
    }
}
