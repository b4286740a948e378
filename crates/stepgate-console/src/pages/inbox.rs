//! What waits for somebody, what they wait for, and what they may do without being asked.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_store::{AccountNews, GrantInfo, RequestInfo};

use super::{Turned, glass, layout, policy, text};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::{grants, requests};

/// Ended requests that are listed.
const PAST: usize = 20;

pub(crate) async fn show(State(api): State<Arc<Api>>, visitor: Visitor) -> Response {
    let caller = visitor.caller();
    let person = &caller.person;
    let all = requests::of(&api, person);
    let (open, ended): (Vec<_>, Vec<_>) = all.iter().rev().partition(|info| info.is_open());
    let (for_me, others): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|info| requests::answers(&api, person, info));
    let own = grants::own(&api, person);
    let main = html! {
        h1 { "Requests" }
        p.quiet #state role="status" aria-live="polite" {}
        @if let Some(over) = api.parts.desk.over_budget().filter(|over| over.people > 0) {
            p.quiet {
                (over.people) " asked more often today than the policy's budget of " (over.budget) " a person has it."
            }
        }
        (happened(&api.parts.desk.account_news(&person.name)))
        p { button.plain #desktop type="button" hidden { "Tell me on this desktop" } }
        div #lists {
            (list("Waiting for you", "Nothing waits for you.", &for_me))
            (besides(&api, caller))
            @if !others.is_empty() { (list("Waiting for others", "", &others)) }
            @if !own.is_empty() { (granted(caller, &own)) }
            @if !ended.is_empty() {
                (list("Ended", "", ended.get(..PAST.min(ended.len())).unwrap_or_default()))
            }
        }
    };
    layout::page("Requests", Some(caller), &main).into_response()
}

/// What somebody else may have done to their account.
fn happened(news: &[AccountNews]) -> Markup {
    html! {
        @if !news.is_empty() {
            section aria-labelledby="happened" {
                h2 #happened {
                    @if news.iter().any(|one| one.is_new) { "Since you were last here" }
                    @else { "Your account in the last days" }
                }
                ul.cards {
                    @for one in news.iter().rev() {
                        li {
                            p { (layout::sentence(one.what)) @if one.is_new { " " span.state { "new" } } }
                            p.quiet { (text::moment(&one.at)) ", record " (one.record) " of the audit log" }
                        }
                    }
                }
                p.help {
                    "If any of it was not you, or not at your request, tell whoever runs the gate. "
                    a href="/enrol" { "Your authenticators" }
                }
            }
        }
    }
}

fn list(title: &str, none: &str, requests: &[&RequestInfo]) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if requests.is_empty() { p.quiet { (none) } }
            ul.cards {
                @for info in requests {
                    li {
                        a href={ "/r/" (info.request) } { (info.request) }
                        " " span.state { (info.state) }
                        p { (info.person) " on " (info.database) }
                        @if let Some(summary) = &info.summary { p.quiet { (text::visible(summary)) } }
                        @if let Some(reason) = &info.reason {
                            p.quiet { @if let Some(by) = &info.ended_by { (by) ": " } (text::visible(reason)) }
                        }
                    }
                }
            }
        }
    }
}

/// What waits for the person besides requests, on pages of its own.
fn besides(api: &Api, caller: &Caller) -> Markup {
    let (desk, name) = (&api.parts.desk, &caller.person.name);
    let policies = desk.policies(name);
    let policies = policies.iter().filter(|it| !policy::has_answered(it, name)).count();
    let glasses = desk.glasses(Some(name));
    let reviews = glasses.iter().filter(|it| glass::is_to_review(it, caller)).count();
    let own = glasses.iter().any(|it| it.person == *name && it.state != "to-review");
    html! {
        @if policies + reviews > 0 || own {
            section {
                h2 { "Waiting for you besides" }
                ul.cards {
                    @if policies > 0 { li { a href="/policies" { "Changed policies to approve" } ": " (policies) } }
                    @if reviews > 0 { li { a href="/break-glass" { "Break-glass to review" } ": " (reviews) } }
                    @if own { li { a href="/break-glass" { "Your own break-glass" } } }
                }
            }
        }
    }
}

fn granted(caller: &Caller, grants: &[GrantInfo]) -> Markup {
    html! {
        section {
            h2 { "Allowed for now" }
            ul.cards {
                @for grant in grants {
                    li {
                        p {
                            (if grant.once { "Once" } else { "Again and again" }) " on " (grant.database) ": "
                            (text::visible(&grant.relations.join(", ")))
                        }
                        p.quiet { "Until " (text::moment(&grant.expires)) }
                        form method="post" action={ "/grants/" (grant.grant) "/revoke" } {
                            (layout::proof(caller))
                            button.plain { "Give back " span.hidden { (grant.grant) } }
                        }
                    }
                }
            }
        }
    }
}

/// Gives a grant back.
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Redirect, Turned> {
    visitor.form(&headers, &body)?;
    grants::give_back(&api, &visitor.caller().person, &id).await?;
    Ok(Redirect::to("/"))
}
