//! What a browser sends: `PublicKeyCredential.toJSON()` (Web Authentication level 3, section 5.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::transports::Transports;
use crate::{MAX_ID, Rejected};

/// Characters of an attestation object: with a chain of certificates, in base64.
const MAX_ATTESTATION: usize = 32 * 1024;

/// Characters of any other field. Client data have the origin twice at most, signatures are RSA's of 2,048 bits.
const MAX_FIELD: usize = 4 * 1024;

/// What browsers add beside these is not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json<R> {
    id: String,
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: R,
}

#[derive(Deserialize)]
struct CreatedJson {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "attestationObject")]
    attestation: String,
    #[serde(default)]
    transports: Vec<String>,
}

#[derive(Deserialize)]
struct GotJson {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "authenticatorData")]
    authenticator_data: String,
    signature: String,
    #[serde(rename = "userHandle", default)]
    user_handle: Option<String>,
}

/// A new credential, as the browser sent it.
pub(crate) struct Created {
    pub(crate) id: Vec<u8>,
    pub(crate) client_data: Vec<u8>,
    pub(crate) attestation: Vec<u8>,
    pub(crate) transports: Transports,
}

/// A signature, as the browser sent it.
pub(crate) struct Got {
    pub(crate) id: Vec<u8>,
    pub(crate) client_data: Vec<u8>,
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) user_handle: Option<Vec<u8>>,
}

impl Created {
    pub(crate) fn read(json: &Value) -> Result<Self, Rejected> {
        let (id, response) = read::<CreatedJson>(json)?;
        let transports = Transports::of(response.transports.iter().map(String::as_str));
        Ok(Self {
            id,
            transports,
            client_data: field(&response.client_data)?,
            attestation: unbase64(bounded(&response.attestation, MAX_ATTESTATION)?)?,
        })
    }
}

impl Got {
    pub(crate) fn read(json: &Value) -> Result<Self, Rejected> {
        let (id, response) = read::<GotJson>(json)?;
        Ok(Self {
            id,
            client_data: field(&response.client_data)?,
            authenticator_data: field(&response.authenticator_data)?,
            signature: field(&response.signature)?,
            user_handle: response.user_handle.as_deref().map(field).transpose()?,
        })
    }
}

fn read<R: DeserializeOwned>(json: &Value) -> Result<(Vec<u8>, R), Rejected> {
    let read = Json::<R>::deserialize(json).map_err(|_| Rejected::Unreadable)?;
    if read.kind != "public-key" || read.id != read.raw_id {
        return Err(Rejected::Unreadable);
    }
    let id = field(&read.raw_id)?;
    if id.is_empty() || id.len() > MAX_ID {
        return Err(Rejected::Unreadable);
    }
    Ok((id, read.response))
}

fn field(text: &str) -> Result<Vec<u8>, Rejected> {
    unbase64(bounded(text, MAX_FIELD)?)
}

const fn bounded(text: &str, at_most: usize) -> Result<&str, Rejected> {
    if text.len() > at_most { Err(Rejected::TooLong) } else { Ok(text) }
}

/// Base64url without padding (RFC 4648 section 5), as all of Web Authentication has it.
pub(crate) fn unbase64(text: &str) -> Result<Vec<u8>, Rejected> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Rejected::Unreadable)
}

/// The same, the other way.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
