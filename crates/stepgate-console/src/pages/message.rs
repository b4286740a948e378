//! Codes that are sent, by e-mail or SMS, without a script: one form asks for a code, the next takes it. What it is asked
//! for (yes or no, to which request) is settled when it is sent.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use stepgate_approval::{Method, Proof, Reason};
use stepgate_store::{Answer, Challenged, MethodInfo, Presented, RequestInfo, VerifyError};

use super::{Turned, layout, request, text, ways};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::form::Form;
use crate::problem::Problem;
use crate::requests;

/// What they are called to people; of all others, nothing is sent.
const fn by(method: Method) -> Option<&'static str> {
    match method {
        Method::Email => Some("e-mail"),
        Method::Sms => Some("text message"),
        _ => None,
    }
}

/// A form for each method that sends codes and would do, and why the others do not work now: with what is left, somebody
/// goes on.
pub(crate) fn ways(caller: &Caller, info: &RequestInfo, offered: &[MethodInfo], unread: bool) -> Markup {
    let sending = offered.iter().filter_map(|it| Some((it, by(it.method).filter(|_| it.available)?)));
    html! {
        @for (it, name) in sending {
            (layout::form(caller, &format!("/r/{}/send", info.request), &html! {
                input type="hidden" name="method" value=(it.method.as_str());
                p.help { "Or have a code sent to you by " (name) ":" }
                div.buttons {
                    @if info.itself {
                        button.plain name="approve" value="yes" { "Send a code by " (name) }
                    } @else {
                        button.plain name="approve" value="yes" disabled[unread] { "Send a code by " (name) " to approve" }
                        button.plain name="approve" value="no" { "Send a code by " (name) " to deny" }
                    }
                }
            }))
        }
        (ways::out_of_order(offered))
    }
}

/// Sends a code.
pub(crate) async fn send(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let (method, approve) = wanted(&form)?;
    let sent = async {
        let info = requests::find_open(&api, &caller.person, &id)?;
        let (name, source) = (&caller.person.name, caller.source());
        let made = api.parts.desk.challenge(info.request, name, method, approve, source).await?;
        Ok::<_, Problem>((info, made))
    };
    match sent.await {
        Ok((info, made)) => Ok(enter(caller, &info, &made, approve).into_response()),
        Err(problem) => request::after(&api, caller, &id, Err(problem)),
    }
}

fn wanted(form: &Form) -> Result<(Method, bool), Problem> {
    let method = form.get("method").and_then(|word| word.parse().ok()).filter(|method| by(*method).is_some());
    method.zip(yes_or_no(form)).ok_or_else(super::unreadable)
}

/// What a form's buttons say.
pub(super) fn yes_or_no(form: &Form) -> Option<bool> {
    match form.get("approve") {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        _ => None,
    }
}

/// Where it is typed.
fn enter(caller: &Caller, info: &RequestInfo, made: &Challenged, approve: bool) -> impl IntoResponse + use<> {
    let to = made.shown.get("sent_to").and_then(serde_json::Value::as_str).unwrap_or_default();
    let main = html! {
        h1 { "A code was sent" }
        p { "By " (by(made.method).unwrap_or_default()) " to " (text::visible(to)) ", for request " (info.request)
            ". It is good for ten minutes." }
        (layout::form(caller, &format!("/r/{}/sent", info.request), &html! {
            input type="hidden" name="method" value=(made.method.as_str());
            input type="hidden" name="challenge" value=(made.challenge);
            input type="hidden" name="approve" value=(if approve { "yes" } else { "no" });
            @if !info.itself {
                label for="reason" { "Reason" }
                textarea #reason name="reason" rows="2" maxlength="1000" {}
            }
            (layout::code_only("Code that was sent", true))
            button.no[!approve] {
                @if info.itself { "It was me: let it run" } @else if approve { "Approve" } @else { "Deny" }
            }
        }))
        p { a href={ "/r/" (info.request) } { "Back to the request" } }
    };
    layout::page(&format!("Request {}", info.request), Some(caller), &main)
}

/// Takes it.
pub(crate) async fn sent(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let (method, approve) = wanted(&form)?;
    let challenge = form.get("challenge").and_then(|id| id.parse().ok()).ok_or_else(super::unreadable)?;
    let done = async {
        let info = requests::find_open(&api, &caller.person, &id)?;
        let code = form.code().ok_or_else(Problem::proof_needed)?;
        let presented =
            Presented { method: Some(method), challenge: Some(challenge), proof: Proof::Code(code) };
        let reason = form.get("reason").map(Reason::parse).transpose().map_err(VerifyError::from)?.flatten();
        let (request, person, source) = (info.request, caller.person.name.clone(), caller.source());
        let answer = Answer { request, person, presented, approve, reason, source, own: info.itself };
        api.parts.desk.answer(answer).await.map(drop).map_err(Problem::from)
    };
    request::after(&api, caller, &id, done.await)
}
