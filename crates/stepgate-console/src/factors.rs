//! What people verify themselves by: listed, enrolled, removed, and reset for somebody else.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use stepgate_approval::{AuthenticatorId, Method, Purpose};
use stepgate_store::Enrol;
use stepgate_types::PersonName;
use zeroize::Zeroizing;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::presented::{Given, method, unreadable};
use crate::problem::Problem;

/// By which method somebody proves themselves, for changing their own authenticators, or for the reset of another
/// person's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    method: String,
    #[serde(default)]
    reset: Option<PersonName>,
}

/// What is to be enrolled, and what lets it: a proof of one's own, an enrolment code of the operator's, or both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    #[serde(default)]
    name: Option<String>,
    /// What the method must know for it.
    #[serde(default)]
    about: Value,
    #[serde(default)]
    enrolment_code: Option<Zeroizing<String>>,
    #[serde(default)]
    proof: Option<Given>,
    /// In place of the one there is of this method.
    #[serde(default)]
    replace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proven {
    proof: Given,
}

pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(api.parts.desk.authenticators(&caller.person.name)).into_response()
}

/// A challenge for something other than a request.
pub(crate) async fn challenge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wanted: Wanted = json_body(&headers, &body)?;
    let (name, method) = (&caller.person.name, method(&wanted.method)?);
    let purpose = wanted.reset.map_or(Purpose::Manage, Purpose::Reset);
    let challenged = api.parts.desk.challenge_for(name, purpose, method, caller.source()).await?;
    Ok(axum::Json(challenged).into_response())
}

/// Begins; says what the authenticator is to be shown.
pub(crate) async fn enrol(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(word): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let method = named(&word)?;
    let new: New = json_body(&headers, &body)?;
    let name = &caller.person.name;
    let begun = Enrol::new(name, method, caller.source());
    let enrol = Enrol {
        name: new.name,
        about: new.about,
        code: new.enrolment_code,
        presented: new.proof.map(Given::presented).transpose()?,
        replaces: if new.replace { Some(only(&api, name, method)?) } else { None },
        login: Some(caller.login()),
        ..begun
    };
    Ok(axum::Json(api.parts.desk.enrol(enrol).await?).into_response())
}

/// Takes the new one into use, by a proof of it.
pub(crate) async fn confirm(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(word): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let method = named(&word)?;
    let proven: Proven = json_body(&headers, &body)?;
    let (name, login) = (&caller.person.name, Some(caller.login()));
    let id = api.parts.desk.enrol_confirm(name, method, proven.proof.proof()?, login).await?;
    Ok(axum::Json(json!({"authenticator": id.to_string()})).into_response())
}

/// Removes one's own, by a proof of at least its strength.
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let id: AuthenticatorId = id.parse().map_err(|_| Problem::not_found())?;
    let proven: Proven = json_body(&headers, &body)?;
    let (name, own) = (&caller.person.name, (proven.proof.presented()?, caller.source()));
    api.parts.desk.remove_factor(name, &id, Some(name.clone()), Some(own)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Confirms that somebody else's authenticators are removed, all of them, as the operator has asked.
pub(crate) async fn reset(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(target): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let target: PersonName = target.parse().map_err(|_| Problem::not_found())?;
    let proven: Proven = json_body(&headers, &body)?;
    let presented = proven.proof.presented()?;
    let by = &caller.person.name;
    api.parts.desk.confirm_reset(&target, by, presented, caller.source()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A method in an address.
fn named(word: &str) -> Result<Method, Problem> {
    word.parse().map_err(|_| Problem::not_found())
}

/// The one that the person has of this method. Which of several is meant would be a guess.
fn only(api: &Api, name: &PersonName, method: Method) -> Result<AuthenticatorId, Problem> {
    let own = api.parts.desk.authenticators(name);
    let mut own = own.iter().filter(|it| it.method == method);
    let id = own.next().and_then(|one| one.id.parse().ok()).ok_or_else(Problem::not_found)?;
    if own.next().is_some() { Err(unreadable()) } else { Ok(id) }
}
