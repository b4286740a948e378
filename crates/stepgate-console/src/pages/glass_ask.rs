//! Break-glass asked for on its page: whoever comes to it without a terminal, or whose terminal cannot log in since the
//! identity provider is down. It opens nothing: that takes a passkey, here as there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use stepgate_store::GlassWish;

use super::{Turned, glass, layout};
use crate::api::Api;
use crate::caller::{Caller, Visitor};
use crate::problem::Problem;

/// What is asked, and for which place: the one from where it is asked.
pub(super) fn form(caller: &Caller) -> Markup {
    html! {
        details {
            summary { "Ask for it here" }
            form method="post" action="/break-glass" {
                (layout::proof(caller))
                label for="glass-reason" { "Reason" }
                input #glass-reason name="reason" type="text" maxlength="200" required;
                label for="glass-client" { "Program whose statements are to pass" }
                input #glass-client name="client" type="text" value="psql" maxlength="63" required
                    autocapitalize="none" spellcheck="false";
                label for="glass-database" { "Database (empty: every one)" }
                input #glass-database name="database" type="text" maxlength="63" autocapitalize="none"
                    spellcheck="false";
                label for="glass-minutes" { "Minutes (empty: as many as can be)" }
                input #glass-minutes name="minutes" type="number" min="1" max="1440";
                p.help { "From where you are now, " (caller.address.to_canonical()) ", and from nowhere else." }
                button { "Ask for it" }
            }
        }
    }
}

/// `POST /break-glass`.
pub(crate) async fn ask(
    State(api): State<Arc<Api>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let form = visitor.form(&headers, &body)?;
    let caller = visitor.caller();
    let typed = |name: &str| form.get(name).map(str::trim).filter(|text| !text.is_empty());
    let minutes = typed("minutes").map(str::parse::<u64>).transpose().map_err(|_| super::unreadable())?;
    let wish = GlassWish {
        reason: typed("reason").unwrap_or_default().to_owned(),
        time: minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
        database: typed("database").map(str::to_owned),
        client: typed("client").unwrap_or("psql").to_owned(),
    };
    match api.parts.desk.ask_glass(&caller.person.name, wish, caller.address).await {
        Ok(_) => Ok(Redirect::to("/break-glass").into_response()),
        Err(error) => Ok(glass::page(&api, caller, Some(&Problem::from(error)))),
    }
}
