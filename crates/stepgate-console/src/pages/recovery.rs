//! Recovery codes: a list that is shown once, to who has proven themselves by what they have, to be printed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::Value;
use stepgate_approval::Method;
use stepgate_store::{AuthenticatorInfo, Enrol};

use super::{Turned, layout, passkey};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::form::Form;
use crate::problem::Problem;

/// Where it is.
const AT: &str = "/enrol/recovery";

/// The way there, for who has something that it can be let by.
pub(crate) fn way(own: &[AuthenticatorInfo]) -> Markup {
    html! {
        @if !own.is_empty() {
            h2 { "Recovery codes" }
            p {
                "For the day when all else is lost: ten codes on paper, each good once. "
                a href=(AT) { @if has_list(own) { "Make a new list" } @else { "Make a list" } }
            }
        }
    }
}

fn has_list(own: &[AuthenticatorInfo]) -> bool {
    own.iter().any(|it| it.method == Method::Recovery)
}

/// `GET /enrol/recovery`.
pub(crate) async fn show(State(api): State<Arc<Api>>, visitor: Visitor) -> Response {
    page(&api, visitor.caller(), None)
}

fn page(api: &Api, caller: &Caller, problem: Option<&Problem>) -> Response {
    let own = api.parts.desk.authenticators(&caller.person.name);
    let has_passkey = own.iter().any(|it| it.method == Method::Passkey);
    let fields = html! {
        (layout::code("Code of what you have", false))
        div.buttons {
            button { "Show the codes" }
            @if has_passkey { (passkey::in_form("Show them by a passkey", passkey::OWN)) }
        }
    };
    let main = html! {
        h1 { "Recovery codes" }
        (layout::alert(problem))
        @if own.is_empty() {
            p { "You have no authenticator yet that could let you have some." }
        } @else {
            p {
                "They are shown once, on the next page, and never again: have a printer or a pen at hand, and nobody who "
                "looks over your shoulder."
            }
            @if has_list(&own) { p.alert { "You have a list. With a new one, the codes of the old one are good for nothing." } }
            (layout::form(caller, AT, &fields))
            @if has_passkey { (passkey::script()) }
        }
        p { a href="/enrol" { "To your authenticators" } }
    };
    layout::answer(problem, layout::page("Recovery codes", Some(caller), &main))
}

/// `POST /enrol/recovery`. The page is in answer to a form, and kept nowhere.
pub(crate) async fn make(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    match made(&api, caller, &form).await {
        Ok(shown) => Ok(list(caller, &shown)),
        Err(problem) => Ok(page(&api, caller, Some(&problem))),
    }
}

async fn made(api: &Api, caller: &Caller, form: &Form) -> Result<Value, Problem> {
    let name = &caller.person.name;
    let begun = Enrol::new(name, Method::Recovery, caller.source());
    let enrol = Enrol { presented: Some(super::presented(form)?), ..begun };
    Ok(api.parts.desk.enrol(enrol).await?)
}

fn list(caller: &Caller, shown: &Value) -> Response {
    let codes = shown.get("codes").and_then(Value::as_array).into_iter().flatten();
    let codes: Vec<_> = codes.filter_map(Value::as_str).collect();
    let main = html! {
        h1 { "Your recovery codes" }
        p role="status" {
            "Print this page now, or write them down, and keep them where nobody else looks. Each is good once, in the "
            "place of an authenticator's code. They are not shown again."
        }
        pre.exact translate="no" tabindex="0" role="region" aria-label="Recovery codes" { (codes.join("\n")) }
        p { "Codes of Stepgate for " strong { (caller.person.name) } "; those of an earlier list are good for nothing." }
        p.unprinted { a href="/enrol" { "I have them" } }
    };
    layout::page("Recovery codes", Some(caller), &main).into_response()
}
