//! Logging in by a passkey, where neither a password here nor the identity provider is needed: so that somebody gets in,
//! and to break-glass, while that provider is down.
//!
//! Whoever is refused hears the same, whether or not there is anybody of that name, and is slowed as by wrong passwords.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use stepgate_approval::Source;
use stepgate_record::{AuthFailure, Event};
use stepgate_types::RequestId;

use crate::api::{Api, Peer, json_body};
use crate::caller::cookie;
use crate::login::MAX_NAME;
use crate::origin::{self, Made};
use crate::pages::login::let_in;
use crate::problem::Problem;
use crate::tokens::{self, Came};
use crate::turned_away::{self, PASSKEY};

/// What a browser is told of how long it takes, in milliseconds.
const TIMEOUT_MS: u64 = 120_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    challenge: String,
    /// What the browser made of it: `PublicKeyCredential.toJSON()`.
    passkey: Value,
    /// Where they go on to.
    #[serde(default)]
    request: Option<String>,
}

/// Whether the pages offer it.
pub(crate) fn is_offered(api: &Api) -> bool {
    api.parts.desk.has_passkeys()
}

/// A page of ours asks: nobody is to be logged in as somebody else by another site's, either.
fn ours(api: &Api, headers: &HeaderMap) -> Result<(), Problem> {
    if api.origin.made(headers) != Made::Here {
        return Err(origin::other_site());
    }
    if is_offered(api) { Ok(()) } else { Err(Problem::not_found()) }
}

/// `POST /login/passkey/begin`: what a browser asks an authenticator for.
pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    ours(&api, &headers)?;
    let wanted: Wanted = json_body(&headers, &body)?;
    let name = counted(&wanted.name);
    let asked = api.parts.desk.login_challenge(&name)?;
    let allowed: Vec<_> =
        asked.credentials.iter().map(|id| json!({"type": "public-key", "id": id})).collect();
    let answer = json!({
        "challenge": asked.sealed,
        "shown": {
            "challenge": asked.challenge,
            "timeout": TIMEOUT_MS,
            "allowCredentials": allowed,
            "userVerification": "required",
        },
    });
    Ok(axum::Json(answer).into_response())
}

/// `POST /login/passkey`: lets in who has signed it.
pub(crate) async fn finish(
    State(api): State<Arc<Api>>,
    Extension(Peer(address)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    ours(&api, &headers)?;
    let given: Given = json_body(&headers, &body)?;
    let name = counted(&given.name);
    let now = api.parts.clock.monotonic();
    if let Some(wait) = api.throttle.wait(&name, address, now) {
        turned_away::turn_away(&api, &name, address, (AuthFailure::Throttled, PASSKEY))?;
        let seconds = wait.as_secs() + 1;
        let message = format!("too many failed logins; try again in {seconds} s");
        return Err(Problem::throttled("throttled", message, seconds));
    }
    let request = given.request.as_deref().and_then(|id| id.parse::<RequestId>().ok());
    let device = cookie(&headers, api.origin.device_cookie()).and_then(tokens::device);
    let source = Source { device, ..address.into() };
    let signed = api.parts.desk.login_by_passkey(&name, &given.challenge, given.passkey, source).await;
    let Ok((person, passkey)) = signed else {
        api.throttle.failed(&name, address, now);
        return Err(refused(&api, &name, address));
    };
    api.throttle.succeeded(&name, address, now);
    let event = Event::AdminLogin { person: (&person.name).into(), address: address.into() };
    api.parts.log.append(vec![event], Vec::new()).await.map_err(|_| Problem::gate_trouble())?;
    let to = request.map_or_else(|| "/".to_owned(), |request| format!("/r/{request}"));
    let answer = axum::Json(json!({"to": to})).into_response();
    let_in(&api, &headers, &person, Came::ByPasskey(passkey), answer)
}

/// As it is counted, and as it is bound: what is longer than any name is nobody's.
fn counted(name: &str) -> String {
    name.trim().chars().take(MAX_NAME).collect()
}

/// Recorded as a wrong password is.
fn refused(api: &Api, name: &str, address: IpAddr) -> Problem {
    let failed = turned_away::failed(api, name, address, (AuthFailure::Passkey, PASSKEY));
    if api.parts.log.note(Event::SessionAuthFailed(Box::new(failed))).is_err() {
        return Problem::gate_trouble();
    }
    let message = "this passkey does not log that name in, or it took too long";
    Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", message)
}
