//! A device is asked to sign, without a script: a form begins it, and the page in answer shows the six digits that are
//! typed there. They are shown here alone, to who has begun it; the device asks the gate for the rest (`docs/DEVICE.md`).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::Value;
use stepgate_approval::Method;
use stepgate_store::{Challenged, MethodInfo, RequestInfo};

use super::{Turned, layout, message, request, text};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::problem::Problem;
use crate::requests;

/// The form that begins it, where the person has a device that would do.
pub(crate) fn way(caller: &Caller, info: &RequestInfo, offered: &[MethodInfo], unread: bool) -> Markup {
    let Some(device) = device(offered) else { return html! {} };
    let fields = html! {
        p.help { "Or answer on your device (" (device) "):" }
        div.buttons {
            @if info.itself {
                button.plain name="approve" value="yes" { "Use your device" }
            } @else {
                button.plain name="approve" value="yes" disabled[unread] { "Use your device to approve" }
                button.plain name="approve" value="no" { "Use your device to deny" }
            }
        }
    };
    layout::form(caller, &format!("/r/{}/push", info.request), &fields)
}

/// What the person calls their devices that would do now, and what keeps those from answering; `None`: they have none.
pub(crate) fn device(offered: &[MethodInfo]) -> Option<String> {
    let device = offered.iter().find(|it| it.method == Method::Push && it.available)?;
    let names: Vec<_> = device.authenticators.iter().map(|it| it.name.as_str()).collect();
    let names = names.join(", ");
    Some(
        device.why.as_ref().map_or_else(|| names.clone(), |why| format!("{names}; {why}, so start it first")),
    )
}

/// Begins it: what is to be signed is bound to this request, to yes or no, and to this person.
pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let approve = message::yes_or_no(&form).ok_or_else(super::unreadable)?;
    let begun = async {
        let info = requests::find_open(&api, &caller.person, &id)?;
        let (name, source) = (&caller.person.name, caller.source());
        let made = api.parts.desk.challenge(info.request, name, Method::Push, approve, source).await?;
        Ok::<_, Problem>((info, made))
    };
    match begun.await {
        Ok((info, made)) => {
            let id = info.request;
            Ok(digits(
                caller,
                &made,
                &told(&info, approve),
                (&format!("/r/{id}"), "To the request, and how it stands"),
            ))
        }
        Err(problem) => request::after(&api, caller, &id, Err(problem)),
    }
}

/// What is typed there, and why. Where scripts run, the page says by itself how the request has ended.
fn told(info: &RequestInfo, approve: bool) -> Markup {
    let what = match (info.itself, approve) {
        (true, _) => "let it run",
        (false, true) => "approve",
        (false, false) => "deny",
    };
    html! {
        p #state role="status" aria-live="polite" data-request=(info.request) data-state=(info.state) { "Open." }
        p { "Read there what request " (info.request) " asks, and type these digits to " strong { (what) } ":" }
    }
}

/// The page with the digits of what was begun, and a link back to that.
pub(crate) fn digits(
    caller: &Caller,
    made: &Challenged,
    what: &Markup,
    (back, words): (&str, &str),
) -> Response {
    let code = made.shown.get("code").and_then(Value::as_str).unwrap_or_default();
    let main = html! {
        h1 { "On your device" }
        (what)
        p { output.digits #digits aria-label="Digits for your device" { (code) } }
        p.help {
            "They are good until " (text::moment(&made.expires)) ", for this alone, on a device of yours, and once. "
            "Nobody will ever ask you for them."
        }
        p { a href=(back) { (words) } }
    };
    layout::page("On your device", Some(caller), &main).into_response()
}
