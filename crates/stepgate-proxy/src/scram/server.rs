use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stepgate_store::ScramSecret;
use subtle::ConstantTimeEq as _;

use super::{PLUS_HEADER, Refused, SCRAM, SCRAM_PLUS, attribute, decode, hash, is_nonce, mac, text, xor};

/// What the server offers.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    /// With -PLUS: what to bind to.
    end_point: Option<&'a [u8]>,
}

/// The client's final message is expected.
pub(crate) struct ExpectFinal {
    secret: ScramSecret,
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

    /// Reads the client's first message and answers it.
    pub(crate) fn begin(
        self,
        mechanism: &[u8],
        client_first: &[u8],
        secret: &ScramSecret,
        nonce: &str,
    ) -> Result<(ExpectFinal, Vec<u8>), Refused> {
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
        Ok((ExpectFinal { secret: secret.clone(), binding, nonce, messages }, first.into_bytes()))
    }

    /// What the client must bind to, if its flag fits the mechanism it chose.
    fn binding(self, mechanism: &[u8], flag: &str) -> Result<Vec<u8>, Refused> {
        match (mechanism, flag, self.end_point) {
            (mechanism, "p=tls-server-end-point", Some(end_point)) if mechanism == SCRAM_PLUS.as_bytes() => {
                Ok([PLUS_HEADER, end_point].concat())
            }
            (mechanism, "n", _) if mechanism == SCRAM.as_bytes() => Ok(b"n,,".to_vec()),
            // "y": I could, but you did not offer it. If it was offered, somebody took it out on the way.
            (mechanism, "y", None) if mechanism == SCRAM.as_bytes() => Ok(b"y,,".to_vec()),
            _ => Err(Refused::Malformed("channel binding negotiation error")),
        }
    }
}

impl ExpectFinal {
    /// Checks the proof in the client's final message; the answer proves the server in turn.
    pub(crate) fn finish(self, client_final: &[u8]) -> Result<Vec<u8>, Refused> {
        let client_final = text(client_final)?;
        let (without_proof, proof) =
            client_final.rsplit_once(",p=").ok_or(Refused::Malformed("no proof in final message"))?;
        let mut parts = without_proof.split(',');
        if decode(attribute(parts.next(), "c=")?)? != self.binding {
            return Err(Refused::Malformed("channel binding check failed"));
        }
        if attribute(parts.next(), "r=")? != self.nonce {
            return Err(Refused::Malformed("nonce does not match"));
        }
        let proof =
            <[u8; 32]>::try_from(decode(proof)?).map_err(|_| Refused::Malformed("proof of wrong length"))?;
        let message = format!("{},{without_proof}", self.messages);
        let client_key = xor(proof, mac(&self.secret.stored_key, message.as_bytes()));
        if bool::from(hash(&client_key).ct_eq(&self.secret.stored_key)) {
            let signature = mac(&self.secret.server_key, message.as_bytes());
            Ok(format!("v={}", STANDARD.encode(signature)).into_bytes())
        } else {
            Err(Refused::Proof)
        }
    }
}
