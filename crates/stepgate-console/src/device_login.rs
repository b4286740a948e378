//! Logins of programs on machines without a browser (RFC 8628): the gate asks the provider for a code, shows it to the
//! program, and looks from time to time whether somebody has typed it and logged in there.
//!
//! Section 5.4: an attacker can begin one and have somebody else type its code. The provider shows its own page, and there
//! is no standard way to have it say who asks. So it is off unless configured; only the program that has begun it gets the
//! login, by what it alone knows; the gate tells the provider where that program is, which some show; the record of the
//! login names that place; and such a login mints a password for databases only with a code of an authenticator besides,
//! however recent it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use stepgate_types::Timestamp;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::api::{Api, Peer, json_body};
use crate::elsewhere;
use crate::login;
use crate::oidc::{DeviceLogin, OidcError, Polled};
use crate::pages::oidc::called;
use crate::pages::provider::unhex;
use crate::problem::Problem;
use crate::rates::network;
use crate::tokens::{self, Came};

/// Begun logins at a time. Each has cost a call of the provider, so that none gives way to a newer one: who floods the gate
/// with them keeps others out of this way in, and out of no other.
const MAX: usize = 256;

/// Of these, of one network.
const MAX_OF_NETWORK: usize = 16;

/// One that was begun.
struct Begun {
    /// SHA-256 of what the program will have to know, as with RFC 7636.
    challenge: [u8; 32],
    network: IpAddr,
    login: Arc<DeviceLogin>,
    interval: Duration,
    until: Timestamp,
    /// Before this moment the provider is not asked again.
    next: Timestamp,
    /// It is being asked.
    busy: bool,
}

/// All of them, by the SHA-256 of their id.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<[u8; 32], Begun>>);

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may be begun from there.
    fn has_room(&self, network: IpAddr, now: Timestamp) -> bool {
        let mut all = self.all();
        all.retain(|_, begun| now < begun.until);
        all.len() < MAX && all.values().filter(|begun| begun.network == network).count() < MAX_OF_NETWORK
    }

    fn insert(&self, id: &str, begun: Begun) {
        self.all().insert(hash(id), begun);
    }

    /// What is to be done about one of which a program asks what has become of it.
    fn look(&self, id: &str, verifier: &str, now: Timestamp) -> Look {
        let mut all = self.all();
        all.retain(|_, begun| now < begun.until);
        let fits = |begun: &&mut Begun| bool::from(hash(verifier).ct_eq(&begun.challenge));
        let Some(begun) = all.get_mut(&hash(id)).filter(fits) else { return Look::Over };
        if begun.busy || now < begun.next {
            return Look::Waits(begun.interval);
        }
        begun.busy = true;
        begun.next = now.plus(begun.interval);
        Look::Ask(Arc::clone(&begun.login), begun.interval)
    }

    fn end(&self, id: &str) {
        self.all().remove(&hash(id));
    }
}

/// See [`Waiting::look`].
enum Look {
    /// There is none such, or its time is over.
    Over,
    /// It is too soon to ask the provider.
    Waits(Duration),
    /// The provider is to be asked.
    Ask(Arc<DeviceLogin>, Duration),
}

/// Somebody asks the provider; done also when whoever asked has hung up.
struct Asking {
    api: Arc<Api>,
    id: Zeroizing<String>,
}

impl Asking {
    fn waits(&self, interval: Duration) {
        let now = self.api.parts.clock.now();
        if let Some(begun) = self.api.waiting.all().get_mut(&hash(&self.id)) {
            begun.interval = interval;
            begun.next = now.plus(interval);
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(begun) = self.api.waiting.all().get_mut(&hash(&self.id)) {
            begun.busy = false;
        }
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// 64 hexadecimal digits.
    challenge: String,
}

/// `POST /api/v1/login/device`.
pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    Extension(Peer(address)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wanted: Wanted = json_body(&headers, &body)?;
    let unreadable =
        || Problem::new(StatusCode::BAD_REQUEST, "bad_request", "`challenge` is 64 hexadecimal digits");
    let challenge = unhex(&wanted.challenge).ok_or_else(unreadable)?;
    let network = network(address);
    if !api.waiting.has_room(network, api.parts.clock.now()) {
        return Err(Problem::throttled("busy", "too many log in this way at once".to_owned(), 60));
    }
    let begun = called(&api, move |oidc| oidc.begin_device(address)).await?;
    let id = tokens::fresh(&*api.parts.entropy).map_err(|_| Problem::gate_trouble())?;
    let (now, interval) = (api.parts.clock.now(), begun.interval());
    let until = now.plus(begun.life());
    let answer = json!({
        "device": id,
        "user_code": begun.code(),
        "verification_uri": begun.address(),
        "expires": until.to_string(),
        "interval": interval.as_secs(),
    });
    let (login, next) = (Arc::new(begun), now.plus(interval));
    api.waiting.insert(&id, Begun { challenge, network, login, interval, until, next, busy: false });
    Ok(axum::Json(answer).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    device: Zeroizing<String>,
    verifier: Zeroizing<String>,
}

/// `POST /api/v1/login/device/token`.
pub(crate) async fn poll(
    State(api): State<Arc<Api>>,
    Extension(Peer(address)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let given: Given = json_body(&headers, &body)?;
    let (login, interval) = match api.waiting.look(&given.device, &given.verifier, api.parts.clock.now()) {
        Look::Ask(login, interval) => (login, interval),
        Look::Waits(interval) => return Ok(pending(interval)),
        Look::Over => return Err(over()),
    };
    let asking = Asking { api: Arc::clone(&api), id: given.device };
    let polled = called(&api, move |oidc| match oidc.poll_device(&login, interval) {
        // Over, whoever says so.
        Err(error @ (OidcError::Refused | OidcError::UnknownState | OidcError::Token(_))) => Ok(Err(error)),
        polled => polled.map(Ok),
    });
    match polled.await {
        Ok(Ok(Polled::Waits(interval))) => {
            asking.waits(interval);
            Ok(pending(interval))
        }
        Ok(Ok(Polled::In(who))) => {
            api.waiting.end(&asking.id);
            let person = elsewhere::admit(&api, &who, address).await?;
            // Whose it is may have been led to it: it is no proof that they want a password minted there.
            login::bearer(&api, &person, Came::FromProvider { proven: None })
        }
        Ok(Err(OidcError::UnknownState)) => {
            api.waiting.end(&asking.id);
            Err(over())
        }
        Ok(Err(error)) => {
            api.waiting.end(&asking.id);
            Err(error.into())
        }
        // Too many ask the provider at this moment: the program asks again.
        Err(problem) if problem.is_throttled() => Ok(pending(interval)),
        // The provider is away: that may pass, too, and the program counts how often.
        Err(problem) => Err(problem),
    }
}

fn pending(interval: Duration) -> Response {
    let answer = json!({"state": "pending", "interval": interval.as_secs()});
    (StatusCode::ACCEPTED, axum::Json(answer)).into_response()
}

fn over() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "over", "nobody has logged in in time, or this login is over")
        .hint("begin anew: stepgate login --device")
}
