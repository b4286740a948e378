//! A security key and the browser before it: makes passkeys and signs with them as real ones do, or lies as an
//! attacker's would.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Error;

/// Flags of authenticator data (Web Authentication level 3, section 6.1).
pub mod flag {
    /// Somebody touched it.
    pub const PRESENT: u8 = 0x01;
    /// It verified the person.
    pub const VERIFIED: u8 = 0x04;
    /// The key may be copied to other devices.
    pub const BACKUP_ELIGIBLE: u8 = 0x08;
    /// It has been.
    pub const BACKED_UP: u8 = 0x10;
    /// A new credential follows.
    pub const ATTESTED: u8 = 0x40;
    /// Extensions follow.
    pub const EXTENDED: u8 = 0x80;
}

/// One key pair in one authenticator, and a browser that shows one origin. What is public may be changed, to lie.
#[derive(Debug, Clone)]
pub struct SecurityKey {
    key: SigningKey,
    /// The credential's id.
    pub id: Vec<u8>,
    /// The user handle it was made with; sent with every answer.
    pub handle: Option<Vec<u8>>,
    /// What it says it has signed.
    pub counter: u32,
    /// How much is added to the counter before each signature; 0 for one that does not count.
    pub step: u32,
    /// The flags it sets, [`flag::ATTESTED`] apart.
    pub flags: u8,
    /// The kind of authenticator.
    pub aaguid: [u8; 16],
    /// The page's origin.
    pub origin: String,
    /// The relying party it signs for; that of the options where it is not given.
    pub rp_id: Option<String>,
    /// The challenge it signs; that of the options where it is not given.
    pub challenge: Option<Vec<u8>>,
    /// The client data's type; the right one where it is not given.
    pub kind: Option<String>,
    /// Fields that the browser adds to the client data.
    pub client_data: Vec<(String, Value)>,
    /// Bytes after the authenticator data.
    pub trailing: Vec<u8>,
}

/// An attestation's private key and certificates: signs what it is given.
pub struct Maker<'a> {
    /// Signs with ECDSA over P-256 and SHA-256, as DER.
    pub sign: &'a dyn Fn(&[u8]) -> Vec<u8>,
    /// Certificates in DER, that of the authenticator first.
    pub chain: &'a [Vec<u8>],
}

impl std::fmt::Debug for Maker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Maker")
    }
}

impl SecurityKey {
    /// A key of its own for each seed, before a page of `origin`. Verifies its person, counts, cannot be copied.
    ///
    /// # Errors
    /// The seed gives no key; another will.
    pub fn new(seed: u64, origin: &str) -> Result<Self, Error> {
        let bytes = |purpose: &[u8]| -> [u8; 32] {
            Sha256::new_with_prefix(purpose).chain_update(seed.to_be_bytes()).finalize().into()
        };
        let key = SigningKey::from_slice(&bytes(b"key")).map_err(|_| Error::new("no key of this seed"))?;
        Ok(Self {
            key,
            id: bytes(b"id").to_vec(),
            handle: None,
            counter: 0,
            step: 1,
            flags: flag::PRESENT | flag::VERIFIED,
            aaguid: [0; 16],
            origin: origin.to_owned(),
            rp_id: None,
            challenge: None,
            kind: None,
            client_data: Vec::new(),
            trailing: Vec::new(),
        })
    }

    /// What `navigator.credentials.create` gives for these options (the contents of `publicKey`, as JSON), with no
    /// attestation.
    ///
    /// # Errors
    /// The options lack what they must have.
    pub fn create(&mut self, options: &Value) -> Result<Value, Error> {
        self.create_with(options, |_, _| ("none", vec![0xa0]))
    }

    /// The same, where the key vouches for itself.
    ///
    /// # Errors
    /// As before.
    pub fn create_self_attested(&mut self, options: &Value) -> Result<Value, Error> {
        let key = self.key.clone();
        self.create_with(options, move |data, hash| {
            let signature: Signature = key.sign(&[data, hash].concat());
            let signature = cbor_bytes(signature.to_der().as_bytes());
            ("packed", [&[0xa2][..], &cbor_text("alg"), &[0x26], &cbor_text("sig"), &signature].concat())
        })
    }

    /// The same, where its maker vouches.
    ///
    /// # Errors
    /// As before.
    pub fn create_attested(&mut self, options: &Value, maker: &Maker<'_>) -> Result<Value, Error> {
        self.create_with(options, |data, hash| {
            let signature = cbor_bytes(&(maker.sign)(&[data, hash].concat()));
            let chain: Vec<u8> = maker.chain.iter().flat_map(|one| cbor_bytes(one)).collect();
            let count = 0x80 | u8::try_from(maker.chain.len()).unwrap_or(0);
            let parts = [
                &[0xa3][..],
                &cbor_text("alg"),
                &[0x26],
                &cbor_text("sig"),
                &signature,
                &cbor_text("x5c"),
                &[count],
                &chain,
            ];
            ("packed", parts.concat())
        })
    }

    fn create_with(
        &mut self,
        options: &Value,
        attest: impl FnOnce(&[u8], &[u8]) -> (&'static str, Vec<u8>),
    ) -> Result<Value, Error> {
        self.handle = Some(unbase64(options.pointer("/user/id"))?);
        let client_data = self.client_data("webauthn.create", options)?;
        let mut data =
            self.authenticator_data(options.pointer("/rp/id").and_then(Value::as_str), flag::ATTESTED);
        data.extend(self.aaguid);
        data.extend(u16::try_from(self.id.len()).unwrap_or(u16::MAX).to_be_bytes());
        data.extend(&self.id);
        data.extend(self.public_key());
        data.extend(&self.trailing);
        let (form, statement) = attest(&data, &Sha256::digest(&client_data));
        let object = [
            &[0xa3][..],
            &cbor_text("fmt"),
            &cbor_text(form),
            &cbor_text("attStmt"),
            &statement,
            &cbor_text("authData"),
            &cbor_bytes(&data),
        ];
        Ok(json!({
            "id": base64(&self.id),
            "rawId": base64(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64(&client_data),
                "attestationObject": base64(&object.concat()),
                "transports": ["usb", "nfc"],
            },
        }))
    }

    /// What `navigator.credentials.get` gives for these options.
    ///
    /// # Errors
    /// The options lack what they must have.
    pub fn get(&mut self, options: &Value) -> Result<Value, Error> {
        self.counter = self.counter.saturating_add(self.step);
        let client_data = self.client_data("webauthn.get", options)?;
        let mut data = self.authenticator_data(options.get("rpId").and_then(Value::as_str), 0);
        data.extend(&self.trailing);
        let signature: Signature = self.key.sign(&[&data[..], &Sha256::digest(&client_data)].concat());
        Ok(json!({
            "id": base64(&self.id),
            "rawId": base64(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64(&client_data),
                "authenticatorData": base64(&data),
                "signature": base64(signature.to_der().as_bytes()),
                "userHandle": self.handle.as_deref().map(base64),
            },
        }))
    }

    fn client_data(&self, kind: &str, options: &Value) -> Result<Vec<u8>, Error> {
        let challenge = match &self.challenge {
            Some(challenge) => challenge.clone(),
            None => unbase64(options.get("challenge"))?,
        };
        let mut data = json!({
            "type": self.kind.as_deref().unwrap_or(kind),
            "challenge": base64(&challenge),
            "origin": self.origin,
            "crossOrigin": false,
        });
        if let Some(fields) = data.as_object_mut() {
            fields.extend(self.client_data.iter().cloned());
        }
        Ok(data.to_string().into_bytes())
    }

    fn authenticator_data(&self, rp_id: Option<&str>, more: u8) -> Vec<u8> {
        let rp_id = self.rp_id.as_deref().or(rp_id).unwrap_or_default();
        let mut data = Sha256::digest(rp_id.as_bytes()).to_vec();
        data.push(self.flags | more);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// As a `COSE_Key` (RFC 9052 section 7): type EC2, algorithm ES256, curve P-256, x, y.
    fn public_key(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        let coordinate = |bytes: Option<_>| cbor_bytes(bytes.map_or(&[][..], AsRef::<[u8]>::as_ref));
        let (x, y) = (coordinate(point.x()), coordinate(point.y()));
        [&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21][..], &x, &[0x22], &y].concat()
    }
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unbase64(value: Option<&Value>) -> Result<Vec<u8>, Error> {
    let text =
        value.and_then(Value::as_str).ok_or_else(|| Error::new("a field of the options is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(Error::doing("reading the options"))
}

fn cbor_text(text: &str) -> Vec<u8> {
    [cbor_head(0x60, text.len()), text.as_bytes().to_vec()].concat()
}

fn cbor_bytes(bytes: &[u8]) -> Vec<u8> {
    [cbor_head(0x40, bytes.len()), bytes.to_vec()].concat()
}

/// The shortest head of a string (RFC 8949 section 3).
fn cbor_head(major: u8, length: usize) -> Vec<u8> {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=23), _) => vec![major | length],
        (Ok(length), _) => vec![major | 24, length],
        (_, Ok(length)) => [&[major | 25][..], &length.to_be_bytes()].concat(),
        _ => [&[major | 26][..], &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()].concat(),
    }
}
