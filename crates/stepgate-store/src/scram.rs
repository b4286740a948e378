//! SCRAM-SHA-256 secrets (RFC 5802, RFC 7677).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::vault::hmac_sha256;

/// What a server keeps of a password: enough to check it, not enough to use it elsewhere. Fits pgwire's
/// `ScramSecret::Verifier`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ScramSecret {
    /// Salt.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// SHA-256 of the client key.
    pub stored_key: [u8; 32],
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: [u8; 32],
}

impl ScramSecret {
    /// Rounds of PBKDF2: PostgreSQL's own default, so that the gate's answer to an unknown name looks like
    /// any server's.
    pub const ITERATIONS: u32 = 4096;

    /// From a password and a random salt, at [`ScramSecret::ITERATIONS`].
    #[must_use]
    pub fn new(password: &str, salt: &[u8; 16]) -> Self {
        Self::derive(password, salt, Self::ITERATIONS)
    }

    pub(crate) fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        let client_key = hmac_sha256(&salted[..], &[b"Client Key"]);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(&client_key[..]).into(),
            server_key: *hmac_sha256(&salted[..], &[b"Server Key"]),
        }
    }

    /// Of somebody who has no password: random keys, which no password gives.
    pub(crate) fn of_nothing(salt: &[u8; 16], keys: &[u8; 64]) -> Self {
        let (mut stored_key, mut server_key) = ([0; 32], [0; 32]);
        stored_key.iter_mut().zip(keys.iter().take(32)).for_each(|(to, from)| *to = *from);
        server_key.iter_mut().zip(keys.iter().skip(32)).for_each(|(to, from)| *to = *from);
        Self { salt: salt.to_vec(), iterations: Self::ITERATIONS, stored_key, server_key }
    }

    /// Whether `password` is the one, in constant time.
    #[must_use]
    pub fn verify_password(&self, password: &str) -> bool {
        let given = Self::derive(password, &self.salt, self.iterations);
        given.stored_key.ct_eq(&self.stored_key).into()
    }
}

impl std::fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramSecret").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// `Hi(Normalize(password), salt, i)`: PBKDF2 with one block of output. Like PostgreSQL, a password that
/// SASLprep (RFC 4013) refuses is taken as it is.
fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let normalised = stringprep::saslprep(password).ok();
    let password = Zeroizing::new(normalised.map_or_else(|| password.to_owned(), |text| text.into_owned()));
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let keyed = Hmac::<Sha256>::new_from_slice(password.as_bytes()).expect("a key of any length");
    let round = |data: &[u8]| -> [u8; 32] {
        let mut mac = keyed.clone();
        mac.update(data);
        mac.finalize().into_bytes().into()
    };
    let mut block = round(&[salt, &[0, 0, 0, 1]].concat());
    let mut salted = Zeroizing::new(block);
    for _ in 1..iterations {
        block = round(&block);
        for (sum, byte) in salted.iter_mut().zip(block) {
            *sum ^= byte;
        }
    }
    block.zeroize();
    salted
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    #[test]
    fn the_exchange_of_rfc_7677_is_verified() {
        // RFC 7677 section 3: user, pencil.
        let salt = BASE64.decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let secret = ScramSecret::derive("pencil", &salt, 4096);
        let auth = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                    r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                    c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server = hmac_sha256(&secret.server_key, &[auth.as_bytes()]);
        assert_eq!(BASE64.encode(&server[..]), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = BASE64.decode(b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = hmac_sha256(&secret.stored_key, &[auth.as_bytes()]);
        let client_key: Vec<u8> = proof.iter().zip(signature.iter()).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha256::digest(&client_key)[..], secret.stored_key);
    }

    #[test]
    fn only_the_password_itself_is_right() {
        let secret = ScramSecret::new("correct horse", &[7; 16]);
        assert!(secret.verify_password("correct horse"));
        for wrong in ["", "correct hors", "Correct horse", "correct horse "] {
            assert!(!secret.verify_password(wrong), "{wrong}");
        }
    }

    #[test]
    fn passwords_are_normalised_as_clients_do() {
        // RFC 4013 section 3: SOFT HYPHEN maps to nothing, U+2168 to "IX".
        assert!(ScramSecret::new("I\u{ad}X", &[7; 16]).verify_password("IX"));
        assert!(ScramSecret::new("\u{2168}", &[7; 16]).verify_password("IX"));
        // Prohibited: taken as it is.
        assert!(ScramSecret::new("\u{7}", &[7; 16]).verify_password("\u{7}"));
    }

    #[test]
    fn a_secret_does_not_print_its_keys() {
        let shown = format!("{:?}", ScramSecret::new("x", &[7; 16]));
        assert_eq!(shown, "ScramSecret { iterations: 4096, .. }");
    }
}
