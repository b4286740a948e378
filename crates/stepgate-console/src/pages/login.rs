//! Login and logout of browsers.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_approval::Source;
use stepgate_store::Person;
use stepgate_types::RequestId;

use super::{Turned, layout, parse, passkey, provider};
use crate::api::{Api, Peer};
use crate::caller::{Visitor, cookie};
use crate::entrance;
use crate::login::{Credentials, admit, issue};
use crate::origin::{self, Made};
use crate::problem::Problem;
use crate::tokens::{self, By, Came};

/// A browser is known again for a year.
const DEVICE_LIFE: &str = "; Max-Age=31536000";

/// The form; to who is logged in, their requests.
pub(crate) async fn show(State(api): State<Arc<Api>>, visitor: Result<Visitor, Turned>) -> Response {
    match visitor {
        Ok(_) => Redirect::to("/").into_response(),
        Err(Turned::LoginFirst) => {
            let main = html! { h1 { "Log in" } (form(&api, None, "", None)) };
            layout::page("Log in", None, &main).into_response()
        }
        Err(turned) => turned.into_response(),
    }
}

/// What to fill in. `request` is where to go afterwards: an id alone, so that no link leads elsewhere.
pub(crate) fn form(api: &Api, problem: Option<&Problem>, name: &str, request: Option<RequestId>) -> Markup {
    html! {
        (layout::alert(problem))
        form method="post" action="/login" {
            @if let Some(request) = request { input type="hidden" name="request" value=(request); }
            label for="name" { "Name" }
            input #name name="name" type="text" value=(name) autocomplete="username" autocapitalize="none"
                spellcheck="false" maxlength="63" required autofocus[name.is_empty()];
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="current-password" required
                autofocus[!name.is_empty()];
            @if api.parts.proven_readers {
                label for="code" { "Code of your authenticator app (for reading what others ask)" }
                input #code name="code" type="text" inputmode="numeric" autocomplete="one-time-code" maxlength="40";
            }
            button { "Log in" }
            @if entrance::is_offered(api) { " " (passkey::button("login", "Log in by a passkey", false)) }
        }
        @if entrance::is_offered(api) { (passkey::script()) }
        (provider::way_in(api, request))
    }
}

/// Logs in.
pub(crate) async fn log_in(
    State(api): State<Arc<Api>>,
    Extension(Peer(address)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    // Nobody is to be logged in as somebody else by another site's form, either.
    if api.origin.made(&headers) != Made::Here {
        return Err(origin::other_site().into());
    }
    let fields = parse(&headers, &body)?;
    let field = |name| fields.get(name).unwrap_or_default();
    let request = field("request").parse::<RequestId>().ok();
    let name = field("name").trim();
    let device = cookie(&headers, api.origin.device_cookie()).and_then(tokens::device);
    let source = Source { device, ..address.into() };
    let credentials = Credentials::new(name, field("password"), fields.get("code"));
    let (person, came) = match admit(&api, credentials, source).await {
        Ok(admitted) => admitted,
        Err(problem) => {
            let main = html! { h1 { "Log in" } (form(&api, Some(&problem), name, request)) };
            return Ok(problem.with_page(layout::page("Log in", None, &main)));
        }
    };
    let to = request.map_or_else(|| "/".to_owned(), |request| format!("/r/{request}"));
    Ok(let_in(&api, &headers, &person, came, Redirect::to(&to).into_response())?)
}

/// The same answer, with what has the browser known as somebody's from here on.
pub(crate) fn let_in(
    api: &Api,
    headers: &HeaderMap,
    person: &Person,
    came: Came,
    mut response: Response,
) -> Result<Response, Problem> {
    // Whoever was logged in here before is not any more: no value of a cookie outlives a login.
    if let Some(old) = cookie(headers, api.origin.cookie()) {
        api.tokens.end(By::Cookie, old);
    }
    let (token, _) = issue(api, By::Cookie, person, came)?;
    response.headers_mut().append(header::SET_COOKIE, set_cookie(api, api.origin.cookie(), &token, "")?);
    // Nothing of it is kept until somebody verifies themselves on this browser.
    if cookie(headers, api.origin.device_cookie()).and_then(tokens::device).is_none() {
        let device = tokens::fresh(&*api.parts.entropy).map_err(|_| Problem::gate_trouble())?;
        let device = set_cookie(api, api.origin.device_cookie(), &device, DEVICE_LIFE)?;
        response.headers_mut().append(header::SET_COOKIE, device);
    }
    Ok(response)
}

/// Logs out: here, or everywhere, programs with their tokens included.
pub(crate) async fn log_out(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    match form.get("everywhere") {
        Some(_) => api.tokens.end_all(&caller.person.name),
        None => caller.log_out(&api),
    }
    let mut response = Redirect::to("/login").into_response();
    response
        .headers_mut()
        .insert(header::SET_COOKIE, set_cookie(&api, api.origin.cookie(), "", "; Max-Age=0")?);
    Ok(response)
}

/// Strict: sent for what our own pages ask for, and for addresses typed or opened from a terminal or mail program; never
/// for what another site's page asks for, not even by a link. Who follows a notice's link in a chat's or mail's own web
/// page is led round that by [`Turned::Again`]. It ends with the browser, or earlier with the login.
pub(super) fn set_cookie(api: &Api, name: &str, value: &str, more: &str) -> Result<HeaderValue, Problem> {
    let secure = if api.origin.encrypted { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    HeaderValue::try_from(cookie).map_err(|_| Problem::gate_trouble())
}
