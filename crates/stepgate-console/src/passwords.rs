//! Passwords for databases that a login mints: for who has just come from the identity provider, or proves more than their
//! password by a code.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::api::{Api, json_body};
use crate::caller::Caller;
use crate::problem::Problem;

/// How long after a login at the provider that is proof enough.
pub(crate) const FRESH: Duration = Duration::from_secs(10 * 60);

/// Where databases are reached, as programs are told.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Entrance {
    /// The port of the gate's own.
    pub port: u16,
    /// Names of databases.
    pub databases: Vec<String>,
    /// Whether by TLS alone.
    pub tls: bool,
}

/// What is configured of minted passwords.
#[derive(Debug, Clone)]
pub struct Minting {
    /// How long one is good.
    pub life: Duration,
    /// Where.
    pub entrance: Entrance,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// A code, of who has not just come from the identity provider.
    #[serde(default)]
    code: Option<Zeroizing<String>>,
}

/// Mints one.
pub(crate) async fn mint(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wanted: Wanted = json_body(&headers, &body)?;
    let name = &caller.person.name;
    let fresh = caller.proven.is_some_and(|at| api.parts.clock.now() < at.plus(FRESH));
    let method = match wanted.code.map(|code| Zeroizing::new(code.trim().to_owned())) {
        Some(code) if !code.is_empty() => {
            api.parts.desk.prove(name, &code, caller.source()).await?;
            "code"
        }
        _ if fresh => "oidc",
        _ => return Err(Problem::proof_needed()),
    };
    let Minting { life, entrance } = &api.parts.minting;
    let minted = api.parts.people.mint(name, *life, method, caller.address).await;
    let minted = minted.map_err(|_| Problem::gate_trouble())?;
    let answer = json!({
        "id": minted.id,
        "password": *minted.password,
        "until": minted.until.to_string(),
        "name": name,
        "entrance": entrance,
    });
    Ok(axum::Json(answer).into_response())
}

/// One's own.
pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(api.parts.people.minted_by(&caller.person.name)).into_response()
}

/// Takes one of one's own back. Sessions that it has opened go on.
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let name = &caller.person.name;
    let revoked = api.parts.people.revoke_minted(name, Some(&id), "logout", Some(name.clone())).await;
    match revoked {
        Ok(0) => Err(Problem::not_found()),
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(_) => Err(Problem::gate_trouble()),
    }
}
