//! Break-glass by the API: asked for, opened by a passkey, ended, reviewed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use stepgate_approval::Method;
use stepgate_store::{Challenged, GlassError, GlassInfo, GlassWish, MethodInfo, Presented};
use stepgate_types::GrantId;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::presented::{Given, Wanted};
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
struct Proven {
    proof: Given,
}

/// What who reviews says, with a fresh proof of theirs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Review {
    comment: String,
    proof: Given,
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
    let (name, method) = (&caller.person.name, wanted.method()?);
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

/// One that this person sees: their own, or one of those that they review.
pub(crate) fn find(api: &Api, caller: &Caller, glass: GrantId) -> Result<GlassInfo, Problem> {
    let all = api.parts.desk.glasses(Some(&caller.person.name));
    all.into_iter().find(|it| it.grant == glass).ok_or_else(Problem::not_found)
}

/// What the person could review it by, best first.
pub(crate) fn offered(api: &Api, caller: &Caller, glass: GrantId) -> Result<Vec<MethodInfo>, Problem> {
    Ok(api.parts.desk.methods_for_review(glass, &caller.person.name, caller.source())?)
}

/// What a proof by this method has to answer.
pub(crate) async fn challenged(
    api: &Api,
    caller: &Caller,
    glass: GrantId,
    method: Method,
) -> Result<Challenged, Problem> {
    let made = api.parts.desk.challenge_review(glass, &caller.person.name, method, caller.source()).await;
    made.map_err(|error| offering(api, caller, glass, error.into()))
}

/// The person has looked at it.
pub(crate) async fn reviewed(
    api: &Api,
    caller: &Caller,
    glass: GrantId,
    comment: &str,
    presented: Result<Presented, Problem>,
) -> Result<(), Problem> {
    let (desk, name) = (&api.parts.desk, &caller.person.name);
    let done = async { Ok(desk.review_glass(glass, name, comment, presented?, caller.source()).await?) };
    done.await.map_err(|problem| offering(api, caller, glass, problem))
}

fn offering(api: &Api, caller: &Caller, glass: GrantId, problem: Problem) -> Problem {
    let problem = match api.parts.desk.review_strength() {
        Some(strength) => problem.of_strength(strength),
        None => problem,
    };
    problem.offering(|| offered(api, caller, glass).unwrap_or_default())
}

/// `GET /api/v1/break-glass/{id}/review/methods`.
pub(crate) async fn review_methods(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(glass): Path<String>,
) -> Result<Response, Problem> {
    Ok(axum::Json(offered(&api, &caller, id(&glass)?)?).into_response())
}

/// `POST /api/v1/break-glass/{id}/review/challenge`.
pub(crate) async fn review_challenge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let glass = id(&glass)?;
    let wanted: Wanted = json_body(&headers, &body)?;
    let made = challenged(&api, &caller, glass, wanted.method()?).await?;
    Ok(axum::Json(made).into_response())
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
    let Review { comment, proof } = json_body(&headers, &body)?;
    reviewed(&api, &caller, glass, &comment, proof.presented()).await?;
    Ok(axum::Json(json!({"grant": glass, "state": "reviewed"})).into_response())
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
