//! One request: exactly what is asked, and the answer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_approval::Page;
use stepgate_store::{Conditions, DeskError, History, Part, RequestInfo, Shown, ShownParameter};
use stepgate_types::RequestId;

use super::{Turned, layout, login, message, oidc, passkey, push, text, ways};
use crate::api::Api;
use crate::asks;
use crate::caller::{Caller, Visitor};
use crate::problem::Problem;
use crate::requests::{self, Answer};

/// The page behind the link of a notice. To nobody in particular it is the same for every id.
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    visitor: Result<Visitor, Turned>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visitor = match visitor {
        Ok(visitor) => visitor,
        Err(Turned::LoginFirst) => return Ok(stranger(&api, &id)),
        Err(turned) => return Err(turned),
    };
    let info = requests::find(&api, &visitor.caller().person, &id)?;
    let part = query.as_deref().and_then(part);
    Ok(page(&api, visitor.caller(), &info, part, None)?)
}

/// Only an id in its canonical form is repeated, never what was in the address.
fn stranger(api: &Api, id: &str) -> Response {
    let id = id.parse::<RequestId>().ok();
    let shown = id.map_or_else(|| "REQUEST".to_owned(), |id| id.to_string());
    let main = html! {
        h1 { "A statement may be waiting for you" }
        p { "This page says nothing of what is asked, and can approve nothing. Log in to see it:" }
        (login::form(api, None, "", id))
        h2 { "Or in a terminal" }
        p { "If you sent the statement yourself:" }
        pre { "stepgate verify " (shown) }
        p { "If somebody else sent it, read it first:" }
        pre {
            "stepgate request show " (shown) "\nstepgate request approve " (shown)
            "\nstepgate request deny " (shown) " --reason \"…\""
        }
        p {
            "If you did not expect this, somebody may be using your account: deny it and tell whoever runs the gate."
        }
    };
    layout::page("Log in", None, &main).into_response()
}

/// `part=sql&offset=N`, `part=behind3&offset=N` for a text behind it, or `part=3&offset=N` for a value.
fn part(query: &str) -> Option<(Part, usize)> {
    let (part, offset) = query.strip_prefix("part=")?.split_once("&offset=")?;
    let part = match part.strip_prefix("behind") {
        _ if part == "sql" => Part::Sql,
        Some(number) => Part::Behind(number.parse().ok()?),
        None => Part::Parameter(part.parse().ok()?),
    };
    Some((part, offset.parse().ok()?))
}

fn address(id: RequestId, (part, offset): (Part, usize)) -> String {
    let part = match part {
        Part::Sql => "sql".to_owned(),
        Part::Behind(number) => format!("behind{number}"),
        Part::Parameter(number) => number.to_string(),
    };
    format!("/r/{id}?part={part}&offset={offset}")
}

/// `problem` is what went wrong, and the reason that was typed: that is not to be typed again.
fn page(
    api: &Api,
    caller: &Caller,
    info: &RequestInfo,
    part: Option<(Part, usize)>,
    problem: Option<(&Problem, &str)>,
) -> Result<Response, Problem> {
    caller.may_read(api, info)?;
    let (problem, said) = problem.unzip();
    let (desk, name, id) = (&api.parts.desk, &caller.person.name, info.request);
    let title = format!("Request {id}");
    let looked = match part {
        None => desk.show(id, name).map(|shown| statement(&shown)),
        Some((part, offset)) => desk.show_more(id, name, part, offset).map(|page| one_part(part, &page)),
    };
    // After what was just shown: that counts as read.
    let looked = looked.and_then(|shown| Ok((shown, desk.conditions(id, name)?)));
    let main = match looked {
        Ok((shown, conditions)) => {
            let now = api.parts.clock.now();
            html! {
                (heading(caller, info))
                (layout::alert(problem))
                p.summary { (text::visible(info.summary.as_deref().unwrap_or_default())) }
                p #state role="status" aria-live="polite" data-request=(id) data-state=(info.state)
                    data-comments=(info.comment_count) data-groups=(groups(info)) {
                    "Open; lapses " (text::left(conditions.expires, now)) "."
                }
                p { a href="#answer" { "To the answer" } }
                (shown)
                (terms(info, &conditions))
                (reading(id, &conditions))
                (answers(api, caller, (info, &conditions), said.unwrap_or_default()))
                (talk(caller, id))
            }
        }
        // What was asked died with the held bytes; that it was asked, and how it ended, remains.
        Err(DeskError::Ended(_)) => ended(caller, info, problem),
        Err(error) => return Err(error.into()),
    };
    let page = layout::page(&title, Some(caller), &main);
    Ok(layout::answer(problem, page))
}

fn heading(caller: &Caller, info: &RequestInfo) -> Markup {
    html! {
        h1 {
            @if info.person == caller.person.name { "Your statement on " }
            @else if info.is_of(&caller.person.name) { "What " (info.person) " is to do on " }
            @else { (info.person) " asks on " }
            (info.database)
        }
    }
}

/// All that the desk shows at once.
fn statement(shown: &Shown) -> Markup {
    html! {
        section {
            h2 #statement { "Statement" }
            (exact("Statement", &shown.sql))
            @if !shown.behind.is_empty() {
                h2 #behind { "What it runs by name" }
                @for text in &shown.behind { (exact("What it runs by name", text)) }
            }
            p.quiet { "Marked is what could hide or reorder text, spelt out." }
            @if shown.parameters_total > 0 {
                h2 #values { "Values" }
                ol.values {
                    @for parameter in &shown.parameters { li { (value(parameter)) } }
                }
                @if shown.parameters.len() < shown.parameters_total {
                    p { "And " (shown.parameters_total - shown.parameters.len()) " more." }
                }
            }
        }
        section {
            h2 #from { "From" }
            dl {
                dt { "Person" } dd {
                    (shown.info.person)
                    @if let Some(by) = &shown.info.opened_by { ", asked for by " (by) }
                }
                @if let Some(until) = &shown.info.until { dt { "Until" } dd { (text::moment(until)) } }
                dt { "Database" } dd { (shown.info.database) " as " (text::visible(&shown.db_user)) }
                dt { "Client" } dd { (text::visible(&shown.client)) " at " (shown.address) }
                @if !shown.waits.is_empty() {
                    dt { "Waiting" } dd {
                        @for (at, place) in shown.waits.iter().enumerate() {
                            @if at > 0 { ", " }
                            (place.sessions) @if place.sessions == 1 { " session" } @else { " sessions" }
                            " of " (text::visible(&place.client)) " at " (place.address)
                        }
                    }
                }
                dt { "Labels" } dd { (text::visible(&listed(&shown.labels))) }
                dt { "Tables" } dd { (text::visible(&listed(&shown.relations))) }
                dt { "Rules" } dd { (text::visible(&listed(&shown.rules))) }
                dt { "Rows" } dd {
                    @match shown.because.estimate {
                        Some(rows) => { "up to about " (rows) },
                        None => "nobody can tell how many",
                    }
                }
                @if !shown.because.why.is_empty() {
                    dt { "Because" } dd { (text::visible(&shown.because.why.join("; "))) }
                }
                @if !shown.because.risk.is_empty() {
                    dt { "Risk" } dd {
                        @for (at, (signal, weight)) in shown.because.risk.iter().enumerate() {
                            @if at > 0 { ", " } (text::visible(signal)) " +" (weight)
                        }
                    }
                }
                dt { "Earlier" } dd { (earlier(shown.history)) }
                dt { "SHA-256" } dd.hash { (shown.canonical_sha256) }
            }
        }
        @if !shown.comments.is_empty() {
            section {
                h2 { "What was said" }
                ul.cards {
                    @for comment in &shown.comments {
                        li {
                            p.quiet { (comment.person) ", " (text::moment(&comment.at)) }
                            p.said dir="ltr" { (text::visible(&comment.text)) }
                        }
                    }
                }
            }
        }
    }
}

/// What became of their earlier requests.
fn earlier(history: History) -> String {
    let History { days, approved, denied, expired, withdrawn, similar, similar_approved } = history;
    format!(
        "in {days} days {approved} approved, {denied} denied, {expired} not answered, {withdrawn} called off; \
         of {similar} like this, {similar_approved} approved"
    )
}

fn listed(all: &[String]) -> String {
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn value(parameter: &ShownParameter) -> Markup {
    let format = if parameter.format == 0 { "" } else { ", binary" };
    html! {
        @match &parameter.value {
            None => em { "NULL" },
            Some(page) => (exact("Value", page)),
        }
        span.quiet { " type " (parameter.type_oid) (format) }
    }
}

/// The part of a long statement that begins at some byte.
fn one_part(part: Part, page: &Page) -> Markup {
    let name = match part {
        Part::Sql => "Statement".to_owned(),
        Part::Behind(number) => format!("Behind it, {}", number + 1),
        Part::Parameter(number) => format!("Value {}", number + 1),
    };
    html! { section { h2 #part { (name) } (exact(&name, page)) } }
}

/// Text that keeps its lines and is read from left to right, whatever it holds.
fn exact(name: &str, page: &Page) -> Markup {
    html! {
        @if page.truncated() {
            p.quiet {
                "Bytes " (page.offset) " to " (page.next.unwrap_or(page.total)) " of " (page.total) "."
            }
        }
        pre.exact dir="ltr" translate="no" tabindex="0" role="region" aria-label=(name) {
            (text::visible(&page.text))
        }
    }
}

fn terms(info: &RequestInfo, conditions: &Conditions) -> Markup {
    html! {
        section {
            h2 #terms { "If it is approved" }
            dl {
                dt { "Delivers" } dd { (text::limit(conditions.limit)) }
                dt { "Kind" } dd { (conditions.kinds.join(", ")) " (" (conditions.uses.join(", ")) ")" }
                @if let Some(time) = conditions.remember {
                    dt { "Remembered" } dd { "for " (text::span(time)) ", for the same tables and client" }
                }
                dt { "Approvals" } dd { (info.approvers.len()) " of " (info.count) " so far" }
                dt { "Proof" } dd { (conditions.strength.as_str()) " or stronger" }
            }
        }
    }
}

/// What is still to be read before anybody can say yes.
fn reading(id: RequestId, conditions: &Conditions) -> Markup {
    html! {
        @if let Some(next) = conditions.unread {
            p.alert #unread { "You have not seen all of it yet, so it cannot be approved. "
                a.button href=(address(id, next)) { "Show the next part" }
            }
        }
    }
}

fn answers(
    api: &Api,
    caller: &Caller,
    (info, conditions): (&RequestInfo, &Conditions),
    said: &str,
) -> Markup {
    let id = info.request;
    html! {
        section {
            h2 #answer tabindex="-1" { "Your answer" }
            @if requests::answers(api, &caller.person, info) {
                @let offered = api.parts.desk.methods(id, &caller.person.name, caller.source()).unwrap_or_default();
                @let by_passkey = passkey::is_offered(&offered);
                (ways::lacking(&offered))
                @if info.itself { (verification(caller, id, by_passkey)) }
                @else { (vote(caller, (id, said), conditions, by_passkey)) }
                @if by_passkey { (passkey::script()) }
                (push::way(caller, info, &offered, conditions.unread.is_some()))
                (message::ways(caller, info, &offered, conditions.unread.is_some()))
                @if oidc::is_offered(&offered) { (oidc::answers(caller, info, conditions)) }
            } @else { p { "Others answer this request." } }
            @if info.is_of(&caller.person.name) { (ways_out(caller, id)) }
        }
    }
}

/// As the script compares them: who may answer changes once nobody has for long.
fn groups(info: &RequestInfo) -> String {
    info.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn verification(caller: &Caller, id: RequestId, by_passkey: bool) -> Markup {
    html! {
        (layout::form(caller, &format!("/r/{id}/verify"), &html! {
            (layout::code("Code", false))
            button { "It was me: let it run" }
            @if by_passkey { " " (passkey::button("verify", "It was me: use a passkey", false)) }
        }))
    }
}

fn vote(caller: &Caller, (id, said): (RequestId, &str), conditions: &Conditions, by_passkey: bool) -> Markup {
    let unread = conditions.unread.is_some();
    html! {
        (layout::form(caller, &format!("/r/{id}/approve"), &html! {
            label for="reason" { "Reason" @if !conditions.reason_required { " (if you like)" } }
            textarea #reason name="reason" rows="2" maxlength="1000" required[conditions.reason_required]
                aria-describedby="reason-help" { (said) }
            p.help #reason-help { "Who asked reads it, and so does the auditor." }
            (layout::code("Code", false))
            div.buttons {
                button disabled[unread] aria-describedby=[unread.then_some("unread")] { "Approve" }
                button.no formaction={ "/r/" (id) "/deny" } { "Deny" }
            }
            @if by_passkey {
                div.buttons {
                    (passkey::button("approve", "Approve by passkey", unread))
                    (passkey::button("deny", "Deny by passkey", false))
                }
            }
        }))
    }
}

/// Who asked can call it off, and say that they never asked.
fn ways_out(caller: &Caller, id: RequestId) -> Markup {
    html! {
        (layout::form(caller, &format!("/r/{id}/cancel"), &html! {
            div.buttons {
                button.no { "Call it off" }
                button.no formaction={ "/r/" (id) "/not-me" } aria-describedby="not-me-help" { "This was not me" }
            }
            p.help #not-me-help {
                "If you did not send it: it is denied, the session that sent it is ended, and an alarm is raised. Your "
                "account stays as it is."
            }
        }))
    }
}

/// Something to say without deciding anything.
fn talk(caller: &Caller, id: RequestId) -> Markup {
    html! {
        section {
            h2 { "Say something" }
            (layout::form(caller, &format!("/r/{id}/comment"), &html! {
                label for="text" { "Comment" }
                textarea #text name="text" rows="2" maxlength="1000" required aria-describedby="text-help" {}
                p.help #text-help { "Who asks and all who may answer read it. It decides nothing." }
                button.plain { "Say it" }
            }))
        }
    }
}

fn ended(caller: &Caller, info: &RequestInfo, problem: Option<&Problem>) -> Markup {
    let by: Vec<_> = info.approvers.iter().map(ToString::to_string).collect();
    html! {
        (heading(caller, info))
        (layout::alert(problem))
        p #state role="status" data-request=(info.request) data-state=(info.state) {
            "This request has ended: " strong { (info.state) } "."
            @if !by.is_empty() { " Approved by " (by.join(", ")) "." }
            @else if let Some(by) = &info.ended_by { " By " (by) "." }
        }
        @if let Some(reason) = &info.reason {
            p { "Reason: " span.said dir="ltr" { (text::visible(reason)) } }
        }
        p { a href="/" { "To your requests" } }
    }
}

/// Verifies one's own.
pub(crate) async fn verify(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let answer = answer(&visitor, &headers, &body)?;
    let caller = visitor.caller();
    let done = async {
        let info = requests::find_open(&api, &caller.person, &id)?;
        requests::prove_own(&api, caller, &info, answer).await
    };
    after(&api, caller, &id, done.await.map(drop))
}

/// Says yes.
pub(crate) async fn approve(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    vote_of(&api, &visitor, &id, (&headers, &body), true).await
}

/// Says no.
pub(crate) async fn deny(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    vote_of(&api, &visitor, &id, (&headers, &body), false).await
}

async fn vote_of(
    api: &Api,
    visitor: &Visitor,
    id: &str,
    (headers, body): (&HeaderMap, &Bytes),
    approve: bool,
) -> Result<Response, Turned> {
    let answer = answer(visitor, headers, body)?;
    let said = answer.reason.clone().unwrap_or_default();
    let caller = visitor.caller();
    let done = async {
        let info = requests::find_open(api, &caller.person, id)?;
        requests::answer(api, caller, &info, answer, approve).await
    };
    after_saying(api, caller, (id, &said), done.await.map(drop))
}

/// Calls one's own off.
pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let done = async {
        let info = requests::find_open(&api, &caller.person, &id)?;
        requests::call_off(&api, &caller.person, &info).await
    };
    after(&api, caller, &id, done.await)
}

/// Says that it was not them.
pub(crate) async fn not_me(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let done = async {
        let info = requests::find_open(&api, &caller.person, &id)?;
        asks::disown(&api, &caller.person, &info).await
    };
    after(&api, caller, &id, done.await)
}

/// Says something.
pub(crate) async fn comment(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let done = async {
        let info = requests::find_open(&api, &caller.person, &id)?;
        let text = form.get("text").unwrap_or_default();
        Ok(api.parts.desk.comment(info.request, &caller.person.name, text).await?)
    };
    after(&api, caller, &id, done.await)
}

fn answer(visitor: &Visitor, headers: &HeaderMap, body: &Bytes) -> Result<Answer, Problem> {
    let form = visitor.form(headers, body)?;
    Ok(Answer { code: form.code(), reason: form.get("reason").map(str::to_owned), ..Answer::default() })
}

/// The request again: as it is now, or with what went wrong.
pub(crate) fn after(
    api: &Api,
    caller: &Caller,
    id: &str,
    done: Result<(), Problem>,
) -> Result<Response, Turned> {
    after_saying(api, caller, (id, ""), done)
}

fn after_saying(
    api: &Api,
    caller: &Caller,
    (id, said): (&str, &str),
    done: Result<(), Problem>,
) -> Result<Response, Turned> {
    let info = requests::find(api, &caller.person, id)?;
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/r/{}", info.request)).into_response()),
        Err(problem) => Ok(page(api, caller, &info, None, Some((&problem, said)))?),
    }
}
