//! What every handler works with, and the routes to them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde_json::json;

use stepgate_store::{Desk, Log, People, Person};
use stepgate_types::{Clock, Entropy};
use tokio::sync::Semaphore;

use crate::asks::Foresee;
use crate::problem::Problem;
use crate::throttle::Throttle;
use crate::tokens::Tokens;
use crate::{asks, grants, login, page, requests};

/// The largest body of a request, in bytes: that of one for 64 KiB of statements, escaped.
const MAX_BODY: usize = 256 * 1024;

/// How long a request may take, its body included: the desk waits for at most a few fsyncs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Password checks at a time: each is some milliseconds of PBKDF2, and must not take the processors from
/// the data path.
const PASSWORD_CHECKS: usize = 2;

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
    /// What statements would read that are not sent yet.
    pub foresee: Arc<dyn Foresee>,
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
    pub(crate) throttle: Throttle,
    pub(crate) password_checks: Semaphore,
}

/// The peer's address, put into each request by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Api {
    /// An API with nobody logged in.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            tokens: Tokens::default(),
            throttle: Throttle::default(),
            password_checks: Semaphore::new(PASSWORD_CHECKS),
        })
    }

    /// The person whose bearer token a request carries.
    pub(crate) fn person(&self, headers: &HeaderMap) -> Result<Arc<Person>, Problem> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(Problem::login_required)?;
        let login = self.tokens.get(token, self.parts.clock.now()).ok_or_else(Problem::login_required)?;
        // Removed, or given another password since: the token is no longer theirs.
        self.parts
            .people
            .get(&login.person)
            .filter(|person| person.scram.stored_key == login.stored_key && !person.service)
            .ok_or_else(Problem::login_required)
    }
}

pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/r/{id}", get(page::request))
        .route("/api/v1/login", post(login::login))
        .route("/api/v1/logout", post(login::logout))
        .route("/api/v1/me", get(login::me))
        .route("/api/v1/requests", get(requests::list).post(asks::open))
        .route("/api/v1/requests/{id}", get(requests::show))
        .route("/api/v1/requests/{id}/sql", get(requests::more_sql))
        .route("/api/v1/requests/{id}/parameters/{number}", get(requests::more_parameter))
        .route("/api/v1/requests/{id}/verify", post(requests::verify))
        .route("/api/v1/requests/{id}/approve", post(requests::approve))
        .route("/api/v1/requests/{id}/deny", post(requests::deny))
        .route("/api/v1/requests/{id}/cancel", post(requests::cancel))
        .route("/api/v1/requests/{id}/comment", post(asks::comment))
        .route("/api/v1/requests/{id}/not-me", post(asks::not_me))
        .route("/api/v1/grants", get(grants::list))
        .route("/api/v1/grants/{id}/revoke", post(grants::revoke))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not this way")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(headers))
        .with_state(api)
}

async fn health(axum::extract::State(api): axum::extract::State<Arc<Api>>) -> Response {
    match api.parts.log.poisoned() {
        None => axum::Json(json!({"status": "ok"})).into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({"status": "log"}))).into_response(),
    }
}

/// For whoever watches the gate: figures and health, and nothing of people's. Served at an address of its own, since
/// who stands before the API is not told apart from this machine by a proxy between them.
pub(crate) fn watchers(api: Arc<Api>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { Problem::not_found() })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn(headers))
        .with_state(api)
}

async fn metrics(axum::extract::State(api): axum::extract::State<Arc<Api>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, api.parts.observed.metrics()).into_response()
}

async fn ready(axum::extract::State(api): axum::extract::State<Arc<Api>>) -> Response {
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

/// Nothing here is to be kept, framed, sniffed, or to load anything.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
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
