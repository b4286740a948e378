//! By way of the identity provider: there, and back with its word.
//!
//! Nobody is redirected there (a page whose forms may lead anywhere could be made to send them anywhere): they follow a
//! link. Back from there, they come by another site's page, and so first without their cookie; nothing is done until
//! they say so on a page of ours.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::Value;
use stepgate_approval::{ChallengeId, Channel as _, Method, Reason};
use stepgate_store::{
    Answer, Challenged, Conditions, Enrol, MethodInfo, Presented, RequestInfo, VerifyError,
};
use stepgate_types::{RequestId, Strength};
use zeroize::Zeroizing;

use super::{Turned, layout, provider, request};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::form::Form;
use crate::oidc::{Authenticated, Errand, Oidc, OidcError};
use crate::origin;
use crate::problem::Problem;
use crate::{break_glass, policies, requests};

/// Whether one of these is the provider, and works.
pub(crate) fn is_offered(methods: &[MethodInfo]) -> bool {
    methods.iter().any(|it| it.method == Method::Oidc && it.available)
}

/// A form that answers a request by another login at the provider: of one's own with yes, else with either.
pub(crate) fn answers(caller: &Caller, info: &RequestInfo, conditions: &Conditions) -> Markup {
    let (id, own) = (info.request, info.itself);
    let (unread, reason_required) = (conditions.unread.is_some(), conditions.reason_required);
    html! {
        (layout::form(caller, &format!("/r/{id}/oidc"), &html! {
            @if own {
                button.plain name="verb" value="verify" { "Log in again at the identity provider" }
            } @else {
                label for="oidc-reason" { "Reason" @if !reason_required { " (if you like)" } }
                textarea #oidc-reason name="reason" rows="2" maxlength="1000" required[reason_required] {}
                p.help { "You log in again at the identity provider, and answer then." }
                div.buttons {
                    button name="verb" value="approve" disabled[unread] { "Log in again to approve" }
                    button.no name="verb" value="deny" { "Log in again to deny" }
                }
            }
        }))
    }
}

/// A form that links the account there, by what the person has or by a code of the operator's.
pub(crate) fn linking(caller: &Caller) -> Markup {
    html! {
        section {
            h2 { "Your account at the identity provider" }
            p { "Once it is linked, another login there verifies you." }
            form method="post" action="/enrol/oidc" {
                (layout::proof(caller))
                label for="oidc-code" { "Code of your authenticator app, if you have one" }
                input #oidc-code name="code" type="text" inputmode="numeric" autocomplete="one-time-code" maxlength="8";
                label for="oidc-enrolment" { "Enrolment code, if you were given one" }
                input #oidc-enrolment name="enrolment_code" type="text" autocomplete="off" maxlength="40";
                button.plain { "Go on to the identity provider" }
            }
        }
    }
}

/// Begins an answer.
pub(crate) async fn begin_answer(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let info = requests::find_open(&api, &caller.person, &id)?;
    let (approve, own) = match form.get("verb") {
        Some("verify") => (true, true),
        Some("approve") => (true, false),
        Some("deny") => (false, false),
        _ => {
            return Err(
                Problem::new(StatusCode::BAD_REQUEST, "bad_request", "this form cannot be read").into()
            );
        }
    };
    match set_out(&api, caller, info.request, &form, (approve, own)).await {
        Ok(page) => Ok(page),
        // With what the person has besides, at once.
        Err(problem) => request::after(&api, caller, &id, Err(instead(&api, caller, info.request, problem))),
    }
}

async fn set_out(
    api: &Arc<Api>,
    caller: &Caller,
    request: RequestId,
    form: &Form,
    (approve, own): (bool, bool),
) -> Result<Response, Problem> {
    let name = &caller.person.name;
    let challenged = api.parts.desk.challenge(request, name, Method::Oidc, approve, caller.source()).await;
    let Challenged { challenge, shown, .. } = challenged?;
    let reason = form.get("reason").map(Reason::parse).transpose().map_err(VerifyError::from)?.flatten();
    let strength = api.parts.desk.conditions(request, name)?.strength;
    let errand = Errand::Answer { request, challenge, approve, reason, own };
    leave(api, caller, nonce(&shown)?, strength, errand).await
}

/// Where the provider does not work, which of the person's other methods proves as much.
fn instead(api: &Api, caller: &Caller, request: RequestId, problem: Problem) -> Problem {
    let Some(why) = api.parts.oidc.as_ref().and_then(|oidc| oidc.health().err()) else { return problem };
    let offered = api.parts.desk.methods(request, &caller.person.name, caller.source()).unwrap_or_default();
    let other = offered.iter().find(|it| it.available && it.method != Method::Oidc);
    VerifyError::Unavailable { method: Method::Oidc, why, instead: other.map(|it| it.method) }.into()
}

/// Begins to link an account.
pub(crate) async fn begin_link(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let typed = |name: &str| form.get(name).map(|text| text.replace(' ', "")).filter(|text| !text.is_empty());
    let enrol = Enrol {
        code: typed("enrolment_code").map(Zeroizing::new),
        presented: typed("code").map(|code| Presented::code(&code)),
        login: Some(caller.login()),
        ..Enrol::new(&caller.person.name, Method::Oidc, caller.source())
    };
    let shown = api.parts.desk.enrol(enrol).await.map_err(Problem::from)?;
    Ok(leave(&api, caller, nonce(&shown)?, Strength::Weak, Errand::Link).await?)
}

/// The page with the link there.
pub(super) async fn leave(
    api: &Arc<Api>,
    caller: &Caller,
    nonce: [u8; 32],
    strength: Strength,
    errand: Errand,
) -> Result<Response, Problem> {
    let (name, session) = (caller.person.name.clone(), caller.proof());
    let begun = called(api, move |oidc| oidc.begin(Some(&name), &session, &nonce, strength, errand)).await?;
    let main = html! {
        h1 { "To the identity provider" }
        p { "Log in there, even if you are logged in already. You come back here afterwards." }
        p { a.button href=(begun.url) rel="noreferrer" { "Go on" } }
    };
    Ok(layout::page("To the identity provider", Some(caller), &main).into_response())
}

/// Back from there. Nothing has been done yet.
pub(crate) async fn back(
    State(api): State<Arc<Api>>,
    visitor: Result<Visitor, Turned>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let given = Form::parse(query.unwrap_or_default().as_bytes()).ok_or_else(super::unreadable)?;
    if provider::is_way_in(&api, &given) {
        // The cookie of who has begun it comes with a page of ours alone.
        let elsewhere = origin::from_another_site(&headers);
        return if elsewhere { Err(Turned::Again) } else { Ok(provider::back(&api, &headers, &given)) };
    }
    let visitor = visitor?;
    let get = |name: &str| given.get(name).unwrap_or_default().to_owned();
    let main = html! {
        h1 { "Back from the identity provider" }
        form method="post" action="/oidc/finish" {
            (layout::proof(visitor.caller()))
            @for name in ["state", "code", "iss"] { input type="hidden" name=(name) value=(get(name)); }
            button autofocus { "Go on" }
        }
    };
    Ok(layout::page("Back from the identity provider", Some(visitor.caller()), &main).into_response())
}

/// Does what they had set out for.
pub(crate) async fn finish(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let get = |name: &str| form.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (state, code, iss) = (get("state").unwrap_or_default(), get("code"), get("iss"));
    let (name, session) = (caller.person.name.clone(), caller.proof());
    // Before it is used up: whatever becomes of it, the person comes back to the request.
    let about = api.parts.oidc.as_ref().and_then(|oidc| oidc.about(&name, &session, &state));
    let finish =
        move |oidc: &Oidc| oidc.finish(Some(&name), &session, &state, code.as_deref(), iss.as_deref());
    let finished = match (called(&api, finish).await, about) {
        (Ok(finished), _) => finished,
        (Err(problem), Some(request)) => {
            let problem = instead(&api, caller, request, problem);
            return request::after(&api, caller, &request.to_string(), Err(problem));
        }
        (Err(problem), None) => return Err(problem.into()),
    };
    match finished {
        (who, Errand::Answer { request, challenge, approve, reason, own }) => {
            let presented = answering(&who, challenge);
            let (person, source) = (caller.person.name.clone(), caller.source());
            let answer = Answer { request, person, presented, approve, reason, source, own };
            let answered = api.parts.desk.answer(answer).await.map(drop).map_err(Problem::from);
            request::after(&api, caller, &request.to_string(), answered)
        }
        (who, Errand::Policy { sha256, challenge }) => {
            let policy = policies::find(&api, caller, &sha256)?;
            let policy = policies::approved(&api, caller, &policy, Ok(answering(&who, challenge))).await?;
            Ok(Redirect::to(&format!("/policies/{}", policy.policy_sha256)).into_response())
        }
        (who, Errand::Review { glass, challenge, comment }) => {
            let presented = Ok(answering(&who, challenge));
            break_glass::reviewed(&api, caller, glass, comment.text(), presented).await?;
            Ok(Redirect::to("/break-glass").into_response())
        }
        (who, Errand::Link) => link(&api, caller, &who).await,
        // Those are finished by who is not known yet.
        (_, Errand::Login { .. } | Errand::Program(_)) => Err(origin::other_site().into()),
    }
}

/// The login there as the answer to a challenge.
fn answering(who: &Authenticated, challenge: ChallengeId) -> Presented {
    Presented { method: Some(Method::Oidc), challenge: Some(challenge), proof: who.proof() }
}

async fn link(api: &Api, caller: &Caller, who: &Authenticated) -> Result<Response, Turned> {
    let (name, login) = (&caller.person.name, Some(caller.login()));
    let done = api.parts.desk.enrol_confirm(name, Method::Oidc, who.proof(), login).await;
    done.map_err(Problem::from)?;
    Ok(Redirect::to("/enrol").into_response())
}

/// Asks the provider, off the threads that serve others, and no more at once than a few.
pub(crate) async fn called<T: Send + 'static>(
    api: &Arc<Api>,
    call: impl FnOnce(&Oidc) -> Result<T, OidcError> + Send + 'static,
) -> Result<T, Problem> {
    let Some(oidc) = api.parts.oidc.clone() else { return Err(Problem::not_found()) };
    let slot = Arc::clone(&api.provider_calls).try_acquire_owned();
    let slot = slot.map_err(|_| Problem::throttled("busy", "too many log in there at once".to_owned(), 5))?;
    let called = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        call(&oidc)
    });
    Ok(called.await.map_err(|_| Problem::gate_trouble())??)
}

impl From<OidcError> for Problem {
    fn from(error: OidcError) -> Self {
        let message = error.to_string();
        match error {
            OidcError::Provider(_) | OidcError::Configuration(_) => {
                Self::new(StatusCode::BAD_GATEWAY, "provider", message)
                    .hint("use another method, or try again later")
            }
            OidcError::NoEntropy => Self::gate_trouble(),
            OidcError::NoDevices(_) => Self::new(StatusCode::NOT_FOUND, "no_devices", message)
                .hint("log in where there is a browser: stepgate login --oidc"),
            OidcError::UnknownState | OidcError::Refused | OidcError::Token(_) => {
                Self::new(StatusCode::FORBIDDEN, "provider_refused", message)
            }
        }
    }
}

/// What the token will have to repeat.
pub(super) fn nonce(shown: &Value) -> Result<[u8; 32], Problem> {
    let text = shown.get("nonce").and_then(Value::as_str).unwrap_or_default();
    let mut nonce = [0; 32];
    if text.len() != 64 {
        return Err(Problem::gate_trouble());
    }
    for (byte, at) in nonce.iter_mut().zip((0..).step_by(2)) {
        let digits = text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        *byte = digits.ok_or_else(Problem::gate_trouble)?;
    }
    Ok(nonce)
}
