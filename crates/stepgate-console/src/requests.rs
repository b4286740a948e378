//! Requests: list, show, verify, approve, deny, cancel.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use stepgate_approval::Page;
use stepgate_record::Outcome;

use stepgate_store::{DeskError, End, Part, Person, RequestInfo, Shown};
use stepgate_types::RequestId;
use zeroize::Zeroizing;

use crate::api::{Api, Peer, json_body};
use crate::problem::Problem;

/// A fresh code, and for answers a reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    code: Zeroizing<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// Whether this person asked it, or may answer it: then it exists for them.
fn sees(api: &Api, person: &Person, info: &RequestInfo) -> bool {
    info.is_of(&person.name) || api.parts.desk.answers(&person.name, info)
}

/// The request of that id, if it exists for the person of this token.
fn find(api: &Api, headers: &HeaderMap, id: &str) -> Result<(Arc<Person>, RequestInfo), Problem> {
    let person = api.person(headers)?;
    let id: RequestId = id.parse().map_err(|_| Problem::not_found())?;
    let info =
        api.parts.desk.request(id).filter(|info| sees(api, &person, info)).ok_or_else(Problem::not_found)?;
    Ok((person, info))
}

fn row(api: &Api, person: &Person, info: &RequestInfo) -> Value {
    let mut row = serde_json::to_value(info).unwrap_or_default();
    if let Some(row) = row.as_object_mut() {
        row.insert("mine".to_owned(), json!(info.is_of(&person.name)));
        row.insert(
            "answerable".to_owned(),
            json!(info.is_open() && api.parts.desk.answers(&person.name, info)),
        );
    }
    row
}

pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let person = api.person(&headers)?;
    let all = query.as_deref() == Some("state=all");
    let rows: Vec<_> = api
        .parts
        .desk
        .requests()
        .iter()
        .filter(|info| (all || info.is_open()) && sees(&api, &person, info))
        .map(|info| row(&api, &person, info))
        .collect();
    Ok(axum::Json(rows).into_response())
}

pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (person, info) = find(&api, &headers, &id)?;
    let answer = match api.parts.desk.show(info.request, &person.name) {
        Ok(shown) => shown_json(row(&api, &person, &shown.info), &shown),
        // What was asked died with the held bytes; that it was asked, and how it ended, remains.
        Err(DeskError::Ended(_)) => row(&api, &person, &info),
        Err(error) => return Err(error.into()),
    };
    Ok(axum::Json(answer).into_response())
}

fn shown_json(mut row: Value, shown: &Shown) -> Value {
    let parameters: Vec<_> = shown
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "type_oid": parameter.type_oid,
                "format": if parameter.format == 0 { "text" } else { "binary" },
                "value": parameter.value.as_ref().map(page_json),
            })
        })
        .collect();
    let more = json!({
        "session": shown.statement.session,
        "address": shown.address,
        "client": shown.client,
        "db_user": shown.db_user,
        "relations": shown.relations,
        "labels": shown.labels,
        "rules": shown.rules,
        "estimate": shown.because.estimate,
        "limit": {"rows": shown.limit.rows, "bytes": shown.limit.bytes},
        "why": shown.because.why,
        "risk": shown.because.risk.iter().map(|(signal, weight)| json!({"signal": signal, "weight": weight})).collect::<Vec<_>>(),
        "history": shown.history,
        "comments": shown.comments,
        "canonical_sha256": shown.canonical_sha256,
        "sql": page_json(&shown.sql),
        "parameters": parameters,
        "truncated": shown.truncated,
    });
    if let (Some(row), Value::Object(more)) = (row.as_object_mut(), more) {
        row.extend(more);
    }
    row
}

/// Escaped for display: what could hide or reorder text is shown as `\u{…}`, a backslash as two.
fn page_json(page: &Page) -> Value {
    json!({"text": page.text, "offset": page.offset, "next": page.next, "total": page.total})
}

pub(crate) async fn more_sql(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    more(&api, &id, &headers, query, Part::Sql)
}

pub(crate) async fn more_parameter(
    State(api): State<Arc<Api>>,
    Path((id, number)): Path<(String, String)>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let number = number.parse().map_err(|_| Problem::not_found())?;
    more(&api, &id, &headers, query, Part::Parameter(number))
}

fn more(
    api: &Api,
    id: &str,
    headers: &HeaderMap,
    query: Option<String>,
    part: Part,
) -> Result<Response, Problem> {
    let (person, info) = find(api, headers, id)?;
    let offset = query.as_deref().and_then(|query| query.strip_prefix("offset=")?.parse().ok()).unwrap_or(0);
    let page = api.parts.desk.show_more(info.request, &person.name, part, offset)?;
    Ok(axum::Json(page_json(&page)).into_response())
}

pub(crate) async fn verify(
    State(api): State<Arc<Api>>,
    Extension(Peer(address)): Extension<Peer>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (person, info) = find_open(&api, &headers, &id)?;
    let answer: Answer = json_body(&headers, &body)?;
    let end = api.parts.desk.verify(info.request, &person.name, &answer.code, address).await?;
    Ok(axum::Json(end_json(&end)).into_response())
}

pub(crate) async fn approve(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    vote(&api, peer, &id, &headers, &body, true).await
}

pub(crate) async fn deny(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    vote(&api, peer, &id, &headers, &body, false).await
}

async fn vote(
    api: &Api,
    Peer(address): Peer,
    id: &str,
    headers: &HeaderMap,
    body: &Bytes,
    approve: bool,
) -> Result<Response, Problem> {
    let (person, info) = find_open(api, headers, id)?;
    let answer: Answer = json_body(headers, body)?;
    let reason = answer.reason.as_deref();
    let progress =
        api.parts.desk.vote(info.request, &person.name, &answer.code, approve, reason, address).await?;
    let mut json = match &progress.ended {
        Some(end) => end_json(end),
        None => json!({"request": info.request, "state": info.state, "grant": null, "pass": null}),
    };
    if let Some(json) = json.as_object_mut() {
        json.insert("approvals".to_owned(), json!(progress.approvals));
        json.insert("needed".to_owned(), json!(progress.needed));
    }
    Ok(axum::Json(json).into_response())
}

pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (person, info) = find_open(&api, &headers, &id)?;
    if !info.is_of(&person.name) {
        let message = "only who asked can cancel a request";
        return Err(Problem::new(axum::http::StatusCode::FORBIDDEN, "not_yours", message)
            .hint("deny it instead: stepgate request deny REQUEST"));
    }
    api.parts.desk.cancel_request(info.request, &person.name).await?;
    Ok(axum::Json(json!({"request": info.request, "state": Outcome::Cancelled.as_str()})).into_response())
}

/// A late answer is told how the request ended; nothing is executed.
pub(crate) fn find_open(
    api: &Api,
    headers: &HeaderMap,
    id: &str,
) -> Result<(Arc<Person>, RequestInfo), Problem> {
    let (person, info) = find(api, headers, id)?;
    let outcomes =
        [Outcome::Approved, Outcome::Denied, Outcome::Expired, Outcome::Cancelled, Outcome::Withdrawn];
    match outcomes.into_iter().find(|outcome| outcome.as_str() == info.state) {
        Some(outcome) => Err(Problem::ended(outcome)),
        None => Ok((person, info)),
    }
}

fn end_json(end: &End) -> Value {
    json!({
        "request": end.request,
        "state": end.outcome.as_str(),
        "by": end.by,
        "approvers": end.approvers,
        "grant": end.grant,
        "pass": end.pass,
    })
}
