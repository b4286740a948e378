//! Break-glass: what was asked for at a terminal is opened here, by a passkey, and looked at afterwards.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_store::GlassInfo;

use super::{Turned, glass_ask, layout, passkey, text};
use crate::api::Api;
use crate::break_glass::{self, Review};
use crate::caller::{Caller, Visitor};
use crate::presented::Given;
use crate::problem::Problem;

/// `GET /break-glass`.
pub(crate) async fn show(State(api): State<Arc<Api>>, visitor: Visitor) -> Response {
    page(&api, visitor.caller(), None)
}

pub(super) fn page(api: &Api, caller: &Caller, problem: Option<&Problem>) -> Response {
    let all = api.parts.desk.glasses(Some(&caller.person.name));
    let main = html! {
        h1 { "Break-glass" }
        (layout::alert(problem))
        @if all.is_empty() {
            p { "Nothing is open, and nothing waits to be opened or reviewed." }
            p.quiet { "It is asked for at a terminal: stepgate break-glass --as " (caller.person.name) " --reason TEXT" }
        }
        @for glass in &all { (card(caller, glass)) }
        (glass_ask::form(caller))
        @if all.iter().any(|it| it.state == "asked") { (passkey::script()) }
    };
    layout::answer(problem, layout::page("Break-glass", Some(caller), &main))
}

fn card(caller: &Caller, glass: &GlassInfo) -> Markup {
    let own = glass.person == caller.person.name;
    html! {
        section data-glass=(glass.grant) {
            h2 { (glass.person) " " span.state { (glass.state) } }
            p { strong { (glass.reason) } }
            p {
                "Statements of " (glass.person) " pass without being asked about"
                @match &glass.database { Some(name) => { " in " (name) }, None => { " in every database" } }
                ", by " (text::visible(&glass.client)) " from " strong { (glass.network) }
                ", for " (glass.seconds / 60) " minutes at most."
            }
            @if own && glass.state == "asked" && glass.network != caller.address.to_canonical().to_string() {
                p.alert { "That is not where you are now. If you have not asked for it there yourself, leave it alone." }
            }
            @if !glass.lifts.is_empty() { p { "It lifts besides: " (glass.lifts.join(", ")) "." } }
            @if let Some(expires) = &glass.expires {
                p.quiet { (glass.uses) " statements so far. " (text::moment(expires)) " at the latest it is over." }
            }
            @match (glass.state, own) {
                ("asked", true) => (opening(glass)),
                ("open", _) => (ending(caller, glass)),
                ("to-review", false) => (reviewing(caller, glass)),
                ("to-review", true) => { p { "Somebody else has to review it before you can break the glass again." } }
                _ => {}
            }
        }
    }
}

fn opening(glass: &GlassInfo) -> Markup {
    html! {
        p { "Everybody who is notified will hear of it, each statement is recorded, and somebody else reviews it." }
        form {
            button.no type="button" hidden data-passkey="glass" data-glass=(glass.grant) { "Break the glass" }
        }
        p data-no-passkey hidden { "This browser has no passkeys." }
    }
}

fn ending(caller: &Caller, glass: &GlassInfo) -> Markup {
    html! {
        form method="post" action={ "/break-glass/" (glass.grant) "/end" } {
            (layout::proof(caller))
            button { "End it now" }
        }
    }
}

fn reviewing(caller: &Caller, glass: &GlassInfo) -> Markup {
    html! {
        p.quiet { "What was done: stepgate audit search --grant " (glass.grant) }
        form method="post" action={ "/break-glass/" (glass.grant) "/review" } {
            (layout::proof(caller))
            label for={ "comment-" (glass.grant) } { "What you found" }
            input id={ "comment-" (glass.grant) } name="comment" type="text" maxlength="300" required;
            label for={ "code-" (glass.grant) } { "Code of your authenticator app" }
            input id={ "code-" (glass.grant) } name="code" type="text" inputmode="numeric"
                autocomplete="one-time-code" maxlength="10" required;
            button { "I have reviewed it" }
        }
    }
}

/// `POST /break-glass/{id}/end`.
pub(crate) async fn end(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    visitor.form(&headers, &body)?;
    let (caller, glass) = (visitor.caller(), break_glass::id(&glass)?);
    let ended = api.parts.desk.end_glass(glass, caller.person.name.clone()).await;
    Ok(done(&api, caller, ended.map_err(Problem::from)))
}

/// `POST /break-glass/{id}/review`.
pub(crate) async fn review(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let (caller, glass) = (visitor.caller(), break_glass::id(&glass)?);
    let comment = form.get("comment").unwrap_or_default().to_owned();
    let review = Review { comment, proof: Given::code(form.code().unwrap_or_default()) };
    let reviewed = break_glass::reviewed(&api, caller, glass, review).await;
    Ok(done(&api, caller, reviewed))
}

fn done(api: &Api, caller: &Caller, outcome: Result<(), Problem>) -> Response {
    match outcome {
        Ok(()) => Redirect::to("/break-glass").into_response(),
        Err(problem) => page(api, caller, Some(&problem)),
    }
}
