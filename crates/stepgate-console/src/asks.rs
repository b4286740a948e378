//! What else is done with requests: say something about one, say that one is not of one's own doing, and open one ahead
//! of time for a service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use stepgate_approval::{Ask, Held};
use stepgate_record::Outcome;
use stepgate_store::{Person, RequestInfo};
use stepgate_types::PersonName;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::requests::{find_open, row};

/// What a service is to be let do later.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The service.
    pub service: PersonName,
    /// Name of the database; left out: the only one there is.
    #[serde(default)]
    pub database: Option<String>,
    /// The statements, each as it will be sent.
    pub statements: Vec<String>,
    /// Where names without a schema are looked for; left out: `public`.
    #[serde(default)]
    pub search_path: Vec<String>,
    /// The time zone that the service's client sets; left out: the server's.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Until when, RFC 3339.
    pub until: String,
    /// How many rows they may deliver and store in all.
    #[serde(default)]
    pub rows: Option<u64>,
    /// How many bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Why; the first comment.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What a wish asks of people, or why it cannot be asked for, in words of catalog and policy.
pub type Foreseen<'a> = Pin<Box<dyn Future<Output = Result<(Ask, Held), String>> + Send + 'a>>;

/// Works out what statements would read before they are sent.
pub trait Foresee: Send + Sync {
    /// What `by` asks of people with this wish.
    fn foresee<'a>(&'a self, by: &'a PersonName, wish: &'a Wish) -> Foreseen<'a>;

    /// Whether the policy in force names this person: nobody becomes them by a login alone.
    fn mentions(&self, person: &PersonName) -> bool;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    text: String,
}

/// `POST /api/v1/requests`.
pub(crate) async fn open(
    State(api): State<Arc<Api>>,
    Caller { person, .. }: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Wish = json_body(&headers, &body)?;
    let unfit = |why: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unfit", why);
    let asked = api.parts.foresee.foresee(&person.name, &wish).await.map_err(unfit)?;
    let (ask, held) = asked;
    let opened = api.parts.desk.open_ahead(ask, held).await?;
    if let Some(reason) = &wish.reason {
        api.parts.desk.comment(opened.request, &person.name, reason).await?;
    }
    let info = api.parts.desk.request(opened.request).ok_or_else(Problem::not_found)?;
    Ok((StatusCode::CREATED, axum::Json(row(&api, &person, &info))).into_response())
}

/// `POST /api/v1/requests/{id}/comment`.
pub(crate) async fn comment(
    State(api): State<Arc<Api>>,
    Caller { person, .. }: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let info = find_open(&api, &person, &id)?;
    let said: Said = json_body(&headers, &body)?;
    api.parts.desk.comment(info.request, &person.name, &said.text).await?;
    Ok(axum::Json(json!({"request": info.request, "state": info.state})).into_response())
}

/// `POST /api/v1/requests/{id}/not-me`: without a code, since it only ever takes something away, and whoever is woken by
/// somebody else's request must not be kept from stopping it.
pub(crate) async fn not_me(
    State(api): State<Arc<Api>>,
    Caller { person, .. }: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let info = find_open(&api, &person, &id)?;
    disown(&api, &person, &info).await?;
    Ok(axum::Json(json!({"request": info.request, "state": Outcome::Denied.as_str()})).into_response())
}

/// Somebody says that a request in their name is not theirs.
pub(crate) async fn disown(api: &Api, person: &Person, info: &RequestInfo) -> Result<(), Problem> {
    if !info.is_of(&person.name) {
        let message = "this request was not made in your name";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_yours", message)
            .hint("deny it instead: stepgate request deny REQUEST"));
    }
    Ok(api.parts.desk.disown(info.request, &person.name).await?)
}
