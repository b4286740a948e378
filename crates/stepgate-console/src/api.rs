//! What every handler works with, and the routes to them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;
use serde_json::json;

use stepgate_store::{Desk, Log, People};
use stepgate_types::{Clock, Entropy};
use tokio::sync::{Semaphore, watch};

use crate::asks::Foresee;
use crate::changes::KeptPolicies;
use crate::codes::Codes;
use crate::device_login::Waiting;
use crate::events::Streams;
use crate::oidc::Oidc;
use crate::origin::{self, Origin};
use crate::passwords::Minting;
use crate::problem::Problem;
use crate::proxies::{self, Proxies};
use crate::rates::{self, Rates};
use crate::throttle::Throttle;
use crate::tokens::Tokens;
use crate::turned_away::TurnedAway;
use crate::{headers, routes};

/// The largest body of a request, in bytes: that of one for 64 KiB of statements, escaped.
const MAX_BODY: usize = 256 * 1024;

/// How long a request may take, its body included: the desk waits for at most a few fsyncs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Password checks at a time: each is some milliseconds of PBKDF2, and must not take the processors from
/// the data path.
const PASSWORD_CHECKS: usize = 2;

/// Calls of the identity provider at a time: each holds a thread for as long as it takes to answer.
const PROVIDER_CALLS: usize = 8;

/// What the API is made of.
pub struct Parts {
    /// Requests and grants.
    pub desk: Desk,
    /// People.
    pub people: People,
    /// The audit log.
    pub log: Log,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes tokens.
    pub entropy: Arc<dyn Entropy>,
    /// How the gate is.
    pub observed: Arc<dyn Observed>,
    /// The address that people see (`console.url`).
    pub url: String,
    /// Proxies that say for whom they ask.
    pub proxies: Proxies,
    /// Where people log in again, if anywhere.
    pub oidc: Option<Arc<Oidc>>,
    /// Whether a login by a password alone shows nothing of what others' statements say.
    pub proven_readers: bool,
    /// What is configured of passwords that logins mint.
    pub minting: Minting,
    /// What statements would read that are not sent yet.
    pub foresee: Arc<dyn Foresee>,
    /// Texts of map and policy.
    pub policies: Arc<dyn KeptPolicies>,
}

/// What can be seen of a gate from without.
pub trait Observed: Send + Sync {
    /// Its figures, in Prometheus' text format.
    fn metrics(&self) -> String;

    /// Why it can serve nobody now, in one word; `None` if it can.
    fn lacks(&self) -> Option<&'static str>;
}

/// The API of one gate.
pub struct Api {
    pub(crate) parts: Parts,
    pub(crate) tokens: Tokens,
    pub(crate) codes: Codes,
    pub(crate) waiting: Waiting,
    pub(crate) throttle: Throttle,
    /// Those who are turned away unseen.
    pub(crate) turned_away: TurnedAway,
    pub(crate) rates: Rates,
    pub(crate) streams: Arc<Streams>,
    pub(crate) origin: Origin,
    pub(crate) password_checks: Arc<Semaphore>,
    /// Calls of the identity provider.
    pub(crate) provider_calls: Arc<Semaphore>,
    /// Whether the gate stops.
    pub(crate) closing: watch::Sender<bool>,
}

/// The address of who asks, put into each request: by the server the peer's, then whoever that asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Api {
    /// An API with nobody logged in.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            origin: Origin::of(&parts.url),
            parts,
            tokens: Tokens::default(),
            codes: Codes::default(),
            waiting: Waiting::default(),
            throttle: Throttle::default(),
            turned_away: TurnedAway::default(),
            rates: Rates::default(),
            streams: Arc::default(),
            closing: watch::Sender::new(false),
            password_checks: Arc::new(Semaphore::new(PASSWORD_CHECKS)),
            provider_calls: Arc::new(Semaphore::new(PROVIDER_CALLS)),
        })
    }

    /// Ends what lasts: streams of events.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}

pub(crate) fn router(api: Arc<Api>) -> Router {
    let routed = routes::all()
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path, route.handler));
    guarded(routed, api)
}

/// For whoever watches the gate: figures and health, and nothing of people's. Served at an address of its own, since
/// who stands before the API is not told apart from this machine by a proxy between them.
pub(crate) fn watchers(api: Arc<Api>) -> Router {
    let routed = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics));
    guarded(routed, api)
}

/// What holds for every answer. The last layer is the outermost.
fn guarded(routed: Router<Arc<Api>>, api: Arc<Api>) -> Router {
    routed
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not this way")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), origin::own_pages_only))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), rates::seldom_enough))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), proxies::looked_through))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), headers::strict))
        .with_state(api)
}

pub(crate) async fn health(State(api): State<Arc<Api>>) -> Response {
    match api.parts.log.poisoned() {
        None => axum::Json(json!({"status": "ok"})).into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({"status": "log"}))).into_response(),
    }
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, api.parts.observed.metrics()).into_response()
}

pub(crate) async fn ready(State(api): State<Arc<Api>>) -> Response {
    match api.parts.observed.lacks() {
        None => axum::Json(json!({"status": "ready"})).into_response(),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({"status": what}))).into_response(),
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "this took too long").into_response(),
    }
}

/// The JSON body of a POST. Only `application/json`: that no form of another site can send.
pub(crate) fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Problem> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next().unwrap_or_default().trim() == "application/json");
    if !is_json {
        let message = "the body must be application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
    }
    // serde's own words could repeat what was sent, a password for one.
    serde_json::from_slice(body).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the body is not what this call takes")
    })
}
