//! Requests: list, show, verify, approve, deny, cancel.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use stepgate_approval::{Page, Reason};
use stepgate_record::Outcome;
use stepgate_store::{DeskError, End, Part, Person, Progress, RequestInfo, Shown, VerifyError};
use stepgate_types::{RequestId, Strength};
use zeroize::Zeroizing;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::presented::{Given, method};
use crate::problem::Problem;

/// A fresh proof, or in its place a code alone; and for answers a reason.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) code: Option<Zeroizing<String>>,
    #[serde(default)]
    pub(crate) proof: Option<Given>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// What a challenge is for, and by which method it is to be answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    method: String,
    approve: bool,
}

/// Whether this person asked it, or may answer it: then it exists for them.
pub(crate) fn sees(api: &Api, person: &Person, info: &RequestInfo) -> bool {
    info.is_of(&person.name) || answers(api, person, info)
}

/// Whether this person may answer it.
pub(crate) fn answers(api: &Api, person: &Person, info: &RequestInfo) -> bool {
    api.parts.desk.answers(&person.name, info)
}

/// The request of that id, if it exists for this person.
pub(crate) fn find(api: &Api, person: &Person, id: &str) -> Result<RequestInfo, Problem> {
    let id: RequestId = id.parse().map_err(|_| Problem::not_found())?;
    api.parts.desk.request(id).filter(|info| sees(api, person, info)).ok_or_else(Problem::not_found)
}

/// Those that exist for this person, newest last.
pub(crate) fn of(api: &Api, person: &Person) -> Vec<RequestInfo> {
    api.parts.desk.requests().into_iter().filter(|info| sees(api, person, info)).collect()
}

pub(crate) fn row(api: &Api, person: &Person, info: &RequestInfo) -> Value {
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
    Caller { person, .. }: Caller,
    RawQuery(query): RawQuery,
) -> Response {
    let all = query.as_deref() == Some("state=all");
    let rows: Vec<_> = of(&api, &person)
        .iter()
        .filter(|info| all || info.is_open())
        .map(|info| row(&api, &person, info))
        .collect();
    axum::Json(rows).into_response()
}

pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let person = &caller.person;
    let info = find(&api, person, &id)?;
    caller.may_read(&api, &info)?;
    let answer = match api.parts.desk.show(info.request, &person.name) {
        Ok(shown) => shown_json(row(&api, person, &shown.info), &shown),
        // What was asked died with the held bytes; that it was asked, and how it ended, remains.
        Err(DeskError::Ended(_)) => row(&api, person, &info),
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
        "waits": shown.waits,
        "db_user": shown.db_user,
        "relations": shown.relations,
        "labels": shown.labels,
        "rules": shown.rules,
        "estimate": shown.because.estimate,
        "limit": {
            "rows": shown.limit.rows,
            "bytes": shown.limit.bytes,
            "subjects": shown.limit.subjects,
        },
        "why": shown.because.why,
        "risk": shown.because.risk.iter().map(|(signal, weight)| json!({"signal": signal, "weight": weight})).collect::<Vec<_>>(),
        "history": shown.history,
        "comments": shown.comments,
        "canonical_sha256": shown.canonical_sha256,
        "sql": page_json(&shown.sql),
        "behind": shown.behind.iter().map(page_json).collect::<Vec<_>>(),
        "parameters": parameters,
        "parameters_total": shown.parameters_total,
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
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    more(&api, &caller, &id, query, Part::Sql)
}

pub(crate) async fn more_behind(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let number = number.parse().map_err(|_| Problem::not_found())?;
    more(&api, &caller, &id, query, Part::Behind(number))
}

pub(crate) async fn more_parameter(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let number = number.parse().map_err(|_| Problem::not_found())?;
    more(&api, &caller, &id, query, Part::Parameter(number))
}

fn more(
    api: &Api,
    caller: &Caller,
    id: &str,
    query: Option<String>,
    part: Part,
) -> Result<Response, Problem> {
    let info = find(api, &caller.person, id)?;
    caller.may_read(api, &info)?;
    let offset = query.as_deref().and_then(|query| query.strip_prefix("offset=")?.parse().ok()).unwrap_or(0);
    let page = api.parts.desk.show_more(info.request, &caller.person.name, part, offset)?;
    Ok(axum::Json(page_json(&page)).into_response())
}

pub(crate) async fn verify(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let info = find_open(&api, &caller.person, &id)?;
    let answer: Answer = json_body(&headers, &body)?;
    let end = prove_own(&api, &caller, &info, answer).await?;
    Ok(axum::Json(end_json(&end)).into_response())
}

/// A person verifies themselves for a request of their own.
pub(crate) async fn prove_own(
    api: &Api,
    caller: &Caller,
    info: &RequestInfo,
    answer: Answer,
) -> Result<End, Problem> {
    let progress = hand_in(api, caller, info, answer, (true, true)).await?;
    // One answer always ends a request of one's own.
    progress.ended.ok_or_else(Problem::not_found)
}

/// A person says yes or no to a request of somebody else.
pub(crate) async fn answer(
    api: &Api,
    caller: &Caller,
    info: &RequestInfo,
    answer: Answer,
    approve: bool,
) -> Result<Progress, Problem> {
    hand_in(api, caller, info, answer, (approve, false)).await
}

async fn hand_in(
    api: &Api,
    caller: &Caller,
    info: &RequestInfo,
    answer: Answer,
    (approve, own): (bool, bool),
) -> Result<Progress, Problem> {
    let strength = conditions(api, caller, info)?;
    let handed = async {
        let presented = Given::either(answer.code, answer.proof)?.presented()?;
        let said = answer.reason.as_deref().filter(|_| !own);
        let reason = said.map(Reason::parse).transpose().map_err(VerifyError::from)?.flatten();
        let (request, person, source) = (info.request, caller.person.name.clone(), caller.source());
        let answer = stepgate_store::Answer { request, person, presented, approve, reason, source, own };
        Ok::<_, Problem>(api.parts.desk.answer(answer).await?)
    };
    handed.await.map_err(|problem| {
        let desk = &api.parts.desk;
        let offered = || desk.methods(info.request, &caller.person.name, caller.source()).unwrap_or_default();
        problem.of_strength(strength).offering(offered)
    })
}

/// What the person could answer it by, best first.
pub(crate) async fn methods(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let info = find_open(&api, &caller.person, &id)?;
    let offered = api.parts.desk.methods(info.request, &caller.person.name, caller.source())?;
    Ok(axum::Json(offered).into_response())
}

/// A challenge, bound to this request, to yes or no, and to who asks for it.
pub(crate) async fn challenge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let info = find_open(&api, &caller.person, &id)?;
    let wanted: Wanted = json_body(&headers, &body)?;
    let method = method(&wanted.method)?;
    let (name, source) = (&caller.person.name, caller.source());
    let challenged = api.parts.desk.challenge(info.request, name, method, wanted.approve, source).await?;
    Ok(axum::Json(challenged).into_response())
}

/// What the factor must prove.
fn conditions(api: &Api, caller: &Caller, info: &RequestInfo) -> Result<Strength, Problem> {
    Ok(api.parts.desk.conditions(info.request, &caller.person.name)?.strength)
}

pub(crate) async fn approve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    vote(&api, &caller, &id, &headers, &body, true).await
}

pub(crate) async fn deny(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    vote(&api, &caller, &id, &headers, &body, false).await
}

async fn vote(
    api: &Api,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    body: &Bytes,
    approve: bool,
) -> Result<Response, Problem> {
    let info = find_open(api, &caller.person, id)?;
    let progress = answer(api, caller, &info, json_body(headers, body)?, approve).await?;
    let mut json = match &progress.ended {
        Some(end) => end_json(end),
        None => {
            let none: [(); 0] = [];
            json!({
                "request": info.request,
                "state": info.state,
                "by": null,
                "approvers": none,
                "grant": null,
                "pass": null,
            })
        }
    };
    if let Some(json) = json.as_object_mut() {
        json.insert("approvals".to_owned(), json!(progress.approvals));
        json.insert("needed".to_owned(), json!(progress.needed));
    }
    Ok(axum::Json(json).into_response())
}

pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let info = find_open(&api, &caller.person, &id)?;
    call_off(&api, &caller.person, &info).await?;
    Ok(axum::Json(json!({"request": info.request, "state": Outcome::Cancelled.as_str()})).into_response())
}

/// Who asked does not want it any more.
pub(crate) async fn call_off(api: &Api, person: &Person, info: &RequestInfo) -> Result<(), Problem> {
    if !info.is_of(&person.name) {
        let message = "only who asked can cancel a request";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_yours", message)
            .hint("deny it instead: stepgate request deny REQUEST"));
    }
    Ok(api.parts.desk.cancel_request(info.request, &person.name).await?)
}

/// A late answer is told how the request ended; nothing is executed.
pub(crate) fn find_open(api: &Api, person: &Person, id: &str) -> Result<RequestInfo, Problem> {
    let info = find(api, person, id)?;
    let outcomes =
        [Outcome::Approved, Outcome::Denied, Outcome::Expired, Outcome::Cancelled, Outcome::Withdrawn];
    match outcomes.into_iter().find(|outcome| outcome.as_str() == info.state) {
        Some(outcome) => Err(Problem::ended(outcome)),
        None => Ok(info),
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
