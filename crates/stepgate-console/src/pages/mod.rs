//! Pages for people's browsers: server-rendered, usable without script, at 360 pixels, by keyboard and by ear.
//!
//! Everything a client, a colleague or a catalog chose is written by `maud`, which escapes; statements and values are
//! made visible by the desk besides. Titles and addresses hold ids alone.

pub(crate) mod assets;
pub(crate) mod enrol;
pub(crate) mod glass;
pub(crate) mod glass_ask;
pub(crate) mod inbox;
mod layout;
pub(crate) mod login;
pub(crate) mod message;
pub(crate) mod oidc;
mod passkey;
pub(crate) mod policy;
pub(crate) mod provider;
pub(crate) mod push;
mod qr;
pub(crate) mod recovery;
pub(crate) mod removal;
pub(crate) mod request;
mod text;
mod ways;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use stepgate_store::Presented;

use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::form::Form;
use crate::origin;
use crate::presented::Given;
use crate::problem::Problem;

/// Instead of a page.
pub(crate) enum Turned {
    /// To the login page.
    LoginFirst,
    /// To where they are going, from a page of ours: who comes by a link of another site's page comes without their
    /// cookie (SameSite=Strict), and with it the next time.
    Again,
    /// Away, with this reason.
    Away(Problem),
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self::Away(problem)
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::LoginFirst => Redirect::to("/login").into_response(),
            Self::Again => layout::again().into_response(),
            Self::Away(problem) => problem.with_page(layout::problem(&problem)),
        }
    }
}

impl FromRequestParts<Arc<Api>> for Visitor {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Turned> {
        let another = origin::is_safe(&parts.method) && origin::from_another_site(&parts.headers);
        let turned = if another { Turned::Again } else { Turned::LoginFirst };
        Self::find(parts, api)?.ok_or(turned)
    }
}

impl Visitor {
    /// What a form of a page of this login sends. Another login's form, or one that no page of ours made, is nobody's.
    fn form(&self, headers: &HeaderMap, body: &Bytes) -> Result<Form, Problem> {
        let form = parse(headers, body)?;
        if !self.0.proves(form.get("proof").unwrap_or_default()) {
            return Err(origin::other_site());
        }
        Ok(form)
    }

    fn caller(&self) -> &Caller {
        &self.0
    }
}

/// What a form proves by: a typed code, or what the script of passkeys has put there.
fn presented(form: &Form) -> Result<Presented, Problem> {
    let typed = |name| form.get(name).filter(|text| !text.is_empty());
    let passkey = typed("passkey").map(serde_json::from_str).transpose().map_err(|_| unreadable())?;
    let challenge = typed("challenge").map(str::to_owned);
    Given { code: form.code(), passkey, challenge, ..Given::default() }.presented()
}

fn parse(headers: &HeaderMap, body: &Bytes) -> Result<Form, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/x-www-form-urlencoded" {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form", "this is no form"));
    }
    Form::parse(body).ok_or_else(unreadable)
}

fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", "this form cannot be read")
}
