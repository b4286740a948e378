//! Authenticators: what somebody has, and a new one in its place.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::Value;
use stepgate_approval::Method;
use stepgate_store::Enrol;
use zeroize::Zeroizing;

use super::{Turned, layout, qr, text};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::problem::Problem;

pub(crate) async fn show(State(api): State<Arc<Api>>, visitor: Visitor) -> Response {
    page(&api, visitor.caller(), None)
}

fn page(api: &Api, caller: &Caller, problem: Option<&Problem>) -> Response {
    let factors = api.parts.people.factors().list(&caller.person.name);
    let main = html! {
        h1 { "Authenticators" }
        (layout::alert(problem))
        @if factors.is_empty() {
            p { "You have none. A password alone enrols none: ask whoever runs the gate for an enrolment code." }
            form method="post" action="/enrol/totp" {
                (layout::proof(caller))
                label for="enrolment-code" { "Enrolment code" }
                input #enrolment-code name="enrolment_code" type="text" autocomplete="off" autocapitalize="characters"
                    spellcheck="false" maxlength="40" required;
                button { "Go on" }
            }
        } @else {
            ul.cards {
                @for factor in &factors { li { (factor.name) " (" (factor.method().as_str()) ") since " (text::moment(&factor.enrolled.to_string())) } }
            }
            h2 { "Another app in its place" }
            form method="post" action="/enrol/totp" {
                (layout::proof(caller))
                (layout::code("Code of the one you have", false))
                button { "Go on" }
            }
        }
    };
    let main = html! { (main) (logins(api, caller)) };
    let page = layout::page("Authenticators", Some(caller), &main);
    layout::answer(problem, page)
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

/// Shows a fresh secret to who has proven themselves by the one they have.
pub(crate) async fn begin_totp(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let name = &caller.person.name;
    if let Some(code) = form.get("enrolment_code").filter(|code| !code.is_empty()) {
        let code = Some(Zeroizing::new(code.to_owned()));
        let enrol = Enrol { code, ..Enrol::new(name, Method::Totp, caller.address.into()) };
        return Ok(match api.parts.desk.enrol(enrol).await {
            Ok(shown) => confirm(caller, shown.get("otpauth_uri").and_then(Value::as_str), None),
            Err(error) => page(&api, caller, Some(&error.into())),
        });
    }
    // A stolen password is not enough for the first: the desk asks for a proof where there is one to ask for.
    if api.parts.people.factors().list(name).is_empty() {
        return Ok(page(&api, caller, Some(&Problem::proof_needed())));
    }
    let code = form.get("code").unwrap_or_default().replace(' ', "");
    match api.parts.desk.enroll_begin(name, Some(&code), caller.address).await {
        Ok(uri) => Ok(confirm(caller, Some(&uri), None)),
        Err(error) => Ok(page(&api, caller, Some(&error.into()))),
    }
}

/// The secret is shown once: the page is in answer to a form, and kept nowhere.
fn confirm(caller: &Caller, uri: Option<&str>, problem: Option<&Problem>) -> Response {
    let main = html! {
        h1 { "A new authenticator" }
        (layout::alert(problem))
        @if let Some(uri) = uri { (secret(uri)) }
        form method="post" action="/enrol/totp/confirm" {
            (layout::proof(caller))
            (layout::code("Code that the app shows", true))
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
    let code = form.get("code").unwrap_or_default().replace(' ', "");
    let done = api.parts.desk.enroll_confirm(&caller.person.name, &code, caller.address).await;
    if let Err(error) = done {
        return Ok(confirm(caller, None, Some(&error.into())));
    }
    let main = html! {
        h1 { "Done" }
        p role="status" { "The new authenticator is in use; one that it took the place of is not any more." }
        p { a href="/" { "To your requests" } }
    };
    Ok(layout::page("Done", Some(caller), &main).into_response())
}
