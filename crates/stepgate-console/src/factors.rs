//! One's own authenticators: list, enrol, confirm, remove; and confirming a reset of somebody else's.
//!
//! A login is not enough for any change: each takes an enrolment code or a fresh proof, which the desk checks.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use stepgate_approval::{AuthenticatorId, ChallengeId, Method, Proof, Purpose};
use stepgate_store::{Enrol, EnrolError, Presented};
use stepgate_types::PersonName;
use zeroize::Zeroizing;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::requests::find;

/// What proves who somebody is: a typed code, or what the browser made of a challenge.
#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    /// A typed code.
    #[serde(default)]
    pub(crate) code: Option<Zeroizing<String>>,
    /// `PublicKeyCredential.toJSON()`.
    #[serde(default)]
    pub(crate) passkey: Option<Value>,
    /// The challenge that is answered.
    #[serde(default)]
    pub(crate) challenge: Option<String>,
    /// The method, where a code does not say it.
    #[serde(default)]
    pub(crate) method: Option<String>,
}

impl Given {
    /// A typed code alone.
    pub(crate) fn code(code: Zeroizing<String>) -> Self {
        Self { code: Some(code), ..Self::default() }
    }

    fn proof(&self) -> Option<Proof> {
        let code = self.code.as_ref().map(|code| code.trim()).filter(|code| !code.is_empty());
        let code = code.map(|code| Proof::Code(Zeroizing::new(code.to_owned())));
        code.or_else(|| self.passkey.clone().map(Proof::Passkey))
    }

    /// What the desk is handed.
    pub(crate) fn presented(&self) -> Result<Presented, Problem> {
        let proof = self.proof().ok_or_else(Problem::proof_needed)?;
        let challenge = self.challenge.as_deref().map(str::parse::<ChallengeId>).transpose();
        let challenge = challenge.map_err(|error| Problem::no_challenge(error.to_string()))?;
        let method = self.method.as_deref().map(method).transpose()?;
        Ok(Presented { method, challenge, proof })
    }
}

fn method(text: &str) -> Result<Method, Problem> {
    text.parse().map_err(|error: stepgate_approval::UnknownMethod| Problem::no_method(error.to_string()))
}

/// What somebody may be asked for a challenge by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    method: String,
    #[serde(default = "yes")]
    approve: bool,
}

const fn yes() -> bool {
    true
}

/// `GET /api/v1/requests/{id}/methods`.
pub(crate) async fn methods(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let info = find(&api, &caller.person, &id)?;
    let methods = api.parts.desk.methods(info.request, &caller.person.name, caller.address.into())?;
    Ok(axum::Json(methods).into_response())
}

/// `POST /api/v1/requests/{id}/challenge`.
pub(crate) async fn challenge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let info = find(&api, &caller.person, &id)?;
    let wanted: Wanted = json_body(&headers, &body)?;
    let (desk, name, source) = (&api.parts.desk, &caller.person.name, caller.address.into());
    let method = method(&wanted.method)?;
    let challenged = desk.challenge(info.request, name, method, wanted.approve, source).await?;
    Ok(axum::Json(challenged).into_response())
}

/// `GET /api/v1/factors`.
pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(api.parts.desk.authenticators(&caller.person.name)).into_response()
}

/// For what a challenge is wanted that answers no request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedForOneself {
    method: String,
    /// Whose reset is to be confirmed; else it is for a change of one's own.
    #[serde(default)]
    reset: Option<PersonName>,
}

/// `POST /api/v1/factors/challenge`.
pub(crate) async fn challenge_of_own(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wanted: WantedForOneself = json_body(&headers, &body)?;
    let purpose = wanted.reset.map_or(Purpose::Manage, Purpose::Reset);
    let (desk, name, source) = (&api.parts.desk, &caller.person.name, caller.address.into());
    let challenged = desk.challenge_for(name, purpose, method(&wanted.method)?, source).await?;
    Ok(axum::Json(challenged).into_response())
}

/// What is to be enrolled, and what lets it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    method: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    about: Value,
    #[serde(default)]
    enrolment_code: Option<Zeroizing<String>>,
    #[serde(default)]
    proof: Given,
    /// Which of one's own it takes the place of.
    #[serde(default)]
    replaces: Option<String>,
}

/// `POST /api/v1/factors/new`: begins.
pub(crate) async fn enrol(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let new: New = json_body(&headers, &body)?;
    let replaces = new.replaces.as_deref().map(id).transpose()?;
    let presented = new.proof.proof().is_some().then(|| new.proof.presented()).transpose()?;
    let enrol = Enrol {
        name: new.name,
        about: new.about,
        replaces,
        code: new.enrolment_code,
        presented,
        ..Enrol::new(&caller.person.name, method(&new.method)?, caller.address.into())
    };
    let shown = api.parts.desk.enrol(enrol).await?;
    Ok(axum::Json(json!({"shown": shown})).into_response())
}

/// A proof of what is being enrolled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmed {
    method: String,
    proof: Given,
}

/// `POST /api/v1/factors/confirm`.
pub(crate) async fn confirm(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let confirmed: Confirmed = json_body(&headers, &body)?;
    let proof = confirmed.proof.proof().ok_or_else(Problem::proof_needed)?;
    let method = method(&confirmed.method)?;
    let id = api.parts.desk.enrol_confirm(&caller.person.name, method, proof).await?;
    Ok(axum::Json(json!({"id": id.to_string()})).into_response())
}

/// Which authenticator is to go, and a proof by one of at least its strength.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removed {
    id: String,
    #[serde(default)]
    proof: Given,
}

fn id(text: &str) -> Result<AuthenticatorId, Problem> {
    text.parse().map_err(|_| EnrolError::NoFactor.into())
}

/// `POST /api/v1/factors/remove`.
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let removed: Removed = json_body(&headers, &body)?;
    let (name, presented) = (&caller.person.name, removed.proof.presented()?);
    let own = Some((presented, caller.address.into()));
    api.parts.desk.remove_factor(name, &id(&removed.id)?, Some(name.clone()), own).await?;
    Ok(axum::Json(json!({"id": removed.id})).into_response())
}

/// Whose factors are to be reset, and a proof of who confirms it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    person: PersonName,
    #[serde(default)]
    proof: Given,
}

/// `POST /api/v1/factors/reset`.
pub(crate) async fn reset(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let reset: Reset = json_body(&headers, &body)?;
    let (desk, name) = (&api.parts.desk, &caller.person.name);
    desk.confirm_reset(&reset.person, name, reset.proof.presented()?, caller.address.into()).await?;
    Ok(axum::Json(json!({"person": reset.person})).into_response())
}
