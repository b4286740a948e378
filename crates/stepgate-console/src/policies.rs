//! Policies that wait for two people, by the API.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use stepgate_approval::Method;
use stepgate_store::{Challenged, MethodInfo, PolicyInfo, Presented};
use zeroize::Zeroizing;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::changes;
use crate::presented::{Given, Wanted};
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

/// The policy of that hash, if it is this person's to approve.
pub(crate) fn find(api: &Api, caller: &Caller, sha256: &str) -> Result<PolicyInfo, Problem> {
    api.parts.desk.policy(sha256, &caller.person.name).ok_or_else(Problem::not_found)
}

/// What the person could approve it by, best first.
pub(crate) fn offered(api: &Api, caller: &Caller, sha256: &str) -> Result<Vec<MethodInfo>, Problem> {
    Ok(api.parts.desk.methods_for_policy(sha256, &caller.person.name, caller.source())?)
}

/// What a proof by this method has to answer.
pub(crate) async fn challenged(
    api: &Api,
    caller: &Caller,
    policy: &PolicyInfo,
    method: Method,
) -> Result<Challenged, Problem> {
    let (sha256, name) = (&policy.policy_sha256, &caller.person.name);
    let made = api.parts.desk.challenge_policy(sha256, name, method, caller.source()).await;
    made.map_err(|error| offering(api, caller, policy, error.into()))
}

/// The person approves it.
pub(crate) async fn approved(
    api: &Api,
    caller: &Caller,
    policy: &PolicyInfo,
    presented: Result<Presented, Problem>,
) -> Result<PolicyInfo, Problem> {
    let (sha256, name) = (&policy.policy_sha256, &caller.person.name);
    let done = async {
        let presented = presented?;
        // Nobody approves what nobody could have read. Of one that is approved already, there is nothing to be read.
        if policy.state == "proposed" {
            changes::kept(api, policy).await?;
        }
        Ok(api.parts.desk.approve_policy(sha256, name, presented, caller.source()).await?)
    };
    done.await.map_err(|problem| offering(api, caller, policy, problem))
}

fn offering(api: &Api, caller: &Caller, policy: &PolicyInfo, problem: Problem) -> Problem {
    let offered = || offered(api, caller, &policy.policy_sha256).unwrap_or_default();
    problem.of_strength(policy.strength).offering(offered)
}

/// `GET /api/v1/policies`: those that wait; none, for who approves none.
pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(api.parts.desk.policies(&caller.person.name)).into_response()
}

/// `GET /api/v1/policies/{id}`.
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(sha256): Path<String>,
) -> Result<Response, Problem> {
    Ok(axum::Json(find(&api, &caller, &sha256)?).into_response())
}

/// `GET /api/v1/policies/{id}/methods`.
pub(crate) async fn methods(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(sha256): Path<String>,
) -> Result<Response, Problem> {
    Ok(axum::Json(offered(&api, &caller, &sha256)?).into_response())
}

/// `POST /api/v1/policies/{id}/challenge`.
pub(crate) async fn challenge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let policy = find(&api, &caller, &sha256)?;
    let wanted: Wanted = json_body(&headers, &body)?;
    let made = challenged(&api, &caller, &policy, wanted.method()?).await?;
    Ok(axum::Json(made).into_response())
}

/// `POST /api/v1/policies/{id}/approve`.
pub(crate) async fn approve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let policy = find(&api, &caller, &sha256)?;
    let approval: Approval = json_body(&headers, &body)?;
    let presented = Given::either(approval.code, approval.proof).and_then(Given::presented);
    Ok(axum::Json(approved(&api, &caller, &policy, presented).await?).into_response())
}
