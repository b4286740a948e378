use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::keys::{Keys, keys_aside};
use super::{PLUS_HEADER, Refused, SCRAM, SCRAM_PLUS, attribute, decode, hash, is_nonce, mac, text, xor};

/// The most rounds of PBKDF2 that a server may ask for: about half a second of one core. PostgreSQL's default is
/// 4,096, OWASP's advice for SHA-256 is 600,000.
const MAX_ITERATIONS: u32 = 1_000_000;

/// What the client knows about channel binding.
#[derive(Clone, Copy)]
pub(crate) enum Binding<'a> {
    /// Impossible: no TLS, or no hash defined for the certificate.
    None,
    /// Possible, but the server does not offer it.
    NotOffered,
    /// Offered: bind to this hash of the server's certificate.
    EndPoint(&'a [u8]),
}

/// The server's first message is expected.
pub(crate) struct Exchange {
    mechanism: &'static str,
    binding: Vec<u8>,
    nonce: String,
    bare: String,
}

/// What the server's first message says.
struct Asked<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: usize,
}

/// The server's final message is expected.
pub(crate) struct ExpectVerifier {
    signature: [u8; 32],
}

impl Exchange {
    /// Begins; the second value is the first message. The name is left empty, as libpq does: PostgreSQL takes
    /// it from the startup packet.
    pub(crate) fn begin(binding: Binding<'_>, nonce: String) -> (Self, Vec<u8>) {
        let (mechanism, header, binding) = match binding {
            Binding::None => (SCRAM, &b"n,,"[..], b"n,,".to_vec()),
            Binding::NotOffered => (SCRAM, &b"y,,"[..], b"y,,".to_vec()),
            Binding::EndPoint(hash) => (SCRAM_PLUS, PLUS_HEADER, [PLUS_HEADER, hash].concat()),
        };
        let bare = format!("n=,r={nonce}");
        let first = [header, bare.as_bytes()].concat();
        (Self { mechanism, binding, nonce, bare }, first)
    }

    /// The mechanism chosen.
    pub(crate) const fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    #[cfg(test)]
    pub(super) fn with_user(mut self, user: &str) -> Self {
        self.bare = format!("n={user},r={}", self.nonce);
        self
    }

    /// Answers the server's first message; the second value is the final message. What takes long of it does not keep the
    /// thread that asks.
    pub(crate) async fn answer_aside(
        self,
        server_first: &[u8],
        password: Zeroizing<String>,
    ) -> Result<(ExpectVerifier, Vec<u8>), Refused> {
        let server_first = text(server_first)?;
        let asked = self.read(server_first)?;
        let keys = keys_aside(password, &asked.salt, asked.rounds).await;
        Ok(self.prove(server_first, &asked, &*keys.ok_or(Refused::Malformed("no keys could be computed"))?))
    }

    /// The same at once.
    #[cfg(test)]
    pub(super) fn answer(
        self,
        server_first: &[u8],
        password: &str,
    ) -> Result<(ExpectVerifier, Vec<u8>), Refused> {
        let server_first = text(server_first)?;
        let asked = self.read(server_first)?;
        Ok(self.prove(server_first, &asked, &super::keys::keys(password, &asked.salt, asked.rounds)))
    }

    fn read<'a>(&self, server_first: &'a str) -> Result<Asked<'a>, Refused> {
        let mut parts = server_first.split(',');
        let nonce = attribute(parts.next(), "r=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() || !is_nonce(nonce) {
            return Err(Refused::Malformed("server's nonce does not extend the client's"));
        }
        let salt = decode(attribute(parts.next(), "s=")?)?;
        let rounds = attribute(parts.next(), "i=")?
            .parse::<u32>()
            .ok()
            .filter(|rounds| (1..=MAX_ITERATIONS).contains(rounds))
            .and_then(|rounds| usize::try_from(rounds).ok())
            .ok_or(Refused::Malformed("number of rounds out of bounds"))?;
        if salt.is_empty() {
            return Err(Refused::Malformed("no salt"));
        }
        Ok(Asked { nonce, salt, rounds })
    }

    fn prove(&self, server_first: &str, asked: &Asked<'_>, keys: &Keys) -> (ExpectVerifier, Vec<u8>) {
        let without_proof = format!("c={},r={}", STANDARD.encode(&self.binding), asked.nonce);
        let message = format!("{},{server_first},{without_proof}", self.bare);
        let proof = xor(keys.client, mac(&hash(&keys.client), message.as_bytes()));
        let signature = mac(&keys.server, message.as_bytes());
        let client_final = format!("{without_proof},p={}", STANDARD.encode(proof));
        (ExpectVerifier { signature }, client_final.into_bytes())
    }
}

impl ExpectVerifier {
    /// Checks that the server knows the password too.
    pub(crate) fn check(self, server_final: &[u8]) -> Result<(), Refused> {
        let server_final = text(server_final)?;
        let verifier = decode(attribute(server_final.split(',').next(), "v=")?)?;
        if bool::from(verifier.as_slice().ct_eq(&self.signature)) { Ok(()) } else { Err(Refused::Proof) }
    }
}
