//! Grants: list one's own, give one back.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use stepgate_types::GrantId;

use crate::api::Api;
use crate::problem::Problem;

pub(crate) async fn list(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    let person = api.person(&headers)?;
    let own: Vec<_> =
        api.parts.desk.grants().into_iter().filter(|grant| grant.person == person.name).collect();
    Ok(axum::Json(own).into_response())
}

pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let person = api.person(&headers)?;
    let id: GrantId = id.parse().map_err(|_| Problem::not_found())?;
    let own =
        api.parts.desk.grants().into_iter().any(|grant| grant.grant == id && grant.person == person.name);
    if !own {
        return Err(Problem::not_found());
    }
    api.parts.desk.revoke(id, Some(person.name.clone())).await?;
    Ok(axum::Json(json!({"grant": id, "state": "revoked"})).into_response())
}
