//! Break-glass by the API: asked for, opened by a passkey, ended, reviewed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use stepgate_store::{GlassError, GlassWish};
use stepgate_types::GrantId;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::presented::{Given, method};
use crate::problem::Problem;

/// What somebody asks to be let do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    reason: String,
    #[serde(default)]
    seconds: Option<u64>,
    #[serde(default)]
    database: Option<String>,
    client: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    method: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proven {
    proof: Given,
}

/// What who reviews says, with a fresh proof of theirs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Review {
    pub(crate) comment: String,
    pub(crate) proof: Given,
}

/// An id in an address.
pub(crate) fn id(text: &str) -> Result<GrantId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// `GET /api/v1/break-glass`: one's own, and for those who review what waits for them.
pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(api.parts.desk.glasses(Some(&caller.person.name))).into_response()
}

/// `POST /api/v1/break-glass`: from where this comes, statements will pass.
pub(crate) async fn ask(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Wish = json_body(&headers, &body)?;
    let time = wish.seconds.map(Duration::from_secs);
    let wish = GlassWish { reason: wish.reason, time, database: wish.database, client: wish.client };
    let asked = api.parts.desk.ask_glass(&caller.person.name, wish, caller.address).await?;
    Ok((StatusCode::CREATED, axum::Json(asked)).into_response())
}

/// `POST /api/v1/break-glass/{id}/challenge`.
pub(crate) async fn challenge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let glass = id(&glass)?;
    let wanted: Wanted = json_body(&headers, &body)?;
    let (name, method) = (&caller.person.name, method(&wanted.method)?);
    let challenged = api.parts.desk.challenge_glass(glass, name, method, caller.source()).await?;
    Ok(axum::Json(challenged).into_response())
}

/// `POST /api/v1/break-glass/{id}/open`.
pub(crate) async fn open(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let glass = id(&glass)?;
    let proven: Proven = json_body(&headers, &body)?;
    let presented = proven.proof.presented()?;
    let opened = api.parts.desk.open_glass(glass, &caller.person.name, presented, caller.source()).await?;
    Ok(axum::Json(opened).into_response())
}

/// `POST /api/v1/break-glass/{id}/end`: without a proof, since it only ever takes something away.
pub(crate) async fn end(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(glass): Path<String>,
) -> Result<Response, Problem> {
    let glass = id(&glass)?;
    api.parts.desk.end_glass(glass, caller.person.name.clone()).await?;
    Ok(axum::Json(json!({"grant": glass, "state": "to-review"})).into_response())
}

/// `POST /api/v1/break-glass/{id}/review`.
pub(crate) async fn review(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let glass = id(&glass)?;
    reviewed(&api, &caller, glass, json_body(&headers, &body)?).await?;
    Ok(axum::Json(json!({"grant": glass, "state": "reviewed"})).into_response())
}

/// Somebody has looked at it.
pub(crate) async fn reviewed(
    api: &Api,
    caller: &Caller,
    glass: GrantId,
    review: Review,
) -> Result<(), Problem> {
    let (name, presented) = (&caller.person.name, review.proof.presented()?);
    Ok(api.parts.desk.review_glass(glass, name, &review.comment, presented, caller.source()).await?)
}

impl From<GlassError> for Problem {
    fn from(error: GlassError) -> Self {
        let message = error.to_string();
        match error {
            GlassError::Verify(error) => error.into(),
            GlassError::NotConfigured => Self::new(StatusCode::FORBIDDEN, "break_glass_off", message),
            GlassError::NotEligible => Self::new(StatusCode::FORBIDDEN, "not_eligible", message),
            GlassError::NoPasskey => Self::new(StatusCode::FORBIDDEN, "passkey_needed", message)
                .hint("enrol one on the gate's page /enrol; it counts a day later"),
            GlassError::Own => Self::new(StatusCode::FORBIDDEN, "own", message),
            GlassError::ReasonRequired => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "reason_required", message)
            }
            GlassError::Scope => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "scope", message),
            GlassError::NotReviewed(_) => Self::new(StatusCode::CONFLICT, "not_reviewed", message)
                .hint("somebody of those who review runs: stepgate break-glass review ID --comment TEXT"),
            GlassError::StillOpen => Self::new(StatusCode::CONFLICT, "still_open", message)
                .hint("run: stepgate break-glass end ID"),
            GlassError::Full => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message),
        }
    }
}
