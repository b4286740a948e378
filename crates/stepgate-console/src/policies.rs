//! Policies that wait for two people, by the API.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::presented::{Given, unreadable};
use crate::problem::Problem;

/// A fresh proof, or in its place a code alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    #[serde(default)]
    code: Option<Zeroizing<String>>,
    #[serde(default)]
    proof: Option<Given>,
}

/// `GET /api/v1/policies`: those that wait; none, for who approves none.
pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(api.parts.desk.policies(&caller.person.name)).into_response()
}

/// `POST /api/v1/policies/{id}/approve`.
pub(crate) async fn approve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let name = &caller.person.name;
    let waits = api.parts.desk.policies(name);
    if !waits.iter().any(|it| it.policy_sha256 == sha256) {
        return Err(Problem::not_found());
    }
    let approval: Approval = json_body(&headers, &body)?;
    let given = match (approval.code, approval.proof) {
        // Which of the two is meant would be a guess.
        (Some(_), Some(_)) => return Err(unreadable()),
        (None, given) => given.unwrap_or_default(),
        (Some(code), None) => Given::code(code),
    };
    let approved = api.parts.desk.approve_policy(&sha256, name, given.presented()?, caller.source()).await?;
    Ok(axum::Json(approved).into_response())
}
