//! Grants: list one's own, give one back.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use stepgate_store::{GrantInfo, Person};
use stepgate_types::GrantId;

use crate::api::Api;
use crate::caller::Caller;
use crate::problem::Problem;

/// A person's own.
pub(crate) fn own(api: &Api, person: &Person) -> Vec<GrantInfo> {
    api.parts.desk.grants().into_iter().filter(|grant| grant.person == person.name).collect()
}

pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(own(&api, &caller.person)).into_response()
}

pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = give_back(&api, &caller.person, &id).await?;
    Ok(axum::Json(json!({"grant": id, "state": "revoked"})).into_response())
}

/// Gives one's own grant back.
pub(crate) async fn give_back(api: &Api, person: &Person, id: &str) -> Result<GrantId, Problem> {
    let id: GrantId = id.parse().map_err(|_| Problem::not_found())?;
    if !own(api, person).iter().any(|grant| grant.grant == id) {
        return Err(Problem::not_found());
    }
    api.parts.desk.revoke(id, Some(person.name.clone())).await?;
    Ok(id)
}
