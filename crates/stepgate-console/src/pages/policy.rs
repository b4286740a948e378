//! Policies that wait for two people: which, who has approved them, and one's own approval of exactly one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_approval::Method;
use stepgate_store::PolicyInfo;
use stepgate_types::PersonName;

use super::ways::{self, Matter};
use super::{Turned, layout, oidc, push, text};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::changes;
use crate::oidc::Errand;
use crate::policies;
use crate::problem::Problem;

/// `GET /policies`.
pub(crate) async fn list(State(api): State<Arc<Api>>, visitor: Visitor) -> Response {
    let caller = visitor.caller();
    let waiting = api.parts.desk.policies(&caller.person.name);
    let main = html! {
        h1 { "Changed policies" }
        @if waiting.is_empty() { p { "No policy waits for your approval." } }
        ul.cards {
            @for policy in &waiting {
                li {
                    a.hash href={ "/policies/" (policy.policy_sha256) } { (policy.policy_sha256) }
                    " " span.state { (so_far(policy)) }
                    (since(policy))
                    @if has_answered(policy, &caller.person.name) { p { "You have approved it." } }
                }
            }
        }
    };
    layout::page("Changed policies", Some(caller), &main).into_response()
}

/// Whether this person's approval counts already.
pub(crate) fn has_answered(policy: &PolicyInfo, person: &PersonName) -> bool {
    policy.approvers.contains(person)
}

fn so_far(policy: &PolicyInfo) -> String {
    format!("{} of {}", policy.approvers.len(), policy.count)
}

fn since(policy: &PolicyInfo) -> Markup {
    html! {
        @if let Some(proposed) = &policy.proposed { p.quiet { "Waits since " (text::moment(proposed)) } }
    }
}

fn matter(policy: &PolicyInfo) -> Matter {
    let at = format!("/policies/{}", policy.policy_sha256);
    Matter { api: format!("/api/v1{at}"), at, verb: "approve", does: "Approve" }
}

/// `GET /policies/{id}`.
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(sha256): Path<String>,
) -> Result<Response, Turned> {
    let policy = policies::find(&api, visitor.caller(), &sha256)?;
    Ok(page(&api, visitor.caller(), &policy, None).await)
}

async fn page(api: &Api, caller: &Caller, policy: &PolicyInfo, problem: Option<&Problem>) -> Response {
    let waits = policy.state == "proposed";
    let change = if waits { Some(shown(api, policy).await) } else { None };
    let can_be_read = !matches!(change, Some(Err(_)));
    let approvers: Vec<_> = policy.approvers.iter().map(PersonName::as_str).collect();
    let main = html! {
        h1 { "A changed policy" }
        (layout::alert(problem))
        dl {
            dt { "SHA-256" } dd.hash { (policy.policy_sha256) }
            @if let Some(proposed) = &policy.proposed {
                dt { "Waits since" } dd { (text::moment(proposed)) }
                dt { "Changed by" } dd { "whoever may edit the gate's files; the gate does not know who" }
            }
            @if waits {
                dt { "Approvals" } dd {
                    (so_far(policy)) @if !approvers.is_empty() { ": " (approvers.join(", ")) }
                }
                dt { "Proof" } dd { (policy.strength.as_str()) " or stronger" }
            }
        }
        @if let Some(change) = change { (what_changes(policy, change)) }
        @if !waits {
            p role="status" { "It is approved. The gate takes it into use within seconds." }
        } @else if has_answered(policy, &caller.person.name) {
            p role="status" { "You have approved it. Somebody else has to as well." }
        } @else if can_be_read {
            (answer(api, caller, policy))
        }
        p { a href="/policies" { "All that wait" } }
    };
    layout::answer(problem, layout::page("A changed policy", Some(caller), &main))
}

/// What is in force, by its hash, and the difference to it, unless that is too long.
async fn shown(api: &Api, policy: &PolicyInfo) -> Result<(String, Option<String>), Problem> {
    Ok(changes::shown(changes::change(api, policy).await?).await)
}

/// What somebody approves: without it, nothing is approved here.
fn what_changes(policy: &PolicyInfo, change: Result<(String, Option<String>), Problem>) -> Markup {
    html! {
        section {
            h2 #change { "What changes" }
            @match change {
                Err(problem) => {
                    p.alert { "It cannot be shown, and so not be approved here: " (problem.message()) "." }
                }
                Ok((replaces, diff)) => {
                    dl { dt { "In force" } dd.hash { (replaces) } }
                    @match diff {
                        Some(diff) if diff.is_empty() => {
                            p { "Nothing: it is what is in force." }
                        }
                        Some(diff) => {
                            (difference(&diff))
                            p.quiet {
                                "- is gone, + is new. Marked is what could hide or reorder text, spelt out; what is not "
                                "shown stays as it is."
                            }
                        }
                        None => {
                            p.alert { "It is too long for this page. Read all of it in a terminal before you approve it:" }
                            pre { "stepgate policy approve " (policy.policy_sha256) " --show" }
                        }
                    }
                }
            }
        }
    }
}

/// Lines that came and went, in words for who does not see colours: the marks at their beginning stay.
fn difference(diff: &str) -> Markup {
    html! {
        pre.exact dir="ltr" translate="no" tabindex="0" role="region" aria-label="What changes" {
            @for line in diff.split_inclusive('\n') {
                @if line.starts_with('+') { ins { (text::visible(line)) } }
                @else if line.starts_with('-') { del { (text::visible(line)) } }
                @else { (text::visible(line)) }
            }
        }
    }
}

fn answer(api: &Api, caller: &Caller, policy: &PolicyInfo) -> Markup {
    let offered = policies::offered(api, caller, &policy.policy_sha256).unwrap_or_default();
    html! {
        section {
            h2 { "Your approval" }
            p {
                "You approve map and policy of exactly this hash as a whole, whatever is in force by then, and nothing that is "
                "changed afterwards. Where you have the files, this prints their hash:"
            }
            pre { "stepgate policy lint" }
            (ways::form(caller, &matter(policy), &offered, &html! {}))
        }
    }
}

/// `POST /policies/{id}/approve`.
pub(crate) async fn approve(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let policy = policies::find(&api, caller, &sha256)?;
    match policies::approved(&api, caller, &policy, super::presented(&form)).await {
        Ok(policy) => Ok(Redirect::to(&matter(&policy).at).into_response()),
        Err(problem) => Ok(page(&api, caller, &policy, Some(&problem)).await),
    }
}

/// `POST /policies/{id}/push`: the digits that are typed into a device.
pub(crate) async fn push(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let policy = policies::find(&api, caller, &sha256)?;
    match policies::challenged(&api, caller, &policy, Method::Push).await {
        Ok(made) => {
            let what = html! {
                p { "Your device shows which policy it is. Type these digits there to " strong { "approve" } " it:" }
            };
            Ok(push::digits(caller, &made, &what, (&matter(&policy).at, "To the policy, and how it stands")))
        }
        Err(problem) => Ok(page(&api, caller, &policy, Some(&problem)).await),
    }
}

/// `POST /policies/{id}/oidc`: the way to the identity provider.
pub(crate) async fn oidc(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(sha256): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let policy = policies::find(&api, caller, &sha256)?;
    match policies::challenged(&api, caller, &policy, Method::Oidc).await {
        Ok(made) => {
            let errand = Errand::Policy { sha256: policy.policy_sha256.clone(), challenge: made.challenge };
            Ok(oidc::leave(&api, caller, oidc::nonce(&made.shown)?, policy.strength, errand).await?)
        }
        Err(problem) => Ok(page(&api, caller, &policy, Some(&problem)).await),
    }
}
