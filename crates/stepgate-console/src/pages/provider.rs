//! Logging in at the identity provider: in this browser, or for a program on this machine.
//!
//! Nobody is sent anywhere by what somebody else's page or link begins: a form of ours leads to a page of ours with a
//! link. A cookie ties the way back to the browser that began, so that nobody is logged in as somebody else by the end of
//! another one's login (RFC 6749 section 10.12). A program's code goes to the machine of the browser, by a link to its
//! loopback interface, never to an address that anybody names.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_store::Person;
use stepgate_types::{RequestId, Strength, Timestamp};
use subtle::ConstantTimeEq as _;

use super::login::{let_in, set_cookie};
use super::{Turned, layout, oidc, parse, text, unreadable};
use crate::api::{Api, Peer};
use crate::caller::cookie;
use crate::codes::check_letters;
use crate::elsewhere;
use crate::form::Form;
use crate::oidc::{CLOCK_SKEW, Errand, Oidc, Program};
use crate::origin::{self, Made};
use crate::problem::Problem;
use crate::tokens::{self, Came, page_proof};

/// How long a browser may take for it: as long as the provider's login is remembered.
const LIFE: &str = "; Max-Age=600";

/// The longest `state` of a program, in bytes.
const MAX_STATE: usize = 128;

/// Ports that need no privilege: what listens below is a service of the machine's, and no program of somebody's.
const FIRST_PORT: u16 = 1024;

/// The form beside the one for names and passwords.
pub(super) fn way_in(api: &Api, request: Option<RequestId>) -> Markup {
    html! {
        @if let Some(oidc) = &api.parts.oidc {
            form.provider method="post" action="/login/oidc" {
                @if let Some(request) = request { input type="hidden" name="request" value=(request); }
                button.plain { "Log in with " (oidc.settings().label) }
            }
        }
    }
}

/// Begins a login of this browser.
pub(crate) async fn begin(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = ours(&api, &headers, &body)?;
    let request = form.get("request").and_then(|id| id.parse().ok());
    leave(&api, Errand::Login { request }).await
}

/// Asks whether a program is to be logged in. Does nothing: whoever is lured here by a link reads what it is about.
pub(crate) async fn ask_for_program(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let Some(oidc) = &api.parts.oidc else { return Err(Problem::not_found().into()) };
    let given = Form::parse(query.unwrap_or_default().as_bytes()).ok_or_else(unreadable)?;
    let program = program(&given)?;
    let main = html! {
        h1 { "Log in for a program" }
        p { "A program on this computer asks to be logged in as you. It shows these letters:" }
        p.code { strong { (check_letters(&program.challenge)) } }
        p { "Go on only if you have just started it yourself, here, and it shows the same." }
        form method="post" action="/login/program" {
            input type="hidden" name="port" value=(program.port);
            input type="hidden" name="challenge" value=(hex(&program.challenge));
            input type="hidden" name="state" value=(program.state);
            button autofocus { "Log in with " (oidc.settings().label) }
        }
    };
    Ok(layout::page("Log in for a program", None, &main).into_response())
}

/// Begins a login for a program.
pub(crate) async fn begin_for_program(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let program = program(&ours(&api, &headers, &body)?)?;
    leave(&api, Errand::Program(program)).await
}

/// What a program says of itself in the address that it opens.
fn program(given: &Form) -> Result<Program, Problem> {
    let port = given.get("port").and_then(|port| port.parse().ok()).filter(|port| *port >= FIRST_PORT);
    let challenge = given.get("challenge").and_then(unhex);
    let state = given.get("state").filter(|state| {
        !state.is_empty()
            && state.len() <= MAX_STATE
            && state.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    match (port, challenge, state) {
        (Some(port), Some(challenge), Some(state)) => {
            Ok(Program { port, challenge, state: state.to_owned() })
        }
        _ => Err(unreadable()),
    }
}

/// A form of a page of ours, of somebody whom we do not know yet.
fn ours(api: &Api, headers: &HeaderMap, body: &Bytes) -> Result<Form, Problem> {
    // Nobody is to be logged in as somebody else by another site's form, either.
    if api.origin.made(headers) != Made::Here {
        return Err(origin::other_site());
    }
    parse(headers, body)
}

/// The page with the link there, and the cookie by which this browser is known when it comes back.
async fn leave(api: &Arc<Api>, errand: Errand) -> Result<Response, Turned> {
    let cookie = tokens::fresh(&*api.parts.entropy).map_err(|_| Problem::gate_trouble())?;
    let mut nonce = [0; 32];
    api.parts.entropy.fill(&mut nonce).map_err(|_| Problem::gate_trouble())?;
    let session = page_proof(&cookie);
    let begun =
        oidc::called(api, move |oidc| oidc.begin(None, &session, &nonce, Strength::Weak, errand)).await?;
    let main = html! {
        h1 { "To the identity provider" }
        p { "Log in there. You come back here afterwards." }
        p { a.button href=(begun.url) rel="noreferrer" autofocus { "Go on" } }
    };
    let mut response = layout::page("To the identity provider", None, &main).into_response();
    let value = set_cookie(api, api.origin.login_cookie(), &cookie, LIFE)?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(response)
}

/// Whether what came back is of a login that was begun here, rather than of somebody's who is logged in.
pub(super) fn is_way_in(api: &Api, given: &Form) -> bool {
    let state = given.get("state").unwrap_or_default();
    api.parts.oidc.as_ref().is_some_and(|oidc| oidc.is_login(state))
}

/// Back from there. Nothing has been done yet.
pub(super) fn back(api: &Api, headers: &HeaderMap, given: &Form) -> Response {
    let Some(cookie) = cookie(headers, api.origin.login_cookie()) else {
        let begun = "this login was begun in another browser, or too long ago";
        let problem = Problem::new(axum::http::StatusCode::FORBIDDEN, "other_browser", begun);
        return problem.with_page(layout::problem(&problem));
    };
    let main = html! {
        h1 { "Back from the identity provider" }
        form method="post" action="/login/oidc/finish" {
            input type="hidden" name="proof" value=(page_proof(cookie));
            @for name in ["state", "code", "iss"] {
                input type="hidden" name=(name) value=(given.get(name).unwrap_or_default());
            }
            button autofocus { "Go on" }
        }
    };
    layout::page("Back from the identity provider", None, &main).into_response()
}

/// Lets in whose account it is.
pub(crate) async fn finish(
    State(api): State<Arc<Api>>,
    Extension(Peer(address)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = ours(&api, &headers, &body)?;
    let session = cookie(&headers, api.origin.login_cookie()).map(page_proof).unwrap_or_default();
    let proof = form.get("proof").unwrap_or_default();
    if session.is_empty() || !bool::from(session.as_bytes().ct_eq(proof.as_bytes())) {
        return Err(origin::other_site().into());
    }
    let get = |name: &str| form.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (state, code, iss) = (get("state").unwrap_or_default(), get("code"), get("iss"));
    let finish = move |oidc: &Oidc| oidc.finish(None, &session, &state, code.as_deref(), iss.as_deref());
    let (who, errand) = oidc::called(&api, finish).await?;
    let person = elsewhere::admit(&api, &who, address).await?;
    let mut response = match errand {
        Errand::Login { request } => {
            let to = request.map_or_else(|| "/".to_owned(), |request| format!("/r/{request}"));
            let_in(
                &api,
                &headers,
                &person,
                Came::FromProvider { proven: None },
                Redirect::to(&to).into_response(),
            )?
        }
        Errand::Program(program) => to_program(&api, &person, who.at, &program)?,
        // Those are somebody's who is known, and finished by them alone.
        Errand::Answer { .. } | Errand::Policy { .. } | Errand::Review { .. } | Errand::Link => {
            return Err(origin::other_site().into());
        }
    };
    let over: HeaderValue = set_cookie(&api, api.origin.login_cookie(), "", "; Max-Age=0")?;
    response.headers_mut().append(header::SET_COOKIE, over);
    Ok(response)
}

/// The page with the link to the program.
fn to_program(
    api: &Api,
    person: &Person,
    at: Option<Timestamp>,
    program: &Program,
) -> Result<Response, Problem> {
    let code = tokens::fresh(&*api.parts.entropy).map_err(|_| Problem::gate_trouble())?;
    let now = api.parts.clock.now();
    // One that is yet to come proves nothing.
    let proven = at.filter(|at| *at <= now.plus(CLOCK_SKEW));
    api.codes.issue(&code, person, (program.challenge, proven), now);
    let (port, state) = (program.port, &program.state);
    let to = format!("http://127.0.0.1:{port}/?code={code}&state={state}");
    let main = html! {
        h1 { "Logged in" }
        p { "You are " strong { (text::visible(person.name.as_str())) } ". The program that shows "
            strong { (check_letters(&program.challenge)) } " will be logged in as you." }
        p { a.button href=(to) rel="noreferrer" autofocus { "Let it in" } }
    };
    Ok(layout::page("Logged in", None, &main).into_response())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 64 hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
