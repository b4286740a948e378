//! Break-glass: what was asked for at a terminal is opened here, by a passkey, and looked at afterwards.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_approval::{Method, Reason};
use stepgate_store::{GlassError, GlassInfo, VerifyError};
use stepgate_types::Strength;

use super::ways::{self, Matter};
use super::{Turned, glass_ask, layout, oidc, passkey, push, text};
use crate::api::Api;
use crate::break_glass;
use crate::caller::{Caller, Visitor};
use crate::oidc::Errand;
use crate::problem::Problem;

/// `GET /break-glass`.
pub(crate) async fn show(State(api): State<Arc<Api>>, visitor: Visitor) -> Response {
    page(&api, visitor.caller(), None)
}

/// `GET /break-glass/{id}`: one of them, to be reviewed.
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(glass): Path<String>,
) -> Result<Response, Turned> {
    let glass = break_glass::find(&api, visitor.caller(), break_glass::id(&glass)?)?;
    Ok(one_page(&api, visitor.caller(), &glass, None))
}

fn one_page(api: &Api, caller: &Caller, glass: &GlassInfo, problem: Option<&Problem>) -> Response {
    let main = html! {
        h1 { "Break-glass" }
        (layout::alert(problem))
        (card(caller, glass))
        @if is_to_review(glass, caller) { (reviewing(api, caller, glass)) }
        @if glass.state == "asked" { (passkey::script()) }
        p { a href="/break-glass" { "All of them" } }
    };
    layout::answer(problem, layout::page("Break-glass", Some(caller), &main))
}

/// Whether this person is to look at it.
pub(crate) fn is_to_review(glass: &GlassInfo, caller: &Caller) -> bool {
    glass.state == "to-review" && glass.person != caller.person.name
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
        @for glass in &all {
            (card(caller, glass))
            @if is_to_review(glass, caller) {
                p { a.button href={ "/break-glass/" (glass.grant) } {
                    "Review it" span.hidden { " (" (glass.grant) ")" }
                } }
            }
        }
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
    let action = format!("/break-glass/{}/end", glass.grant);
    layout::form(caller, &action, &html! { button { "End it now" } })
}

fn matter(glass: &GlassInfo) -> Matter {
    let at = format!("/break-glass/{}", glass.grant);
    Matter { api: format!("/api/v1{at}/review"), at, verb: "review", does: "Reviewed" }
}

fn reviewing(api: &Api, caller: &Caller, glass: &GlassInfo) -> Markup {
    let offered = break_glass::offered(api, caller, glass.grant).unwrap_or_default();
    let strength = api.parts.desk.review_strength();
    let comment = html! {
        label for="comment" { "What you found" }
        textarea #comment name="comment" rows="2" maxlength="300" required aria-describedby="comment-help" {}
        p.help #comment-help { "It is recorded. On a device, you say it there." }
    };
    html! {
        section {
            h2 { "Your review" }
            p { "Look at what was done first:" }
            pre { "stepgate audit search --grant " (glass.grant) }
            @if let Some(strength) = strength {
                p.quiet { "It takes a fresh proof of " (strength.as_str()) " strength or more." }
            }
            (ways::form(caller, &matter(glass), &offered, &comment))
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
    match ended.map_err(Problem::from) {
        Ok(()) => Ok(Redirect::to("/break-glass").into_response()),
        Err(problem) => Ok(page(&api, caller, Some(&problem))),
    }
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
    let caller = visitor.caller();
    let glass = break_glass::find(&api, caller, break_glass::id(&glass)?)?;
    let (comment, presented) = (form.get("comment").unwrap_or_default(), super::presented(&form));
    match break_glass::reviewed(&api, caller, glass.grant, comment, presented).await {
        Ok(()) => Ok(Redirect::to("/break-glass").into_response()),
        Err(problem) => Ok(one_page(&api, caller, &glass, Some(&problem))),
    }
}

/// `POST /break-glass/{id}/push`: the digits that are typed into a device.
pub(crate) async fn push(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let glass = break_glass::find(&api, caller, break_glass::id(&glass)?)?;
    match break_glass::challenged(&api, caller, glass.grant, Method::Push).await {
        Ok(made) => {
            let what = html! {
                p {
                    "Your device shows which break-glass it is. Say there what you found, and type these digits, to say "
                    "that you have " strong { "reviewed" } " it:"
                }
            };
            Ok(push::digits(caller, &made, &what, ("/break-glass", "To what waits")))
        }
        Err(problem) => Ok(one_page(&api, caller, &glass, Some(&problem))),
    }
}

/// `POST /break-glass/{id}/oidc`: the way to the identity provider.
pub(crate) async fn oidc(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(glass): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let glass = break_glass::find(&api, caller, break_glass::id(&glass)?)?;
    let begun = async {
        let said = Reason::parse(form.get("comment").unwrap_or_default()).map_err(VerifyError::from)?;
        let comment = said.ok_or(GlassError::ReasonRequired)?;
        Ok::<_, Problem>((break_glass::challenged(&api, caller, glass.grant, Method::Oidc).await?, comment))
    };
    match begun.await {
        Ok((made, comment)) => {
            let strength = api.parts.desk.review_strength().unwrap_or(Strength::DeviceBound);
            let errand = Errand::Review { glass: glass.grant, challenge: made.challenge, comment };
            Ok(oidc::leave(&api, caller, oidc::nonce(&made.shown)?, strength, errand).await?)
        }
        Err(problem) => Ok(one_page(&api, caller, &glass, Some(&problem))),
    }
}
