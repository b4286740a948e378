//! Every route there is, once: the router is made of this, and the OpenAPI document is held against it.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::api::{self, Api};
use crate::pages::{
    assets, enrol, glass, glass_ask, inbox, login as entrance, message, oidc, policy, provider, push,
    recovery, removal, request,
};
use crate::{
    asks, break_glass, changes, codes, device_login, devices, document, entrance as door, events, factors,
    grants, login, passwords, policies, requests,
};

/// A way in.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// For people's eyes, not for programs: the document says nothing of it.
    pub(crate) is_page: bool,
    pub(crate) handler: MethodRouter<Arc<Api>>,
}

fn get<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<Api>>) -> Route {
    Route { method: "get", path, is_page: false, handler: routing::get(handler) }
}

fn post<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<Api>>) -> Route {
    Route { method: "post", path, is_page: false, handler: routing::post(handler) }
}

fn page(route: Route) -> Route {
    Route { is_page: true, ..route }
}

/// All of them.
pub(crate) fn all() -> Vec<Route> {
    vec![
        get("/healthz", api::health),
        get("/readyz", api::ready),
        get("/openapi.json", document::show),
        post("/api/v1/login", login::login),
        post("/api/v1/login/code", codes::redeem),
        post("/api/v1/login/device", device_login::begin),
        post("/api/v1/login/device/token", device_login::poll),
        post("/api/v1/logout", login::logout),
        get("/api/v1/passwords", passwords::list),
        post("/api/v1/passwords", passwords::mint),
        post("/api/v1/passwords/{id}/revoke", passwords::revoke),
        get("/api/v1/me", login::me),
        get("/api/v1/events", events::watch),
        get("/api/v1/requests", requests::list),
        post("/api/v1/requests", asks::open),
        get("/api/v1/requests/{id}", requests::show),
        get("/api/v1/requests/{id}/sql", requests::more_sql),
        get("/api/v1/requests/{id}/behind/{number}", requests::more_behind),
        get("/api/v1/requests/{id}/parameters/{number}", requests::more_parameter),
        get("/api/v1/requests/{id}/methods", requests::methods),
        post("/api/v1/requests/{id}/challenge", requests::challenge),
        post("/api/v1/requests/{id}/verify", requests::verify),
        post("/api/v1/requests/{id}/approve", requests::approve),
        post("/api/v1/requests/{id}/deny", requests::deny),
        post("/api/v1/requests/{id}/cancel", requests::cancel),
        post("/api/v1/requests/{id}/comment", asks::comment),
        post("/api/v1/requests/{id}/not-me", asks::not_me),
        get("/api/v1/grants", grants::list),
        post("/api/v1/grants/{id}/revoke", grants::revoke),
        get("/api/v1/break-glass", break_glass::list),
        post("/api/v1/break-glass", break_glass::ask),
        post("/api/v1/break-glass/{id}/challenge", break_glass::challenge),
        post("/api/v1/break-glass/{id}/open", break_glass::open),
        post("/api/v1/break-glass/{id}/end", break_glass::end),
        post("/api/v1/break-glass/{id}/review", break_glass::review),
        get("/api/v1/break-glass/{id}/review/methods", break_glass::review_methods),
        post("/api/v1/break-glass/{id}/review/challenge", break_glass::review_challenge),
        get("/api/v1/policies", policies::list),
        get("/api/v1/policies/{id}", policies::show),
        get("/api/v1/policies/{id}/change", changes::show),
        get("/api/v1/policies/{id}/methods", policies::methods),
        post("/api/v1/policies/{id}/challenge", policies::challenge),
        post("/api/v1/policies/{id}/approve", policies::approve),
        get("/api/v1/challenges", devices::waiting),
        post("/api/v1/challenges", factors::challenge),
        get("/api/v1/factors", factors::list),
        post("/api/v1/factors/{factor}", factors::enrol),
        post("/api/v1/factors/{factor}/confirm", factors::confirm),
        post("/api/v1/factors/{factor}/remove", factors::remove),
        post("/api/v1/people/{name}/reset", factors::reset),
        page(get("/", inbox::show)),
        page(get("/login", entrance::show)),
        page(post("/login", entrance::log_in)),
        page(post("/login/passkey/begin", door::begin)),
        page(post("/login/passkey", door::finish)),
        page(post("/login/oidc", provider::begin)),
        page(post("/login/oidc/finish", provider::finish)),
        page(get("/login/program", provider::ask_for_program)),
        page(post("/login/program", provider::begin_for_program)),
        page(post("/logout", entrance::log_out)),
        page(get("/r/{id}", request::show)),
        page(post("/r/{id}/verify", request::verify)),
        page(post("/r/{id}/approve", request::approve)),
        page(post("/r/{id}/deny", request::deny)),
        page(post("/r/{id}/cancel", request::cancel)),
        page(post("/r/{id}/oidc", oidc::begin_answer)),
        page(post("/enrol/oidc", oidc::begin_link)),
        page(get("/oidc/callback", oidc::back)),
        page(post("/oidc/finish", oidc::finish)),
        page(post("/r/{id}/not-me", request::not_me)),
        page(post("/r/{id}/comment", request::comment)),
        page(post("/r/{id}/push", push::begin)),
        page(post("/r/{id}/send", message::send)),
        page(post("/r/{id}/sent", message::sent)),
        page(post("/grants/{id}/revoke", inbox::revoke)),
        page(get("/break-glass", glass::show)),
        page(get("/break-glass/{id}", glass::one)),
        page(post("/break-glass", glass_ask::ask)),
        page(post("/break-glass/{id}/end", glass::end)),
        page(post("/break-glass/{id}/review", glass::review)),
        page(post("/break-glass/{id}/push", glass::push)),
        page(post("/break-glass/{id}/oidc", glass::oidc)),
        page(get("/policies", policy::list)),
        page(get("/policies/{id}", policy::show)),
        page(post("/policies/{id}/approve", policy::approve)),
        page(post("/policies/{id}/push", policy::push)),
        page(post("/policies/{id}/oidc", policy::oidc)),
        page(get("/enrol", enrol::show)),
        page(post("/enrol/totp", enrol::begin_totp)),
        page(post("/enrol/totp/confirm", enrol::confirm_totp)),
        page(get("/enrol/recovery", recovery::show)),
        page(post("/enrol/recovery", recovery::make)),
        page(get("/enrol/{id}/remove", removal::show)),
        page(post("/enrol/{id}/remove", removal::remove)),
        page(get("/assets/stepgate.css", assets::style)),
        page(get("/assets/stepgate.js", assets::script)),
        page(get("/assets/passkey.js", assets::passkeys)),
    ]
}

/// Method and path of each route: of the API (`false`) or of its pages.
#[must_use]
pub fn paths() -> Vec<(&'static str, &'static str, bool)> {
    all().into_iter().map(|route| (route.method, route.path, route.is_page)).collect()
}
