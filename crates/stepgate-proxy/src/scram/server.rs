use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stepgate_store::{MAX_MINTED, ScramSecret};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::{
    PLUS_HEADER, Refused, SCRAM, SCRAM_PLUS, Unbound, attribute, decode, hash, is_nonce, mac, text, xor,
};

/// How many secrets a proof is always held against, also for who has fewer and for nobody: how long that takes tells
/// neither who there is nor how many passwords they have.
const CANDIDATES: usize = 1 + MAX_MINTED;

/// What the server offers.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    /// With -PLUS: what to bind to.
    end_point: Option<&'a [u8]>,
}

/// The client's final message is expected.
pub(crate) struct ExpectFinal {
    secrets: Vec<ScramSecret>,
    /// What `c=` must decode to.
    binding: Vec<u8>,
    nonce: String,
    /// `client-first-message-bare,server-first-message`
    messages: String,
}

impl<'a> Offer<'a> {
    /// With -PLUS only where there is something to bind to: on TLS, and where the certificate's hash is defined.
    pub(crate) const fn new(end_point: Option<&'a [u8]>) -> Self {
        Self { end_point }
    }

    /// The mechanisms' names, best first.
    pub(crate) const fn mechanisms(self) -> &'static [&'static str] {
        if self.end_point.is_some() { &[SCRAM_PLUS, SCRAM] } else { &[SCRAM] }
    }

    /// Reads the client's first message and answers it. Any of the secrets will do; salt and rounds are those of the
    /// first, which is why all of one person have the same.
    pub(crate) fn begin(
        self,
        mechanism: &[u8],
        client_first: &[u8],
        secrets: &[ScramSecret],
        nonce: &str,
    ) -> Result<(ExpectFinal, Vec<u8>), Refused> {
        if !self.mechanisms().iter().any(|offered| offered.as_bytes() == mechanism) {
            return Err(Refused::Mechanism);
        }
        let secret = secrets.first().ok_or(Refused::Proof)?;
        let client_first = text(client_first)?;
        let mut parts = client_first.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Refused::Malformed("incomplete first message"));
        };
        if !authzid.is_empty() {
            return Err(Refused::Malformed("authorization identity not supported"));
        }
        let binding = self.binding(mechanism, flag)?;
        let mut parts = bare.split(',');
        // The name is ignored, as PostgreSQL does: the startup packet's counts.
        attribute(parts.next(), "n=")?;
        let client_nonce = attribute(parts.next(), "r=")?;
        if !is_nonce(client_nonce) {
            return Err(Refused::Malformed("invalid nonce"));
        }
        let nonce = format!("{client_nonce}{nonce}");
        let first = format!("r={nonce},s={},i={}", STANDARD.encode(&secret.salt), secret.iterations);
        let messages = format!("{bare},{first}");
        Ok((ExpectFinal { secrets: secrets.to_vec(), binding, nonce, messages }, first.into_bytes()))
    }

    /// What the client must bind to, if its flag fits the mechanism it chose.
    fn binding(self, mechanism: &[u8], flag: &str) -> Result<Vec<u8>, Refused> {
        match (mechanism, flag, self.end_point) {
            (mechanism, "p=tls-server-end-point", Some(end_point)) if mechanism == SCRAM_PLUS.as_bytes() => {
                Ok([PLUS_HEADER, end_point].concat())
            }
            (mechanism, "n", _) if mechanism == SCRAM.as_bytes() => Ok(b"n,,".to_vec()),
            // "y": I could, but you did not offer it. If it was offered, somebody took it out on the way.
            (mechanism, "y", end_point) if mechanism == SCRAM.as_bytes() => match end_point {
                None => Ok(b"y,,".to_vec()),
                Some(_) => Err(Refused::Unbound(Unbound::NotOffered)),
            },
            _ => Err(Refused::Malformed("channel binding flag does not fit the mechanism")),
        }
    }
}

impl ExpectFinal {
    /// Checks the proof in the client's final message; the answer proves the server in turn. Says by which of the secrets
    /// it was proven.
    pub(crate) fn finish(self, client_final: &[u8]) -> Result<(Vec<u8>, usize), Refused> {
        let client_final = text(client_final)?;
        let (without_proof, proof) =
            client_final.rsplit_once(",p=").ok_or(Refused::Malformed("no proof in final message"))?;
        let mut parts = without_proof.split(',');
        if decode(attribute(parts.next(), "c=")?)? != self.binding {
            // With a hash in it, it is of another certificate than the gate's; without, it is not what was agreed on.
            let plus = self.binding.len() > PLUS_HEADER.len();
            let unbound = Refused::Unbound(Unbound::Otherwise);
            return Err(if plus { unbound } else { Refused::Malformed("unexpected channel binding") });
        }
        if attribute(parts.next(), "r=")? != self.nonce {
            return Err(Refused::Malformed("nonce does not match"));
        }
        let proof =
            <[u8; 32]>::try_from(decode(proof)?).map_err(|_| Refused::Malformed("proof of wrong length"))?;
        let message = format!("{},{without_proof}", self.messages);
        let which = self.which(proof, message.as_bytes()).ok_or(Refused::Proof)?;
        let secret = self.secrets.get(which).ok_or(Refused::Proof)?;
        let signature = mac(&secret.server_key, message.as_bytes());
        Ok((format!("v={}", STANDARD.encode(signature)).into_bytes(), which))
    }

    /// The secret that a proof is of. Looks at as many whatever it finds, and at the last ones again where there are
    /// fewer.
    fn which(&self, proof: [u8; 32], message: &[u8]) -> Option<usize> {
        let last = self.secrets.last()?;
        let mut found = u32::MAX;
        let padded = self.secrets.iter().chain(std::iter::repeat(last)).take(CANDIDATES);
        for (number, secret) in (0_u32..).zip(padded) {
            let client_key = xor(proof, mac(&secret.stored_key, message));
            let fits = hash(&client_key).ct_eq(&secret.stored_key);
            found = u32::conditional_select(&found, &number, fits);
        }
        let count = u32::try_from(self.secrets.len().min(CANDIDATES)).ok()?;
        let found = Some(found).filter(|found| *found != u32::MAX)?.min(count.saturating_sub(1));
        usize::try_from(found).ok()
    }
}
