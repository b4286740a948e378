//! Authenticators: what somebody has, and a new one in its place.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::Value;
use stepgate_approval::{Method, Proof};
use stepgate_store::{AuthenticatorInfo, Enrol};
use zeroize::Zeroizing;

use super::{Turned, layout, oidc, passkey, qr, recovery, text};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::form::Form;
use crate::problem::Problem;

pub(crate) async fn show(State(api): State<Arc<Api>>, visitor: Visitor) -> Response {
    page(&api, visitor.caller(), None)
}

fn page(api: &Api, caller: &Caller, problem: Option<&Problem>) -> Response {
    let own = api.parts.desk.authenticators(&caller.person.name);
    let main = html! {
        h1 { "Authenticators" }
        (layout::alert(problem))
        @if own.is_empty() {
            p { "You have none. A password alone enrols none: ask whoever runs the gate for an enrolment code." }
        } @else {
            ul.cards { @for one in &own { li { (card(one)) } } }
        }
        (passkey::enrolment(caller, &own))
        (app(caller, &own))
        (recovery::way(&own))
    };
    let main = html! {
        (main)
        @if api.parts.oidc.is_some() { (oidc::linking(caller)) }
        (logins(api, caller))
    };
    let page = layout::page("Authenticators", Some(caller), &main);
    layout::answer(problem, page)
}

fn card(one: &AuthenticatorInfo) -> Markup {
    html! {
        strong { (one.name) } " "
        span.quiet {
            (one.method) ", " (one.strength.as_str()) ", since " (text::moment(&one.enrolled))
            @if one.suspended { "; too many wrong codes: ask whoever runs the gate" }
        }
        " " a href={ "/enrol/" (one.id) "/remove" } { "Remove " span.hidden { (one.name) } }
    }
}

/// Enrols an app: by one that there is, or where there is none by the operator's code.
fn app(caller: &Caller, own: &[AuthenticatorInfo]) -> Markup {
    let has = |method| own.iter().any(|it| it.method == method);
    html! {
        h2 { @if has(Method::Totp) { "Another app in its place" } @else { "An authenticator app" } }
        form method="post" action="/enrol/totp" {
            (layout::proof(caller))
            @if own.is_empty() { (passkey::enrolment_code(caller, "enrolment", "Code of whoever runs the gate")) }
            @else { (layout::code("Code of the one you have", false)) }
            div.buttons {
                button { "Go on" }
                @if has(Method::Passkey) { (passkey::in_form("Go on by a passkey", passkey::OWN)) }
            }
        }
    }
}

fn logins(api: &Api, caller: &Caller) -> Markup {
    let count = api.tokens.count(&caller.person.name, api.parts.clock.now());
    html! {
        h2 { "Logins" }
        p { "You are logged in " (count) (if count == 1 { " time" } else { " times" }) ", by browser or command line." }
        form method="post" action="/logout" {
            (layout::proof(caller))
            input type="hidden" name="everywhere" value="1";
            button.no { "Log out everywhere" }
        }
    }
}

/// Shows a fresh secret to who has proven themselves by the one they have, or has a code of the operator's where there
/// is none: a stolen password is not enough for the first, and the desk sees to it.
pub(crate) async fn begin_totp(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    match begin(&api, caller, &form).await {
        Ok(uri) => Ok(confirm(caller, Some(&uri), None)),
        Err(problem) => Ok(page(&api, caller, Some(&problem))),
    }
}

async fn begin(api: &Api, caller: &Caller, form: &Form) -> Result<Zeroizing<String>, Problem> {
    let (desk, name) = (&api.parts.desk, &caller.person.name);
    let own = desk.authenticators(name);
    let replaces = own.iter().find(|it| it.method == Method::Totp).and_then(|it| it.id.parse().ok());
    let code = form.get("enrolment_code").map(str::trim).filter(|code| !code.is_empty());
    let enrol = Enrol {
        replaces,
        code: code.map(|code| Zeroizing::new(code.to_owned())),
        presented: if own.is_empty() { None } else { Some(super::presented(form)?) },
        login: Some(caller.login()),
        ..Enrol::new(name, Method::Totp, caller.source())
    };
    let shown = desk.enrol(enrol).await?;
    let uri = shown.get("otpauth_uri").and_then(Value::as_str).unwrap_or_default();
    Ok(Zeroizing::new(uri.to_owned()))
}

/// The secret is shown once: the page is in answer to a form, and kept nowhere.
fn confirm(caller: &Caller, uri: Option<&str>, problem: Option<&Problem>) -> Response {
    let main = html! {
        h1 { "A new authenticator" }
        (layout::alert(problem))
        @if let Some(uri) = uri { (secret(uri)) }
        form method="post" action="/enrol/totp/confirm" {
            (layout::proof(caller))
            (layout::code_only("Code that the app shows", true))
            button { "Use it from now on" }
        }
    };
    let page = layout::page("A new authenticator", Some(caller), &main);
    layout::answer(problem, page)
}

fn secret(uri: &str) -> Markup {
    html! {
        p { "Scan this with an authenticator app. Whoever sees it can make codes." }
        @if let Some(code) = qr::svg(uri) { (code) }
        details {
            summary { "Or type it in" }
            p { a href=(uri) { "Open in an app on this device" } }
            pre.exact tabindex="0" role="region" aria-label="Address of the secret" { (uri) }
        }
    }
}

/// Takes the new one into use.
pub(crate) async fn confirm_totp(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let proof = Proof::Code(form.code().unwrap_or_default());
    let had = api.parts.desk.authenticators(&caller.person.name).iter().any(|it| it.method == Method::Totp);
    let (name, login) = (&caller.person.name, Some(caller.login()));
    let done = api.parts.desk.enrol_confirm(name, Method::Totp, proof, login).await;
    if let Err(error) = done {
        return Ok(confirm(caller, None, Some(&error.into())));
    }
    let main = html! {
        h1 { "Done" }
        p role="status" {
            "The new authenticator is in use"
            @if had { "; the old one is not any more" }
            "."
        }
        p { a href="/" { "To your requests" } }
    };
    Ok(layout::page("Done", Some(caller), &main).into_response())
}
