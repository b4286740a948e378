//! Client data (Web Authentication level 3, section 5.8.1): what the browser says of page and purpose.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer::unbase64;
use crate::{Binding, Rejected, Site};

/// Which ceremony it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Create,
    Get,
}

/// What browsers add beside these is not looked at; a field that is there twice is refused.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: Option<bool>,
    #[serde(rename = "topOrigin", default)]
    top_origin: Option<IgnoredAny>,
}

/// Checks kind, challenge and origin, and that the page was in no other's frame. The library looks at the first three
/// too, but takes other addresses of the same origin for it, and at frames only when a passkey is made.
pub(crate) fn check(
    client_data: &[u8],
    kind: Kind,
    challenge: &Binding,
    site: &Site,
) -> Result<(), Rejected> {
    let data: ClientData = serde_json::from_slice(client_data).map_err(|_| Rejected::Unreadable)?;
    let wanted = match kind {
        Kind::Create => "webauthn.create",
        Kind::Get => "webauthn.get",
    };
    if data.kind != wanted {
        return Err(Rejected::OtherKind);
    }
    if unbase64(&data.challenge)? != challenge {
        return Err(Rejected::OtherChallenge);
    }
    if data.origin != site.origin() {
        return Err(Rejected::OtherOrigin);
    }
    if data.cross_origin == Some(true) || data.top_origin.is_some() {
        return Err(Rejected::CrossOrigin);
    }
    Ok(())
}
