//! Removes one's own authenticator, by a fresh proof of one that proves as much.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_approval::{AuthenticatorId, Method};
use stepgate_store::AuthenticatorInfo;

use super::{Turned, layout, passkey};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::problem::Problem;

/// What the field says where the last one is to go.
const LAST: &str = "yes";

/// `GET /enrol/{id}/remove`: what it means, and the form.
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Turned> {
    let caller = visitor.caller();
    let (one, own) = find(&api, caller, &id)?;
    Ok(page(caller, &one, &own, None))
}

/// The person's own of that id, and all that they have. Somebody else's is not there.
fn find(
    api: &Api,
    caller: &Caller,
    id: &str,
) -> Result<(AuthenticatorInfo, Vec<AuthenticatorInfo>), Problem> {
    let own = api.parts.desk.authenticators(&caller.person.name);
    let one = own.iter().find(|it| it.id == id).cloned().ok_or_else(Problem::not_found)?;
    Ok((one, own))
}

fn page(
    caller: &Caller,
    one: &AuthenticatorInfo,
    own: &[AuthenticatorInfo],
    problem: Option<&Problem>,
) -> Response {
    let has_passkey = own.iter().any(|it| it.method == Method::Passkey);
    let fields = html! {
        @if own.len() == 1 { (last()) }
        (layout::code("Code", false))
        div.buttons {
            button.no { "Remove it" }
            @if has_passkey { (passkey::in_form("Remove it by a passkey", passkey::OWN)) }
        }
    };
    let main = html! {
        h1 { "Remove " (one.name) }
        (layout::alert(problem))
        p {
            "It answers nothing any more, and is not to be had back. What you were allowed for now, and what you wait "
            "for, ends with it."
        }
        p { "It takes a fresh proof, of " (one.strength.as_str()) " strength or more: by another that you have, or by this." }
        (layout::form(caller, &format!("/enrol/{}/remove", one.id), &fields))
        @if has_passkey { (passkey::script()) }
        p { a href="/enrol" { "Leave it as it is" } }
    };
    layout::answer(problem, layout::page("Remove an authenticator", Some(caller), &main))
}

fn last() -> Markup {
    html! {
        p.alert #last-help {
            "It is the only one you have. Afterwards nothing proves that it is you, and it takes two other people to "
            "let you enrol again."
        }
        p {
            input #last name="last" type="checkbox" value=(LAST) required aria-describedby="last-help";
            " " label for="last" { "Remove my last authenticator" }
        }
    }
}

/// `POST /enrol/{id}/remove`.
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let (one, own) = find(&api, caller, &id)?;
    let done = async {
        if own.len() == 1 && form.get("last") != Some(LAST) {
            return Err(Problem::new(StatusCode::CONFLICT, "last", "this is your last authenticator"));
        }
        let id: AuthenticatorId = one.id.parse().map_err(|_| Problem::not_found())?;
        let (name, own) = (&caller.person.name, (super::presented(&form)?, caller.source()));
        Ok(api.parts.desk.remove_factor(name, &id, Some(name.clone()), Some(own)).await?)
    };
    match done.await {
        Ok(()) => Ok(Redirect::to("/enrol").into_response()),
        Err(problem) => Ok(page(caller, &one, &own, Some(&problem))),
    }
}
